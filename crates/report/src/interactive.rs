//! The figures of the HTML report, as specifications for the embedded plotting script. Colours of
//! text and grid are left to the page, which knows whether it is light or dark.

mod axes;
mod parts;
mod sketch;

use plimsoll_analysis::{LatencySummary, PointSummary, Quantile};
use plotly::Scatter;
use plotly::common::{
    Anchor, DashType, ErrorData, ErrorType, Font, HoverInfo, Line, Marker, MarkerSymbol, Mode,
};
use plotly::layout::{Annotation, Axis};

use crate::error::ReportError;
use crate::ladder::{self, Ladder, Reading, Rung, State};
use crate::numbers::{plain, three_digits};
use crate::wording::{
    in_flight_sentence, lag_sentence, latency_sentence, throughput_sentence, trade_off_sentence,
};

use axes::{linear, logarithmic};
use sketch::Sketch;

/// A figure of the page.
pub(crate) struct Figure {
    /// Its id in the page.
    pub(crate) id: String,
    /// What it shows, as a sentence.
    pub(crate) title: String,
    /// How to read its marks.
    pub(crate) note: &'static str,
    /// `{"data": [...], "layout": {...}}`, safe inside a script element.
    pub(crate) spec: String,
    /// Whether it needs the page's whole width.
    pub(crate) wide: bool,
}

// Okabe and Ito, the blue a little lighter so that it reads on a dark page as well.
const BLUE: &str = "#1a80c4";
const SKY: &str = "#56b4e9";
const ORANGE: &str = "#e69f00";
const VERMILLION: &str = "#d55e00";
const GREEN: &str = "#009e73";
const PURPLE: &str = "#b4578c";
const GREY: &str = "#8a939b";

type Latency = fn(&PointSummary) -> &LatencySummary;
type Series = (&'static str, &'static str, fn(&LatencySummary) -> Quantile);

const QUANTILES: [Series; 3] =
    [("p50", BLUE, |l| l.p50), ("p90", ORANGE, |l| l.p90), ("p99", PURPLE, |l| l.p99)];

/// The figures of the `place`-th ladder; none when it has no points.
pub(crate) fn of_ladder(ladder: &Ladder<'_>, place: usize) -> Result<Vec<Figure>, ReportError> {
    if ladder.rungs.is_empty() {
        return Ok(Vec::new());
    }
    let ttft: Latency = |point| &point.ttft;
    let gap = ladder.gap();
    let latencies: [(&str, &str, &str, Latency); 3] = [
        ("tpot", "Time per output token", "TPOT (ms)", |point| &point.tpot),
        (gap.stem, gap.meaning, gap.axis, gap.of),
        ("e2e", "Whole response", "E2E (ms)", |point| &point.e2e),
    ];
    let mut sketches = vec![
        ("saturation", throughput_sentence(ladder), THROUGHPUT_NOTE, saturation(ladder), true),
        (
            "ttft",
            latency_sentence(ladder, "Time to first token", ttft),
            LATENCY_NOTE,
            quantiles(ladder, "TTFT (ms)", ttft, true),
            true,
        ),
    ];
    if let Some((sentence, sketch)) = parts::ttft_parts(ladder) {
        sketches.push(("ttft-parts", sentence, PARTS_NOTE, sketch, true));
    }
    for (id, name, title, latency) in latencies {
        let sentence = latency_sentence(ladder, name, latency);
        sketches.push((id, sentence, "", quantiles(ladder, title, latency, false), false));
    }
    if ladder.of_state(State::Stable).nth(1).is_some() {
        let (sentence, sketch) = (trade_off_sentence(ladder), trade_off(ladder));
        sketches.push(("trade-off", sentence, TRADE_OFF_NOTE, sketch, false));
    }
    sketches.push(("schedule-lag", lag_sentence(ladder), LAG_NOTE, schedule_lag(ladder), false));
    sketches.push((
        "in-flight",
        in_flight_sentence(ladder).to_owned(),
        IN_FLIGHT_NOTE,
        in_flight(ladder),
        true,
    ));
    sketches
        .into_iter()
        .map(|(stem, title, note, sketch, wide)| {
            let id = format!("{stem}-{}", place + 1);
            let spec = sketch
                .encode()
                .map_err(|source| ReportError::Encode { figure: id.clone(), source })?;
            Ok(Figure { id, title, note, spec, wide })
        })
        .collect()
}

const THROUGHPUT_NOTE: &str =
    "Bars: 95 % interval. Shaded: the server does not keep up. Blue band: the plateau's interval.";
const LATENCY_NOTE: &str = "Only where the server keeps up is this its own; hollow grey points grow with the run. Bars: 95 % interval.";
const PARTS_NOTE: &str = "Means of the points that the server kept up with; beyond, shaded, the queue grows with the run. Rest: the network, the server's HTTP side and the client.";
const TRADE_OFF_NOTE: &str =
    "Only points that the server kept up with: what more throughput costs those who wait for it.";
