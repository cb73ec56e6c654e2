//! `scenarios`: what do single requests and small closed loops of given lengths cost? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    let matrix =
        BuiltIn { name: "scenarios.toml", text: include_str!("../../../matrices/scenarios.toml") };
    plimsoll_command::main(&Experiment {
        kind: Kind::Scenarios,
        about: "Measures what single requests and small closed loops of given lengths cost on an LLM inference server.",
        simulator: matrix,
        attach: matrix,
    })
}
