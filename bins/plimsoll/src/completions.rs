//! `plimsoll completions`: what a shell needs to complete the flags.

use std::io::Write as _;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use plimsoll_command::{Kind, command};

/// The toolbox's own name.
const TOOLBOX: &str = "plimsoll";

/// Flags of `plimsoll completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
    /// The program whose flags are completed.
    #[arg(default_value = TOOLBOX, value_parser = PossibleValuesParser::new(programs()))]
    program: String,
}

/// The toolbox and the experiments.
fn programs() -> impl Iterator<Item = &'static str> {
    std::iter::once(TOOLBOX).chain(Kind::ALL.map(Kind::as_str))
}

impl Completions {
    /// Prints the script; `Toolbox` is this program's own command line.
    pub(crate) fn run<Toolbox: CommandFactory>(self) -> anyhow::Result<ExitCode> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.program);
        let mut command = kind.map_or_else(Toolbox::command, command);
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, &self.program, &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
