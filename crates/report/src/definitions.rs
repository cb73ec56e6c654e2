//! What other tools would have printed, beside ours: the same for every form of the report.

use plimsoll_analysis::{
    Because, Figure, Latency, Measure, Missing, PeerTool, PointSummary, Printed, Stat, Unit,
};

use crate::grid::{Column, Grid, Row, state_class};
use crate::input::ReportInput;
use crate::ladder::{Ladder, Rung};
use crate::numbers::{UNKNOWN, in_ms, list, signed_percent, three_digits};
use crate::table::{GROWS, NOT_ITS_OWN};

/// How to read the section.
pub(crate) const NOTE: &str = "Figures that these tools would have printed for the very same requests. None of them is a result of this measurement. Where one differs from ours by more than 5 %, the last column says why.";

/// The figures of a narrow table, the first the last to be given up: head and measure.
const NARROW: [([&str; 2], Measure); 7] = [
    (["requests", "/s"], Measure::RequestThroughput),
    (["TTFT", "mean ms"], Measure::Latency(Latency::Ttft, Stat::Mean)),
    (["TTFT", "p99 ms"], Measure::Latency(Latency::Ttft, Stat::P99)),
    (["TPOT", "mean ms"], Measure::Latency(Latency::Tpot, Stat::Mean)),
    (["ITL", "p99 ms"], Measure::Latency(Latency::Itl, Stat::P99)),
    (["E2E", "p99 ms"], Measure::Latency(Latency::E2e, Stat::P99)),
    (["output", "tok/s"], Measure::OutputThroughput),
];

/// What one tool would have printed.
pub(crate) struct Section<'a> {
    /// The tool.
    pub(crate) tool: PeerTool,
    /// Each group that has points of it.
    pub(crate) parts: Vec<Part<'a>>,
}

/// One group under a tool's definitions.
pub(crate) struct Part<'a> {
    pub(crate) ladder: &'a Ladder<'a>,
    points: Vec<(&'a Rung<'a>, &'a Printed)>,
}

impl<'a> Section<'a> {
    /// A section for each tool that was asked for, in their order.
    pub(crate) fn all(input: &ReportInput<'a>, ladders: &'a [Ladder<'a>]) -> Vec<Self> {
        let mut tools: Vec<PeerTool> = input.printed.iter().map(|printed| printed.tool).collect();
        tools.sort_unstable();
        tools.dedup();
        let part = |tool, ladder: &'a Ladder<'a>| {
            let of = |rung: &'a Rung<'a>| {
                let same =
                    |printed: &&Printed| printed.tool == tool && printed.point == rung.point.id;
                Some((rung, input.printed.iter().find(same)?))
            };
            let points: Vec<_> = ladder.rungs.iter().filter_map(of).collect();
            (!points.is_empty()).then_some(Part { ladder, points })
        };
        tools
            .into_iter()
            .map(|tool| Self {
                tool,
                parts: ladders.iter().filter_map(|ladder| part(tool, ladder)).collect(),
            })
            .collect()
    }

    /// `As vllm bench serve 0.32 would print it`.
    pub(crate) fn title(&self) -> String {
        format!("As {} would print it", self.tool.title())
    }

    /// The tool's words in ours, with what our rows cannot say of it.
    pub(crate) fn words(&self) -> Vec<(&'static str, &'static str)> {
        let definition = self.tool.definition();
        let mut words = definition.words().to_vec();
        if !definition.caveat.is_empty() {
            words.push(("not in it", definition.caveat));
        }
        words
    }

    /// What became of requests that is another thing for the tool: as a sentence without its full stop;
    /// `None` where all were completed.
    pub(crate) fn counts(&self) -> Option<String> {
        let mut sentences = Vec::new();
        for (rung, printed) in self.parts.iter().flat_map(|part| &part.points) {
            let mut said = Vec::new();
            if printed.failed > 0 {
                said.push(format!("{} failed", printed.failed));
            }
            if printed.unseen > 0 {
                said.push(format!("{} not seen by it", printed.unseen));
            }
            if !said.is_empty() {
                let of = printed.completed + printed.failed + printed.unseen;
                sentences.push(format!("{} of {of} at {}", list(&said), rung.label));
            }
        }
        (!sentences.is_empty()).then(|| {
            let sentences = sentences.join("; ");
            format!("requests in none of its latencies: {sentences}")
        })
    }
}

impl Part<'_> {
    /// The group's label, where there are several.
    pub(crate) fn label(&self) -> &str {
        &self.ladder.label
    }

    /// Every figure that the tool has, point by point, a row each.
    pub(crate) fn grid(&self) -> Grid {
        let columns = [
            Column::number(["offered", self.ladder.axis.unit()]),
            Column::words(["figure", ""]),
            Column::words(["its name", ""]),
            Column::number(["as it prints", ""]),
            Column::number(["ours", ""]),
            Column::number(["difference", ""]),
            Column::words(["because", ""]),
        ];
        let mut rows = Vec::new();
        for (rung, printed) in &self.points {
            for figure in printed.figures.iter().filter(|figure| figure.name.is_some()) {
                let ours = ours(figure, rung.point);
                let because: Vec<_> = figure.because.iter().map(|why| why.as_str()).collect();
                let because = match (figure.value, because.as_slice()) {
                    (Err(missing), _) => missing.as_str().to_owned(),
                    (Ok(_), because) => list(because),
                };
                rows.push(Row {
                    class: state_class(rung.state),
                    cells: vec![
                        rung.label.clone(),
                        word(figure.measure),
                        figure.name.clone().unwrap_or_default(),
                        figure
                            .value
                            .map_or_else(|_| UNKNOWN.to_owned(), |v| number(v, figure.unit)),
                        ours,
                        figure.difference().map_or_else(String::new, signed_percent),
                        because,
                    ],
                });
            }
        }
        Grid::of(&columns, rows)
    }

