//! Several runs in one report: what each found, how they differ, and their curves in one figure.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path to the method is of one lifetime, and does not compile"
)]

mod differences;

use plimsoll_analysis::Estimate;
use plimsoll_records::{Severity, Verdict};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::document::{self, Document, Section};
use crate::error::ReportError;
use crate::figures::by_factor::{self, Beside, Line};
use crate::figures::drawn;
use crate::gate;
use crate::grid::{Column, Grid, Row};
use crate::groups::capacity;
use crate::input::ReportInput;
use crate::json as one;
use crate::ladder::{Ladder, ladders};
use crate::numbers::{UNKNOWN, count, estimate, list, plain, quantile, three_digits};
use crate::wording::verdict_word;

use differences::differences;

const THROUGHPUT: &str = "throughput-by-run.svg";
const TTFT: &str = "ttft-by-run.svg";
const TPOT: &str = "tpot-by-run.svg";
const TRADE_OFF: &str = "trade-off-by-run.svg";
const FIGURES: [(&str, &str); 4] = [
    (THROUGHPUT, "Throughput over the offered load"),
    (TTFT, "Time to first token where the server keeps up"),
    (TPOT, "Time per output token where the server keeps up"),
    (TRADE_OFF, "What throughput costs in latency: the lower and longer line is better"),
];
/// What must be known of every ratio between runs.
const APART: &str = "these runs were measured one after the other, not by turns: whatever else changed from one to the \
                     next (heat, neighbours, caches, a driver) is in every difference between them, and no interval \
                     here has it in; the experiment compare measures by turns";
/// Differences that are shown; `--json` has all.
const DIFFERENCES: usize = 40;

/// Several runs to be shown together: pure functions of what was measured and judged.
#[derive(Clone, Copy, Debug)]
pub struct Together<'a> {
    /// The runs, in the order to be shown in; ratios are to the first.
    pub runs: &'a [ReportInput<'a>],
}

/// A group of a run.
struct Entry<'a> {
    run: usize,
    /// What it is called beside the others: the run, and its group where that has several.
    name: String,
    ladder: &'a Ladder<'a>,
}

/// A capacity against that of the first run, which may be known as a bound alone.
enum Ratio {
    Measured(Estimate),
    AtLeast(f64),
    AtMost(f64),
}

impl Together<'_> {
    /// For a terminal of `width` characters, 40 to 100; `colour` asks for ANSI styles.
    #[must_use]
    pub fn terminal(&self, width: usize, colour: bool) -> String {
        self.with(|view| view.document().terminal(width, colour))
    }

    /// As GitHub-flavoured Markdown, figures by relative links to `figs/`.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.with(|view| view.document().markdown())
    }

    /// As one HTML page with its figures in it, without a script and without the network.
    ///
    /// # Errors
    /// When a figure cannot be drawn, or the page not be filled in.
    pub fn html(&self) -> Result<String, ReportError> {
        self.with(|view| document::page(&view.document(), &view.figures()?))
    }

    /// The figures as SVG with their file names: throughput (`throughput-by-run.svg`), TTFT, TPOT, and
    /// throughput against latency, a line for each group of a run that is not invalid.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        self.with(|view| view.figures())
    }

    /// As one JSON object: `runs` (each with its `name`, `results`, `started`, `tool`, `server`, `version`,
    /// `model`, `verdict`, the count of its findings by severity, its `gates`, and its `groups` as in the report
    /// of a run), `differences` (`what`, and each `value` with the names of its `runs`), `ratios` of capacities to
    /// the first run's (`run`, `factors`, `value`, `low`, `high`; of a bound one end alone) and `remark`.
    #[must_use]
    pub fn json(&self) -> Value {
        self.with(|view| view.json())
    }

    fn with<T>(&self, make: impl FnOnce(&View<'_>) -> T) -> T {
        let names = names(self.runs);
        let all: Vec<_> = self.runs.iter().map(|run| ladders(&run.judgement.groups)).collect();
        let mut entries = Vec::new();
        for (run, (ladders, name)) in all.iter().zip(&names).enumerate() {
            for ladder in ladders {
                let name = match ladders.len() {
                    1 => name.clone(),
                    _ => format!("{name}: {}", ladder.label),
                };
                entries.push(Entry { run, name, ladder });
            }
        }
        make(&View { runs: self.runs, names: &names, entries: &entries })
    }
}

/// The runs with everything that is made of them once.
struct View<'v> {
    runs: &'v [ReportInput<'v>],
    names: &'v [String],
    entries: &'v [Entry<'v>],
}

