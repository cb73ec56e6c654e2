//! `scaling`: how capacity grows with GPUs and replicas? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    let matrix =
        BuiltIn { name: "scaling.toml", text: include_str!("../../../matrices/scaling.toml") };
    plimsoll_command::main(&Experiment {
        kind: Kind::Scaling,
        about: "Measures how the capacity of an LLM inference server grows with GPUs and replicas, and says what a second \
                one really bought.",
        simulator: matrix,
        attach: matrix,
    })
}
