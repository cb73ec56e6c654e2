//! The figures of a ladder over its load and over time.

use plimsoll_analysis::{LatencySummary, PointSummary, Quantile};
use plotters::style::RGBColor;

use super::by_factor::{self, Line};
use super::canvas::{
    BLUE, Dot, Drawn, GREEN, GREY, Key, ORANGE, PURPLE, Panel, SKY, Sheet, Side, Stroke, VERMILLION,
};
use crate::axis::Axis;
use crate::ladder::{self, Ladder, Reading, Rung, State, ms};
use crate::numbers::{plain, three_digits};
use crate::wording::{
    in_flight_sentence, lag_sentence, latency_sentence, throughput_sentence, trade_off_sentence,
};

const HEIGHT: i32 = 500;

/// A latency of a point.
type Latency = fn(&PointSummary) -> &LatencySummary;
/// A quantile, its name and its colour.
type Series = (&'static str, RGBColor, fn(&LatencySummary) -> Option<Reading>);

const QUANTILES: [Series; 3] = [
    ("p50", BLUE, |latency| Reading::milliseconds(&latency.p50)),
    ("p90", ORANGE, |latency| Reading::milliseconds(&latency.p90)),
    ("p99", PURPLE, |latency| Reading::milliseconds(&latency.p99)),
];

/// Throughput over the offered load.
pub(super) fn saturation(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let rate = ladder.axis == ladder::Axis::Rate;
    let readings: Vec<_> = ladder
        .rungs
        .iter()
        .filter_map(|rung| Some((rung, Reading::of(&rung.point.throughput_per_s)?)))
        .collect();
    let highest = readings.iter().map(|(_, reading)| reading.high).fold(0.0, f64::max);
    let highest = ladder.plateau().map_or(highest, |plateau| plateau.high.max(highest));

    let mut legend = Vec::new();
    for (state, key, name) in [
        (State::Stable, Key::Dot(BLUE, Dot::Filled), "the server keeps up"),
        (State::Unstable, Key::Dot(VERMILLION, Dot::Hollow), "it does not"),
        (State::Void, Key::Dot(GREY, Dot::Hollow), "voided by the audit"),
    ] {
        if ladder.has(state) {
            legend.push((key, name));
        }
    }
    if rate {
        legend.push((Key::Line(GREY, Stroke::Dashed), "all that is offered is completed"));
    }
    if ladder.plateau().is_some() {
        legend.push((Key::Area(SKY), "plateau, 95 % interval"));
    }
    if ladder.unstable_from().is_some() {
        legend.push((Key::Area(VERMILLION), "unstable"));
    }
    let sheet = Sheet::new(svg, HEIGHT, &throughput_sentence(ladder), &legend)?;
    let x = load_axis(ladder);
    let y = Axis::linear(highest * 1.15);
    let panel = sheet.panel((0, 1), (x, ladder.axis.title()), (y, "throughput (req/s)"))?;
    shade_unstable(&panel, ladder, x)?;
    if let Some(plateau) = ladder.plateau() {
        panel.band(plateau.low, plateau.high, SKY)?;
        panel.note(&format!("plateau {}", three_digits(plateau.value)), plateau.high, BLUE)?;
    }
    if rate {
        let end = x.ends().1.min(y.ends().1);
        panel.line(&[(0.0, 0.0), (end, end)], GREY, Stroke::Dashed)?;
    }
    marks(&panel, ladder)?;
    let line: Vec<_> = readings
        .iter()
        .filter(|(rung, _)| rung.state != State::Void)
        .map(|(rung, reading)| (rung.load, reading.value))
        .collect();
    panel.line(&line, BLUE, Stroke::Solid(2))?;
    for (rung, Reading { value, low, high }) in readings {
        let (colour, dot) = look(rung.state);
        panel.point(rung.load, (low, value, high), colour, dot)?;
    }
    sheet.finish()
}

/// Time to first token over the offered load.
pub(super) fn ttft(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let latency: Latency = |point| &point.ttft;
    let mut legend = quantile_legend();
    if ladder.has(State::Unstable) {
        legend.push((Key::Dot(GREY, Dot::Hollow), "p50 of unstable points: grows with the run"));
    }
    let sheet = Sheet::new(
        svg,
        HEIGHT,
        &latency_sentence(ladder, "Time to first token", latency),
        &legend,
    )?;
    quantiles(&sheet, (0, 1), ladder, "TTFT (ms, logarithmic)", latency, true)?;
    sheet.finish()
}

/// TPOT, ITL (else the gap between chunks) and E2E over the offered load, beside each other.
pub(super) fn latency(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let gap = ladder.gap();
    let panels: [(&str, Latency); 3] =
        [("TPOT (ms)", |point| &point.tpot), (gap.axis, gap.of), ("E2E (ms)", |point| &point.e2e)];
    let sentence = format!(
        "Where the server keeps up: time per output token, {}, whole response",
        gap.meaning.to_lowercase()
    );
    let sheet = Sheet::new(svg, 420, &sentence, &quantile_legend())?;
    for (place, (title, latency)) in (0..).zip(panels) {
        quantiles(&sheet, (place, 3), ladder, title, latency, false)?;
    }
    sheet.finish()
}

/// What throughput costs in latency.
pub(super) fn trade_off(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let line = Line { name: &ladder.label, ladder };
    by_factor::trade_off(&[line], &trade_off_sentence(ladder), svg)
}

/// How late the client sent, over the offered load.
pub(super) fn schedule_lag(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    const SERIES: [Series; 3] = [
        ("p50", BLUE, |lag| Reading::milliseconds(&lag.p50)),
        ("p99", PURPLE, |lag| Reading::milliseconds(&lag.p99)),
        ("largest", VERMILLION, |lag| {
            Reading::milliseconds(&Quantile { value: lag.max, low: None, high: None })
        }),
    ];
    let mut legend: Vec<_> =
        SERIES.iter().map(|(name, colour, _)| (Key::Dot(*colour, Dot::Filled), *name)).collect();
    legend.push((Key::Line(GREY, Stroke::Dotted), "1 ms"));
    let sheet = Sheet::new(svg, 400, &lag_sentence(ladder), &legend)?;
    let x = load_axis(ladder);
    let lag = |rung: &Rung<'_>, (_, _, of): &Series| of(&rung.point.schedule_lag);
    let values = ladder
        .rungs
        .iter()
        .flat_map(|rung| SERIES.iter().filter_map(|s| Some(lag(rung, s)?.value)));
    let y = Axis::logarithmic(values.chain([1.0]));
    let panel =
        sheet.panel((0, 1), (x, ladder.axis.title()), (y, "schedule lag (ms, logarithmic)"))?;
    panel.level(1.0, GREY, Stroke::Dotted)?;
    for series in &SERIES {
        let readings: Vec<_> =
            ladder.rungs.iter().filter_map(|rung| Some((rung.load, lag(rung, series)?))).collect();
        connected(&panel, &readings, series.1)?;
    }
    sheet.finish()
}

/// Requests in flight over the time of each point.
pub(super) fn in_flight(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let colours = shades(ladder);
    let names: Vec<_> =
        ladder.rungs.iter().map(|rung| format!("{} {}", rung.label, ladder.axis.unit())).collect();
    let mut legend: Vec<_> = names
        .iter()
        .zip(&colours)
        .map(|(name, colour)| (Key::Line(*colour, Stroke::Solid(3)), name.as_str()))
        .collect();
    legend.push((Key::Line(GREY, Stroke::Solid(3)), "bold: measure window"));
    let sheet = Sheet::new(svg, HEIGHT, in_flight_sentence(ladder), &legend)?;
    let lines: Vec<_> = ladder.rungs.iter().map(Rung::in_flight).collect();
    let most = |of: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(of).fold(0.0, f64::max);
    let x = Axis::linear(most(|(time, _)| *time));
    let y = Axis::linear(most(|(_, requests)| *requests) * 1.08);
    let panel =
        sheet.panel((0, 1), (x, "time since the point's start (s)"), (y, "requests in flight"))?;
    if lines.iter().all(Vec::is_empty) {
        panel.empty("no timeline was recorded")?;
    }
    for ((rung, line), colour) in ladder.rungs.iter().zip(&lines).zip(&colours) {
        panel.line(line, *colour, Stroke::Solid(1))?;
        let (start, end) = rung.window();
        let window: Vec<_> =
            line.iter().copied().filter(|(time, _)| (start..=end).contains(time)).collect();
        panel.line(&window, *colour, Stroke::Solid(3))?;
    }
    sheet.finish()
}

/// The quantiles of one latency over the offered load. Only where the server keeps up are they its
/// own; `overload` shows the median beyond as hollow grey points.
fn quantiles(
    sheet: &Sheet<'_>,
    place: (i32, i32),
    ladder: &Ladder<'_>,
    title: &str,
    latency: Latency,
    overload: bool,
) -> Drawn {
    let series: Vec<(RGBColor, Vec<(f64, Reading)>)> = QUANTILES
        .iter()
        .map(|(_, colour, of)| {
            let readings = ladder
                .of_state(State::Stable)
                .filter_map(|rung| Some((rung.load, of(latency(rung.point))?)));
            (*colour, readings.collect())
        })
        .collect();
    let beyond: Vec<_> = ladder
        .of_state(State::Unstable)
        .filter(|_| overload)
        .filter_map(|rung| Some((rung.load, ms(latency(rung.point).p50.value?))))
        .collect();
    let known = series.iter().flat_map(|(_, readings)| readings);
    let values = known.flat_map(|(_, reading)| [reading.low, reading.high]);
    let values = values.chain(beyond.iter().map(|(_, value)| *value));
    let x = load_axis(ladder);
    let y = if overload {
        Axis::logarithmic(values)
    } else {
        Axis::linear(values.fold(0.0, f64::max) * 1.1)
    };
    let panel = sheet.panel(place, (x, ladder.axis.title()), (y, title))?;
    shade_unstable(&panel, ladder, x)?;
    if series.iter().all(|(_, readings)| readings.is_empty()) {
        panel.empty("not known at any stable point")?;
    }
    for (colour, readings) in &series {
        connected(&panel, readings, *colour)?;
    }
    for (load, value) in beyond {
        panel.point(load, (value, value, value), GREY, Dot::Hollow)?;
    }
    Ok(())
}

/// Points with their intervals and a line through them.
fn connected(panel: &Panel<'_, '_>, readings: &[(f64, Reading)], colour: RGBColor) -> Drawn {
    let line: Vec<_> = readings.iter().map(|(load, reading)| (*load, reading.value)).collect();
    panel.line(&line, colour, Stroke::Solid(2))?;
    for (load, Reading { value, low, high }) in readings {
        panel.point(*load, (*low, *value, *high), colour, Dot::Filled)?;
    }
    Ok(())
}

fn quantile_legend() -> Vec<(Key, &'static str)> {
    QUANTILES.iter().map(|(name, colour, _)| (Key::Dot(*colour, Dot::Filled), *name)).collect()
}

/// The axis of the offered load, from 0 to a little beyond the last point.
fn load_axis(ladder: &Ladder<'_>) -> Axis {
    Axis::linear(ladder.load_max().unwrap_or(1.0) * 1.06)
}

fn shade_unstable(panel: &Panel<'_, '_>, ladder: &Ladder<'_>, x: Axis) -> Drawn {
    match ladder.unstable_from() {
        Some(from) => panel.shade(from, x.ends().1, VERMILLION, 0.08),
        None => Ok(()),
    }
}

/// Capacity, knee and SLO capacity, their labels at different heights so that none covers another.
fn marks(panel: &Panel<'_, '_>, ladder: &Ladder<'_>) -> Drawn {
    if ladder.axis != ladder::Axis::Rate {
        return Ok(());
    }
    if let Some(knee) = ladder.knee() {
        let label = format!("knee {}", plain(knee));
        panel.mark(knee, &label, (PURPLE, Stroke::Dotted), (0.06, Side::Left))?;
    }
    if let Some(slo) = ladder.slo_capacity() {
        let label = format!("SLO capacity {}", plain(slo));
        panel.mark(slo, &label, (GREEN, Stroke::Dashed), (0.16, Side::Left))?;
    }
    if let Some(capacity) = ladder.capacity() {
        let bound = if ladder.group.saturation.lower_bound { "at least " } else { "" };
        let label = format!("capacity {bound}{}", three_digits(capacity.value));
        if !ladder.group.saturation.lower_bound {
            panel.shade(capacity.low, capacity.high, BLUE, 0.18)?;
        }
        panel.mark(capacity.value, &label, (BLUE, Stroke::Solid(2)), (0.26, Side::Right))?;
    }
    Ok(())
}

const fn look(state: State) -> (RGBColor, Dot) {
    match state {
        State::Stable => (BLUE, Dot::Filled),
        State::Unstable => (VERMILLION, Dot::Hollow),
        State::Void => (GREY, Dot::Hollow),
    }
}

/// A colour for each point: blue and darker with the load while the server keeps up, from orange
/// to brown beyond, grey when void.
fn shades(ladder: &Ladder<'_>) -> Vec<RGBColor> {
    let mut seen = [0_usize; 2];
    let total = [State::Stable, State::Unstable].map(|state| ladder.of_state(state).count());
    ladder
        .rungs
        .iter()
        .map(|rung| {
            let (kind, from, to) = match rung.state {
                State::Stable => (0, RGBColor(0x7c, 0xc4, 0xee), RGBColor(0x00, 0x40, 0x70)),
                State::Unstable => (1, ORANGE, RGBColor(0x9a, 0x30, 0x00)),
                State::Void => return GREY,
            };
            let share = seen[kind] as f64 / total[kind].saturating_sub(1).max(1) as f64;
            seen[kind] += 1;
            let mix =
                |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
            RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
        })
        .collect()
}
