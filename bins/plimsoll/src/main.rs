//! The toolbox beside the experiments: `plimsoll sim` serves a simulated model.
//!
//! Exit codes: 0 stopped by a signal or nothing left to do, 1 the tool failed, 2 wrong usage or
//! settings that contradict each other.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use plimsoll_sim::{SettingsError, StartError};
use tracing_subscriber::EnvFilter;

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Command::Sim(sim) = arguments.command;
    match sim.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            let settings = error.is::<SettingsError>()
                || matches!(error.downcast_ref(), Some(StartError::Settings(_)));
            ExitCode::from(if settings { 2 } else { 1 })
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a failure reaches the person")]
fn tell(error: &anyhow::Error) {
    eprintln!("plimsoll: {error:#}");
}
