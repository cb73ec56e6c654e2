//! The figures of one setting: one number a repetition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plimsoll_records::OfferedLoad;

use crate::saturation::usable;
use crate::{Better, Estimate, Goal, Group, LatencySummary, PointSummary, Stopped, saturation};

/// A figure by repetition.
pub(super) type Figures = BTreeMap<u32, Estimate>;

/// A figure by which settings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComparedFigure {
    /// The capacity, requests per second.
    Capacity,
    /// The highest rate that also meets the SLO, requests per second; known of a search alone, for a ladder
    /// knows it to a rung.
    SloCapacity,
    /// Output tokens per second.
    Throughput,
    /// Requests per second that met every SLO.
    Goodput,
    /// A quantile of a latency, ms: which, and its percent.
    Latency(Wait, u8),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The first token.
    Ttft,
    /// Each token after it.
    Tpot,
    /// Each token after the one before it, pooled over requests.
    Itl,
    /// The whole response.
    E2e,
}

impl ComparedFigure {
    /// The figures of a server that keeps up with its load.
    pub(super) const OF_SERVED: [Self; 13] = {
        use Wait::{E2e, Itl, Tpot, Ttft};
        [
            Self::Goodput,
            Self::Latency(Ttft, 50),
            Self::Latency(Ttft, 90),
            Self::Latency(Ttft, 99),
            Self::Latency(Tpot, 50),
            Self::Latency(Tpot, 90),
            Self::Latency(Tpot, 99),
            Self::Latency(Itl, 50),
            Self::Latency(Itl, 90),
            Self::Latency(Itl, 99),
            Self::Latency(E2e, 50),
            Self::Latency(E2e, 90),
            Self::Latency(E2e, 99),
        ]
    };

    /// Its name: `capacity`, `TTFT p90`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Capacity => "capacity".to_owned(),
            Self::SloCapacity => "SLO capacity".to_owned(),
            Self::Throughput => "throughput".to_owned(),
            Self::Goodput => "goodput".to_owned(),
            Self::Latency(wait, percent) => format!("{} p{percent}", wait.name()),
        }
    }

    /// The unit of its numbers.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Capacity | Self::SloCapacity | Self::Goodput => "req/s",
            Self::Throughput => "tokens/s",
            Self::Latency(..) => "ms",
        }
    }

    /// Which way it gets better.
    #[must_use]
    pub const fn better(self) -> Better {
        match self {
            Self::Latency(..) => Better::Lower,
            _ => Better::Higher,
        }
    }
}

impl Wait {
    /// Its name: `TTFT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
            Self::Itl => "ITL",
            Self::E2e => "E2E",
        }
    }

    const fn of(self, point: &PointSummary) -> &LatencySummary {
        match self {
            Self::Ttft => &point.ttft,
            Self::Tpot => &point.tpot,
            Self::Itl => &point.itl,
            Self::E2e => &point.e2e,
        }
    }
}

/// A load that was offered to several settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ComparedLoad {
    /// Arrivals, requests per second.
    Rate(f64),
    /// Requests in flight of a closed loop.
    Concurrency(u32),
}

impl ComparedLoad {
    fn of(load: &OfferedLoad) -> Self {
        match load {
            OfferedLoad::Open { rate_per_s, .. } => Self::Rate(*rate_per_s),
            OfferedLoad::Closed { concurrency } => Self::Concurrency(*concurrency),
        }
    }

    /// Whether requests arrive whatever the server does.
    pub(super) const fn is_rate(self) -> bool {
        matches!(self, Self::Rate(_))
    }
}

impl fmt::Display for ComparedLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate} req/s"),
            Self::Concurrency(requests) => write!(f, "{requests} in flight"),
        }
    }
}

/// The loads that points of a ladder were offered, rising. Those of a search are no two settings' alike.
pub(super) fn loads(groups: &[Group]) -> Vec<ComparedLoad> {
    let points = groups.iter().filter(|group| group.searches.is_empty()).flat_map(|it| &it.points);
    let mut loads: Vec<ComparedLoad> = Vec::new();
    for load in points.map(|point| ComparedLoad::of(&point.load)) {
        if !loads.contains(&load) {
            loads.push(load);
        }
    }
    let size = |load: &ComparedLoad| match load {
        ComparedLoad::Rate(rate) => *rate,
        ComparedLoad::Concurrency(requests) => f64::from(*requests),
    };
    loads.sort_by(|a, b| size(a).total_cmp(&size(b)));
    loads
}

/// How a setting fared at one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no point there that counts.
    Absent,
    /// It kept up.
    KeepsUp,
    /// It did not, in one repetition at least.
    Behind,
}

/// The repetitions in which a group has a point at `load` that counts.
pub(super) fn repetitions(group: &Group, load: ComparedLoad) -> BTreeSet<u32> {
    at(group, load).map(|point| point.repetition).collect()
}

