//! `compare`: which of two or more settings is better, and by how much? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    plimsoll_command::main(&Experiment {
        kind: Kind::Compare,
        about: "Measures two or more settings of an LLM inference server by turns, and says which is better, by how much, and \
                how sure that is.",
        simulator: BuiltIn {
            name: "compare.toml",
            text: include_str!("../../../matrices/compare.toml"),
        },
        attach: BuiltIn {
            name: "compare-attach.toml",
            text: include_str!("../../../matrices/compare-attach.toml"),
        },
    })
}