const LAG_NOTE: &str =
    "How late the client sent; far below the TTFT, or the client was part of what was measured.";
const IN_FLIGHT_NOTE: &str =
    "Bold: the measure window. A click on the legend hides a point, a double click shows it alone.";

fn saturation(ladder: &Ladder<'_>) -> Sketch {
    let rate = ladder.axis == ladder::Axis::Rate;
    let x_end = load_end(ladder);
    let throughput = |rung: &Rung<'_>| Reading::of(&rung.point.throughput_per_s);
    let highest = ladder.rungs.iter().filter_map(throughput).map(|reading| reading.high);
    let highest = highest.chain(ladder.plateau().map(|plateau| plateau.high)).fold(0.0, f64::max);
    let y_end = if highest > 0.0 { highest * 1.15 } else { 1.0 };
    let y = linear("throughput (req/s)").range(vec![0.0, y_end]);
    let mut sketch = Sketch::new(load_axis(ladder), y);

    shade_unstable(&mut sketch, ladder);
    if let Some(plateau) = ladder.plateau() {
        sketch.region(false, plateau.low, plateau.high, SKY, 0.3);
        let label = format!("plateau {}", three_digits(plateau.value));
        sketch.notes.push(
            Annotation::new()
                .text(label)
                .show_arrow(false)
                .font(Font::new().color(BLUE))
                .x_ref("paper")
                .x(1.0)
                .x_anchor(Anchor::Right)
                .y(plateau.high)
                .y_anchor(Anchor::Bottom),
        );
    }
    if rate {
        let end = x_end.min(y_end);
        sketch.traces.push(
            Scatter::new(vec![0.0, end], vec![0.0, end])
                .name("all that is offered")
                .mode(Mode::Lines)
                .hover_info(HoverInfo::Skip)
                .line(Line::new().color(GREY).dash(DashType::Dash).width(1.5)),
        );
        marks(&mut sketch, ladder, x_end);
    }
    let valid = ladder.rungs.iter().filter(|rung| rung.state != State::Void);
    let (loads, values) = unzip(&readings(valid, throughput, false));
    sketch.traces.push(
        Scatter::<f64, f64>::new(loads, values)
            .mode(Mode::Lines)
            .show_legend(false)
            .hover_info(HoverInfo::Skip)
            .line(Line::new().color(BLUE).width(2.0)),
    );
    for (state, name, colour, symbol) in [
        (State::Stable, "keeps up", BLUE, MarkerSymbol::Circle),
        (State::Unstable, "does not keep up", VERMILLION, MarkerSymbol::DiamondOpen),
        (State::Void, "voided", GREY, MarkerSymbol::XThinOpen),
    ] {
        let points = readings(ladder.of_state(state), throughput, false);
        if !points.is_empty() {
            sketch.traces.push(
                markers(&points, colour)
                    .name(name)
                    .marker(Marker::new().color(colour).size(10).symbol(symbol))
                    .hover_template(hover("completed", "req/s", ladder)),
            );
        }
    }
    sketch
}

/// Quantiles of a latency over the offered load: of the points where the server keeps up, and for
/// `overload` the median of the others as hollow grey points.
fn quantiles(ladder: &Ladder<'_>, title: &str, latency: Latency, overload: bool) -> Sketch {
    let series: Vec<_> = QUANTILES
        .iter()
        .map(|(name, colour, of)| {
            let known = |rung: &Rung<'_>| Reading::milliseconds(&of(latency(rung.point)));
            (*name, *colour, readings(ladder.of_state(State::Stable), known, overload))
        })
        .collect();
    let median = |rung: &Rung<'_>| Reading::milliseconds(&latency(rung.point).p50);
    let beyond = match overload {
        true => readings(ladder.of_state(State::Unstable), median, true),
        false => Vec::new(),
    };
    let known = series.iter().flat_map(|(.., points)| points);
    let values = known.flat_map(|(_, reading)| [reading.low, reading.high]);
    let y = match overload {
        true => logarithmic(title, values.chain(beyond.iter().map(|(_, reading)| reading.value))),
        false => linear(title),
    };
    let mut sketch = Sketch::new(load_axis(ladder), y);
    shade_unstable(&mut sketch, ladder);
    if series.iter().all(|(.., points)| points.is_empty()) {
        sketch.empty("not known at any stable point");
    }
    for (name, colour, points) in series {
        if !points.is_empty() {
            sketch.traces.push(
                markers(&points, colour)
                    .name(name)
                    .mode(Mode::LinesMarkers)
                    .line(Line::new().color(colour).width(2.0))
                    .marker(Marker::new().color(colour).size(8))
                    .hover_template(hover(name, "ms", ladder)),
            );
        }
    }
    if !beyond.is_empty() {
        let (loads, values) = unzip(&beyond);
        sketch.traces.push(
            Scatter::new(loads, values)
                .name("p50, unstable: grows with the run")
                .mode(Mode::Markers)
                .marker(Marker::new().color(GREY).size(9).symbol(MarkerSymbol::CircleOpen))
                .hover_template(hover("not the server's:", "ms", ladder)),
        );
    }
    sketch
}

