//! The figures that a gate may name, called as in the JSON of a report.

use plimsoll_analysis::{Estimate, Goal, LatencySummary, PointSummary, Quantile};

use super::GateError;
use crate::ladder::{Ladder, ms};

/// A figure, and which end of its interval counts.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    name: String,
    pub(super) of: Of,
    end: End,
}

/// Where a figure stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// The verdict of the run.
    Run,
    /// Of each group of points.
    Group(fn(&Ladder<'_>) -> Option<Span>),
    /// Of each point; `kept_up` where it is the server's only if that kept up.
    Point { kept_up: bool, read: Read },
}

/// How it is read of a point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Plain(fn(&PointSummary) -> Option<Span>),
    Latency(fn(&PointSummary) -> &LatencySummary, fn(&LatencySummary) -> Option<Span>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Interval,
    Value,
    Low,
    High,
}

/// A value with its interval; without one, all three are the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What is known of a figure somewhere.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Where: `at 20 req/s (max-num-seqs=16)`; empty where there is only one place.
    pub(super) at: String,
    pub(super) span: Option<Span>,
    /// Why it is not known.
    pub(super) why: &'static str,
}

type OfGroup = (&'static str, fn(&Ladder<'_>) -> Option<Span>);
type OfPoint = (&'static str, bool, fn(&PointSummary) -> Option<Span>);
type OfLatency = (&'static str, fn(&PointSummary) -> &LatencySummary);
type Statistic = (&'static str, fn(&LatencySummary) -> Option<Span>);

const VERDICT: &str = "verdict";
const GROUP: [OfGroup; 4] = [
    ("capacity_per_s", capacity),
    ("slo_capacity_per_s", slo_capacity),
    ("plateau_per_s", |ladder| Span::of(ladder.group.saturation.plateau_per_s?)),
    ("knee_per_s", |ladder| Span::exactly(ladder.group.saturation.knee_per_s?)),
];
/// Each with whether it is the server's only where that kept up.
const POINT: [OfPoint; 7] = [
    ("throughput_per_s", false, |point| Span::of(point.throughput_per_s)),
    ("output_tokens_per_s", false, |point| Span::of(point.output_tokens_per_s)),
    ("input_tokens_per_s", false, |point| Span::exactly(point.input_tokens_per_s?)),
    ("achieved_rate_per_s", false, |point| Span::exactly(point.achieved_rate_per_s)),
    ("failed", false, |point| Span::exactly(point.counts.failed as f64)),
    ("goodput_share", true, |point| Span::of(point.goodput?.share)),
    ("goodput_per_s", true, |point| Span::exactly(point.goodput?.per_s)),
];
const LATENCIES: [OfLatency; 7] = [
    ("ttft_ms", |point| &point.ttft),
    ("service_ttft_ms", |point| &point.service_ttft),
    ("tpot_ms", |point| &point.tpot),
    ("itl_ms", |point| &point.itl),
    ("chunk_gap_ms", |point| &point.chunk_gap),
    ("e2e_ms", |point| &point.e2e),
    ("schedule_lag_ms", |point| &point.schedule_lag),
];
const STATISTICS: [Statistic; 5] = [
    ("mean", |latency| Span::exactly(ms(latency.mean?))),
    ("p50", |latency| Span::quantile(latency.p50)),
    ("p90", |latency| Span::quantile(latency.p90)),
    ("p99", |latency| Span::quantile(latency.p99)),
    ("max", |latency| Span::exactly(ms(latency.max?))),
];

impl Span {
    fn exactly(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self { value, low: value, high: value })
    }

    fn of(Estimate { value, low, high }: Estimate) -> Option<Self> {
        let finite = [value, low, high].iter().all(|number| number.is_finite());
        finite.then_some(Self { value, low: low.min(value), high: high.max(value) })
    }

    /// In milliseconds.
    fn quantile(quantile: Quantile) -> Option<Self> {
        let value = ms(quantile.value?);
        let (low, high) = (quantile.low.map_or(value, ms), quantile.high.map_or(value, ms));
        Self::of(Estimate { value, low, high })
    }
}

fn capacity(ladder: &Ladder<'_>) -> Option<Span> {
    let span = Span::of(ladder.group.saturation.capacity_per_s?)?;
    Some(match ladder.group.saturation.lower_bound {
        true => Span { low: span.value, high: f64::INFINITY, ..span },
        false => span,
    })
}

/// With the interval of the search that found it, where that is one.
fn slo_capacity(ladder: &Ladder<'_>) -> Option<Span> {
    let value = ladder.group.saturation.slo_capacity_per_s?;
    let mut searches = ladder.group.searches.iter().filter(|it| it.config.goal != Goal::Capacity);
    match (searches.next(), searches.next()) {
        (Some(only), None) if !only.found.lower_bound => Span::of(only.found.capacity_per_s?),
        (Some(only), None) if only.found.lower_bound => {
            Some(Span { value, low: value, high: f64::INFINITY })
        }
        _ => Span::exactly(value),
    }
}

impl Figure {
    /// The figure of this name.
    pub(super) fn of(given: &str) -> Result<Self, GateError> {
        let ends = [("value", End::Value), ("low", End::Low), ("high", End::High)];
        let ended = given.rsplit_once('.').and_then(|(name, end)| {
            ends.iter().find(|(word, _)| *word == end).map(|(_, end)| (name, *end))
        });
        let (name, end) = ended.unwrap_or((given, End::Interval));
        let unknown = || GateError::UnknownFigure { given: given.to_owned() };
        let of = match name {
            VERDICT if end == End::Interval => Of::Run,
            _ => of_group(name)
                .or_else(|| of_point(name))
                .or_else(|| of_latency(name))
                .ok_or_else(unknown)?,
        };
        Ok(Self { name: given.to_owned(), of, end })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn is_verdict(&self) -> bool {
        matches!(self.of, Of::Run)
    }

    pub(super) fn is_capacity(&self) -> bool {
        matches!(self.of, Of::Group(_))
    }

    /// The end of an interval that counts.
    pub(super) fn end(&self, span: Span) -> Span {
        let only = |value| Span { value, low: value, high: value };
        match self.end {
            End::Interval => span,
            End::Value => only(span.value),
            End::Low => only(span.low),
            End::High => only(span.high),
        }
    }

    /// What a point says of it, if it is one of points.
    pub(super) fn read(&self, point: &PointSummary) -> Option<Span> {
        let span = match self.of {
            Of::Point { read: Read::Plain(read), .. } => read(point),
            Of::Point { read: Read::Latency(of, read), .. } => read(of(point)),
            Of::Run | Of::Group(_) => None,
        };
        span.map(|span| self.end(span))
    }
}

fn of_group(name: &str) -> Option<Of> {
    GROUP.iter().find(|(known, _)| *known == name).map(|(_, read)| Of::Group(*read))
}

fn of_point(name: &str) -> Option<Of> {
    let (_, kept_up, read) = POINT.iter().find(|(known, ..)| *known == name)?;
    Some(Of::Point { kept_up: *kept_up, read: Read::Plain(*read) })
}

fn of_latency(name: &str) -> Option<Of> {
    let (latency, statistic) = name.split_once('.')?;
    let (name, of) = LATENCIES.iter().find(|(known, _)| *known == latency)?;
    let (_, read) = STATISTICS.iter().find(|(known, _)| *known == statistic)?;
    // How late the client sent is the client's, whatever the server did.
    Some(Of::Point { kept_up: *name != "schedule_lag_ms", read: Read::Latency(*of, *read) })
}

/// Every figure, for an error and for the help.
pub(super) fn names() -> String {
    let statistics = STATISTICS.map(|(name, _)| name).join(",");
    let groups = GROUP.iter().map(|(name, _)| (*name).to_owned());
    let points = POINT.iter().map(|(name, ..)| (*name).to_owned());
    let latencies = LATENCIES.iter().map(|(name, _)| format!("{name}.{{{statistics}}}"));
    let all: Vec<_> =
        std::iter::once(VERDICT.to_owned()).chain(groups).chain(points).chain(latencies).collect();
    all.join(", ")
}
