//! The figures of a conclusion on scenarios.

use plimsoll_analysis::{ScenarioCase, Scenarios, Waited};
use plotters::style::RGBColor;

use super::{BY_CONCURRENCY, BY_LENGTH, name, server, tables};
use crate::axis::Axis;
use crate::error::ReportError;
use crate::figures::canvas::{
    BLUE, Dot, Drawn, GREEN, Key, ORANGE, PURPLE, SKY, Sheet, Stroke, VERMILLION,
};
use crate::figures::drawn;

const COLOURS: [RGBColor; 6] = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY];

/// A point of a line: where it lies, and its value between the ends of its interval.
type At = (f64, (f64, f64, f64));

/// A line of a figure: its name, and its points with their intervals.
struct Series {
    name: String,
    points: Vec<At>,
}

impl Series {
    fn of(
        name: String,
        cases: &[&ScenarioCase],
        x: fn(&ScenarioCase) -> Option<f64>,
        y: fn(&ScenarioCase) -> &Waited,
    ) -> Self {
        let mut points: Vec<_> = cases
            .iter()
            .filter_map(|case| {
                let waited = y(case);
                let mean = waited.mean_ms?;
                let (low, high) = waited.mean.map_or((mean, mean), |it| (it.low, it.high));
                Some((x(case)?, (low, mean, high)))
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { name, points }
    }
}

/// Whether there are two lengths whose latency is known.
pub(super) fn has_lengths(found: &Scenarios) -> bool {
    lengths(found).iter().any(|series| series.points.len() > 1)
}

/// TTFT and E2E of single requests over the length of their prompts, a pair of lines for each server.
fn lengths(found: &Scenarios) -> Vec<Series> {
    let single: Vec<&ScenarioCase> =
        tables::lightest(found).filter(|case| case.is_single()).collect();
    let mut servers: Vec<String> = Vec::new();
    for name in single.iter().map(|case| server(case)) {
        if !servers.contains(&name) {
            servers.push(name);
        }
    }
    let mut series = Vec::new();
    for name in servers {
        let own: Vec<_> = single.iter().copied().filter(|case| server(case) == name).collect();
        let of =
            |what: &str| if name.is_empty() { what.to_owned() } else { format!("{what}, {name}") };
        let input = ScenarioCase::input_tokens;
        series.push(Series::of(of("E2E"), &own, input, |case| &case.case.e2e));
        series.push(Series::of(of("TTFT"), &own, input, |case| &case.case.service_ttft));
    }
    series
}

/// Latencies by the prompt's length.
pub(super) fn by_length(found: &Scenarios) -> Result<(String, String), ReportError> {
    drawn(BY_LENGTH, |svg| {
        let title = "One request at a time: mean latency by the length of its prompt";
        lines(svg, title, "prompt (tokens)", &lengths(found))
    })
}

/// Latency by the requests in flight, a line for each case.
pub(super) fn by_concurrency(found: &Scenarios) -> Result<(String, String), ReportError> {
    let series: Vec<Series> = tables::ladders(found)
        .map(|cases| {
            let server = server(cases[0]);
            let name = name(cases[0]);
            let name = if server.is_empty() { name } else { format!("{name}, {server}") };
            Series::of(
                name,
                &cases,
                |case| case.case.concurrency().map(f64::from),
                |case| &case.case.e2e,
            )
        })
        .collect();
    drawn(BY_CONCURRENCY, |svg| {
        lines(svg, "Mean latency of a request by the requests in flight", "in flight", &series)
    })
}

fn lines(svg: &mut String, title: &str, x_title: &str, all: &[Series]) -> Drawn {
    let colour = |place: usize| COLOURS[place % COLOURS.len()];
    let legend: Vec<(Key, &str)> = all
        .iter()
        .enumerate()
        .map(|(place, one)| (Key::Line(colour(place), Stroke::Solid(2)), one.name.as_str()))
        .collect();
    let sheet = Sheet::new(svg, 420, title, &legend)?;
    let points = || all.iter().flat_map(|one| &one.points);
    let most = |of: fn(&At) -> f64| points().map(of).fold(0.0, f64::max);
    let (x, y) = (Axis::linear(most(|it| it.0) * 1.05), Axis::linear(most(|it| it.1.2) * 1.1));
    let panel = sheet.panel((0, 1), (x, x_title), (y, "latency (ms)"))?;
    for (place, one) in all.iter().enumerate() {
        let line: Vec<_> = one.points.iter().map(|(x, (_, mean, _))| (*x, *mean)).collect();
        panel.line(&line, colour(place), Stroke::Solid(2))?;
        for (x, ends) in &one.points {
            panel.point(*x, *ends, colour(place), Dot::Filled)?;
        }
    }
    sheet.finish()
}
