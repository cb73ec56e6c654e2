//! `plimsoll report`: a results folder's report again, from its files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use plimsoll_analysis::{Judgement, Printed};
use plimsoll_command::{Exit, Gates, all_passed, has_colours, width};
use plimsoll_experiment::{PeerTool, judge_folder, printed};
use plimsoll_records::{Aggregate, Manifest, PointFile, Verdict};
use plimsoll_report::{
    Gated, ReportInput, Together, html, json, markdown, terminal, write_all, write_together,
};

/// Flags of `plimsoll report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, and every gate of --fail-on passed; 1 a report could not be made; 2 usage; 3 a \
                  gate was not passed, for the measurement is invalid; 5 a gate was not passed."
)]
pub(crate) struct Report {
    /// Results folders; each gets a report of its own, one after the other, or all one (`--together`).
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
    /// Makes one report of all folders: what each found, what differs between them, capacities against the
    /// first, and their curves in one figure. `--out` writes its files; without, it is only printed.
    #[arg(long, conflicts_with = "definitions")]
    together: bool,
    #[command(flatten)]
    gates: Gates,
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
    /// The points of all folders as one table, as `plimsoll aggregate` has it; `--out` writes `points.csv`.
    Csv,
}

impl Report {
    /// Judges, writes and prints each folder; says whether every gate was passed.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let tools = PeerTool::of_names(&self.definitions)?;
        if self.format == Format::Csv {
            return self.csv();
        }
        let places = self.places()?;
        let runs: Vec<_> = places
            .into_iter()
            .map(|(results, report)| self.judge(results, report, &tools))
            .collect::<anyhow::Result<_>>()?;
        let inputs: Vec<_> = runs.iter().map(Run::input).collect();
        if self.together {
            self.all(&Together { runs: &inputs })?;
            self.gates.write(&inputs)?;
            return Ok(verdict_of_gates(&runs).into());
        }
        for (place, input) in inputs.iter().enumerate() {
            if place > 0 && !self.json {
                writeln!(std::io::stdout()).context("cannot write to standard output")?;
            }
            self.one(input, &runs[place].report)?;
        }
        self.gates.write(&inputs)?;
        Ok(verdict_of_gates(&runs).into())
    }

    /// Prints the points of all folders as one table, and judges nothing.
    fn csv(&self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            !self.gates.are_given() && !self.together,
            "--format csv has the points as they were measured: --fail-on and --together need a report"
        );
        let mut table = Vec::new();
        Aggregate::read(&self.results)?.csv(&mut table).context("cannot make the table")?;
        if let Some(dir) = &self.out {
            let path = dir.join("points.csv");
            std::fs::create_dir_all(dir)
                .and_then(|()| std::fs::write(&path, &table))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        std::io::stdout().write_all(&table).context("cannot write to standard output")?;
        Ok(ExitCode::SUCCESS)
    }

    /// Each results folder with the folder that its report goes to.
    fn places(&self) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
        let Some(out) = self.out.as_ref().filter(|_| !self.together) else {
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

    /// Judges a folder.
    fn judge(&self, results: PathBuf, report: PathBuf, tools: &[PeerTool]) -> anyhow::Result<Run> {
        let judged = judge_folder(&results)?;
        let printed = printed(&results, &judged.judgement, tools)?;
        let mut manifest = judged.manifest;
        // A point that has no end on file is one more that was left out.
        manifest.left_out.extend(judged.unfinished);
        let gated = self.gates.judge(&judged.judgement);
        let (judgement, points) = (judged.judgement, judged.points);
        Ok(Run { results, report, manifest, judgement, points, printed, gated })
    }

    /// Writes the report of all folders where it is to go somewhere, and prints it.
    fn all(&self, together: &Together<'_>) -> anyhow::Result<()> {
        if let Some(dir) = &self.out {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            write_together(together, dir).context("cannot write the report")?;
        }
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", together.json())
        } else {
            let colour = has_colours(&out);
            match self.format {
                Format::Terminal => write!(out, "{}", together.terminal(width(), colour)),
                Format::Markdown => write!(out, "{}", together.markdown()),
                Format::Html => write!(out, "{}", together.html()?),
                Format::Csv => Ok(()),
            }
        }
        .context("cannot write to standard output")
    }

    /// Writes and prints the report of one folder.
    fn one(&self, input: &ReportInput<'_>, report: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(report)
            .with_context(|| format!("cannot make {}", report.display()))?;
        write_all(input, report).context("cannot write the report (--out puts it elsewhere)")?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json(input))
        } else {
            let colour = has_colours(&out);
            match self.format {
                Format::Terminal => write!(out, "{}", terminal(input, width(), colour)),
                Format::Markdown => write!(out, "{}", markdown(input)),
                Format::Html => write!(out, "{}", html(input)?),
                Format::Csv => Ok(()),
            }
        }
        .context("cannot write to standard output")
    }
}

/// A folder that was judged, with where its report goes.
struct Run {
    results: PathBuf,
    report: PathBuf,
    manifest: Manifest,
    judgement: Judgement,
    points: Vec<PointFile>,
    printed: Vec<Printed>,
    gated: Vec<Gated>,
}

impl Run {
    fn input(&self) -> ReportInput<'_> {
        ReportInput::new(&self.manifest, &self.judgement, &self.results)
            .with_points(&self.points)
            .with_definitions(&self.printed)
            .with_gates(&self.gated)
            .with_report_in(&self.report)
    }
}

/// The exit code: without gates a report is a report, whatever it says.
fn verdict_of_gates(runs: &[Run]) -> Exit {
    let failed = |run: &Run| !all_passed(&run.gated);
    match runs.iter().filter(|run| failed(run)).map(|run| run.judgement.verdict).min() {
        None => Exit::Measured,
        Some(Verdict::Invalid) => Exit::Invalid,
        Some(_) => Exit::Gate,
    }
}
