//! `plimsoll aggregate`: the summaries of several runs as one table.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use plimsoll_records::Aggregate as Table;

/// Flags of `plimsoll aggregate`.
#[derive(Debug, Args)]
pub(crate) struct Aggregate {
    /// The results folders, of any experiments.
    #[arg(required = true, value_name = "RESULTS")]
    folders: Vec<PathBuf>,
    /// Where the table goes; the CSV of the same name, with the ending `.csv`, stands beside it.
    #[arg(long, short, value_name = "FILE", default_value = "summary.parquet")]
    out: PathBuf,
}

impl Aggregate {
    /// Writes both files, and says what they hold.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let table = Table::read(&self.folders)?;
        let csv = self.out.with_extension("csv");
        anyhow::ensure!(
            csv != self.out,
            "{}: the table is Parquet; its CSV would replace it",
            csv.display()
        );
        table.write_parquet(&self.out)?;
        table.write_csv(&csv)?;
        writeln!(
            std::io::stdout(),
            "{} points of {} runs in {} and {}",
            table.rows(),
            self.folders.len(),
            self.out.display(),
            csv.display()
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
