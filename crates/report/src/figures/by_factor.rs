//! Figures of several groups in one, a line for each: what a factor does to throughput and to latency.
//! A report that has lines of its own (sizes, runs) draws them with the same functions.

use plimsoll_analysis::{LatencySummary, PointSummary, Quantile};
use plotters::style::RGBColor;

use super::canvas::{
    BLUE, Dot, Drawn, GREEN, GREY, Key, ORANGE, PURPLE, Panel, SKY, Sheet, Stroke, VERMILLION,
};
use crate::axis::Axis;
use crate::ladder::{self, Ladder, Reading, Rung, State, ms};

/// Lines that can be told apart: colours times strokes. Of more the first are drawn.
pub(crate) const MOST: usize = COLOURS.len() * STROKES.len();
const COLOURS: [RGBColor; 6] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY];
const STROKES: [Stroke; 3] = [Stroke::Solid(2), Stroke::Dashed, Stroke::Dotted];

/// A latency of a point.
pub(crate) type Latency = fn(&PointSummary) -> &LatencySummary;

/// A quantile of a latency.
type OfLatency = fn(&LatencySummary) -> Quantile;

/// One line of a figure.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    /// What the legend calls it, cleaned.
    pub(crate) name: &'a str,
    /// Its points.
    pub(crate) ladder: &'a Ladder<'a>,
}

/// A line as it is drawn.
struct Shown<'a> {
    name: &'a str,
    ladder: &'a Ladder<'a>,
    colour: RGBColor,
    stroke: Stroke,
}

impl Shown<'_> {
    /// What is known at each of its points of these states, with its load and its place on the axis.
    fn readings(
        &self,
        states: &[State],
        x: fn(&Rung<'_>) -> f64,
        y: impl Fn(&Rung<'_>) -> Option<Reading>,
    ) -> Vec<Placed> {
        let rungs = self.ladder.rungs.iter().filter(|rung| states.contains(&rung.state));
        rungs
            .filter_map(|rung| {
                Some(Placed { load: rung.load, x: x(rung), y: y(rung)?, state: rung.state })
            })
            .collect()
    }

    /// The points with their intervals, and a line through the means of the repetitions.
    fn draw(&self, panel: &Panel<'_, '_>, points: &[Placed]) -> Drawn {
        let line: Vec<_> = points
            .chunk_by(|a, b| a.load == b.load)
            .map(|same| {
                let mean = |of: fn(&Placed) -> f64| {
                    same.iter().map(of).sum::<f64>() / same.len().max(1) as f64
                };
                (mean(|point| point.x), mean(|point| point.y.value))
            })
            .collect();
        panel.line(&line, self.colour, self.stroke)?;
        for Placed { x, y, state, .. } in points {
            let dot = if *state == State::Stable { Dot::Filled } else { Dot::Hollow };
            panel.point(*x, (y.low, y.value, y.high), self.colour, dot)?;
        }
        Ok(())
    }
}

/// A point of a line.
struct Placed {
    load: f64,
    x: f64,
    y: Reading,
    state: State,
}

/// The lines that are drawn: those that climb the same kind of load as the first, [`MOST`] of them.
pub(crate) fn drawn<'l, 'a>(lines: &'l [Line<'a>]) -> impl Iterator<Item = &'l Line<'a>> {
    let axis = lines.first().map(|line| line.ladder.axis);
    lines.iter().filter(move |line| Some(line.ladder.axis) == axis).take(MOST)
}

fn shown<'a>(lines: &[Line<'a>]) -> Vec<Shown<'a>> {
    let looks = STROKES.into_iter().flat_map(|stroke| COLOURS.map(|colour| (colour, stroke)));
    let shown = drawn(lines).zip(looks).map(|(line, (colour, stroke))| Shown {
        name: line.name,
        ladder: line.ladder,
        colour,
        stroke,
    });
    shown.collect()
}

fn legend<'a>(lines: &[Shown<'a>]) -> Vec<(Key, &'a str)> {
    lines.iter().map(|line| (Key::Line(line.colour, line.stroke), line.name)).collect()
}

/// The axis of the offered load, from 0 to a little beyond the last of these.
fn load_axis(loads: impl Iterator<Item = f64>) -> Axis {
    Axis::linear(loads.fold(0.0, f64::max) * 1.06)
}

