//! The groups of one run beside each other: a table, and figures with a line for each group.

use plimsoll_analysis::{PointSummary, Question};

use crate::document::{Document, Section};
use crate::error::ReportError;
use crate::figures::by_factor::{self, Beside, Line};
use crate::figures::drawn;
use crate::figures::impact::{self, Known};
use crate::grid::{Column, Grid, Row};
use crate::input::ReportInput;
use crate::ladder::{Ladder, Reading, Rung};
use crate::numbers::{UNKNOWN, count, estimate, plain, quantile, three_digits};

const THROUGHPUT: &str = "throughput-by-factor.svg";
const TTFT: &str = "ttft-by-factor.svg";
const TPOT: &str = "tpot-by-factor.svg";
const TRADE_OFF: &str = "trade-off-by-factor.svg";
const BREAKDOWN: &str = "breakdown-by-factor.svg";
const IMPACT: &str = "impact-of-factors.svg";

/// The groups of a run that has several, ready to be held beside each other.
pub(crate) struct Groups<'a> {
    ladders: &'a [Ladder<'a>],
    beside: Beside<'a>,
}

impl<'a> Groups<'a> {
    /// The groups of a run. Where latency is asked the conclusion has them beside each other, with what holds
    /// of latencies, and nobody asked what they sustain.
    pub(crate) fn of_run(input: &ReportInput<'_>, ladders: &'a [Ladder<'a>]) -> Option<Self> {
        Self::of(ladders).filter(|_| input.judgement.question != Question::Latency)
    }

    /// The groups, where two of them have points.
    fn of(ladders: &'a [Ladder<'a>]) -> Option<Self> {
        let measured = ladders.iter().filter(|ladder| !ladder.rungs.is_empty()).count();
        let all: Vec<_> = ladders.iter().collect();
        (measured > 1).then(|| Self { ladders, beside: Beside::of(&all) })
    }

    /// The table and the figures by name.
    pub(crate) fn document(&self) -> Document {
        let table = Section {
            title: "Every group".to_owned(),
            figure: None,
            table: Some(self.table()),
            notes: self.notes(),
        };
        let figure = |(file, title): (&'static str, String)| Section {
            title,
            figure: Some(file.to_owned()),
            table: None,
            notes: Vec::new(),
        };
        let mut sections = vec![table];
        sections.extend(self.titles().into_iter().map(figure));
        Document {
            title: "The groups beside each other".to_owned(),
            headline: self.headline(),
            sections,
        }
    }

