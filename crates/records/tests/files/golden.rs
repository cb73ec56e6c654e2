//! The folders that each version of the format wrote, kept as they were: they must stay readable.
//!
//! `UPDATE_GOLDEN=1` writes the folder of the current version anew, which is right only while that
//! version is not released. The folders of earlier versions can no longer be written.

use std::path::{Path, PathBuf};

use plimsoll_records::{
    ClockRecord, FormatVersion, GpuRow, LagRecord, Machine, Manifest, PointFile, PointRows,
    QuantilesMs, RequestRow, ResultsFolder, ServerCounters, ServerRow, ServerStart, StampSource,
    StampsRecord, SummaryRow, TargetRecord, WorkerRecord, read_point,
};

use crate::sample;

fn path(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("format-{version}"))
}

/// What a folder is to hold.
struct Expected {
    manifest: Manifest,
    summary: Vec<SummaryRow>,
    point_file: PointFile,
    rows: Vec<RequestRow>,
    gpu: Option<Vec<GpuRow>>,
    server: Option<Vec<ServerRow>>,
}

/// Reads the folder of `version`, which must hold what is expected.
fn assert_reads(version: &str, expected: Expected) {
    let folder = ResultsFolder::open(&path(version)).unwrap();
    assert_eq!(folder.manifest().unwrap(), expected.manifest);
    assert_eq!(folder.read_summary().unwrap(), expected.summary);
    assert_eq!(folder.read_findings().unwrap(), sample::findings());
    let point = folder.point("rate-10").unwrap();
    assert_eq!(point.read_point_file().unwrap(), expected.point_file);
    let rows = expected.rows;
    let whole = PointRows { rows, complete: true, short_of_chunks: vec![], orphan_chunks: 0 };
    assert_eq!(read_point(&point).unwrap(), whole);
    assert_eq!(point.read_gpu().unwrap(), expected.gpu);
    assert_eq!(point.read_server().unwrap(), expected.server);
}

/// What the folder of the current version holds.
fn current() -> Expected {
    Expected {
        manifest: sample::manifest(),
        summary: sample::summary(),
        point_file: sample::point_file(),
        rows: vec![sample::row(4), sample::row(2), sample::refused(3), sample::shared(5)],
        gpu: Some(sample::gpu_rows()),
        server: Some(sample::server_rows()),
    }
}

/// Writes the folder of the current version.
fn update(version: &str) {
    let path = path(version);
    let _ = std::fs::remove_dir_all(&path);
    let name = path.file_name().unwrap().to_str().unwrap();
    let folder = ResultsFolder::create(path.parent().unwrap(), name).unwrap();
    let Expected { manifest, summary, point_file, rows, gpu, server } = current();
    folder.write_manifest(&manifest).unwrap();
    folder.write_summary(&summary).unwrap();
    folder.write_findings(&sample::findings()).unwrap();
    let point = folder.point("rate-10").unwrap();
    sample::write(&point, rows);
    point.write_point_file(&point_file).unwrap();
    point.write_gpu(&gpu.unwrap()).unwrap();
    point.write_server(server.unwrap()).unwrap();
}

#[test]
fn format_1_3_stays_readable() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update("1.3");
    }
    assert_reads("1.3", current());
}

/// What 1.3 added is absent, or nothing.
fn of_1_2() -> Expected {
    let mut then = current();
    then.manifest.format = FormatVersion { major: 1, minor: 2 };
    then.manifest.claims = vec![];
    then.manifest.matrix_file = None;
    let targets = then.manifest.targets.iter_mut().chain([&mut then.manifest.target]);
    targets.for_each(|target| target.urls = vec![]);
    then.point_file.imported = None;
    then.point_file.probe = None;
    then.point_file.server_start.replicas = 0;
    then.summary.iter_mut().for_each(|row| row.probe = None);
    then
}

#[test]
fn format_1_2_stays_readable() {
    assert_reads("1.2", of_1_2());
}

/// What 1.2 added is absent, or nothing.
fn of_1_1() -> Expected {
    let now = of_1_2();
    let at_1_1 = |target: TargetRecord| TargetRecord {
        launch: "sim".to_owned(),
        server: Some("plimsoll-sim".to_owned()),
        version: Some("0.1.0".to_owned()),
        settings: vec![],
        command: None,
        ..target
    };
    let manifest = Manifest {
        format: FormatVersion { major: 1, minor: 1 },
        machine: Machine {
            container: None,
            gpus: vec![],
            gpu_driver: None,
            cuda: None,
            gpu_links: vec![],
            gpu_remark: None,
            ..now.manifest.machine
        },
        target: at_1_1(now.manifest.target),
        targets: vec![],
        ..now.manifest
    };
    let summary = now.summary.into_iter().map(|row| SummaryRow {
        queue_time_mean_ms: None,
        prefill_time_mean_ms: None,
        decode_time_mean_ms: None,
        ttft_rest_mean_ms: None,
        prefix_hit_share: None,
        preemptions: None,
        running_mean: None,
        waiting_mean: None,
        kv_cache_usage_max: None,
        gpus: None,
        gpu_sm_utilisation_mean_pct: None,
        gpu_power_mean_w: None,
        energy_j_per_output_token: None,
        energy_j_per_request: None,
        output_tokens_per_s_per_w: None,
        gpu_throttled_share: None,
        ..row
    });
    let point_file = PointFile {
        server: ServerCounters {
            prefix_cache_queries_tokens: Some(5120.0),
            prefix_cache_hits_tokens: Some(0.0),
            preemptions: Some(0.0),
            running_max: Some(3.0),
            waiting_max: Some(0.0),
            kv_cache_usage_max: Some(0.25),
            ..ServerCounters::default()
        },
        server_sampling: None,
        server_start: ServerStart::default(),
        settings: vec![],
        settings_allowed: false,
        gpus: vec![],
        gpu_sampling: None,
        ..now.point_file
    };
    let summary = summary.collect();
    Expected { manifest, summary, point_file, rows: now.rows, gpu: None, server: None }
}

#[test]
fn format_1_1_stays_readable() {
    assert_reads("1.1", of_1_1());
}

/// What 1.1 added is absent too; what 1.0 called `itl` is the gap between chunks.
#[test]
fn format_1_0_stays_readable() {
    let Expected { mut manifest, mut summary, mut point_file, .. } = of_1_1();
    manifest.format = FormatVersion { major: 1, minor: 0 };
    manifest.stamps = StampSource::User;
    manifest.stamps_remark = None;
    manifest.self_tests = vec![];
    manifest.machine.open_files = None;
    manifest.machine.local_ports = None;
    for row in &mut summary {
        row.chunk_gap = std::mem::take(&mut row.itl);
        assert_ne!(row.chunk_gap, QuantilesMs::default());
    }
    point_file.stamps = StampsRecord::default();
    point_file.clock = ClockRecord::default();
    for worker in &mut point_file.workers {
        *worker = WorkerRecord {
            run_queue_share: None,
            wake_up: LagRecord::default(),
            connections_opened: 0,
            ..*worker
        };
    }
    let rows = vec![sample::row(4), sample::row(2), sample::refused(3)];
    assert_reads("1.0", Expected { manifest, summary, point_file, rows, gpu: None, server: None });
}
