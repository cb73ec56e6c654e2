//! A group as a ladder: its points in order with what each may be shown as, and the marks that the
//! judgement sets on the axis of the offered load. Tables and figures alike are made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_analysis::{Estimate, Group, LatencySummary, PointSummary, Quantile};
use plimsoll_records::OfferedLoad;
use plimsoll_units::RunNanos;

use crate::clean::clean;
use crate::numbers::plain;

/// Samples of a timeline that a figure shows at most; beyond, neighbours are joined.
const TIMELINE_SAMPLES: usize = 500;

/// A group, ready to be shown.
pub(crate) struct Ladder<'a> {
    /// The group's factors in short, `max-num-seqs=16`; empty when there are none.
    pub(crate) label: String,
    /// What the ladder climbs.
    pub(crate) axis: Axis,
    /// Its points with a finite offered load, by rising load.
    pub(crate) rungs: Vec<Rung<'a>>,
    /// What the judgement says of it.
    pub(crate) group: &'a Group,
}

/// What is offered to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Arrivals per second.
    Rate,
    /// Requests in flight, of a closed loop.
    Concurrency,
}

/// The gap between successive outputs that a ladder has: per token, or per chunk where the server did
/// not say how many tokens its chunks carry.
pub(crate) struct Gap {
    /// The stem of its figure's id.
    pub(crate) stem: &'static str,
    /// Its name in a table.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) meaning: &'static str,
    /// The title of its axis.
    pub(crate) axis: &'static str,
    /// Where it stands.
    pub(crate) of: fn(&PointSummary) -> &LatencySummary,
}

const ITL: Gap = Gap {
    stem: "itl",
    name: "ITL",
    meaning: "Gap between output tokens",
    axis: "ITL (ms)",
    of: |point| &point.itl,
};
const CHUNK_GAP: Gap = Gap {
    stem: "chunk-gap",
    name: "chunk gap",
    meaning: "Gap between output chunks",
    axis: "chunk gap (ms)",
    of: |point| &point.chunk_gap,
};

/// One point of a ladder.
pub(crate) struct Rung<'a> {
    /// The offered load: requests per second, or requests in flight.
    pub(crate) load: f64,
    /// The load as text without unit; with its repetition where the ladder was climbed repeatedly.
    pub(crate) label: String,
    /// What it may be shown as.
    pub(crate) state: State,
    /// Whether the server kept up, void or not.
    pub(crate) keeps_up: bool,
    /// Its numbers.
    pub(crate) point: &'a PointSummary,
}

/// What a point may be shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The server kept up.
    Stable,
    /// It did not: latencies are the run's, not the server's.
    Unstable,
    /// An error of the audit voided the point.
    Void,
}

/// A value with the ends of its interval, finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Reading {
    /// The estimate, when all of it is finite.
    pub(crate) fn of(estimate: &Estimate) -> Option<Self> {
        let Estimate { value, low, high } = *estimate;
        [value, low, high].iter().all(|number| number.is_finite()).then_some(Self {
            value,
            low: low.min(value),
            high: high.max(value),
        })
    }

    /// A quantile in milliseconds, when it is known.
    pub(crate) fn milliseconds(quantile: &Quantile) -> Option<Self> {
        let value = ms(quantile.value?);
        let low = quantile.low.map_or(value, ms).min(value);
        let high = quantile.high.map_or(value, ms).max(value);
        Some(Self { value, low, high })
    }
}

/// A span in milliseconds.
pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

impl Axis {
    /// The unit of the load after a number: `20 req/s`, `16 in flight`.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Rate => "req/s",
            Self::Concurrency => "in flight",
        }
    }

    /// The title of an axis.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Rate => "offered rate (req/s)",
            Self::Concurrency => "requests in flight (closed loop)",
        }
    }
}

/// The ladders of every group.
pub(crate) fn ladders(groups: &[Group]) -> Vec<Ladder<'_>> {
    groups.iter().map(Ladder::new).collect()
}

impl<'a> Ladder<'a> {
    fn new(group: &'a Group) -> Self {
        let axis = match group.points.first().map(|point| &point.load) {
            Some(OfferedLoad::Closed { .. }) => Axis::Concurrency,
            _ => Axis::Rate,
        };
        let repeated = group.points.iter().any(|point| point.repetition > 0);
        let mut rungs: Vec<_> = group
            .points
            .iter()
            .filter_map(|point| {
                let load = load_of(point);
                let mut label = plain(load);
                if repeated {
                    label = format!("{label} #{}", u64::from(point.repetition) + 1);
                }
                let (state, keeps_up) = (state_of(group, point), group.keeps_up(point));
                load.is_finite().then_some(Rung { load, label, state, keeps_up, point })
            })
            .collect();
        rungs.sort_by(|a, b| a.load.total_cmp(&b.load));
        Self { label: short_label(&group.factors), axis, rungs, group }
    }