    /// A table of few columns, of [`NARROW`] `columns` at most: two rows a point, the tool's and ours. A
    /// reason is a letter, its place in `marks`, to which new ones are added.
    pub(crate) fn narrow(&self, tool: PeerTool, columns: usize, marks: &mut Vec<Because>) -> Grid {
        let mut heads =
            vec![Column::number(["offered", self.ladder.axis.unit()]), Column::words(["", ""])];
        let shown: Vec<_> = NARROW
            .iter()
            .filter(|(_, measure)| tool.definition().name(*measure).is_some())
            .take(columns)
            .collect();
        heads.extend(shown.iter().map(|(head, _)| Column::number(*head)));
        let mut rows = Vec::new();
        for (rung, printed) in &self.points {
            let figures: Vec<&Figure> = shown
                .iter()
                .filter_map(|(_, measure)| {
                    printed.figures.iter().find(|figure| figure.measure == *measure)
                })
                .collect();
            let theirs = figures.iter().map(|figure| {
                let mut cell = figure
                    .value
                    .map_or_else(|_| UNKNOWN.to_owned(), |value| narrow_number(value, figure.unit));
                for why in &figure.because {
                    let place = marks.iter().position(|mark| mark == why).unwrap_or_else(|| {
                        marks.push(*why);
                        marks.len() - 1
                    });
                    let space =
                        if cell.ends_with(|c: char| c.is_ascii_lowercase()) { "" } else { " " };
                    cell.push_str(space);
                    cell.push(mark(place));
                }
                cell
            });
            let mut cells = vec![rung.label.clone(), tool.as_str().to_owned()];
            cells.extend(theirs);
            rows.push(Row { class: state_class(rung.state), cells });
            let mut cells = vec![String::new(), "ours".to_owned()];
            cells.extend(figures.iter().map(|figure| match figure.ours {
                Some(value) => narrow_number(value, figure.unit),
                None => ours(figure, rung.point),
            }));
            rows.push(Row { class: state_class(rung.state), cells });
        }
        Grid { columns: heads, rows }
    }

    /// Why values of its narrow table are missing, each reason once.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let mut reasons = Vec::new();
        for figure in self.points.iter().flat_map(|(_, printed)| &printed.figures) {
            let shown = NARROW.iter().any(|(_, measure)| *measure == figure.measure);
            match figure.value {
                Err(why) if shown && why != Missing::NotPrinted && !reasons.contains(&why) => {
                    reasons.push(why);
                }
                _ => {}
            }
        }
        reasons
    }

    /// How many columns of [`NARROW`] there are at most.
    pub(crate) const NARROW_COLUMNS: usize = NARROW.len();
}

/// The k-th mark; there are fewer reasons than letters.
pub(crate) fn mark(place: usize) -> char {
    char::from(b'a' + (place % 26) as u8)
}

/// Our figure as text: the latencies of a server that did not keep up are not the server's.
fn ours(figure: &Figure, point: &PointSummary) -> String {
    match (figure.ours, figure.measure) {
        (Some(value), _) => number(value, figure.unit),
        (None, Measure::Latency(latency, stat)) if !point.stability.stable && stat != Stat::Std => {
            match latency {
                Latency::Ttft | Latency::E2e => GROWS.to_owned(),
                Latency::Tpot | Latency::Itl | Latency::ChunkGap => NOT_ITS_OWN.to_owned(),
            }
        }
        _ => UNKNOWN.to_owned(),
    }
}

/// A number in its own unit.
fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => three_digits(value),
        Unit::Milliseconds => format!("{} ms", in_ms(value)),
        Unit::Seconds => format!("{} s", three_digits(value)),
        Unit::Nanoseconds => format!("{} ns", three_digits(value)),
    }
}

/// A number of a narrow table: rates as they are, times in milliseconds.
fn narrow_number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => three_digits(value),
        unit => in_ms(value / unit.per_second() * 1e3),
    }
}

/// What a figure is called here.
fn word(measure: Measure) -> String {
    match measure {
        Measure::RequestThroughput => "requests /s".to_owned(),
        Measure::OutputThroughput => "output tok/s".to_owned(),
        Measure::Goodput => "goodput req/s".to_owned(),
        Measure::Latency(latency, stat) => {
            let latency = match latency {
                Latency::Ttft => "TTFT",
                Latency::Tpot => "TPOT",
                Latency::Itl => "ITL",
                Latency::ChunkGap => "chunk gap",
                Latency::E2e => "E2E",
            };
            format!("{latency} {}", stat.as_str())
        }
    }
}
