//! What is read of settings held against each other: ratios, verdicts, what would decide, and factors.

mod drawing;
mod factors;
mod words;

use plimsoll_analysis::{Comparing, Comparison, ComparisonVerdict, FactorialEffects};
use serde_json::{Value, json};

use crate::clean::clean;
use crate::document::{self, Document, Section};
use crate::error::ReportError;
use crate::grid::{Column, Grid, Row};
use crate::json::{number, optional, optional_estimate};
use crate::numbers::{UNKNOWN, change, p_value};

/// The figure's file name.
const RATIOS: &str = "comparison.svg";

/// One figure of one candidate against the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The candidate's name: the setting that differs.
    pub candidate: &'a str,
    /// What was compared: `throughput`, `TTFT p99`.
    pub figure: &'a str,
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
    /// The figure of a full factorial, and what [`plimsoll_analysis::factorial_effects`] says of it.
    pub effects: Option<(&'a str, &'a FactorialEffects)>,
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

    /// As one JSON object: `baseline`, `comparisons` (`candidate`, `figure`, `ratio`, `interval`,
    /// `p_different`, `p_equivalent`, `margin`, `better`, `repetitions`, `verdict`,
    /// `repetitions_that_would_decide`, `single_run`), and of a factorial `effects` (`figure`, `main`,
    /// `interactions`, `ranking`, `repetitions`). Numbers to six digits; what is not known is `null`.
    #[must_use]
    pub fn json(&self) -> Value {
        let comparisons = self.compared.iter().map(|one| {
            let Comparison { repetitions, ratio, interval, p_different, p_equivalent, verdict } =
                one.comparison;
            json!({
                "candidate": clean(one.candidate),
                "figure": clean(one.figure),
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
            "baseline": clean(self.baseline),
            "comparisons": comparisons.collect::<Vec<_>>(),
            "effects": self.effects.map(|(figure, effects)| factors::json(figure, effects)),
        })
    }

    fn document(&self) -> Document {
        let mut sections = Vec::new();
        if !self.compared.is_empty() {
            sections.push(Section {
                title: "Against the baseline".to_owned(),
                figure: Some(RATIOS.to_owned()),
                table: Some(self.table()),
                notes: words::notes(self),
            });
        }
        if let Some((figure, effects)) = self.effects {
            sections.extend(factors::sections(figure, effects));
        }
        Document { title: clean(self.title), headline: words::headline(self), sections }
    }

    fn table(&self) -> Grid {
        let columns = [
            Column::words(["candidate", ""]),
            Column::words(["figure", ""]),
            Column::words(["verdict", ""]),
            Column::number(["change", "95 % interval"]),
            Column::number(["repetitions", "of each"]),
            Column::number(["would", "decide"]),
            Column::number(["p of no", "difference"]),
            Column::number(["p of the", "margin"]),
        ];
        let unknown = || UNKNOWN.to_owned();
        let row = |one: &Compared<'_>| {
            let found = &one.comparison;
            Row::new(vec![
                clean(one.candidate),
                clean(one.figure),
                words::verdict(found.verdict).to_owned(),
                change(found.ratio, found.interval.as_ref()),
                found.repetitions.to_string(),
                would_decide(found.verdict).map_or_else(unknown, |n| n.to_string()),
                found.p_different.map_or_else(unknown, p_value),
                found.p_equivalent.map_or_else(unknown, p_value),
            ])
        };
        Grid::of(&columns, self.compared.iter().map(row).collect())
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
