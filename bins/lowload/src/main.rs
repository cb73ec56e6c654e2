//! `lowload`: what do users feel at low load, by prompt profile and setting? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    let matrix =
        BuiltIn { name: "lowload.toml", text: include_str!("../../../matrices/lowload.toml") };
    plimsoll_command::main(&Experiment {
        kind: Kind::Lowload,
        about: "Measures what the users of an LLM inference server feel at low load, by prompt profile and setting.",
        simulator: matrix,
        attach: matrix,
    })
}
