//! Conditions under which a measurement fails, and the file that tells CI of them: the flags.

use std::path::PathBuf;

use clap::Args;
use plimsoll_analysis::Judgement;
use plimsoll_report::{Gate, Gated, ReportInput, junit};

use crate::exit::Failure;

/// The flags of everything that judges a measurement for a script.
#[derive(Clone, Debug, Args)]
pub struct Gates {
    /// Fails (exit code 5) where this condition holds or cannot be excluded, like `capacity_per_s < 50`
    /// or `ttft_ms.p99 > 500 at 20`: figures are called as in `--json`; docs/ci.md (repeatable).
    #[arg(long, value_name = "CONDITION")]
    fail_on: Vec<Gate>,
    /// Writes the verdict, the audit and the gates as JUnit XML into this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Gates {
    /// What comes of each condition.
    #[must_use]
    pub fn judge(&self, judgement: &Judgement) -> Vec<Gated> {
        self.fail_on.iter().map(|gate| gate.judge(judgement)).collect()
    }

    /// Whether any was given.
    #[must_use]
    pub const fn are_given(&self) -> bool {
        !self.fail_on.is_empty()
    }

    /// Writes the JUnit file, where one was asked for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, runs: &[ReportInput<'_>]) -> Result<(), Failure> {
        let Some(path) = &self.junit else { return Ok(()) };
        std::fs::write(path, junit(runs))
            .map_err(|source| Failure::JUnit { path: path.clone(), source })
    }
}

/// Whether all of these were passed.
#[must_use]
pub fn all_passed(gated: &[Gated]) -> bool {
    gated.iter().all(|gate| gate.standing.passes())
}
