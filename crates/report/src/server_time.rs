//! Where the time goes, by the server's own word: queue, prefill, decode, and what is left of the
//! client's TTFT; and how full the server was.

use plimsoll_analysis::ServerBreakdown;

use crate::grid::{Column, Grid, Row, state_class};
use crate::ladder::{Ladder, Rung, State};
use crate::numbers::{UNKNOWN, list, milliseconds, percent, plain, three_digits};
use crate::table::{GROWS, NOT_ITS_OWN};
use crate::wording::Fact;

/// How to read the table.
pub(crate) const NOTE: &str = "Means over the measure window by the server's own counters. Queue: from a request's arrival at the engine to its first scheduling; prefill: from there to the first token. Rest: the client's mean time from sent to first token, less both: the network, the server's HTTP side and the client; below 0 where the requests that the server counted in the window are not those that were due in it.";

/// The parts of the TTFT in the order of their time.
pub(crate) const PARTS: [&str; 3] = ["queue", "prefill", "rest"];

/// One bar of the figure: a point with the parts of its TTFT.
pub(crate) struct Bar {
    /// The offered load.
    pub(crate) label: String,
    /// What the point may be shown as.
    pub(crate) state: State,
    /// Its parts in milliseconds, in the order of [`PARTS`], none below 0; `None` where its time is
    /// not known, or not the server's own.
    pub(crate) parts: Option<[f64; 3]>,
}

/// The points of a ladder, as far as the server says where their time went; `None` where it says
/// nothing of any.
pub(crate) fn table(ladder: &Ladder<'_>) -> Option<Grid> {
    const COLUMNS: [Column; 10] = [
        Column::number(["queue", "mean ms"]),
        Column::number(["prefill", "mean ms"]),
        Column::number(["rest", "mean ms"]),
        Column::number(["server TTFT", "mean ms"]),
        Column::number(["decode", "mean ms"]),
        Column::number(["prefix hits", "share"]),
        Column::number(["preemptions", ""]),
        Column::number(["running", "mean"]),
        Column::number(["waiting", "mean"]),
        Column::number(["KV cache", "max"]),
    ];
    if ladder.rungs.iter().all(|rung| rung.point.server.is_none()) {
        return None;
    }
    let mut columns = vec![Column::number(["offered", ladder.axis.unit()])];
    columns.extend(COLUMNS);
    let rows =
        ladder.rungs.iter().map(|rung| Row { class: state_class(rung.state), cells: cells(rung) });
    Some(Grid::of(&columns, rows.collect()))
}

fn cells(rung: &Rung<'_>) -> Vec<String> {
    let nothing = ServerBreakdown::default();
    let server = rung.point.server.as_ref().unwrap_or(&nothing);
    let stable = rung.keeps_up;
    let time = |value: Option<f64>, overloaded: &str| match value {
        Some(value) if stable => in_time(value),
        Some(_) => overloaded.to_owned(),
        None => UNKNOWN.to_owned(),
    };
    let known = |value: Option<f64>, text: fn(f64) -> String| {
        value.filter(|value| value.is_finite()).map_or_else(|| UNKNOWN.to_owned(), text)
    };
    vec![
        mark(rung),
        time(server.queue_ms, GROWS),
        time(server.prefill_ms, NOT_ITS_OWN),
        time(server.rest_ms, NOT_ITS_OWN),
        time(server.server_ttft_ms, GROWS),
        time(server.decode_ms, NOT_ITS_OWN),
        known(server.prefix_hit_share, percent),
        known(server.preemptions, plain),
        known(server.running_mean, three_digits),
        known(server.waiting_mean, three_digits),
        known(server.kv_cache_usage_max, percent),
    ]
}

/// The load of a point, with the mark of a void one.
fn mark(rung: &Rung<'_>) -> String {
    let end = if rung.state == State::Void { " ‡" } else { "" };
    format!("{}{end}", rung.label)
}

/// Milliseconds without their unit, or seconds with it beyond ten; below 0 with its sign.
fn in_time(ms: f64) -> String {
    if !ms.is_finite() {
        return UNKNOWN.to_owned();
    }
    let text = std::time::Duration::try_from_secs_f64(ms.abs() / 1e3)
        .map_or_else(|_| UNKNOWN.to_owned(), milliseconds);
    let is_zero = !text.contains(|c: char| matches!(c, '1'..='9'));
    if ms < 0.0 && !is_zero && text != UNKNOWN { format!("−{text}") } else { text }
}

