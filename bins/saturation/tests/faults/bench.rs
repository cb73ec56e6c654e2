//! A folder to run the binary in, and what it finds.

use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_records::{Finding, ResultsFolder};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use plimsoll_units::Span;
use serde_json::Value;
use tempfile::TempDir;

/// What a matrix is made of; the rest is the same for all.
pub(crate) struct Matrix<'a> {
    /// The keys of `[server]`.
    pub(crate) server: &'a str,
    /// Those of `[workload]`.
    pub(crate) workload: &'a str,
    /// Those of `[load]`.
    pub(crate) load: &'a str,
    /// Further tables, and keys of `[experiment]` before them.
    pub(crate) more: &'a str,
}

impl Matrix<'_> {
    fn text(&self) -> String {
        let Self { server, workload, load, more } = self;
        format!(
            "[server]\n{server}\n[workload]\n{workload}\n[load]\n{load}\n\
             [samplers]\nmetrics-period = \"100ms\"\ngpu-period = \"20ms\"\n\
             [experiment]\nkind = \"saturation\"\nseed = 5\nself-test = false\n{more}\n"
        )
    }
}

/// Where the binary runs.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The results folder of a run of `matrix`, with `environment` set. Whatever its verdict: it is the
    /// findings that are looked at.
    pub(crate) fn run(&self, matrix: &Matrix<'_>, environment: &[(&str, &Path)]) -> ResultsFolder {
        std::fs::write(self.path().join("matrix.toml"), matrix.text()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_saturation"))
            .args(["matrix.toml", "--json", "-q"])
            .current_dir(self.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3 | 4)), "{error}");
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        ResultsFolder::open(&self.path().join(object["results"].as_str().unwrap())).unwrap()
    }

    /// The findings of such a run.
    pub(crate) fn findings(&self, matrix: &Matrix<'_>) -> Vec<Finding> {
        self.run(matrix, &[]).read_findings().unwrap()
    }
}

/// A simulator whose steps take as long as `step` says, whatever is in them.
pub(crate) fn sim(step: &str, settings: Settings, config: SimConfig) -> SimServer {
    let nothing: Span = "0s".parse().unwrap();
    let model = ModelProfile {
        step_base: step.parse().unwrap(),
        step_per_sequence: nothing,
        step_per_prefill_token: nothing,
        ..ModelProfile::tiny()
    };
    SimServer::start(SimConfig { model, settings, ..config }).unwrap()
}

/// The keys of `[server]` by which a run attaches to a server.
pub(crate) fn attach(url: &str) -> String {
    format!("launch = \"attach\"\nurl = \"{url}\"")
}
