//! Going on with a run that ended before its plan did.

use std::path::PathBuf;

use clap::Args;
use plimsoll_experiment::{Interrupt, Unfinished, resume};

use crate::cli::tool;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The flags of `plimsoll resume`, and what they ask for.
#[derive(Debug, Args)]
pub struct Resume {
    /// The results folder of the run.
    #[arg(value_name = "RESULTS")]
    folder: PathBuf,
    /// The matrix that it was begun with, where that file has been moved. One that has changed is refused.
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Resume {
    /// Measures what the run still lacks, in its own folder, and reports on the whole.
    ///
    /// # Errors
    /// When there is nothing to go on with, or the run could not be carried out.
    pub fn run(&self) -> Result<Exit, Failure> {
        let tools = self.output.tools()?;
        let unfinished = Unfinished::open(&self.folder, self.matrix.as_deref())?;
        let interrupt = Interrupt::on_signals().map_err(Failure::Signals)?;
        let mut progress = self.output.progress();
        let result = resume(unfinished, &tool("plimsoll"), &interrupt, progress.as_mut())?;
        self.output.report(&result, &tools)
    }
}