    /// The points of one state.
    pub(crate) fn of_state(&self, state: State) -> impl Iterator<Item = &Rung<'a>> {
        self.rungs.iter().filter(move |rung| rung.state == state)
    }

    /// What a point is called: `20 req/s`, with its group where there are several.
    pub(crate) fn name_of(&self, rung: &Rung<'_>, several: bool) -> String {
        let name = format!("{} {}", rung.label, self.axis.unit());
        if several && !self.label.is_empty() { format!("{name} ({})", self.label) } else { name }
    }

    /// Whether any point has this state.
    pub(crate) fn has(&self, state: State) -> bool {
        self.of_state(state).next().is_some()
    }

    /// The capacity.
    pub(crate) fn capacity(&self) -> Option<Reading> {
        self.group.saturation.capacity_per_s.as_ref().and_then(Reading::of)
    }

    /// The plateau.
    pub(crate) fn plateau(&self) -> Option<Reading> {
        self.group.saturation.plateau_per_s.as_ref().and_then(Reading::of)
    }

    /// The knee.
    pub(crate) fn knee(&self) -> Option<f64> {
        self.group.saturation.knee_per_s.filter(|rate| rate.is_finite())
    }

    /// The SLO capacity.
    pub(crate) fn slo_capacity(&self) -> Option<f64> {
        self.group.saturation.slo_capacity_per_s.filter(|rate| rate.is_finite())
    }

    /// The offered rate from which on the server does not keep up: the capacity, or where that is
    /// not known, the lowest rate of an unstable point. `None` when every point is stable, and in
    /// a closed loop, which has no such region.
    pub(crate) fn unstable_from(&self) -> Option<f64> {
        if self.axis == Axis::Concurrency {
            return None;
        }
        let lowest = self.of_state(State::Unstable).next()?.load;
        let capacity = self.capacity().filter(|_| !self.group.saturation.lower_bound);
        Some(capacity.map_or(lowest, |capacity| capacity.value))
    }

    /// The largest load on the axis, marks included; `None` for a ladder without points.
    pub(crate) fn load_max(&self) -> Option<f64> {
        let rung = self.rungs.last()?.load;
        let marks = match self.axis {
            Axis::Rate => [self.capacity().map(|c| c.high), self.knee(), self.slo_capacity()],
            Axis::Concurrency => [None; 3],
        };
        // A capacity far beyond what was offered would push the points into a corner.
        let marked = marks.into_iter().flatten().filter(|mark| *mark <= rung * 1.5);
        Some(marked.fold(rung, f64::max))
    }

    /// The gap to show: between tokens where any point knows it, else between chunks.
    pub(crate) fn gap(&self) -> Gap {
        if self.rungs.iter().any(|rung| rung.point.itl.n > 0) { ITL } else { CHUNK_GAP }
    }

    /// Mean output tokens of a request over the points that count, weighted by requests.
    pub(crate) fn mean_output_tokens(&self) -> Option<f64> {
        let (mut tokens, mut requests) = (0.0, 0.0);
        for rung in self.rungs.iter().filter(|rung| rung.state != State::Void) {
            if let Some(mean) = rung.point.mean_output_tokens.filter(|mean| mean.is_finite()) {
                let weight = rung.point.counts.ok.max(1) as f64;
                tokens += mean * weight;
                requests += weight;
            }
        }
        (requests > 0.0).then(|| tokens / requests)
    }
}

impl Rung<'_> {
    /// Requests in flight over the point: seconds since its start, requests. Neighbours of a long
    /// timeline are joined to their maximum.
    pub(crate) fn in_flight(&self) -> Vec<(f64, f64)> {
        let timeline = &self.point.timeline;
        let Some(first) = timeline.first() else { return Vec::new() };
        let stride = timeline.len().div_ceil(TIMELINE_SAMPLES);
        timeline
            .chunks(stride)
            .filter_map(|samples| {
                let last = samples.last()?;
                let end = (last.at + last.length) - first.at;
                let most = samples.iter().map(|sample| sample.in_flight).max()?;
                Some((end.as_secs_f64(), most as f64))
            })
            .collect()
    }

    /// Start and end of the measure window in seconds since the point's start.
    pub(crate) fn window(&self) -> (f64, f64) {
        let origin =
            self.point.timeline.first().map_or(self.point.window.start, |sample| sample.at);
        let since = |stamp: RunNanos| (stamp - origin).as_secs_f64();
        (since(self.point.window.start), since(self.point.window.end))
    }

    /// A latency's quantiles, when this point's may be read as the server's.
    pub(crate) fn latency(
        &self,
        of: fn(&PointSummary) -> &LatencySummary,
    ) -> Option<&LatencySummary> {
        (self.state == State::Stable).then(|| of(self.point))
    }
}

/// The offered load of a point in the unit of its axis.
fn load_of(point: &PointSummary) -> f64 {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => rate_per_s,
        OfferedLoad::Closed { concurrency } => f64::from(concurrency),
    }
}

fn state_of(group: &Group, point: &PointSummary) -> State {
    if group.saturation.voided.contains(&point.id) {
        State::Void
    } else if group.keeps_up(point) {
        State::Stable
    } else {
        State::Unstable
    }
}

/// The factors with the last part of their path alone where that is unique.
pub(crate) fn short_label(factors: &BTreeMap<String, String>) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let parts: Vec<_> = factors
        .iter()
        .map(|(path, value)| {
            let short = last(path);
            let unique = factors.keys().filter(|other| last(other) == short).count() == 1;
            format!("{}={}", clean(if unique { &short } else { path }), clean(value))
        })
        .collect();
    parts.join(", ")
}
