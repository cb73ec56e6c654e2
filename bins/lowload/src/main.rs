//! `lowload`: what do users feel at low load, by prompt profile and setting? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    plimsoll_command::main(&Experiment {
        kind: Kind::Lowload,
        about: "Measures what the users of an LLM inference server wait for at a low load, by prompt profile and \
                setting, and says which of them matters.\n\n\
                Without arguments it measures the embedded simulator; with --url a real server; with MATRIX \
                whatever the matrix asks for.",
        simulator: BuiltIn {
            name: "lowload.toml",
            text: include_str!("../../../matrices/lowload.toml"),
        },
        attach: BuiltIn {
            name: "lowload-attach.toml",
            text: include_str!("../../../matrices/lowload-attach.toml"),
        },
    })
}
