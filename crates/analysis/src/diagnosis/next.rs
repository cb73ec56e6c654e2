//! The next experiment: the matrix that would settle the diagnosis.
//!
//! It is made of the run's own resolved matrix: server, workload, window and client stay as they were,
//! the group's factors are set to its values, and only what the question needs is changed. The seed is
//! left out, so that arrivals and prompts are fresh.

mod draft;
mod loads;
mod question;
mod settings;

use plimsoll_records::Manifest;
use serde_json::Value;

use super::Cause;
use crate::Group;

use draft::Draft;
pub(crate) use loads::{rates_beyond, round_up};

/// The matrix that would settle a diagnosis.
#[derive(Clone, Debug, PartialEq)]
pub struct NextExperiment {
    /// The cause that it tests; `None` where it looks for more evidence.
    pub tests: Option<Cause>,
    /// What it asks, and how its result is to be read.
    pub question: String,
    /// What a server that is only attached must be started with before it is run:
    /// `--max-num-seqs 16`. Nothing for a server that the run starts.
    pub start_server_with: Option<String>,
    /// How the matrix differs from that of the run.
    pub changes: Vec<Change>,
    /// The whole matrix, as JSON of what is written in TOML; no value is null.
    pub matrix: Value,
}

/// One key of the matrix that is different.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its path as TOML writes it: `factors."server.settings.max-num-seqs"`.
    pub key: String,
    /// Its new value; `None` where it is taken out.
    pub value: Option<Value>,
}

impl Change {
    /// The change as a line of TOML; as a comment where a key is taken out. A table is written inline.
    #[must_use]
    pub fn line(&self) -> String {
        match &self.value {
            Some(value) => format!("{} = {}", self.key, draft::inline(value)),
            None => format!("# {} is taken out", self.key),
        }
    }
}

/// The next experiment for a group of a run, by its diagnosis; `None` where nothing valid was measured, or
/// the manifest has no matrix that it could be made of (that of another tool's results has none).
#[must_use]
pub fn next_experiment(manifest: &Manifest, group: &Group) -> Option<NextExperiment> {
    let mut draft = Draft::of(manifest, group)?;
    let tests = group.diagnosis.answer;
    let asked = tests.and_then(|cause| question::ask(&mut draft, manifest, group, cause));
    let (tests, question) = match asked {
        Some(question) => (tests, question),
        None => (None, question::look_closer(&mut draft, group)?),
    };
    let Draft { matrix, changes, start_server_with, .. } = draft;
    Some(NextExperiment { tests, question, start_server_with, changes, matrix })
}