impl View<'_> {
    fn document(&self) -> Document {
        let section = |title: &str, table, notes| Section {
            title: title.to_owned(),
            figure: None,
            table: Some(table),
            notes,
        };
        let mut sections = vec![
            section("The runs", self.runs_table(), self.left_out()),
            section("What each sustains", self.capacity_table(), self.notes()),
        ];
        let differences = differences(self.runs, self.names);
        let columns = [Column::words(["what", ""]), Column::words(["value (runs)", ""])];
        let rows = differences
            .iter()
            .take(DIFFERENCES)
            .map(|it| Row::new(vec![it.what.clone(), it.in_words()]));
        let more = differences.len().saturating_sub(DIFFERENCES);
        let notes = match (differences.len(), more) {
            (0, _) => vec!["nothing that is on record".to_owned()],
            (_, 0) => Vec::new(),
            _ => vec![format!("and {more} more, which --json has")],
        };
        sections.push(section(
            "What differs between them",
            Grid::of(&columns, rows.collect()),
            notes,
        ));
        if let Some(gates) = self.gates() {
            sections.push(gates);
        }
        if self.entries.iter().any(|entry| self.is_drawn(entry)) {
            sections.extend(FIGURES.map(|(file, title)| Section {
                title: title.to_owned(),
                figure: Some(file.to_owned()),
                table: None,
                notes: Vec::new(),
            }));
        }
        let title = format!("{} together", count(self.runs.len(), "run"));
        Document { title, headline: self.headline(), sections }
    }

    fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        let lines: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| self.is_drawn(entry))
            .map(|entry| Line { name: &entry.name, ladder: entry.ladder })
            .collect();
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        let figure = |(file, title): (&'static str, &str)| {
            drawn(file, |svg| match file {
                THROUGHPUT => by_factor::throughput(&lines, title, svg),
                TTFT => by_factor::latency(&lines, "TTFT", |point| &point.ttft, title, svg),
                TPOT => by_factor::latency(&lines, "TPOT", |point| &point.tpot, title, svg),
                _ => by_factor::trade_off(&lines, title, svg),
            })
        };
        FIGURES.into_iter().map(figure).collect()
    }

    fn json(&self) -> Value {
        let run = |(place, input): (usize, &ReportInput<'_>)| {
            let (manifest, target) = (input.manifest, &input.manifest.target);
            let of = |severity| {
                input.judgement.findings.iter().filter(|it| it.severity == severity).count()
            };
            let groups = self.entries.iter().filter(|entry| entry.run == place).enumerate();
            json!({
                "name": self.names[place],
                "results": input.results.display().to_string(),
                "started": manifest.started,
                "tool": manifest.tool,
                "experiment": manifest.experiment,
                "server": target.server,
                "version": target.version,
                "model": target.model,
                "url": target.url,
                "verdict": input.judgement.verdict.to_string(),
                "findings": {
                    "error": of(Severity::Error), "warning": of(Severity::Warning), "note": of(Severity::Note),
                },
                "gates": gate::json(input.gates),
                "groups": groups.map(|(n, entry)| one::group(n, entry.ladder, input)).collect::<Vec<_>>(),
            })
        };
        let ratios = self.entries.iter().filter_map(|entry| {
            let (value, low, high) = match self.ratio(entry)? {
                Ratio::Measured(it) => (Some(it.value), Some(it.low), Some(it.high)),
                Ratio::AtLeast(low) => (None, Some(low), None),
                Ratio::AtMost(high) => (None, None, Some(high)),
            };
            Some(json!({
                "run": self.names[entry.run],
                "factors": entry.ladder.group.factors,
                "value": one::optional(value),
                "low": one::optional(low),
                "high": one::optional(high),
            }))
        });
        let differences = differences(self.runs, self.names);
        json!({
            "runs": self.runs.iter().enumerate().map(run).collect::<Vec<_>>(),
            "differences": differences.iter().map(differences::Difference::json).collect::<Vec<_>>(),
            "ratios": ratios.collect::<Vec<_>>(),
            "remark": APART,
        })
    }

    fn headline(&self) -> String {
        let invalid = self.invalid();
        let said = match self.entries {
            [first, .., last] if self.entries.len() == 2 => self.ratio(last).map(|ratio| {
                format!("{} sustains {} of what {} does", last.name, percent(&ratio), first.name)
            }),
            _ => None,
        };
        match (said, invalid.len()) {
            (Some(said), _) => said,
            (None, 0) => format!(
                "{} in {}",
                count(self.entries.len(), "group"),
                count(self.runs.len(), "run")
            ),
            (None, n) => format!(
                "{n} of {} invalid, and shown without its figures",
                count(self.runs.len(), "run")
            ),
        }
    }

    /// The names of the invalid runs.
    fn invalid(&self) -> Vec<&str> {
        let runs = self.runs.iter().zip(self.names);
        runs.filter(|(run, _)| run.judgement.verdict == Verdict::Invalid)
            .map(|(_, name)| name.as_str())
            .collect()
    }

    fn is_invalid(&self, entry: &Entry<'_>) -> bool {
        self.runs[entry.run].judgement.verdict == Verdict::Invalid
    }

    fn is_drawn(&self, entry: &Entry<'_>) -> bool {
        !self.is_invalid(entry) && !entry.ladder.rungs.is_empty()
    }

    /// Remarks under the table of runs.
    fn left_out(&self) -> Vec<String> {
        match self.invalid().as_slice() {
            [] => Vec::new(),
            names => vec![format!(
                "{} must not be reported as a result: no figure of it is compared or drawn",
                list(names)
            )],
        }
    }

    fn runs_table(&self) -> Grid {
        const COLUMNS: [Column; 8] = [
            Column::words(["run", ""]),
            Column::words(["verdict", ""]),
            Column::words(["findings", ""]),
            Column::words(["model", ""]),
            Column::words(["server", ""]),
            Column::words(["started", ""]),
            Column::words(["experiment", ""]),
            Column::words(["tool", ""]),
        ];
        let row = |(input, name): (&ReportInput<'_>, &String)| {
            let of = |severity: Severity| {
                let n =
                    input.judgement.findings.iter().filter(|it| it.severity == severity).count();
                (n > 0).then(|| count(n, &severity.to_string()))
            };
            let findings: Vec<_> =
                [Severity::Error, Severity::Warning].into_iter().filter_map(of).collect();
            let invalid = input.judgement.verdict == Verdict::Invalid;
            Row {
                class: if invalid { "different" } else { "" },
                cells: vec![
                    name.clone(),
                    verdict_word(input.judgement.verdict).to_owned(),
                    if findings.is_empty() { UNKNOWN.to_owned() } else { list(&findings) },
                    clean(&input.manifest.target.model),
                    input.server(),
                    clean(&input.manifest.started),
                    clean(&input.manifest.experiment),
                    clean(&format!("{} {}", input.manifest.tool.name, input.manifest.tool.version)),
                ],
            }
        };
        Grid::of(&COLUMNS, self.runs.iter().zip(self.names).map(row).collect())
    }

    /// The points at which latencies are held beside each other, of the entries that are not invalid.
    fn beside(&self) -> (Option<f64>, Vec<Option<&crate::ladder::Rung<'_>>>) {
        let usable: Vec<_> = self.entries.iter().filter(|entry| !self.is_invalid(entry)).collect();
        let ladders: Vec<_> = usable.iter().map(|entry| entry.ladder).collect();
        let Beside { load, rungs } = Beside::of(&ladders);
        let mut rungs = rungs.into_iter();
        let of_entry = |entry: &Entry<'_>| match self.is_invalid(entry) {
            true => None,
            false => rungs.next().flatten(),
        };
        (load, self.entries.iter().map(of_entry).collect())
    }

    fn capacity_table(&self) -> Grid {
        const COLUMNS: [Column; 8] = [
            Column::words(["run", ""]),
            Column::number(["capacity", "req/s (interval)"]),
            Column::number(["against", "the first"]),
            Column::number(["plateau", "req/s"]),
            Column::number(["SLO capacity", "req/s"]),
            Column::number(["load", ""]),
            Column::number(["TTFT p50", "ms"]),
            Column::number(["TTFT p99", "ms"]),
        ];
        let unknown = || UNKNOWN.to_owned();
        let (_, rungs) = self.beside();
        let row = |(entry, rung): (&Entry<'_>, Option<&crate::ladder::Rung<'_>>)| {
            let shown = !self.is_invalid(entry);
            let known = |text: Option<String>| text.filter(|_| shown).unwrap_or_else(unknown);
            Row::new(vec![
                entry.name.clone(),
                known(capacity(entry.ladder)),
                known(self.ratio(entry).map(|ratio| percent(&ratio))),
                known(entry.ladder.plateau().map(|it| three_digits(it.value))),
                known(entry.ladder.slo_capacity().map(plain)),
                known(rung.map(|rung| rung.label.clone())),
                known(rung.map(|rung| quantile(rung.point.ttft.p50))),
                known(rung.map(|rung| quantile(rung.point.ttft.p99))),
            ])
        };
        Grid::of(&COLUMNS, self.entries.iter().zip(rungs).map(row).collect())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![APART.to_owned()];
        let (load, rungs) = self.beside();
        if rungs.iter().flatten().count() > 0 {
            notes.push(match load {
                Some(load) => {
                    format!("latencies at {}, the highest load that all kept up with", plain(load))
                }
                None => {
                    "the runs kept up with no load in common: latencies at the lightest of each"
                        .to_owned()
                }
            });
        }
        let seed = self.runs.first().map(|run| run.manifest.seed);
        if self.runs.len() > 1 && self.runs.iter().all(|run| Some(run.manifest.seed) == seed) {
            notes.push(
                "all have the same seed, so the same arrivals: their agreement says nothing of arrival noise"
                    .to_owned(),
            );
        }
        notes
    }

    /// The capacity over that of the first run, in the group with the same factors; where each has one
    /// group, whatever its factors. `None` for the first, and where one is not known.
    fn ratio(&self, entry: &Entry<'_>) -> Option<Ratio> {
        if entry.run == 0 || self.is_invalid(entry) {
            return None;
        }
        let groups = |run: usize| self.entries.iter().filter(move |it| it.run == run);
        let alone = groups(0).count() == 1 && groups(entry.run).count() == 1;
        let same = |it: &&Entry<'_>| it.ladder.group.factors == entry.ladder.group.factors;
        let base = groups(0).find(|it| alone || same(it)).filter(|it| !self.is_invalid(it))?;
        let of = |it: &Entry<'_>| {
            it.ladder.capacity()?;
            it.ladder.group.saturation.capacity_per_s
        };
        let (own, first) = (of(entry)?, of(base)?);
        let ratio = own.over(&first)?;
        let bound = |it: &Entry<'_>| it.ladder.group.saturation.lower_bound;
        match (bound(entry), bound(base)) {
            (false, false) => Some(Ratio::Measured(ratio)),
            (true, false) => Some(Ratio::AtLeast(ratio.low)),
            (false, true) => Some(Ratio::AtMost(ratio.high)),
            (true, true) => None,
        }
    }

    /// Every gate of every run; `None` where there are none.
    fn gates(&self) -> Option<Section> {
        let columns = ["run", "gate", "", "figure"].map(|head| Column::words([head, ""]));
        let runs = self.runs.iter().zip(self.names);
        let rows: Vec<_> = runs
            .flat_map(|(run, name)| run.gates.iter().map(move |gated| (name, gated)))
            .map(|(name, gated)| Row {
                class: if gated.standing.passes() { "" } else { "different" },
                cells: vec![
                    name.clone(),
                    clean(&gated.condition),
                    gated.standing.to_string(),
                    clean(&gated.said),
                ],
            })
            .collect();
        (!rows.is_empty()).then(|| Section {
            title: "Gates".to_owned(),
            figure: None,
            table: Some(Grid::of(&columns, rows)),
            notes: Vec::new(),
        })
    }
}

