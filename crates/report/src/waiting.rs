//! What is said of a ladder in an experiment that asks what users wait for, and not for the capacity.

use std::time::Duration;

use plimsoll_analysis::{LatencySummary, PointSummary};

use crate::ladder::{Ladder, Rung, State, ms};
use crate::numbers::{estimate, in_ms, latency, percent};
use crate::wording::Fact;

/// A latency of a point, with its name.
type Latency = (&'static str, fn(&PointSummary) -> &LatencySummary);

/// The latencies that are said of a ladder.
const LATENCIES: [Latency; 3] =
    [("TTFT", |point| &point.ttft), ("TPOT", |point| &point.tpot), ("E2E", |point| &point.e2e)];

/// The point whose latencies stand for the ladder: its lightest load that the server kept up with.
fn lightest<'a, 'b>(ladder: &'b Ladder<'a>) -> Option<&'b Rung<'a>> {
    ladder.of_state(State::Stable).find(|rung| rung.point.counts.ok > 0)
}

/// What a request waited at the lightest load, in a sentence; `None` where nothing is known of that.
pub(crate) fn headline(ladder: &Ladder<'_>) -> Option<String> {
    let rung = lightest(ladder)?;
    let (first, whole) = (rung.point.ttft.mean?, rung.point.e2e.mean?);
    Some(format!(
        "At {} a request took {} on average, {} of it to its first token.",
        ladder.name_of(rung, false),
        latency(whole),
        latency(first)
    ))
}

/// The mean latencies at the lightest load, and the share within the objectives where there are some.
pub(crate) fn facts(ladder: &Ladder<'_>) -> Vec<Fact> {
    let Some(rung) = lightest(ladder) else { return Vec::new() };
    let fact = |(name, of): Latency| {
        let found = of(rung.point);
        let mean = found.mean?;
        let ends = found.mean_low.zip(found.mean_high);
        Some(Fact::new(
            name,
            latency(mean),
            ends.map_or_else(String::new, |ends| interval(mean, ends)),
            format!("mean at {}", ladder.name_of(rung, false)),
        ))
    };
    let mut facts: Vec<Fact> = LATENCIES.into_iter().filter_map(fact).collect();
    facts.extend(rung.point.goodput.map(|goodput| {
        let [_, low, high] =
            [goodput.share.value, goodput.share.low, goodput.share.high].map(percent);
        Fact::new(
            "within SLO",
            percent(goodput.share.value),
            format!("95 % interval {low} to {high}"),
            format!("of the requests at {}", ladder.name_of(rung, false)),
        )
    }));
    facts
}

/// `95 % interval 183 to 185 ms`.
fn interval(mean: Duration, (low, high): (Duration, Duration)) -> String {
    let all = plimsoll_analysis::Estimate { value: ms(mean), low: ms(low), high: ms(high) };
    let [_, from, to] = estimate(&all);
    if low == high {
        format!("95 % interval {} ms", in_ms(ms(mean)))
    } else {
        format!("95 % interval {from} to {to} ms")
    }
}
