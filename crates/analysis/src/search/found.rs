//! What a search has found.

use std::fmt;
use std::time::Duration;

use super::{Goal, ProbeResult, SearchConfig, attainment, bracket, plateau, plateau::Plateau};
use crate::Estimate;

/// Half widths of the difference by which a fall must be beyond doubt: it is the lowest of several.
const SURE: f64 = 2.0;

/// Least share lost that is told: the lowest of several throughputs is a little low by chance.
const LEAST_FALL: f64 = 0.05;

/// What a search has found, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The capacity in requests per second with its interval; `None` when no probe passed, and none
    /// that failed got anything through.
    pub capacity_per_s: Option<Estimate>,
    /// Whether nothing bounded it from above: it is then at least the value, and no interval.
    pub lower_bound: bool,
    /// Why the search ended.
    pub stopped: Stopped,
    /// The peak and the fall of a server that does less under overload than at its capacity.
    pub peak_and_fall: Option<PeakAndFall>,
    /// Every probe, in the order in which they were made.
    pub probes: Vec<ProbeResult>,
    /// Requests of all probes, warm-up and drain included.
    pub requests: u64,
    /// Time of all probes, warm-up and drain included.
    pub time: Duration,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stopped {
    /// The interval is as narrow as was asked for, and confirmed.
    Precision,
    /// The time is spent; the interval is as wide as it is.
    Time,
    /// The requests are spent; the interval is as wide as it is.
    Requests,
    /// The range ended before the capacity was bounded.
    RangeEnd,
    /// The server gave too many answers that contradict each other.
    Undecided,
    /// The audit voided one and the same probe three times.
    Void,
    /// Nobody made the next probe: the run was interrupted, or lost its target.
    Interrupted,
}

impl Stopped {
    /// The word for it in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Precision => "precision",
            Self::Time => "time",
            Self::Requests => "requests",
            Self::RangeEnd => "range-end",
            Self::Undecided => "undecided",
            Self::Void => "void",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Stopped {
    /// Why it ended, as a half-sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Precision => "it ended because the interval was as narrow as was asked for",
            Self::Time => "it ended because its time was spent",
            Self::Requests => "it ended because its requests were spent",
            Self::RangeEnd => "it ended with its range, which does not bound the capacity",
            Self::Undecided => "it ended because the server's answers contradict each other",
            Self::Void => "it ended because the audit voided the same probe three times",
            Self::Interrupted => "it was cut off",
        })
    }
}

/// Throughput that falls under overload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeakAndFall {
    /// The most that the server sustains, requests per second.
    pub peak_per_s: Estimate,
    /// The least that it got through when more was offered, requests per second.
    pub overloaded_per_s: Estimate,
    /// The rate at which that was, requests per second.
    pub at_rate_per_s: f64,
}

impl PeakAndFall {
    /// The part of the peak that is lost; 0 to 1.
    #[must_use]
    pub fn share_lost(&self) -> f64 {
        (1.0 - self.overloaded_per_s.value / self.peak_per_s.value).clamp(0.0, 1.0)
    }
}

/// Puts together what the probes say.
pub(super) fn of(
    config: &SearchConfig,
    probes: &[ProbeResult],
    plateau: Option<Plateau>,
    stopped: Stopped,
) -> Found {
    let plateau = plateau.filter(|_| config.goal == Goal::Capacity);
    let (capacity_per_s, lower_bound) = capacity(config, probes, plateau);
    Found {
        capacity_per_s,
        lower_bound,
        stopped,
        peak_and_fall: capacity_per_s
            .filter(|_| !lower_bound && config.goal == Goal::Capacity)
            .and_then(|peak| fall(probes, peak)),
        probes: probes.to_vec(),
        requests: probes.iter().map(|probe| probe.requests).sum(),
        time: probes.iter().map(|probe| probe.duration).sum(),
    }
}

/// The plateau where nothing got more through; else what the bracket leaves.
fn capacity(
    config: &SearchConfig,
    probes: &[ProbeResult],
    plateau: Option<Plateau>,
) -> (Option<Estimate>, bool) {
    let agrees = |plateau: &Plateau| {
        !probes.iter().any(|probe| probe.stable && probe.contradicts(plateau.rate))
    };
    if let Some(plateau) = plateau.filter(agrees) {
        return (Some(plateau.rate), false);
    }
    if let Goal::Slo { attainment } = config.goal
        && let Some(edge) = attainment::of(probes, attainment, config.z())
    {
        return (Some(edge), false);
    }
    let bracket = bracket::of(&bracket::answers(probes, config.goal, config.z()));
    match (bracket.low, bracket.high) {
        (None, None) => (None, false),
        // Every rate failed: it is below the lowest.
        (None, Some(high)) => {
            let estimate = Estimate { value: high / 2.0, low: 0.0, high };
            (Some(estimate).filter(|_| !probes.is_empty()), false)
        }
        (Some(low), None) => {
            let got = through(probes, low).map_or(low, |estimate| estimate.value);
            (Some(Estimate::exact(low.min(got))), true)
        }
        (Some(low), Some(high)) => {
            let middle = Estimate { value: (low * high).sqrt(), low, high };
            let peak = plateau::peak(probes, 0.98 * low, 1.05 * high);
            let Some(peak) = peak.filter(|_| config.goal == Goal::Capacity) else {
                return (Some(middle), false);
            };
            // That a rate was held for a while is no proof that it can be held for ever; what was
            // got through at it is one. No interval narrower than the bracket is believed.
            // The rate that passed may be a little below the capacity, so that the peak is, too.
            let half = (config.precision * peak.value).max((peak.high - peak.low) / 2.0);
            let least = Estimate::around(peak.value, half).not_negative();
            let value = f64::midpoint(peak.value, middle.value.min(least.high));
            let high = least.high.max(high.min(1.02 * least.high));
            (Some(Estimate { value, low: least.low, high }), false)
        }
    }
}

/// The throughput of the longest probe at a rate.
fn through(probes: &[ProbeResult], rate: f64) -> Option<Estimate> {
    probes
        .iter()
        .filter(|probe| super::probe::same_rate(probe.rate_per_s, rate))
        .max_by_key(|probe| probe.window)
        .map(|probe| probe.throughput_per_s)
}

/// Whether `a` lies below `b` by more than the lowest of several would by chance.
fn surely_less(a: Estimate, b: Estimate) -> bool {
    let half = |estimate: Estimate| (estimate.high - estimate.low) / 2.0;
    b.value - a.value > SURE * half(a).hypot(half(b))
}

/// The lowest throughput among probes offered more than the capacity, if it certainly is below it.
fn fall(probes: &[ProbeResult], peak: Estimate) -> Option<PeakAndFall> {
    plateau::overloaded(probes)
        .filter(|(probe, _)| probe.rate_per_s >= peak.high && probe.completions >= 40)
        .min_by(|(_, a), (_, b)| a.value.total_cmp(&b.value))
        .filter(|(_, through)| surely_less(*through, peak))
        .map(|(probe, through)| PeakAndFall {
            peak_per_s: peak,
            overloaded_per_s: through,
            at_rate_per_s: probe.rate_per_s,
        })
        .filter(|fall| fall.share_lost() >= LEAST_FALL)
}