    /// The figures as SVG with their file names.
    ///
    /// # Errors
    /// When one cannot be drawn.
    pub(crate) fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        let lines: Vec<_> =
            self.ladders.iter().map(|ladder| Line { name: &ladder.label, ladder }).collect();
        let figure = |(file, title): (&'static str, String)| {
            drawn(file, |svg| match file {
                THROUGHPUT => by_factor::throughput(&lines, &title, svg),
                TTFT => by_factor::latency(&lines, "TTFT", |point| &point.ttft, &title, svg),
                TPOT => by_factor::latency(&lines, "TPOT", |point| &point.tpot, &title, svg),
                TRADE_OFF => by_factor::trade_off(&lines, &title, svg),
                BREAKDOWN => by_factor::breakdown(&self.names(), &self.beside, &title, svg),
                _ => {
                    let (known, name) = self.numbers();
                    impact::impact(self.ladders, &known, (name, &title), svg)
                }
            })
        };
        self.titles().into_iter().map(figure).collect()
    }

    /// The file of each figure with its title.
    fn titles(&self) -> Vec<(&'static str, String)> {
        let at = match self.beside.load {
            Some(load) => format!("at {} {}", plain(load), self.ladders[0].axis.unit()),
            None => "at the lightest load of each group".to_owned(),
        };
        let (known, name) = self.numbers();
        let name = name.split(" (").next().unwrap_or(name);
        let mut titles: Vec<(&'static str, String)> = [
            (THROUGHPUT, "Throughput over the offered load"),
            (TTFT, "Time to first token where the server keeps up"),
            (TPOT, "Time per output token where the server keeps up"),
            (TRADE_OFF, "What throughput costs in latency: the lower and longer line is better"),
        ]
        .map(|(file, title)| (file, title.to_owned()))
        .to_vec();
        if self.beside.rungs.iter().flatten().count() > 1 {
            titles.push((BREAKDOWN, format!("What a request's time is made of, {at}")));
        }
        if impact::has(self.ladders, &known) {
            titles.push((
                IMPACT,
                format!("Levels of each factor by {name}, which is no test of them"),
            ));
        }
        titles
    }

    /// The number by which factors are held against each other, of each group, and its name: the capacity
    /// where it is known of two groups, else the median TTFT at the load of [`Beside`].
    fn numbers(&self) -> (Vec<Option<Known>>, &'static str) {
        let capacities: Vec<_> = self
            .ladders
            .iter()
            .map(|ladder| {
                let at_least = ladder.group.saturation.lower_bound;
                Some(Known { reading: ladder.capacity()?, at_least })
            })
            .collect();
        if capacities.iter().flatten().count() > 1 {
            return (capacities, "capacity (req/s)");
        }
        let medians = self.beside.rungs.iter().map(|rung| {
            let reading = Reading::milliseconds(&rung.as_ref()?.point.ttft.p50)?;
            Some(Known { reading, at_least: false })
        });
        (medians.collect(), "median TTFT (ms)")
    }

    /// What a bar is called: the group, with its load where they do not share one.
    fn names(&self) -> Vec<String> {
        let name = |(ladder, rung): (&Ladder<'_>, &Option<&Rung<'_>>)| match rung {
            Some(rung) if self.beside.load.is_none() => ladder.name_of(rung, true),
            _ => ladder.label.clone(),
        };
        // A line for each factor.
        let name = |it| name(it).replace(", ", "\n");
        self.ladders.iter().zip(&self.beside.rungs).map(name).collect()
    }

    fn headline(&self) -> String {
        let mut known: Vec<_> = self
            .ladders
            .iter()
            .filter_map(|ladder| Some((ladder.capacity()?.value, ladder)))
            .collect();
        known.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let groups = count(self.ladders.len(), "group");
        let said = |(value, ladder): &(f64, &Ladder<'_>)| {
            let bound = if ladder.group.saturation.lower_bound { "at least " } else { "" };
            format!("{bound}{} req/s ({})", three_digits(*value), ladder.label)
        };
        match known.as_slice() {
            [lowest, .., highest] => {
                format!("{groups}; their capacities are from {} to {}", said(lowest), said(highest))
            }
            _ => groups,
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![match self.beside.load {
            Some(load) => format!(
                "latencies at {} {}, the highest load that every group kept up with, as far as it did with any",
                plain(load),
                self.ladders[0].axis.unit()
            ),
            None => {
                "the groups kept up with no load in common: latencies are those of each group's \
                     lightest load"
                    .to_owned()
            }
        }];
        let lines: Vec<_> = self.ladders.iter().map(|ladder| Line { name: "", ladder }).collect();
        let drawn = by_factor::drawn(&lines).count();
        if drawn < self.ladders.len() {
            notes.push(format!(
                "the figures show {drawn} of {} groups: as many as can be told apart, of one kind of load",
                self.ladders.len()
            ));
        }
        notes
    }

    fn table(&self) -> Grid {
        const COLUMNS: [Column; 8] = [
            Column::words(["group", ""]),
            Column::number(["points", ""]),
            Column::number(["capacity", "req/s (95 % interval)"]),
            Column::number(["plateau", "req/s"]),
            Column::number(["load", ""]),
            Column::number(["TTFT p50", "ms"]),
            Column::number(["TTFT p99", "ms"]),
            Column::number(["TPOT p50", "ms"]),
        ];
        let unknown = || UNKNOWN.to_owned();
        let row = |(ladder, rung): (&Ladder<'_>, &Option<&Rung<'_>>)| {
            let at = |text: fn(&PointSummary) -> String| {
                rung.as_ref().map_or_else(unknown, |rung| text(rung.point))
            };
            Row::new(vec![
                ladder.label.clone(),
                ladder.rungs.len().to_string(),
                capacity(ladder).unwrap_or_else(unknown),
                ladder.plateau().map_or_else(unknown, |it| three_digits(it.value)),
                rung.as_ref().map_or_else(unknown, |rung| rung.label.clone()),
                at(|point| quantile(point.ttft.p50)),
                at(|point| quantile(point.ttft.p99)),
                at(|point| quantile(point.tpot.p50)),
            ])
        };
        Grid::of(&COLUMNS, self.ladders.iter().zip(&self.beside.rungs).map(row).collect())
    }
}

/// The capacity with its interval, or as a bound; `None` where it is not known.
pub(crate) fn capacity(ladder: &Ladder<'_>) -> Option<String> {
    ladder.capacity()?;
    let [value, low, high] = estimate(ladder.group.saturation.capacity_per_s.as_ref()?);
    Some(match ladder.group.saturation.lower_bound {
        true => format!("≥ {value}"),
        false => format!("{value} ({low} to {high})"),
    })
}