/// `98.1 % (95.3 to 101 %)`, or a bound.
fn percent(ratio: &Ratio) -> String {
    let hundred = |share: f64| three_digits(100.0 * share);
    match ratio {
        Ratio::Measured(it) => {
            let scaled =
                Estimate { value: 100.0 * it.value, low: 100.0 * it.low, high: 100.0 * it.high };
            let [value, low, high] = estimate(&scaled);
            if it.low < it.high {
                format!("{value} % ({low} to {high} %)")
            } else {
                format!("{value} %")
            }
        }
        Ratio::AtLeast(low) => format!("≥ {} %", hundred(*low)),
        Ratio::AtMost(high) => format!("≤ {} %", hundred(*high)),
    }
}

/// What the runs are called: by their folders' names, by their whole paths where two have one name.
fn names(runs: &[ReportInput<'_>]) -> Vec<String> {
    let name = |run: &ReportInput<'_>| {
        let last = run.results.file_name().unwrap_or(run.results.as_os_str());
        clean(&last.to_string_lossy())
    };
    let short: Vec<_> = runs.iter().map(name).collect();
    let is_unique = |name: &String| short.iter().filter(|it| *it == name).count() == 1;
    let whole = |(name, run): (&String, &ReportInput<'_>)| match is_unique(name) {
        true => name.clone(),
        false => clean(&run.results.display().to_string()),
    };
    short.iter().zip(runs).map(whole).collect()
}
