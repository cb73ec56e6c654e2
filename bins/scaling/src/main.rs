//! `scaling`: how capacity grows with GPUs and replicas? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    plimsoll_command::main(&Experiment {
        kind: Kind::Scaling,
        about: "Measures how the capacity of an LLM inference server grows with GPUs and replicas, and says what a second \
                one really bought.\n\n\
                Without arguments it measures replicas of the embedded simulator; with --url given twice or more \
                real servers, the first alone, then two of them, and so on; with MATRIX whatever the matrix asks for.",
        simulator: BuiltIn {
            name: "scaling.toml",
            text: include_str!("../../../matrices/scaling.toml"),
        },
        attach: BuiltIn {
            name: "scaling-attach.toml",
            text: include_str!("../../../matrices/scaling-attach.toml"),
        },
    })
}