/// The bars of the figure; `None` where no point's parts are known.
pub(crate) fn bars(ladder: &Ladder<'_>) -> Option<Vec<Bar>> {
    let bars: Vec<_> = ladder
        .rungs
        .iter()
        .map(|rung| Bar {
            label: rung.label.clone(),
            state: rung.state,
            parts: parts(rung).filter(|_| rung.state == State::Stable),
        })
        .collect();
    bars.iter().any(|bar| bar.parts.is_some()).then_some(bars)
}

fn parts(rung: &Rung<'_>) -> Option<[f64; 3]> {
    let server = rung.point.server.as_ref()?;
    let known = |part: Option<f64>| part.filter(|ms| ms.is_finite()).map(|ms| ms.max(0.0));
    let parts = [server.queue_ms, server.prefill_ms, server.rest_ms].map(known);
    // One part that is not known would make a bar that is too low.
    let [Some(queue), Some(prefill), Some(rest)] = parts else { return None };
    Some([queue, prefill, rest])
}

/// What the figure shows, as a sentence: the parts at the lightest and the heaviest stable load.
pub(crate) fn sentence(ladder: &Ladder<'_>, bars: &[Bar]) -> String {
    let largest = |bar: &Bar| {
        let parts = bar.parts?;
        let total: f64 = parts.iter().sum();
        let (place, most) = parts.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        (total > 0.0).then(|| (PARTS[place], most / total))
    };
    let known: Vec<_> = bars.iter().filter_map(|bar| Some((bar, largest(bar)?))).collect();
    let unit = ladder.axis.unit();
    let said = |(bar, (part, share)): &(&Bar, (&str, f64))| {
        format!("{} {part} at {} {unit}", percent((share * 100.0).round() / 100.0), bar.label)
    };
    match known.as_slice() {
        [] => "What the time to the first token is made of".to_owned(),
        [only] => format!("The time to the first token is {}", said(only)),
        [first, .., last] => {
            format!("The time to the first token is {}, {}", said(first), said(last))
        }
    }
}

/// The parts at the heaviest load that the server kept up with, for a form without the table; `None`
/// where none is known.
pub(crate) fn fact(ladder: &Ladder<'_>) -> Option<Fact> {
    let rung = ladder.of_state(State::Stable).filter(|rung| rung.point.server.is_some()).last()?;
    let server = rung.point.server.as_ref()?;
    let parts = [
        ("queue", server.queue_ms),
        ("prefill", server.prefill_ms),
        ("the rest", server.rest_ms),
        ("decode", server.decode_ms),
    ];
    let known: Vec<_> = parts
        .into_iter()
        .filter_map(|(name, ms)| Some(format!("{name} {}", with_unit(ms?)?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let mut more = Vec::new();
    if let Some(share) = server.prefix_hit_share.filter(|share| share.is_finite()) {
        more.push(format!("prefix hits {}", percent(share)));
    }
    if let Some(share) = server.kv_cache_usage_max.filter(|share| share.is_finite()) {
        more.push(format!("KV cache at most {} full", percent(share)));
    }
    let value = format!("at {} {}", rung.label, ladder.axis.unit());
    let note = [list(&known), more.join(", ")];
    let note = note.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    Some(Fact { name: "time goes to", value, interval: String::new(), note })
}

fn with_unit(ms: f64) -> Option<String> {
    let text = in_time(ms);
    match text.as_str() {
        UNKNOWN => None,
        seconds if seconds.ends_with('s') => Some(text),
        _ => Some(format!("{text} ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_turn_to_seconds_and_keep_their_sign() {
        for (ms, text) in [
            (0.0, "0"),
            (1.234, "1.23"),
            (-0.5, "−0.500"),
            (-0.000_01, "0.000"),
            (12_345.0, "12.3 s"),
            (-12_345.0, "−12.3 s"),
            (f64::NAN, "–"),
            (1e300, "–"),
            (-1e300, "–"),
        ] {
            assert_eq!(in_time(ms), text);
        }
        assert_eq!(with_unit(12_345.0).as_deref(), Some("12.3 s"));
        assert_eq!(with_unit(5.0).as_deref(), Some("5.00 ms"));
        assert_eq!(with_unit(f64::INFINITY), None);
    }
}