/// Quantiles of TTFT and E2E over the throughput of the stable points.
fn trade_off(ladder: &Ladder<'_>) -> Sketch {
    type Curve = (&'static str, &'static str, fn(&PointSummary) -> Quantile);
    const CURVES: [Curve; 4] = [
        ("TTFT p50", SKY, |point| point.ttft.p50),
        ("TTFT p99", BLUE, |point| point.ttft.p99),
        ("E2E p50", ORANGE, |point| point.e2e.p50),
        ("E2E p99", VERMILLION, |point| point.e2e.p99),
    ];
    let curves: Vec<_> = CURVES
        .iter()
        .map(|(name, colour, of)| {
            let known = ladder.of_state(State::Stable).filter_map(|rung| {
                let reading = Reading::milliseconds(&of(rung.point))?;
                Some((rung.point.throughput_per_s.value, reading))
            });
            (*name, *colour, known.filter(|(_, it)| it.low > 0.0).collect::<Vec<_>>())
        })
        .collect();
    let values = curves.iter().flat_map(|(.., points)| points).map(|(_, reading)| reading.value);
    let mut sketch = Sketch::new(linear("throughput (req/s)"), logarithmic("latency (ms)", values));
    if curves.iter().all(|(.., points)| points.is_empty()) {
        sketch.empty("not known at any stable point");
    }
    for (name, colour, points) in curves {
        sketch.traces.push(
            markers(&points, colour)
                .name(name)
                .mode(Mode::LinesMarkers)
                .line(Line::new().color(colour).width(2.0))
                .marker(Marker::new().color(colour).size(8))
                .hover_template(format!(
                    "{name} %{{y:,.4~r}} ms at %{{x:,.4~r}} req/s<extra></extra>"
                )),
        );
    }
    sketch
}

fn schedule_lag(ladder: &Ladder<'_>) -> Sketch {
    const SERIES: [Series; 3] = [
        ("p50", BLUE, |lag| lag.p50),
        ("p99", PURPLE, |lag| lag.p99),
        ("largest", VERMILLION, |lag| Quantile { value: lag.max, low: None, high: None }),
    ];
    let series: Vec<_> = SERIES
        .iter()
        .map(|(name, colour, of)| {
            let known = |rung: &Rung<'_>| Reading::milliseconds(&of(&rung.point.schedule_lag));
            (*name, *colour, readings(ladder.rungs.iter(), known, true))
        })
        .collect();
    let values = series.iter().flat_map(|(.., points)| points).map(|(_, reading)| reading.value);
    let mut sketch = Sketch::new(load_axis(ladder), logarithmic("lag (ms)", values));
    if series.iter().all(|(.., points)| points.is_empty()) {
        sketch.empty("no lag was recorded");
    }
    for (name, colour, points) in series {
        if !points.is_empty() {
            let (loads, values) = unzip(&points);
            sketch.traces.push(
                Scatter::new(loads, values)
                    .name(name)
                    .mode(Mode::LinesMarkers)
                    .line(Line::new().color(colour).width(2.0))
                    .marker(Marker::new().color(colour).size(8))
                    .hover_template(hover(name, "ms", ladder)),
            );
        }
    }
    sketch
}

fn in_flight(ladder: &Ladder<'_>) -> Sketch {
    let x = linear("time since the point's start (s)");
    let y = linear("requests in flight");
    let mut sketch = Sketch::new(x, y);
    let mut known = false;
    for (place, rung) in ladder.rungs.iter().enumerate() {
        let line = rung.in_flight();
        known |= !line.is_empty();
        let (start, end) = rung.window();
        let window: Vec<_> =
            line.iter().copied().filter(|(time, _)| (start..=end).contains(time)).collect();
        let name = format!("{} {}", rung.label, ladder.axis.unit());
        let colour = shade(ladder, place);
        for (points, width, legend) in [(line, 1.0, false), (window, 3.0, true)] {
            let (times, requests) = points.into_iter().unzip();
            sketch.traces.push(
                Scatter::<f64, f64>::new(times, requests)
                    .name(&name)
                    .legend_group(format!("p{place}"))
                    .show_legend(legend)
                    .mode(Mode::Lines)
                    .line(Line::new().color(colour.clone()).width(width))
                    .hover_template(format!(
                        "{name}: %{{y}} in flight at %{{x:.1f}} s<extra></extra>"
                    )),
            );
        }
    }
    if !known {
        sketch.empty("no timeline was recorded");
    }
    sketch
}

