//! How a result is shown: the flags, and what they do.

use std::io::Write as _;

use clap::Args;
use plimsoll_experiment::{PeerTool, Progress, RunResult, Silent, Terminal, UnknownTool, printed};
use plimsoll_report::ReportInput;

use crate::exit::{Exit, Failure};
use crate::gates::{Gates, all_passed};
use crate::screen::{has_colours, width};

/// Flags of everything that ends in a report.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Shows beside the result what this tool would have printed for the same requests: vllm, vllm-rust,
    /// sglang, guidellm, aiperf, inference-perf, genai-bench, inference-benchmarker, mlperf, or all
    /// (repeatable).
    #[arg(long, value_name = "NAME")]
    definitions: Vec<String>,
    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
    /// Prints one JSON object on standard output, last; everything else goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gates: Gates,
}

impl Output {
    /// The tools whose figures are asked for.
    pub(crate) fn tools(&self) -> Result<Vec<PeerTool>, UnknownTool> {
        PeerTool::of_names(&self.definitions)
    }

    /// Who shows the progress.
    pub(crate) fn progress(&self) -> Box<dyn Progress> {
        if self.quiet { Box::new(Silent) } else { Box::new(Terminal::stderr()) }
    }

    /// Writes the report of a run into its folder, shows it, and says with which code the process ends.
    pub(crate) fn report(&self, result: &RunResult, tools: &[PeerTool]) -> Result<Exit, Failure> {
        let printed = printed(&result.folder, &result.judgement, tools)?;
        let gated = self.gates.judge(&result.judgement);
        let input = ReportInput::new(&result.manifest, &result.judgement, &result.folder)
            .with_points(&result.points)
            .with_definitions(&printed)
            .with_gates(&gated);
        plimsoll_report::write_all(&input, &result.folder).map_err(Failure::Report)?;
        self.gates.write(&[input])?;
        self.show(&input).map_err(Failure::Output)?;
        if let Some(error) = &result.failure {
            tracing::error!("the run ended early: {error}");
        }
        Ok(match Exit::of(result) {
            // A measurement that is invalid, or was not finished, says so first.
            Exit::Measured if !all_passed(&gated) => Exit::Gate,
            exit => exit,
        })
    }

    /// Prints the result: as a table, or as one JSON object after it.
    fn show(&self, input: &ReportInput<'_>) -> std::io::Result<()> {
        if self.json {
            // The table is for people; a program that reads standard output gets the object alone.
            if !self.quiet {
                let colour = has_colours(&std::io::stderr());
                write!(std::io::stderr(), "{}", plimsoll_report::terminal(input, width(), colour))?;
            }
            return writeln!(std::io::stdout(), "{}", plimsoll_report::json(input));
        }
        let colour = has_colours(&std::io::stdout());
        write!(std::io::stdout(), "{}", plimsoll_report::terminal(input, width(), colour))
    }
}
