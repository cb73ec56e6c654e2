//! What a run says of its own client: stamps, self-tests, threads, and the limits of the system.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use plimsoll_records::{
    ConnectionUse, Manifest, PointFile, RequestRow, ResultsFolder, SelfTestTime, StampSource,
    read_point,
};

/// One point of a second on the simulator's small model.
const SHORT: &str = r#"
[experiment]
kind = "saturation"
seed = 12
self-test = "500ms"
[server]
model = "tiny"
[workload]
input-tokens = 32
output-tokens = 16
[load]
rates = [60]
window = { warm-up = "300ms", measure = "1s", drain-limit = "5s" }
"#;

/// Runs the binary on `matrix` in `folder`, through `shell` if that is not empty.
fn saturation(folder: &Path, matrix: &str, shell: &str) -> Output {
    let file = folder.join("matrix.toml");
    std::fs::write(&file, matrix).unwrap();
    let program = env!("CARGO_BIN_EXE_saturation");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{shell} exec {program} matrix.toml --json -q"));
    command.current_dir(folder).env_remove("PLIMSOLL_LOG").stdin(Stdio::null()).output().unwrap()
}

/// The manifest of the one run in `folder`, with the file and the rows of its one point.
fn result(folder: &Path, output: &Output) -> (Manifest, PointFile, Vec<RequestRow>) {
    let error = String::from_utf8_lossy(&output.stderr);
    // A busy machine may make the client late, and then the tool must say so: 0 and 3 both are runs.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{error}");
    let runs: Vec<PathBuf> = std::fs::read_dir(folder.join("results"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(runs.len(), 1, "one run, one folder");
    let left: Vec<_> = std::fs::read_dir(&runs[0])
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("self-test"))
        .collect();
    assert!(left.is_empty(), "self-tests leave nothing behind: {left:?}");
    let run = ResultsFolder::open(&runs[0]).unwrap();
    let manifest = run.manifest().unwrap();
    assert_eq!(manifest.points.len(), 1, "self-tests are no points");
    let point = run.point(&manifest.points[0]).unwrap();
    let rows = read_point(&point).unwrap().rows;
    assert!(!rows.is_empty());
    (manifest, point.read_point_file().unwrap(), rows)
}

#[test]
fn a_run_knows_its_stamps_its_threads_and_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = saturation(folder.path(), SHORT, "");
    let (manifest, point, rows) = result(folder.path(), &output);

    let best = manifest.stamps;
    if cfg!(target_os = "linux") {
        assert!(best >= StampSource::Socket, "{best:?}");
    }
    assert_eq!(best == StampSource::Packet, manifest.stamps_remark.is_none(), "{manifest:?}");
    assert_eq!(point.stamps.source, best);
    assert!(rows.iter().all(|row| row.stamp_source <= best));
    assert!(rows.iter().any(|row| row.stamp_source == best), "{best:?}");
    assert_eq!(point.stamps.packets.is_some(), best == StampSource::Packet);

    let when: Vec<_> = manifest.self_tests.iter().map(|test| test.when).collect();
    assert_eq!(when, [SelfTestTime::Before, SelfTestTime::After]);
    for test in &manifest.self_tests {
        assert!(test.requests > 0 && test.rate_per_s > 1.0 && test.streams > 0.0, "{test:?}");
        assert_eq!(test.ttft_error.count, test.requests);
        assert_eq!(test.stamps, best);
        assert!(manifest.remarks.iter().any(|remark| remark.contains("self-test")));
    }

    let started: u64 = point.workers.iter().map(|worker| worker.wake_up.count).sum();
    assert_eq!(started, rows.len() as u64, "every request was woken for once");
    let opened: u64 = point.workers.iter().map(|worker| worker.connections_opened).sum();
    assert!(opened > 0);
    assert!(rows.iter().any(|row| row.connection == Some(ConnectionUse::Prewarmed)));
    if cfg!(target_os = "linux") {
        assert!(point.stamps.read_delay.count >= rows.len() as u64, "{:?}", point.stamps);
        assert!(point.workers.iter().all(|worker| worker.run_queue_share.is_some()));
        assert!(manifest.machine.open_files.is_some() && manifest.machine.local_ports.is_some());
    }
}

#[test]
fn user_stamps_and_no_prewarming_are_had_for_the_asking() {
    let folder = tempfile::tempdir().unwrap();
    let text = SHORT.replace("\"500ms\"", "false") + "[client]\nstamps = \"user\"\nprewarm = 0\n";
    let output = saturation(folder.path(), &text, "");
    let (manifest, point, rows) = result(folder.path(), &output);
    assert_eq!((manifest.stamps, manifest.stamps_remark), (StampSource::User, None));
    assert_eq!((point.stamps.source, point.stamps.read_delay.count), (StampSource::User, 0));
    assert!(manifest.self_tests.is_empty());
    assert!(rows.iter().all(|row| row.stamp_source == StampSource::User));
    assert!(rows.iter().all(|row| row.connection != Some(ConnectionUse::Prewarmed)));
}

#[test]
fn a_closed_loop_beyond_the_open_files_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = SHORT.replace("rates = [60]", "concurrency = [4, 400]");
    let output = saturation(folder.path(), &text, "ulimit -n 512;");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for word in ["matrix.toml:12: load.concurrency", "512 files", "ulimit -n"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!folder.path().join("results").exists(), "nothing was started");
}

#[test]
fn an_open_loop_beyond_the_open_files_is_remarked_on() {
    let folder = tempfile::tempdir().unwrap();
    let text = SHORT.replace("\"500ms\"", "false").replace("[load]", "[load]\nmax-in-flight = 400");
    let output = saturation(folder.path(), &text, "ulimit -n 512;");
    let (manifest, ..) = result(folder.path(), &output);
    assert_eq!(manifest.machine.open_files, Some(512));
    assert!(
        manifest.remarks.iter().any(|remark| remark.contains("ulimit -n")),
        "{:?}",
        manifest.remarks
    );
}
