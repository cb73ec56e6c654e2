//! What is read of settings held against each other: ratios, verdicts, what would decide, and factors.

mod drawing;
mod factors;
mod of_run;
mod tables;
mod words;

pub(crate) use of_run::OfRun;

use plimsoll_analysis::{Better, Comparing, Comparison, ComparisonVerdict, FactorialEffects};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::document::{self, Document, Section};
use crate::error::ReportError;
use crate::grid::Grid;
use crate::json::{number, optional, optional_estimate};

pub(crate) use factors::json as effects_json;

/// The figure's file name.
const RATIOS: &str = "comparison.svg";

/// One figure of one candidate against the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The candidate's name: the setting that differs.
    pub candidate: &'a str,
    /// What was compared: `throughput`, `TTFT p99`.
    pub figure: &'a str,
    /// At which load, `20 req/s`; empty for what is no load's. Comparisons of one load stand together.
    pub at: &'a str,
    /// The unit of its numbers; empty where they have none.
    pub unit: &'a str,
    /// The figure of the baseline and of the candidate, where they are to be shown.
    pub values: Option<[f64; 2]>,
    /// Whether the figure of the baseline and of the candidate is a lower bound.
    pub lower_bound: [bool; 2],
    /// How it was judged.
    pub comparing: Comparing,
    /// What [`plimsoll_analysis::compare`] says of it.
    pub comparison: Comparison,
}

/// Comparisons to be shown: pure functions of the values in it.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonReport<'a> {
    /// What was measured: the model, the server.
    pub title: &'a str,
    /// The baseline's name.
    pub baseline: &'a str,
    /// Every candidate and figure.
    pub compared: &'a [Compared<'a>],
    /// The figure and the load (empty for none) that the answer is about; `None` where there is only one.
    pub main: Option<(&'a str, &'a str)>,
    /// Figures of a full factorial, and what [`plimsoll_analysis::factorial_effects`] says of each; the one
    /// that the answer is about first.
    pub effects: &'a [(&'a str, &'a FactorialEffects)],
    /// What else is to be said of it.
    pub remarks: &'a [String],
    /// The command that would probably decide what is undecided.
    pub next: Option<&'a str>,
}