/// How `group` fared at `load`. At a load that is certainly below the capacity a minority of windows that test
/// otherwise is the chance that every test leaves: the load is kept up with in all of them.
pub(super) fn standing(group: &Group, load: ComparedLoad) -> Standing {
    let (behind, of) = behind(group, load);
    match behind {
        _ if of == 0 => Standing::Absent,
        0 => Standing::KeepsUp,
        _ if is_below_capacity(group, load) && 2 * behind < of => Standing::KeepsUp,
        _ => Standing::Behind,
    }
}

/// At how many of its points at `load` that count the group did not keep up by their own tests, and of how many.
pub(super) fn behind(group: &Group, load: ComparedLoad) -> (usize, usize) {
    at(group, load)
        .fold((0, 0), |(behind, of), point| (behind + usize::from(!group.keeps_up(point)), of + 1))
}

fn is_below_capacity(group: &Group, load: ComparedLoad) -> bool {
    let capacity = group.saturation.capacity_per_s.filter(|_| !group.saturation.lower_bound);
    match (load, capacity) {
        (ComparedLoad::Rate(rate), Some(capacity)) => rate < capacity.low,
        _ => false,
    }
}

/// The points at one load that count.
fn at(group: &Group, load: ComparedLoad) -> impl Iterator<Item = &PointSummary> {
    usable(&group.points, &group.saturation.voided)
        .filter(move |point| ComparedLoad::of(&point.load) == load)
}

/// The figure of each repetition that has it, with its own interval. A quantile's is that of order
/// statistics, which takes neighbours for strangers: the spread between repetitions has to say the rest.
pub(super) fn figures_of(
    group: &Group,
    figure: ComparedFigure,
    load: Option<ComparedLoad>,
) -> Figures {
    let positive = |one: &Estimate| {
        one.value > 0.0 && [one.value, one.low, one.high].iter().all(|it| it.is_finite())
    };
    let kept = |found: Figures| found.into_iter().filter(|(_, one)| positive(one)).collect();
    let Some(load) = load else { return kept(capacities(group, figure)) };
    let points = at(group, load);
    kept(points.filter_map(|point| Some((point.repetition, at_point(point, figure)?))).collect())
}

fn at_point(point: &PointSummary, figure: ComparedFigure) -> Option<Estimate> {
    match figure {
        ComparedFigure::Throughput => Some(point.output_tokens_per_s),
        ComparedFigure::Goodput => {
            let good = point.goodput.filter(|good| good.good > 0)?;
            let share = Estimate::around(good.share.value, 1.96 * good.share_error);
            Some(share.scaled(good.per_s / good.share.value))
        }
        ComparedFigure::Latency(wait, percent) => {
            let of = wait.of(point);
            let quantile = match percent {
                50 => of.p50,
                90 => of.p90,
                _ => of.p99,
            };
            let ms = |span: std::time::Duration| span.as_secs_f64() * 1e3;
            Some(Estimate {
                value: ms(quantile.value?),
                low: ms(quantile.low?),
                high: ms(quantile.high?),
            })
        }
        ComparedFigure::Capacity | ComparedFigure::SloCapacity => None,
    }
}

/// Whether the figure of a group is a lower bound in any repetition: it was never offered enough.
pub(super) fn lower_bound(group: &Group, figure: ComparedFigure) -> bool {
    match figure {
        ComparedFigure::Capacity | ComparedFigure::SloCapacity => {
            let found = bounded(group, figure);
            found.iter().any(|(_, _, lower_bound)| *lower_bound)
        }
        _ => false,
    }
}

fn capacities(group: &Group, figure: ComparedFigure) -> Figures {
    bounded(group, figure).into_iter().map(|(repetition, one, _)| (repetition, one)).collect()
}

/// The capacity by each complete repetition alone, and whether it is a lower bound.
fn bounded(group: &Group, figure: ComparedFigure) -> Vec<(u32, Estimate, bool)> {
    if !group.searches.is_empty() {
        let wanted = |goal| (goal == Goal::Capacity) == (figure == ComparedFigure::Capacity);
        let searches = group.searches.iter().filter(|search| wanted(search.config.goal));
        let complete = searches.filter(|search| search.found.stopped != Stopped::Interrupted);
        return complete
            .filter_map(|it| Some((it.repetition, it.found.capacity_per_s?, it.found.lower_bound)))
            .collect();
    }
    if figure != ComparedFigure::Capacity {
        return Vec::new();
    }
    let mut ladders: BTreeMap<u32, Vec<PointSummary>> = BTreeMap::new();
    for point in usable(&group.points, &[]) {
        ladders.entry(point.repetition).or_default().push(point.clone());
    }
    // Half a ladder has another capacity than a whole one.
    let rungs = ladders.values().map(Vec::len).max().unwrap_or_default();
    ladders
        .into_iter()
        .filter(|(_, ladder)| ladder.len() == rungs)
        .filter_map(|(repetition, ladder)| {
            let voided = &group.saturation.voided;
            let found = saturation(&ladder, voided);
            // Without the rung that was to saturate the server, the others bound nothing.
            let is_whole = !ladder.iter().any(|point| voided.contains(&point.id));
            let counts = is_whole || !found.lower_bound;
            Some((repetition, found.capacity_per_s.filter(|_| counts)?, found.lower_bound))
        })
        .collect()
}
