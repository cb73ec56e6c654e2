//! Gates: conditions under which a measurement fails, like `capacity_per_s < 50`, for scripts and CI.
//!
//! A gate is held against the 95 % interval of its figure (a search's capacity has the confidence that was
//! asked for), not against the value alone: it *passes* where the whole interval is on the good side of the
//! bound, it *fires* where all of it is on the bad side, and else the good side is *not shown*, which fails
//! as well. So a worse measurement never passes more easily than a better one. Of a capacity that is only
//! a lower bound, the upper end is infinite.

mod figure;
mod scope;

use std::fmt;
use std::str::FromStr;

use plimsoll_analysis::{Judgement, Question};
use plimsoll_records::Verdict;
use serde_json::{Value, json};
use thiserror::Error;

use crate::document::{Document, Section};
use crate::grid::{Column, Grid, Row};
use crate::ladder::ladders;
use crate::numbers::{count, three_digits};

use figure::{Figure, Known, Span};
use scope::Scope;

/// A condition under which a measurement fails:
/// `FIGURE < NUMBER [at LOAD] [in FACTOR=LEVEL,...]`, with `<`, `<=`, `>` or `>=`.
///
/// A figure is called as in the JSON of the report (`capacity_per_s`, `ttft_ms.p99`), and its bound is a number
/// in the unit that its name ends in. `.value`, `.low` or `.high` after a name holds that end of its
/// interval against the bound, whatever the others are. `verdict < valid` compares verdicts.
#[derive(Clone, Debug)]
pub struct Gate {
    text: String,
    figure: Figure,
    operator: Operator,
    bound: f64,
    scope: Scope,
}

/// How a figure is held against its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A gate that was held against a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// The condition as it was written.
    pub condition: String,
    /// What came of it.
    pub standing: Standing,
    /// The figure that decided, as a sentence without a full stop: the nearest to the bound of those in
    /// scope, or why nothing is known.
    pub said: String,
}

/// What came of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The condition does not hold.
    Passed,
    /// It could not be shown that it does not hold: the interval includes the bound, or the figure is not
    /// known, or the measurement is invalid.
    NotShown,
    /// The condition holds.
    Fired,
}

impl Standing {
    /// Whether the measurement passes this gate.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Passed)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::NotShown => "not shown",
            Self::Fired => "fired",
        })
    }
}

/// A text that is no gate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GateError {
    /// There is nothing that compares.
    #[error(
        "`{0}` compares nothing; write FIGURE < NUMBER (or <=, >, >=), like `capacity_per_s < 50`"
    )]
    NoComparison(String),
    /// The figure is none.
    #[error("`{given}` is no figure; there are {}", figure::names())]
    UnknownFigure {
        /// What was written.
        given: String,
    },
    /// The bound is no number.
    #[error("`{given}` is no number; {figure} is a plain number in the unit of its name")]
    Bound {
        /// What was written.
        given: String,
        /// The figure.
        figure: String,
    },
    /// The bound is no verdict.
    #[error("`{0}` is no verdict; they are invalid, qualified and valid, in this order")]
    NoVerdict(String),
    /// The scope is none, or does not fit the figure.
    #[error("`{given}`: {problem}")]
    Scope {
        /// What was written.
        given: String,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let text = text.trim();
        let Some(place) = text.find(['<', '>']) else {
            return Err(GateError::NoComparison(text.to_owned()));
        };
        let (name, rest) = text.split_at(place);
        let (operator, rest) = Operator::of(rest);
        let figure = Figure::of(name.trim())?;
        let (bound, scope) =
            rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let bound = if figure.is_verdict() {
            number_of(bound).ok_or_else(|| GateError::NoVerdict(bound.to_owned()))?
        } else {
            let number = bound.parse().ok().filter(|number: &f64| number.is_finite());
            number.ok_or_else(|| GateError::Bound {
                given: bound.to_owned(),
                figure: figure.name().to_owned(),
            })?
        };
        let scope = Scope::of(scope.trim(), &figure)
            .map_err(|problem| GateError::Scope { given: scope.trim().to_owned(), problem })?;
        Ok(Self { text: text.to_owned(), figure, operator, bound, scope })
    }
}

