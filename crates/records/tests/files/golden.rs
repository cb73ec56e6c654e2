//! The folders that each version of the format wrote, kept as they were: they must stay readable.
//!
//! `UPDATE_GOLDEN=1` writes the folder of the current version anew, which is right only while that
//! version is not released. The folders of earlier versions can no longer be written.

use std::path::{Path, PathBuf};

use plimsoll_records::{
    ClockRecord, FormatVersion, LagRecord, Manifest, PointFile, PointRows, QuantilesMs, RequestRow,
    ResultsFolder, StampSource, StampsRecord, SummaryRow, WorkerRecord, read_point,
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
}

/// What the folder of the current version holds.
fn current() -> Expected {
    Expected {
        manifest: sample::manifest(),
        summary: sample::summary(),
        point_file: sample::point_file(),
        rows: vec![sample::row(4), sample::row(2), sample::refused(3), sample::shared(5)],
    }
}

/// Writes the folder of the current version.
fn update(version: &str) {
    let path = path(version);
    let _ = std::fs::remove_dir_all(&path);
    let name = path.file_name().unwrap().to_str().unwrap();
    let folder = ResultsFolder::create(path.parent().unwrap(), name).unwrap();
    let Expected { manifest, summary, point_file, rows } = current();
    folder.write_manifest(&manifest).unwrap();
    folder.write_summary(&summary).unwrap();
    folder.write_findings(&sample::findings()).unwrap();
    let point = folder.point("rate-10").unwrap();
    sample::write(&point, rows);
    point.write_point_file(&point_file).unwrap();
}

#[test]
fn format_1_1_stays_readable() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update("1.1");
    }
    assert_reads("1.1", current());
}

/// What 1.1 added is absent, or nothing; what 1.0 called `itl` is the gap between chunks.
#[test]
fn format_1_0_stays_readable() {
    let mut manifest = Manifest {
        format: FormatVersion { major: 1, minor: 0 },
        stamps: StampSource::User,
        stamps_remark: None,
        self_tests: vec![],
        ..sample::manifest()
    };
    manifest.machine.open_files = None;
    manifest.machine.local_ports = None;
    let mut summary = sample::summary();
    for row in &mut summary {
        row.chunk_gap = std::mem::take(&mut row.itl);
        assert_ne!(row.chunk_gap, QuantilesMs::default());
    }
    let mut point_file = PointFile {
        stamps: StampsRecord::default(),
        clock: ClockRecord::default(),
        ..sample::point_file()
    };
    for worker in &mut point_file.workers {
        *worker = WorkerRecord {
            run_queue_share: None,
            wake_up: LagRecord::default(),
            connections_opened: 0,
            ..*worker
        };
    }
    let rows = vec![sample::row(4), sample::row(2), sample::refused(3)];
    assert_reads("1.0", Expected { manifest, summary, point_file, rows });
}
