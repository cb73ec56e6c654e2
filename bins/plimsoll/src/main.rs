//! The toolbox beside the experiments.
//!
//! Exit codes: 0 done, 1 the tool failed, 2 wrong usage or settings that contradict each other; a command
//! that judges a measurement or a machine ends as the experiments do.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use plimsoll_experiment::UnknownTool;
use plimsoll_sim::{SettingsError, StartError};
use tracing_subscriber::EnvFilter;

mod aggregate;
mod audit;
mod check;
mod completions;
mod export;
mod import;
mod report;
mod sim;

/// The toolbox beside the experiments.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a simulated model of known capacity as vLLM would, until INT or TERM.
    Sim(sim::Sim),
    /// Say whether this machine is fit to measure from: timers, clocks, limits, the client's own error.
    Check(check::Check),
    /// Judge results folders again, finding by finding, or explain a code of the audit.
    Audit(audit::Audit),
    /// Go on with a run that was cut off: measure what it still lacks, and report on the whole.
    Resume(plimsoll_command::Resume),
    /// Put the summaries of several runs into one table, as Parquet and CSV.
    Aggregate(aggregate::Aggregate),
    /// Make the report of results folders again, from their files.
    Report(report::Report),
    /// Read other tools' results into a results folder.
    Import(import::Import),
    /// Write a point of a results folder as another tool would have.
    Export(export::Export),
    /// Print a shell's completions for this command or an experiment's.
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("PLIMSOLL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match arguments.command {
        Command::Sim(sim) => sim.run(),
        Command::Check(check) => check.run(),
        Command::Audit(audit) => audit.run(),
        Command::Resume(resume) => Ok(resume
            .run()
            .unwrap_or_else(|failure| plimsoll_command::explain("plimsoll", &failure))
            .into()),
        Command::Aggregate(aggregate) => aggregate.run(),
        Command::Report(report) => report.run(),
        Command::Import(import) => import.run(),
        Command::Export(export) => export.run(),
        Command::Completions(completions) => completions.run::<Arguments>(),
    };
    done.unwrap_or_else(|error| {
        tell(&error);
        ExitCode::from(if is_usage(&error) { 2 } else { 1 })
    })
}

/// Whether what was asked for is wrong, rather than what became of it.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<SettingsError>()
        || error.is::<clap::Error>()
        || error.is::<UnknownTool>()
        || matches!(error.downcast_ref(), Some(StartError::Settings(_)))
}

#[expect(clippy::print_stderr, reason = "the one place where a failure reaches the person")]
fn tell(error: &anyhow::Error) {
    eprintln!("plimsoll: {error:#}");
}