impl Operator {
    /// The operator at the beginning of `text`, and what follows it.
    fn of(text: &str) -> (Self, &str) {
        for (sign, operator) in
            [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)]
        {
            if let Some(rest) = text.strip_prefix(sign) {
                return (operator, rest);
            }
        }
        (Self::Less, text)
    }

    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::More => value > bound,
            Self::AtLeast => value >= bound,
        }
    }

    /// The standing of an interval: the condition is one-sided, so its ends decide.
    fn standing(self, span: Span, bound: f64) -> Standing {
        match (self.holds(span.low, bound), self.holds(span.high, bound)) {
            (true, true) => Standing::Fired,
            (false, false) => Standing::Passed,
            _ => Standing::NotShown,
        }
    }

    /// The end of an interval that is nearest to firing, as a number that grows towards it.
    fn nearness(self, span: Span) -> f64 {
        match self {
            Self::Less | Self::AtMost => -span.low,
            Self::More | Self::AtLeast => span.high,
        }
    }
}

impl Gate {
    /// Holds the gate against a measurement: every group, or every point, in its scope; the worst decides.
    #[must_use]
    pub fn judge(&self, judgement: &Judgement) -> Gated {
        let (standing, said) = self.decide(judgement);
        Gated { condition: self.text.clone(), standing, said }
    }

    fn decide(&self, judgement: &Judgement) -> (Standing, String) {
        if self.figure.is_verdict() {
            let value = rank(judgement.verdict);
            let fires = self.operator.holds(value, self.bound);
            let standing = if fires { Standing::Fired } else { Standing::Passed };
            return (standing, format!("the verdict is {}", judgement.verdict));
        }
        if judgement.verdict == Verdict::Invalid {
            return (Standing::NotShown, "the measurement is invalid".to_owned());
        }
        let ladders = ladders(&judgement.groups);
        let known = self.scope.read(&self.figure, &ladders);
        let judged = known.iter().map(|it| (self.standing(it), it));
        let worst = judged.max_by(|(a, x), (b, y)| {
            let near = |it: &Known| it.span.map_or(f64::INFINITY, |it| self.operator.nearness(it));
            a.cmp(b).then(near(x).total_cmp(&near(y)))
        });
        match worst {
            Some((standing, it)) => (standing, self.said(it, judgement.question)),
            None => (Standing::NotShown, self.scope.why_none(&ladders)),
        }
    }

    fn standing(&self, known: &Known) -> Standing {
        known.span.map_or(Standing::NotShown, |span| self.operator.standing(span, self.bound))
    }

