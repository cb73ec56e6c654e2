//! From the command line to the exit code.

use std::process::ExitCode;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};
use plimsoll_experiment::{Interrupt, Kind, Plan, run};

use crate::cli::Cli;
use crate::exit::{Exit, Failure, explain};

/// A binary: which experiment it makes, and with which matrices when none is given.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// The experiment; its name is the binary's.
    pub kind: Kind,
    /// What `--help` says of it.
    pub about: &'static str,
    /// The matrix of a run without arguments.
    pub simulator: BuiltIn,
    /// The matrix of a run with a URL alone.
    pub attach: BuiltIn,
}

/// A matrix that the binary carries.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name in errors and in the manifest.
    pub name: &'static str,
    /// The TOML.
    pub text: &'static str,
}

/// Runs the experiment that the command line asks for, and gives the process's exit code.
///
/// Subscribes to `tracing` on standard error (filter `PLIMSOLL_LOG`, `warn` by default), and ends the
/// process itself where the command line is wrong or only asks for help.
#[must_use]
pub fn main(experiment: &Experiment) -> ExitCode {
    let name = experiment.kind.as_str();
    let command = command(experiment.kind).about(experiment.about);
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PLIMSOLL_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    match measure(experiment, &cli) {
        Ok(exit) => exit.into(),
        Err(failure) => explain(name, &failure).into(),
    }
}

/// The command line of the binary that measures experiments of this kind: for completions.
#[must_use]
pub fn command(kind: Kind) -> clap::Command {
    let command = Cli::command().name(kind.as_str()).bin_name(kind.as_str());
    if matches!(kind, Kind::Compare | Kind::Scaling) {
        return command;
    }
    // Of one server alone more can be asked.
    command.mut_arg("url", |url| {
        let help =
            "Measures the server at this base URL; the matrix's own `server` table is put aside";
        url.action(ArgAction::Set).help(help).long_help(help)
    })
}

/// Plans, runs, reports; says with which code the process ends.
fn measure(experiment: &Experiment, cli: &Cli) -> Result<Exit, Failure> {
    let tools = cli.output.tools()?;
    let source = cli.matrix(experiment)?;
    let kind = source.parse()?.experiment.kind;
    if kind != experiment.kind {
        let (own, its) = (experiment.kind.as_str(), kind.as_str());
        let message =
            format!("`{own}` does not measure `{its}`; run the binary `{its}` on this matrix");
        return Err(source.error_at("experiment.kind", message).into());
    }
    let plan = Plan::new(source)?;
    let interrupt = Interrupt::on_signals().map_err(Failure::Signals)?;
    let mut progress = cli.output.progress();
    let result = run(&plan, &cli.options(experiment), &interrupt, progress.as_mut())?;
    cli.output.report(&result, &tools)
}
