//! `plimsoll import`: other tools' results into a results folder.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use plimsoll_experiment::judge_folder;
use plimsoll_interchange::{ImportOptions, Mapping, import};
use plimsoll_records::Tool;

/// Flags of `plimsoll import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Result files of vllm bench serve, sglang, guidellm or aiperf, or folders with such files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder that the results folder is made in.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The results folder's name; by default `imported-` and the name of the first path.
    #[arg(long)]
    name: Option<String>,
    /// A TOML file that states rate, GPUs, repetition, settings and factors of result files.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

impl Import {
    /// Writes the results folder; its path is the last line of standard output.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mapping = match &self.mapping {
            Some(path) => Mapping::read(path)?,
            None => Mapping::default(),
        };
        let first = self.paths[0].canonicalize();
        let first = first.with_context(|| format!("cannot read {}", self.paths[0].display()))?;
        let stem = first.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let options = ImportOptions {
            results: self.results,
            name: self.name.unwrap_or_else(|| format!("imported-{stem}")),
            tool: Tool {
                name: "plimsoll import".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                commit: None,
            },
            mapping,
        };
        let imported = import(&self.paths, &options)?;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{} points: {} with the rows of their requests, {} with a server's log, {} with samples of \
             GPUs",
            imported.manifest.points.len(),
            imported.with_rows,
            imported.with_log,
            imported.with_gpus
        )?;
        for remark in &imported.manifest.remarks {
            writeln!(out, "remark: {remark}")?;
        }
        let judged = judge_folder(&imported.folder)?;
        for group in &judged.judgement.groups {
            let saturation = &group.saturation;
            let Some(capacity) = saturation.capacity_per_s else { continue };
            let words = match saturation.plateau_per_s {
                Some(it) => {
                    format!("plateau {:.2} req/s, {:.2} to {:.2}", it.value, it.low, it.high)
                }
                None => format!("not saturated: at least {:.2} req/s", capacity.value),
            };
            writeln!(out, "{words}: {}", group.label())?;
        }
        writeln!(out, "{}", imported.folder.display())?;
        Ok(ExitCode::SUCCESS)
    }
}
