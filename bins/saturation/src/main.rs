//! `saturation`: how much load does an LLM inference server sustain? From matrix to report.

mod cli;
mod exit;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use plimsoll_experiment::{Interrupt, Plan, Progress, Silent, Terminal, run};
use plimsoll_report::ReportInput;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PLIMSOLL_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    match measure(&cli) {
        Ok(code) => code.into(),
        Err(error) => exit::explain(&error),
    }
}

/// Plans, runs, reports; says with which code the process ends.
fn measure(cli: &cli::Cli) -> anyhow::Result<exit::Exit> {
    let plan = Plan::new(cli.matrix()?)?;
    let interrupt = Interrupt::on_signals().context("cannot listen for Ctrl-C")?;
    let mut progress: Box<dyn Progress> =
        if cli.quiet { Box::new(Silent) } else { Box::new(Terminal::stderr()) };
    let result = run(&plan, &cli.options(), &interrupt, progress.as_mut())?;
    let input = ReportInput::new(&result.manifest, &result.judgement, &result.folder)
        .with_points(&result.points);
    plimsoll_report::write_all(&input, &result.folder).context("cannot write the report")?;
    cli.show(&input)?;
    if let Some(error) = &result.failure {
        tracing::error!("the run ended early: {error}");
    }
    Ok(exit::Exit::of(&result))
}
