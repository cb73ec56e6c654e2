//! `plimsoll report`: a results folder's report again, from its files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use plimsoll_command::{has_colours, width};
use plimsoll_experiment::{PeerTool, judge_folder, printed};
use plimsoll_report::{ReportInput, html, json, markdown, terminal, write_all};

/// Flags of `plimsoll report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Results folders; each gets a report of its own, one after the other.
    #[arg(required = true, value_name = "RESULTS")]
    results: Vec<PathBuf>,
    /// Shows beside ours what this tool would have printed for the same requests: vllm, vllm-rust,
    /// sglang, guidellm, aiperf, inference-perf, genai-bench, inference-benchmarker, mlperf, or all
    /// (repeatable).
    #[arg(long, value_name = "NAME")]
    definitions: Vec<String>,
    /// What goes to standard output.
    #[arg(long, value_enum, default_value = "terminal")]
    format: Format,
    /// Prints one JSON object a folder on standard output, a line each.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Writes the report's files here instead of into the results folder; of several folders, into a
    /// folder of its name for each.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The table that a run ends with.
    Terminal,
    /// `report.md`.
    Markdown,
    /// `report.html`.
    Html,
}

impl Report {
    /// Judges, writes and prints each folder.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let tools = PeerTool::of_names(&self.definitions)?;
        let places = self.places()?;
        for (place, (results, report)) in places.iter().enumerate() {
            if place > 0 && !self.json {
                writeln!(std::io::stdout()).context("cannot write to standard output")?;
            }
            self.one(results, report, &tools)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Each results folder with the folder that its report goes to.
    fn places(&self) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
        let Some(out) = &self.out else {
            return Ok(self.results.iter().map(|path| (path.clone(), path.clone())).collect());
        };
        if let [only] = self.results.as_slice() {
            return Ok(vec![(only.clone(), out.clone())]);
        }
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        let mut places = Vec::new();
        for path in &self.results {
            let whole =
                path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
            let name = whole.file_name().unwrap_or_default().to_owned();
            anyhow::ensure!(
                names.insert(name.clone()),
                "two results folders are named {}: with --out, report them one at a time",
                name.display()
            );
            places.push((path.clone(), out.join(name)));
        }
        Ok(places)
    }

    /// One folder.
    fn one(&self, results: &Path, report: &Path, tools: &[PeerTool]) -> anyhow::Result<()> {
        let judged = judge_folder(results)?;
        let printed = printed(results, &judged.judgement, tools)?;
        let mut manifest = judged.manifest;
        // A point that has no end on file is one more that was left out.
        manifest.left_out.extend(judged.unfinished);
        let input = ReportInput::new(&manifest, &judged.judgement, results)
            .with_points(&judged.points)
            .with_definitions(&printed)
            .with_report_in(report);
        std::fs::create_dir_all(report)
            .with_context(|| format!("cannot make {}", report.display()))?;
        write_all(&input, report).context("cannot write the report (--out puts it elsewhere)")?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json(&input))
        } else {
            let colour = has_colours(&out);
            match self.format {
                Format::Terminal => write!(out, "{}", terminal(&input, width(), colour)),
                Format::Markdown => write!(out, "{}", markdown(&input)),
                Format::Html => write!(out, "{}", html(&input)?),
            }
        }
        .context("cannot write to standard output")
    }
}
