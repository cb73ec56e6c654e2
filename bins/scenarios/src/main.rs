//! `scenarios`: what do single requests and small closed loops of given lengths cost? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    plimsoll_command::main(&Experiment {
        kind: Kind::Scenarios,
        about: "Measures what single requests and small closed loops of given lengths cost on an LLM inference \
                server: prefill, decode, latency, tokens per second, memory, errors, and what options of the \
                server change.\n\n\
                Without arguments it measures the embedded simulator; with --url a real server; with MATRIX \
                whatever the matrix asks for.",
        simulator: BuiltIn {
            name: "scenarios.toml",
            text: include_str!("../../../matrices/scenarios.toml"),
        },
        attach: BuiltIn {
            name: "scenarios-attach.toml",
            text: include_str!("../../../matrices/scenarios-attach.toml"),
        },
    })
}