impl ComparisonReport<'_> {
    /// For a terminal of `width` characters, 40 to 100; `colour` asks for ANSI styles.
    #[must_use]
    pub fn terminal(&self, width: usize, colour: bool) -> String {
        self.document().terminal(width, colour)
    }

    /// As GitHub-flavoured Markdown, figures by relative links to `figs/`.
    #[must_use]
    pub fn markdown(&self) -> String {
        self.document().markdown()
    }

    /// As one HTML page with its figures in it, without a script and without the network.
    ///
    /// # Errors
    /// When a figure cannot be drawn, or the page not be filled in.
    pub fn html(&self) -> Result<String, ReportError> {
        document::page(&self.document(), &self.figures()?)
    }

    /// The figure as SVG with its file name: `comparison.svg`, every ratio with its interval against the
    /// margin of equivalence. None where nothing was compared.
    ///
    /// # Errors
    /// When the figure cannot be drawn.
    pub fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        if self.compared.is_empty() { Ok(Vec::new()) } else { drawing::all(self) }
    }

    /// As one JSON object: `headline`, `baseline`, `comparisons` (`candidate`, `figure`, `at` which load,
    /// `unit`, `baseline_value`, `candidate_value`, `lower_bound` of either, `ratio`, `interval`,
    /// `p_different`, `p_equivalent`, `margin`, `better`, `repetitions`, `verdict`,
    /// `repetitions_that_would_decide`, `single_run`, and whether it is the `answer`), of a factorial
    /// `effects`, a list (`figure`, `main`, `interactions`, `ranking`, `repetitions`), `remarks`, and the
    /// `next` command. Numbers to six digits; what is not known is `null`.
    #[must_use]
    pub fn json(&self) -> Value {
        let comparisons = self.compared.iter().map(|one| {
            let Comparison { repetitions, ratio, interval, p_different, p_equivalent, verdict } =
                one.comparison;
            json!({
                "candidate": clean(one.candidate),
                "figure": clean(one.figure),
                "at": (!one.at.is_empty()).then(|| clean(one.at)),
                "unit": (!one.unit.is_empty()).then(|| clean(one.unit)),
                "baseline_value": optional(one.values.map(|[baseline, _]| baseline)),
                "candidate_value": optional(one.values.map(|[_, candidate]| candidate)),
                "lower_bound": one.lower_bound,
                "answer": self.is_answer(one),
                "ratio": number(ratio),
                "interval": optional_estimate(interval),
                "p_different": optional(p_different),
                "p_equivalent": optional(p_equivalent),
                "margin": number(one.comparing.margin),
                "better": one.comparing.better,
                "repetitions": repetitions,
                "verdict": words::verdict(verdict),
                "repetitions_that_would_decide": would_decide(verdict),
                "single_run": one.comparison.is_single_run(),
            })
        });
        json!({
            "title": clean(self.title),
            "headline": words::headline(self),
            "baseline": clean(self.baseline),
            "comparisons": comparisons.collect::<Vec<_>>(),
            "effects": self.effects.iter().map(|(figure, effects)| factors::json(figure, effects)).collect::<Vec<_>>(),
            "remarks": self.remarks.iter().map(|remark| clean(remark)).collect::<Vec<_>>(),
            "next": self.next.map(clean),
        })
    }

    /// Whether the answer is about it.
    fn is_answer(&self, one: &Compared<'_>) -> bool {
        self.main.is_none_or(|main| main == (one.figure, one.at))
    }

    /// The comparisons that the answer is about, the best candidate first.
    fn answer(&self) -> Vec<&Compared<'_>> {
        let mut answer: Vec<_> = self.compared.iter().filter(|one| self.is_answer(one)).collect();
        if self.main.is_some() {
            let gain = |one: &Compared<'_>| match one.comparing.better {
                Better::Higher => one.comparison.ratio,
                Better::Lower => 1.0 / one.comparison.ratio,
            };
            answer.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        }
        answer
    }

    pub(crate) fn document(&self) -> Document {
        let mut sections = Vec::new();
        let mut add = |title: String, table: Grid| {
            let first = sections.is_empty();
            let figure = first.then(|| RATIOS.to_owned());
            let notes = if first { words::notes(self) } else { Vec::new() };
            sections.push(Section { title, figure, table: Some(table), notes });
        };
        let answer = self.answer();
        if let (Some(_), Some(first)) = (self.main, answer.first()) {
            add(words::heading(&words::of_figure(first)), tables::answer(self, &answer));
        }
        for rows in self.compared.chunk_by(|a, b| a.at == b.at) {
            // Those of a load stay together with the others of the load.
            let told = |one: &&Compared<'_>| {
                self.main.is_some() && one.at.is_empty() && self.is_answer(one)
            };
            let rows: Vec<_> = rows.iter().filter(|one| !told(one)).collect();
            let Some(first) = rows.first() else { continue };
            let title = match first.at {
                "" => "Against the baseline".to_owned(),
                at => format!("At {}", clean(at)),
            };
            add(title, tables::against(self, &rows));
        }
        for (figure, effects) in self.effects {
            sections.extend(factors::sections(figure, effects));
        }
        let mut notes: Vec<String> = self.remarks.iter().map(|remark| clean(remark)).collect();
        notes.extend(self.next.map(|next| format!("To decide: {}", clean(next))));
        if !notes.is_empty() {
            let title = "What else is to be known".to_owned();
            sections.push(Section { title, figure: None, table: None, notes });
        }
        Document { title: clean(self.title), headline: words::headline(self), sections }
    }

    /// What a candidate is called in tables and figures of several: `B` for the first, for `A` is the
    /// baseline. `None` where there is one alone, and beyond the alphabet.
    fn letter(&self, candidate: &str) -> Option<char> {
        let mut names: Vec<&str> = Vec::new();
        for one in self.compared {
            if !names.contains(&one.candidate) {
                names.push(one.candidate);
            }
        }
        let place = names.iter().position(|name| *name == candidate)?;
        if names.len() < 2 || self.main.is_none() {
            return None;
        }
        ('B'..='Z').nth(place)
    }
}

/// The repetitions that would decide, of an undecided verdict that knows them.
const fn would_decide(verdict: ComparisonVerdict) -> Option<usize> {
    match verdict {
        ComparisonVerdict::Undecided { repetitions_that_would_decide } => {
            repetitions_that_would_decide
        }
        _ => None,
    }
}
