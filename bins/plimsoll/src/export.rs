//! `plimsoll export`: a point as another tool would have written it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use plimsoll_interchange::export_vllm_bench;
use plimsoll_records::ResultsFolder;

/// Flags of `plimsoll export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The results folder.
    #[arg(value_name = "RESULTS")]
    folder: PathBuf,
    /// Whose format.
    #[arg(long, value_enum)]
    format: Format,
    /// The point; may be left out where there is only one.
    #[arg(long, value_name = "ID")]
    point: Option<String>,
    /// Where it goes; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A tool whose format can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// `vllm bench serve --save-result --save-detailed`, version 0.32.
    VllmBench,
}

impl Export {
    /// Writes the point.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = ResultsFolder::open(&self.folder)?;
        let text = match self.format {
            Format::VllmBench => export_vllm_bench(&folder, self.point.as_deref())?.to_json(),
        };
        match &self.out {
            Some(path) => std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?,
            None => writeln!(std::io::stdout(), "{text}")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