fn load_title(lines: &[Shown<'_>]) -> &'static str {
    lines.first().map_or(ladder::Axis::Rate, |line| line.ladder.axis).title()
}

/// Throughput over the offered load, hollow where the server does not keep up. `title` is a sentence.
pub(crate) fn throughput(lines: &[Line<'_>], title: &str, svg: &mut String) -> Drawn {
    let lines = shown(lines);
    let points: Vec<_> = lines
        .iter()
        .map(|line| {
            let known = |rung: &Rung<'_>| Reading::of(&rung.point.throughput_per_s);
            line.readings(&[State::Stable, State::Unstable], |rung| rung.load, known)
        })
        .collect();
    let all = || points.iter().flatten();
    let mut legend = legend(&lines);
    if all().any(|point| point.state == State::Unstable) {
        legend.push((Key::Dot(GREY, Dot::Hollow), "the server does not keep up"));
    }
    let rate = lines.first().is_some_and(|line| line.ladder.axis == ladder::Axis::Rate);
    if rate {
        legend.push((Key::Line(GREY, Stroke::Dashed), "all that is offered"));
    }
    let sheet = Sheet::new(svg, 500, title, &legend)?;
    let x = load_axis(all().map(|point| point.x));
    let y = Axis::linear(all().map(|point| point.y.high).fold(0.0, f64::max) * 1.1);
    let panel = sheet.panel((0, 1), (x, load_title(&lines)), (y, "throughput (req/s)"))?;
    if all().next().is_none() {
        panel.empty("no point counts")?;
    } else if rate {
        let end = x.ends().1.min(y.ends().1);
        panel.line(&[(0.0, 0.0), (end, end)], GREY, Stroke::Dashed)?;
    }
    for (line, points) in lines.iter().zip(&points) {
        line.draw(&panel, points)?;
    }
    sheet.finish()
}

/// Median and 99th percentile of a latency over the offered load, beside each other, of the points
/// that the server kept up with: beyond, it is not the server's. `name` is that of the axes.
pub(crate) fn latency(
    lines: &[Line<'_>],
    name: &str,
    of: Latency,
    title: &str,
    svg: &mut String,
) -> Drawn {
    let lines = shown(lines);
    let sheet = Sheet::new(svg, 450, title, &legend(&lines))?;
    let x = |rung: &Rung<'_>| rung.load;
    let p50 = |rung: &Rung<'_>| of(rung.point).p50;
    let p99 = |rung: &Rung<'_>| of(rung.point).p99;
    panel(&sheet, 0, &lines, (x, load_title(&lines)), (&format!("{name} p50 (ms)"), &p50))?;
    panel(&sheet, 1, &lines, (x, load_title(&lines)), (&format!("{name} p99 (ms)"), &p99))?;
    sheet.finish()
}

/// What throughput costs in latency: the 99th percentiles (else the highest known) of TTFT and of the whole
/// response over the throughput of the points that the server kept up with.
pub(crate) fn trade_off(lines: &[Line<'_>], title: &str, svg: &mut String) -> Drawn {
    let lines = shown(lines);
    // One line needs no name.
    let legend = if lines.len() > 1 { legend(&lines) } else { Vec::new() };
    let sheet = Sheet::new(svg, 450, title, &legend)?;
    let x = |rung: &Rung<'_>| rung.point.throughput_per_s.value;
    let latencies: [(&str, Latency); 2] =
        [("TTFT", |point| &point.ttft), ("E2E", |point| &point.e2e)];
    for (place, (name, of)) in (0..).zip(latencies) {
        let (quantile, value) = highest(&lines, of);
        let y = |rung: &Rung<'_>| value(of(rung.point));
        panel(&sheet, place, &lines, (x, THROUGHPUT), (&format!("{name} {quantile} (ms)"), &y))?;
    }
    sheet.finish()
}

/// The highest quantile that is known at any stable point.
fn highest(lines: &[Shown<'_>], of: Latency) -> (&'static str, OfLatency) {
    const QUANTILES: [(&str, OfLatency); 3] =
        [("p99", |it| it.p99), ("p90", |it| it.p90), ("p50", |it| it.p50)];
    let known = |value: OfLatency| {
        let mut rungs = lines.iter().flat_map(|line| line.ladder.of_state(State::Stable));
        rungs.any(|rung| value(of(rung.point)).value.is_some())
    };
    QUANTILES.into_iter().find(|(_, value)| known(*value)).unwrap_or(QUANTILES[0])
}

const THROUGHPUT: &str = "throughput (req/s)";

/// One of two panels: a quantile of the stable points, on a logarithmic axis.
fn panel(
    sheet: &Sheet<'_>,
    place: i32,
    lines: &[Shown<'_>],
    (x, x_title): (fn(&Rung<'_>) -> f64, &str),
    (y_title, y): (&str, &dyn Fn(&Rung<'_>) -> Quantile),
) -> Drawn {
    let known = |rung: &Rung<'_>| {
        // A logarithmic axis has no place for zero.
        Reading::milliseconds(&y(rung)).filter(|reading| reading.low > 0.0)
    };
    let points: Vec<_> =
        lines.iter().map(|line| line.readings(&[State::Stable], x, known)).collect();
    let all = || points.iter().flatten();
    let y = Axis::logarithmic(all().flat_map(|point| [point.y.low, point.y.high]));
    let x = load_axis(all().map(|point| point.x));
    let panel = sheet.panel((place, 2), (x, x_title), (y, y_title))?;
    if all().next().is_none() {
        panel.empty("not known at any stable point")?;
    }
    for (line, points) in lines.iter().zip(&points) {
        line.draw(&panel, points)?;
    }
    Ok(())
}

/// A point for each line at which they can be held beside each other: at the highest load that the
/// server kept up with in every one of them that has any such load; where they share none, at the
/// lightest of each.
pub(crate) struct Beside<'a> {
    /// That load, where they share one.
    pub(crate) load: Option<f64>,
    /// A point of each line; `None` where the server kept up with none.
    pub(crate) rungs: Vec<Option<&'a Rung<'a>>>,
}

impl<'a> Beside<'a> {
    /// The points of these ladders.
    pub(crate) fn of(ladders: &[&'a Ladder<'a>]) -> Self {
        let at = |ladder: &&'a Ladder<'a>, load: f64| {
            ladder.of_state(State::Stable).find(|rung| rung.load == load)
        };
        let same = ladders.windows(2).all(|two| two[0].axis == two[1].axis);
        let kept_up: Vec<_> = ladders.iter().filter(|it| it.has(State::Stable)).collect();
        let load = kept_up.first().filter(|_| same).and_then(|first| {
            let mut loads: Vec<_> = first.of_state(State::Stable).map(|rung| rung.load).collect();
            loads.reverse();
            loads.into_iter().find(|load| kept_up.iter().all(|it| at(it, *load).is_some()))
        });
        let rungs = ladders
            .iter()
            .map(|ladder| match load {
                Some(load) => at(ladder, load),
                None => ladder.of_state(State::Stable).next(),
            })
            .collect();
        Self { load, rungs }
    }
}

/// The parts of a request's mean time, in their order; the first two and the third are known apart
/// only where the server says so.
const PARTS: [(&str, RGBColor); 4] = [
    ("queue", ORANGE),
    ("prefill", BLUE),
    ("rest of the first token", GREY),
    ("after the first token", GREEN),
];

/// What a mean request's time is made of, a bar for each line: queue, prefill and the rest of the TTFT
/// where every server says so, else the TTFT as one; then what comes after the first token.
pub(crate) fn breakdown(
    names: &[String],
    beside: &Beside<'_>,
    title: &str,
    svg: &mut String,
) -> Drawn {
    let bars: Vec<_> = beside.rungs.iter().map(|rung| rung.and_then(parts)).collect();
    let split = bars.iter().flatten().all(|bar| bar.split.is_some());
    let mut legend = Vec::new();
    for (place, (name, colour)) in PARTS.into_iter().enumerate() {
        match place {
            2 if !split => legend.push((Key::Bar(colour), "to the first token")),
            2 | 3 => legend.push((Key::Bar(colour), name)),
            _ if split => legend.push((Key::Bar(colour), name)),
            _ => {}
        }
    }
    let sheet = Sheet::new(svg, 450, title, &legend)?;
    let highest = bars.iter().flatten().map(|bar| bar.ttft + bar.after).fold(0.0, f64::max);
    let panel = sheet.places(names, "", (Axis::linear(highest * 1.1), "mean time (ms)"))?;
    for (place, bar) in bars.iter().enumerate() {
        let Some(bar) = bar else {
            panel.word(place, "–")?;
            continue;
        };
        let [queue, prefill] = bar.split.filter(|_| split).unwrap_or_default();
        let parts = [queue, prefill, (bar.ttft - queue - prefill).max(0.0), bar.after];
        let mut low = 0.0;
        for (part, (_, colour)) in parts.into_iter().zip(PARTS) {
            panel.bar(place, (low, low + part), colour)?;
            low += part;
        }
    }
    sheet.finish()
}

/// Mean times of a point, milliseconds.
struct Bar {
    ttft: f64,
    after: f64,
    /// Queue and prefill.
    split: Option<[f64; 2]>,
}

fn parts(rung: &Rung<'_>) -> Option<Bar> {
    let (ttft, e2e) = (ms(rung.point.ttft.mean?), ms(rung.point.e2e.mean?));
    let known = |part: Option<f64>| part.filter(|ms| ms.is_finite()).map(|ms| ms.max(0.0));
    let split = rung
        .point
        .server
        .as_ref()
        .and_then(|server| Some([known(server.queue_ms)?, known(server.prefill_ms)?]));
    Some(Bar { ttft, after: (e2e - ttft).max(0.0), split })
}
