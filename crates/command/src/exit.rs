//! Exit codes: one for each class of ending, so that scripts need not read text.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use plimsoll_experiment::{
    JudgeFolderError, MatrixError, ResumeError, RunError, RunResult, ServerError, UnknownTool,
};
use plimsoll_records::{RunStatus, Verdict};
use plimsoll_report::ReportError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The measurement is valid or qualified.
    Measured = 0,
    /// The tool failed.
    Failed = 1,
    /// The command line or the matrix is wrong.
    Usage = 2,
    /// The measurement is invalid.
    Invalid = 3,
    /// The target was unreachable or lost.
    Target = 4,
    /// The measurement is valid or qualified, and a gate of `--fail-on` was not passed.
    Gate = 5,
    /// Interrupted by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The code of a run that left a results folder.
    #[must_use]
    pub fn of(result: &RunResult) -> Self {
        match (&result.failure, result.manifest.status, result.judgement.verdict) {
            (Some(error), ..) => Self::of_error(error),
            (None, RunStatus::Interrupted, _) => Self::Interrupted,
            (None, RunStatus::Failed, _) => Self::Target,
            (None, _, Verdict::Invalid) => Self::Invalid,
            _ => Self::Measured,
        }
    }

    /// The code of what ended a run.
    fn of_error(error: &RunError) -> Self {
        match error {
            RunError::Matrix(_)
            | RunError::Encode(_)
            | RunError::Target(ServerError::BadUrl { .. } | ServerError::BadApiKey { .. }) => {
                Self::Usage
            }
            RunError::Target(_) | RunError::Launch(_) | RunError::Probe(_) => Self::Target,
            RunError::Interrupted => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The matrix is wrong.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// A tool's definitions are not known.
    #[error("--definitions: {0}")]
    Definitions(#[from] UnknownTool),
    /// The run's own folder could not be read again.
    #[error("cannot read the results again")]
    Folder(#[from] JudgeFolderError),
    /// There is no run to go on with.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The run could not be carried out.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system refused to say when the run is to stop.
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] std::io::Error),
    /// The report could not be written.
    #[error("cannot write the report")]
    Report(#[source] ReportError),
    /// The JUnit file could not be written.
    #[error("cannot write {}", path.display())]
    JUnit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The result could not be shown.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

impl Failure {
    /// The code that the process ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Matrix(_) | Self::Definitions(_) => Exit::Usage,
            Self::Resume(ResumeError::Records(_)) => Exit::Failed,
            Self::Resume(_) => Exit::Usage,
            Self::Run(error) => Exit::of_error(error),
            Self::Signals(_)
            | Self::Folder(_)
            | Self::Report(_)
            | Self::JUnit { .. }
            | Self::Output(_) => Exit::Failed,
        }
    }
}

/// Says on standard error what went wrong in the program `name`, and gives the code for it.
pub fn explain(name: &str, failure: &Failure) -> Exit {
    let mut text = format!("{name}: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{text}");
    failure.exit()
}

#[cfg(test)]
mod tests {
    use plimsoll_experiment::PeerTool;

    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let broken = || std::io::Error::other("broken pipe");
        for (failure, exit) in [
            (Failure::Run(RunError::Interrupted), Exit::Interrupted),
            (Failure::Run(RunError::Probe("no token".to_owned())), Exit::Target),
            (Failure::Run(RunError::Io { what: "make a runtime", source: broken() }), Exit::Failed),
            (Failure::Definitions("wrk".parse::<PeerTool>().unwrap_err()), Exit::Usage),
            (Failure::Signals(broken()), Exit::Failed),
            (Failure::Output(broken()), Exit::Failed),
        ] {
            assert_eq!(failure.exit(), exit, "{failure}");
        }
    }
}
