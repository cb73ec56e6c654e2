//! `plimsoll resume`, killed without warning and called again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_experiment::{
    Event, Interrupt, MatrixSource, Plan, Progress, RunOptions, judge_folder, run,
};
use plimsoll_records::{ResultsFolder, RunStatus, Tool};

/// An experiment of four points: its load and its factors.
struct Case {
    kind: &'static str,
    load: &'static str,
    factors: &'static str,
}

const CASES: [Case; 5] = [
    Case { kind: "saturation", load: "rates = [10, 20, 30, 40]", factors: "" },
    Case {
        kind: "scaling",
        load: "rates = [10, 20]",
        factors: "\"server.settings.data-parallel-size\" = [1, 2]",
    },
    Case {
        kind: "lowload",
        load: "rates = [10]",
        factors: "\"workload.output-tokens\" = [4, 8]\n\"server.settings.max-num-seqs\" = [8, 16]",
    },
    Case {
        kind: "scenarios",
        load: "concurrency = [1, 2]",
        factors: "\"workload.input-tokens\" = [32, 64]",
    },
    Case {
        kind: "compare",
        load: "rates = [10, 20]",
        factors: "\"server.settings.max-num-seqs\" = [8, 16]",
    },
];

impl Case {
    fn matrix(&self) -> String {
        let Self { kind, load, factors } = self;
        format!(
            "[experiment]\nkind = \"{kind}\"\nseed = 3\nself-test = false\n[server]\nmodel = \"tiny\"\n\
             [workload]\ninput-tokens = 32\noutput-tokens = 8\n[load]\n{load}\n\
             window = {{ warm-up = \"100ms\", measure = \"900ms\", drain-limit = \"5s\" }}\n[factors]\n{factors}\n"
        )
    }
}

struct CutAtFirst<'a>(&'a Interrupt);

impl Progress for CutAtFirst<'_> {
    fn event(&mut self, event: Event) {
        if let Event::PointEnded { .. } = event {
            self.0.raise();
        }
    }
}

/// A run that ended after its first point.
fn begun(root: &Path, case: &Case) -> PathBuf {
    let matrix = root.join("mine.toml");
    std::fs::write(&matrix, case.matrix()).unwrap();
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

/// The ids of the points that have a folder, and whether each was measured to its end.
fn points(folder: &Path) -> Vec<(String, bool)> {
    let entries = std::fs::read_dir(folder.join("points")).unwrap();
    let mut points: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let ended = entry.path().join("point.json").exists();
            (entry.file_name().into_string().unwrap(), ended)
        })
        .collect();
    points.sort();
    points
}

#[test]
fn every_experiment_that_was_killed_ends_fully_measured() {
    for case in &CASES {
        let root = tempfile::tempdir().unwrap();
        let folder = begun(root.path(), case);
        let mut killed = resume(&folder);
        for _ in 0..3000 {
            if points(&folder).len() >= 3 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        let left = points(&folder);
        let open = left.iter().filter(|(_, ended)| !ended).count();
        assert_eq!(
            (left.len(), open),
            (3, 1),
            "{}: killed in its third point: {left:?}",
            case.kind
        );

        let output = resume(&folder).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {text}", case.kind);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["points"].as_array().unwrap().len(), 4, "{}", case.kind);
        assert_eq!(json["conclusion"].is_null(), case.kind == "saturation", "{}", case.kind);
        let manifest = ResultsFolder::open(&folder).unwrap().manifest().unwrap();
        assert_eq!(manifest.status, RunStatus::Complete, "{}", case.kind);
        assert_eq!(manifest.points.len(), 4, "{}: {:?}", case.kind, manifest.points);
        assert!(points(&folder).iter().all(|(_, ended)| *ended), "{}", case.kind);
        assert!(folder.join("report.html").is_file(), "{}", case.kind);
        assert_eq!(judge_folder(&folder).unwrap().points.len(), 4, "{}", case.kind);

        let output = resume(&folder).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", case.kind);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("every point of its plan was measured"), "{text}");
    }
}
