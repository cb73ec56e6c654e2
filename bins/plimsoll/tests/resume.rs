//! `plimsoll resume`, killed without warning and called again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_experiment::{
    Event, Interrupt, MatrixSource, Plan, Progress, RunOptions, judge_folder, run,
};
use plimsoll_records::{ResultsFolder, RunStatus, Tool};

const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 3
self-test = false
[server]
model = "tiny"
[workload]
input-tokens = 32
output-tokens = 8
[load]
rates = [10, 20, 30, 40]
window = { warm-up = "100ms", measure = "900ms", drain-limit = "5s" }
"#;

struct CutAtFirst<'a>(&'a Interrupt);

impl Progress for CutAtFirst<'_> {
    fn event(&mut self, event: Event) {
        if let Event::PointEnded { .. } = event {
            self.0.raise();
        }
    }
}

/// A run that ended after its first point.
fn begun(root: &Path) -> PathBuf {
    let matrix = root.join("mine.toml");
    std::fs::write(&matrix, MATRIX).unwrap();
    let plan = Plan::new(MatrixSource::read(&matrix).unwrap()).unwrap();
    let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
    let options = RunOptions { results: root.join("results"), tool };
    let interrupt = Interrupt::new();
    let result = run(&plan, &options, &interrupt, &mut CutAtFirst(&interrupt)).unwrap();
    assert_eq!(result.points.len(), 1);
    result.folder
}

fn resume(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["resume", "--quiet", "--json"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_run_that_was_killed_ends_fully_measured() {
    let root = tempfile::tempdir().unwrap();
    let folder = begun(root.path());
    let mut killed = resume(&folder);
    let point = folder.join("points/rate-30");
    for _ in 0..3000 {
        if point.is_dir() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(point.is_dir(), "the third point was begun");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!point.join("point.json").exists(), "it was killed in its midst");

    let output = resume(&folder).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["points"].as_array().unwrap().len(), 4);
    let manifest = ResultsFolder::open(&folder).unwrap().manifest().unwrap();
    assert_eq!(manifest.status, RunStatus::Complete);
    assert_eq!(manifest.points, ["rate-10", "rate-20", "rate-30", "rate-40"]);
    assert!(folder.join("report.html").is_file());
    assert_eq!(judge_folder(&folder).unwrap().points.len(), 4);

    let output = resume(&folder).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("every point of its plan was measured"), "{text}");
}
