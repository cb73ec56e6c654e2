//! `saturation`: how much load does an LLM inference server sustain? From matrix to report.

use std::process::ExitCode;

use plimsoll_command::{BuiltIn, Experiment, Kind};

fn main() -> ExitCode {
    plimsoll_command::main(&Experiment {
        kind: Kind::Saturation,
        about: "Measures how much load an LLM inference server sustains, and says whether the \
                measurement can be believed.\n\n\
                Without arguments it measures the embedded simulator; with --url a real server, whose \
                ladder of rates a short pilot finds; with MATRIX whatever the matrix asks for.",
        simulator: BuiltIn {
            name: "saturation.toml",
            text: include_str!("../../../matrices/saturation.toml"),
        },
        attach: BuiltIn {
            name: "attach.toml",
            text: include_str!("../../../matrices/attach.toml"),
        },
    })
}
