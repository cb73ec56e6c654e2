//! The command line that every experiment's binary has: the same flags, the same exit codes, the same way
//! from matrix to report.
//!
//! A binary says which [`Experiment`] it is, and calls [`main()`]: that parses the flags, makes the
//! plan, runs it, writes the report into the results folder, shows it, and ends with the [`Exit`] code of
//! the result. [`Gates`] are conditions that scripts set. [`explain`], [`Exit`], [`width`] and [`has_colours`] serve tools that do only a part
//! of it.
//!
//! Standard output has the result alone (the table, or with `--json` one object, last); everything else
//! goes to standard error. What this crate refuses to do: decide anything about a measurement. It owns
//! no default but the matrices that a binary has built in.
//!
//! ```no_run
//! use plimsoll_command::{BuiltIn, Experiment, Kind};
//!
//! fn main() -> std::process::ExitCode {
//!     let matrix = BuiltIn { name: "mine.toml", text: "[experiment]\nkind = \"saturation\"\n" };
//!     plimsoll_command::main(&Experiment {
//!         kind: Kind::Saturation,
//!         about: "Measures how much load my server sustains.",
//!         simulator: matrix,
//!         attach: matrix,
//!     })
//! }
//! ```

mod cli;
mod exit;
mod gates;
mod measure;
mod output;
mod resume;
mod screen;

pub use exit::{Exit, Failure, explain};
pub use gates::{Gates, all_passed};
pub use measure::{BuiltIn, Experiment, command, main};
pub use plimsoll_experiment::Kind;
pub use resume::Resume;
pub use screen::{has_colours, width};