    fn said(&self, known: &Known, question: Question) -> String {
        let at = if known.at.is_empty() { String::new() } else { format!(" {}", known.at) };
        match known.span {
            Some(span) => format!("{}{at}", span.in_words()),
            None if self.figure.is_capacity() && !question.needs_capacity() => {
                format!("not known{at}: this experiment does not ask for it")
            }
            None => format!("not known{at}: {}", known.why),
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A verdict as a number, for its order.
const fn rank(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Invalid => 0.0,
        Verdict::Qualified => 1.0,
        Verdict::Valid => 2.0,
    }
}

fn number_of(verdict: &str) -> Option<f64> {
    let all = [Verdict::Invalid, Verdict::Qualified, Verdict::Valid];
    all.into_iter().find(|it| it.to_string() == verdict).map(rank)
}

/// The gates as a part of a report; `None` where there are none.
pub(crate) fn document(gated: &[Gated]) -> Option<Document> {
    let failed = gated.iter().filter(|it| !it.standing.passes()).count();
    let headline = match (gated.len(), failed) {
        (0, _) => return None,
        (1, 0) => "The gate is passed".to_owned(),
        (all, 0) => format!("All {all} gates are passed"),
        (all, failed) => format!("{failed} of {} not passed", count(all, "gate")),
    };
    let columns = ["gate", "", "figure"].map(|head| Column::words([head, ""]));
    let row = |it: &Gated| Row {
        class: if it.standing.passes() { "" } else { "different" },
        cells: vec![it.condition.clone(), it.standing.to_string(), it.said.clone()],
    };
    let table = Section {
        title: "Each gate fails where its condition holds, or cannot be excluded".to_owned(),
        figure: None,
        table: Some(Grid::of(&columns, gated.iter().map(row).collect())),
        notes: Vec::new(),
    };
    Some(Document { title: "Gates".to_owned(), headline, sections: vec![table] })
}

/// The gates for scripts.
pub(crate) fn json(gated: &[Gated]) -> Value {
    let one = |it: &Gated| {
        let standing = it.standing.to_string().replace(' ', "-");
        json!({ "condition": it.condition, "standing": standing, "said": it.said })
    };
    gated.iter().map(one).collect()
}

impl Span {
    fn in_words(self) -> String {
        let value = three_digits(self.value);
        if self.high.is_infinite() {
            format!("at least {value}")
        } else if self.low < self.high {
            format!("{value} ({} to {})", three_digits(self.low), three_digits(self.high))
        } else {
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Gate>().map_or_else(|error| error.to_string(), |gate| format!("parsed {gate}"))
    }

    #[test]
    fn an_interval_passes_fires_or_shows_nothing() {
        let span = |low, high| Span { value: (low + high) / 2.0, low, high };
        for (operator, low, high, standing) in [
            (Operator::Less, 51.0, 53.0, Standing::Passed),
            (Operator::Less, 50.0, 53.0, Standing::Passed),
            (Operator::Less, 49.0, 53.0, Standing::NotShown),
            (Operator::Less, 47.0, 50.0, Standing::NotShown),
            (Operator::Less, 47.0, 49.0, Standing::Fired),
            (Operator::AtMost, 47.0, 50.0, Standing::Fired),
            (Operator::AtMost, 50.0, 53.0, Standing::NotShown),
            (Operator::More, 47.0, 50.0, Standing::Passed),
            (Operator::More, 49.0, 51.0, Standing::NotShown),
            (Operator::More, 51.0, 52.0, Standing::Fired),
            (Operator::AtLeast, 50.0, 52.0, Standing::Fired),
            (Operator::AtLeast, 40.0, 50.0, Standing::NotShown),
            (Operator::Less, 60.0, f64::INFINITY, Standing::Passed),
            (Operator::Less, 40.0, f64::INFINITY, Standing::NotShown),
            (Operator::More, 60.0, f64::INFINITY, Standing::Fired),
        ] {
            assert_eq!(
                operator.standing(span(low, high), 50.0),
                standing,
                "{operator:?} {low} {high}"
            );
        }
    }

    #[test]
    fn what_is_no_gate_is_refused_with_what_is_allowed() {
        for (text, words) in [
            ("capacity_per_s", "compares nothing; write FIGURE < NUMBER"),
            ("", "compares nothing"),
            ("capacity < 50", "`capacity` is no figure; there are verdict, capacity_per_s,"),
            ("ttft_ms < 50", "`ttft_ms` is no figure"),
            ("ttft_ms.p95 < 50", "ttft_ms.{mean,p50,p90,p99,max}"),
            ("capacity_per_s < fifty", "`fifty` is no number; capacity_per_s is a plain number"),
            ("ttft_ms.p99 > 500ms", "`500ms` is no number; ttft_ms.p99 is a plain number"),
            ("capacity_per_s < inf", "`inf` is no number"),
            ("capacity_per_s < ", "`` is no number"),
            ("verdict < good", "`good` is no verdict; they are invalid, qualified and valid"),
            ("capacity_per_s < 5 at 20", "`at 20`: capacity_per_s is one figure of all loads"),
            ("verdict < valid in a=1", "the verdict is one of the whole run"),
            ("ttft_ms.p99 > 5 at twenty", "`twenty` is no load"),
            ("ttft_ms.p99 > 5 on 20", "`on 20`: after the number comes"),
            ("ttft_ms.p99 > 5 at", "after `at` comes a load"),
            ("capacity_per_s < 5 in a", "`a` is no FACTOR=LEVEL"),
            ("capacity_per_s < 5 in", "after `in` comes FACTOR=LEVEL"),
        ] {
            let error = error(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in [
            "capacity_per_s<50",
            "capacity_per_s.low <= 1e2",
            " ttft_ms.p99 >= 500 at 20 in max-num-seqs=16, model=a b ",
            "verdict < valid",
            "goodput_share < 0.99 at 12.5",
        ] {
            assert_eq!(error(text), format!("parsed {}", text.trim()));
        }
    }
}