/// What is known at each rung; for a logarithmic axis, which has no place for zero, what is above.
fn readings<'r, 'a: 'r>(
    rungs: impl Iterator<Item = &'r Rung<'a>>,
    of: impl Fn(&Rung<'_>) -> Option<Reading>,
    above_zero: bool,
) -> Vec<(f64, Reading)> {
    rungs
        .filter_map(|rung| Some((rung.load, of(rung)?)))
        .filter(|(_, reading)| !above_zero || reading.low > 0.0)
        .collect()
}

fn unzip(points: &[(f64, Reading)]) -> (Vec<f64>, Vec<f64>) {
    points.iter().map(|(load, reading)| (*load, reading.value)).unzip()
}

/// Markers with their intervals.
fn markers(points: &[(f64, Reading)], colour: &'static str) -> Box<Scatter<f64, f64>> {
    let above = points.iter().map(|(_, reading)| reading.high - reading.value).collect();
    let below = points.iter().map(|(_, reading)| reading.value - reading.low).collect();
    let bars = ErrorData::new(ErrorType::Data)
        .symmetric(false)
        .array(above)
        .array_minus(below)
        .color(colour)
        .thickness(1.2)
        .width(4);
    let (loads, values) = unzip(points);
    Scatter::new(loads, values).mode(Mode::Markers).error_y(bars)
}

/// What is shown of a point under the pointer: `p50 41.2 ms at 20 req/s`.
fn hover(name: &str, unit: &str, ladder: &Ladder<'_>) -> String {
    format!("{name} %{{y:,.4~r}} {unit} at %{{x}} {}<extra></extra>", ladder.axis.unit())
}

fn load_end(ladder: &Ladder<'_>) -> f64 {
    let end = ladder.load_max().unwrap_or(1.0) * 1.06;
    if end > 0.0 { end } else { 1.0 }
}

fn load_axis(ladder: &Ladder<'_>) -> Axis {
    linear(ladder.axis.title()).range(vec![0.0, load_end(ladder)])
}

fn shade_unstable(sketch: &mut Sketch, ladder: &Ladder<'_>) {
    if let Some(from) = ladder.unstable_from() {
        sketch.region(true, from, load_end(ladder), VERMILLION, 0.1);
    }
}

/// Capacity, knee and SLO capacity, their labels at different heights so that none covers another.
fn marks(sketch: &mut Sketch, ladder: &Ladder<'_>, x_end: f64) {
    // A label takes about a third of the width on a phone. Knee and SLO capacity stand left of the
    // capacity's line, so do their labels where they have room.
    let has_room_left = |x: f64| x > 0.35 * x_end;
    if let Some(knee) = ladder.knee() {
        let mark = (format!("knee {}", plain(knee)), PURPLE, DashType::Dot);
        sketch.mark(knee, mark, 0.03, !has_room_left(knee));
    }
    if let Some(slo) = ladder.slo_capacity() {
        let mark = (format!("SLO capacity {}", plain(slo)), GREEN, DashType::DashDot);
        sketch.mark(slo, mark, 0.14, !has_room_left(slo));
    }
    if let Some(capacity) = ladder.capacity() {
        let bound = if ladder.group.saturation.lower_bound { "at least " } else { "" };
        if bound.is_empty() {
            sketch.region(true, capacity.low, capacity.high, BLUE, 0.2);
        }
        let label = format!("<b>capacity {bound}{}</b>", three_digits(capacity.value));
        let has_room_right = capacity.value < 0.65 * x_end;
        sketch.mark(capacity.value, (label, BLUE, DashType::Solid), 0.25, has_room_right);
    }
}

/// A colour for the `place`-th point: blue and darker with the load while the server keeps up,
/// from orange to brown beyond, grey when void.
fn shade(ladder: &Ladder<'_>, place: usize) -> String {
    let state = ladder.rungs[place].state;
    let (from, to) = match state {
        State::Stable => ([0x8c, 0xcc, 0xf0], [0x1b, 0x5f, 0x92]),
        State::Unstable => ([0xf0, 0xb0, 0x2a], [0xb0, 0x3f, 0x08]),
        State::Void => return GREY.to_owned(),
    };
    let before = ladder.rungs[..place].iter().filter(|rung| rung.state == state).count();
    let share = before as f64 / (ladder.of_state(state).count().saturating_sub(1).max(1)) as f64;
    let mix = |a: i32, b: i32| (f64::from(a) + f64::from(b - a) * share).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(from[0], to[0]), mix(from[1], to[1]), mix(from[2], to[2]))
}
