//! `plimsoll check`: is this machine fit to measure from?

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use plimsoll_experiment::{Fitness, Interrupt, MachineCheck, check_machine};

/// Flags of `plimsoll check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Prints one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Looks, and says what was seen; 3 is the exit code of a machine that is unfit.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let interrupt = Interrupt::on_signals().context("cannot listen for Ctrl-C")?;
        let checked = check_machine(&interrupt)?;
        let text = if self.json { format!("{}\n", json(&checked)) } else { table(&checked) };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(match (interrupt.is_raised(), checked.fitness()) {
            (true, _) => ExitCode::from(130),
            (false, Fitness::Unfit) => ExitCode::from(3),
            (false, _) => ExitCode::SUCCESS,
        })
    }
}

fn word(fitness: Fitness) -> &'static str {
    match fitness {
        Fitness::Good => "good",
        Fitness::Limited => "limited",
        _ => "unfit",
    }
}

fn table(checked: &MachineCheck) -> String {
    let machine = &checked.machine;
    let mut text = format!("{}, {} cores, {}\n\n", machine.cpu, machine.cores, machine.os);
    let width = checked.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &checked.checks {
        // Writing to a text cannot fail.
        let _ =
            writeln!(text, "{:<8} {:<width$}  {}", word(check.fitness), check.name, check.found);
        if let Some(remedy) = check.remedy {
            let _ = writeln!(text, "{:<8} {:<width$}  -> {remedy}", "", "");
        }
    }
    let _ = write!(text, "\nThis machine is {} to measure from", sentence(checked.fitness()));
    let _ = match checked.ceiling_per_s {
        Some(rate) => writeln!(
            text,
            "; up to {rate} req/s (the most that was tried is 500) the client's own error is small, with the \
             simulator beside it."
        ),
        None => writeln!(text, "."),
    };
    text
}

fn sentence(fitness: Fitness) -> &'static str {
    match fitness {
        Fitness::Good => "FIT",
        Fitness::Limited => "LIMITED, but fit",
        _ => "UNFIT",
    }
}

fn json(checked: &MachineCheck) -> serde_json::Value {
    let checks: Vec<_> = checked
        .checks
        .iter()
        .map(|check| {
            serde_json::json!({
                "name": check.name,
                "fitness": word(check.fitness),
                "found": check.found,
                "remedy": check.remedy,
            })
        })
        .collect();
    serde_json::json!({
        "fitness": word(checked.fitness()),
        "ceiling_per_s": checked.ceiling_per_s,
        "machine": checked.machine,
        "checks": checks,
        "self_tests": checked.self_tests,
    })
}
