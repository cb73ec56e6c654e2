//! Exit codes: one for each class of ending, so that scripts need not read text.

use std::io::Write as _;
use std::process::ExitCode;

use plimsoll_experiment::{MatrixError, RunError, RunResult, ServerError};
use plimsoll_records::{RunStatus, Verdict};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
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
    /// Interrupted by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// The code of a run that left a results folder.
    pub(crate) fn of(result: &RunResult) -> Self {
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

/// Says on standard error what went wrong, and gives the code for it.
pub(crate) fn explain(error: &anyhow::Error) -> ExitCode {
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "saturation: {error:#}");
    let exit = if error.is::<MatrixError>() {
        Exit::Usage
    } else {
        error.downcast_ref::<RunError>().map_or(Exit::Failed, Exit::of_error)
    };
    exit.into()
}
