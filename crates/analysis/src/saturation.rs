//! What a ladder of rates says of the server: plateau, capacity, SLO capacity, knee.

use plimsoll_records::{OfferedLoad, PointEnd};

use crate::{Estimate, PointSummary, Saturation, knee};

/// Half width, as a share of the value, below which no interval of a plateau is believed: a window
/// is no whole number of steps or waves, and what its ends cut off is the same in every batch.
const EDGE: f64 = 0.002;

/// How far two points may lie apart, in units of the half width of their difference, and still be
/// the same plateau (2.55 standard deviations: 1 %).
const SAME: f64 = 1.3;

/// By how much concurrency must rise, and throughput not, for a closed loop to have a plateau.
const CLOSED_STEP: f64 = 1.25;

/// What a ladder of offered rates (or of concurrencies) says of the server.
///
/// `points` are those of one group, in any order; `voided` names those that the audit voided. They
/// and the points that were interrupted or lost their target are left out.
///
/// - Plateau: of each unstable point the tokens delivered per second / mean output tokens (in
///   completions where no tokens are known), because completions come in waves and tokens do not;
///   pooled with weights 1 / half width^2 over the points that agree with the highest one within
///   chance, widened by Birge's ratio where they scatter more than their intervals say, and by the
///   uncertainty of the mean output length. Points well below the highest are left out of it:
///   either the server's throughput falls under overload, or they were not saturated.
/// - Capacity: the plateau. Exceptions: a stable point offered more than the plateau, and getting
///   more through, shows that throughput falls under overload; then the capacity lies between that
///   rate and the lowest unstable one above it, and is given as that rate with this interval.
///   Without an unstable point it is a lower bound: the highest stable rate, or what was got
///   through there if that is less, with `low == high == value`, for no interval has been measured.
/// - A point that tests as stable although more was offered than the plateau's upper end counts as
///   saturated: its test was weak, and it is left out of everything that speaks of stable points.
/// - SLO capacity: the highest stable rate that meets the SLO with every lower rate meeting it too.
/// - Knee: see docs/definitions.md#knee.
///
/// A closed loop has no offered rate and cannot be unstable. Its plateau is the throughput of the
/// highest concurrencies that agree, if concurrency rose by a quarter or more among them.
#[must_use]
pub fn saturation(points: &[PointSummary], voided: &[String]) -> Saturation {
    let usable: Vec<&PointSummary> = usable(points, voided).collect();
    let voided = voided.to_vec();
    let mut ladder: Vec<Step<'_>> = usable
        .iter()
        .filter_map(|point| Some(Step { rate: point.load.rate_per_s()?, point }))
        .collect();
    if ladder.is_empty() {
        return Saturation { voided, ..closed_loop(&usable) };
    }
    ladder.sort_by(|a, b| a.rate.total_cmp(&b.rate));

    let unstable: Vec<&Step<'_>> = ladder.iter().filter(|step| !step.is_stable()).collect();
    let length = mean_length(&usable);
    let plateau =
        pool(&unstable.iter().map(|step| requests(step.point, length)).collect::<Vec<_>>())
            .map(|pooled| widen_by_length(pooled, length));
    let stable: Vec<&Step<'_>> = ladder
        .iter()
        .filter(|step| step.is_stable())
        .filter(|step| plateau.is_none_or(|plateau| !step.is_saturated(plateau)))
        .collect();
    let (capacity, lower_bound) = capacity(&stable, &unstable, plateau);
    Saturation {
        capacity_per_s: capacity,
        lower_bound,
        plateau_per_s: plateau,
        slo_capacity_per_s: slo_capacity(&stable, &ladder),
        knee_per_s: knee::knee(
            &stable.iter().map(|step| (step.rate, step.point)).collect::<Vec<_>>(),
        ),
        voided,
    }
}

/// The points that were measured as planned and that no error voided.
pub(crate) fn usable<'a>(
    points: &'a [PointSummary],
    voided: &[String],
) -> impl Iterator<Item = &'a PointSummary> {
    points
        .iter()
        .filter(|point| !voided.contains(&point.id))
        .filter(|point| !matches!(point.ended, PointEnd::Interrupted | PointEnd::TargetLost))
        .filter(|point| !point.window.length().is_zero())
}

/// A point with its offered rate.
struct Step<'a> {
    rate: f64,
    point: &'a PointSummary,
}

impl Step<'_> {
    fn is_stable(&self) -> bool {
        self.point.stability.stable
    }

    /// Whether this stable point contradicts the plateau without getting more through.
    fn is_saturated(&self, plateau: Estimate) -> bool {
        self.rate > plateau.high && self.point.throughput_per_s.low <= plateau.high
    }
}

/// The capacity, and whether it is a lower bound.
fn capacity(
    stable: &[&Step<'_>],
    unstable: &[&Step<'_>],
    plateau: Option<Estimate>,
) -> (Option<Estimate>, bool) {
    let highest = stable.last();
    let Some(plateau) = plateau else {
        let bound =
            highest.map(|step| Estimate::exact(step.rate.min(step.point.throughput_per_s.value)));
        return (bound, bound.is_some());
    };
    // Saturated points are no longer among the stable ones, so whatever was offered more than
    // the plateau's upper end did get more through.
    match highest.filter(|step| step.rate > plateau.high) {
        None => (Some(plateau), false),
        Some(step) => {
            let above = unstable.iter().find(|other| other.rate > step.rate);
            let high = above.map_or(step.rate, |other| other.rate);
            let low = step.rate.min(step.point.throughput_per_s.low);
            (Some(Estimate { value: step.rate, low, high }), above.is_none())
        }
    }
}

/// The highest stable rate that meets the SLO, every lower rate of the ladder doing so too.
fn slo_capacity(stable: &[&Step<'_>], ladder: &[Step<'_>]) -> Option<f64> {
    let meets = |rate: f64| {
        // Repetitions of a rate must all be stable and meet it.
        ladder.iter().filter(|step| step.rate == rate).all(|step| {
            stable.iter().any(|kept| std::ptr::eq(kept.point, step.point))
                && step.point.goodput.is_some_and(|goodput| goodput.met)
        })
    };
    ladder.iter().map(|step| step.rate).take_while(|&rate| meets(rate)).last()
}

/// The mean output length with its standard error, over the points that know it.
fn mean_length(points: &[&PointSummary]) -> Option<(f64, f64)> {
    // Weights are counts: weights by variance would favour small samples that happened to miss the
    // long answers.
    let lengths: Vec<(f64, f64, f64)> = points
        .iter()
        .filter_map(|point| {
            let mean = point.mean_output_tokens.filter(|&mean| mean > 0.0)?;
            Some((point.counts.rows as f64, mean, point.mean_output_tokens_error?))
        })
        .collect();
    let total: f64 = lengths.iter().map(|(n, _, _)| n).sum();
    if total <= 0.0 {
        return None;
    }
    let mean = lengths.iter().map(|(n, mean, _)| n * mean).sum::<f64>() / total;
    let error = lengths.iter().map(|(n, _, e)| (n * e).powi(2)).sum::<f64>().sqrt() / total;
    Some((mean, error))
}

/// The requests per second that an unstable point got through, from its tokens where it has them.
fn requests(point: &PointSummary, length: Option<(f64, f64)>) -> Estimate {
    let tokens = point.output_tokens_per_s;
    match length {
        Some((mean, _)) if tokens.value > 0.0 => {
            // The interval's middle is the better estimate: see
            // `PointSummary::output_tokens_per_s`.
            Estimate::around((tokens.low + tokens.high) / 2.0, (tokens.high - tokens.low) / 2.0)
                .scaled(1.0 / mean)
        }
        _ => point.throughput_per_s,
    }
}

/// The common value of the estimates that agree with the highest one.
///
/// m = sum(w v) / sum(w) with w = 1 / h^2, h the half widths; half width 1 / sqrt(sum(w)) times
/// Birge's ratio sqrt(Q / (n - 1)), where Q = sum(w (v - m)^2) 1.96^2 and the ratio is above 1.
/// Source: Birge, Physical Review 40 (1932), 207-227.
fn pool(estimates: &[Estimate]) -> Option<Estimate> {
    let half = |e: &Estimate| ((e.high - e.low) / 2.0).max(EDGE * e.value);
    let peak = estimates.iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
    let same: Vec<(f64, f64)> = estimates
        .iter()
        .filter(|e| peak.value - e.value <= SAME * half(peak).hypot(half(e)))
        .map(|e| (e.value, half(e)))
        .collect();
    if same.iter().any(|&(_, half)| half <= 0.0) {
        // Only nothing at all has neither value nor width.
        return Some(*peak);
    }
    let total: f64 = same.iter().map(|(_, half)| half.powi(-2)).sum();
    let mean = same.iter().map(|(value, half)| value * half.powi(-2)).sum::<f64>() / total;
    let scatter: f64 =
        same.iter().map(|(value, half)| ((value - mean) / half * 1.96).powi(2)).sum();
    let birge = (scatter / (same.len() as f64 - 1.0).max(1.0)).sqrt().max(1.0);
    Some(Estimate::around(mean, birge * total.powf(-0.5)).not_negative())
}

/// The pooled rate with the uncertainty of the mean length that all its parts were divided by.
fn widen_by_length(pooled: Estimate, length: Option<(f64, f64)>) -> Estimate {
    let half = (pooled.high - pooled.low) / 2.0;
    let by_length = length.map_or(0.0, |(mean, error)| 1.96 * error / mean * pooled.value);
    Estimate::around(pooled.value, half.hypot(by_length)).not_negative()
}

/// What a ladder of concurrencies says.
fn closed_loop(points: &[&PointSummary]) -> Saturation {
    let mut ladder: Vec<(u32, &PointSummary)> = points
        .iter()
        .filter_map(|&point| match point.load {
            OfferedLoad::Closed { concurrency } => Some((concurrency, point)),
            OfferedLoad::Open { .. } => None,
        })
        .collect();
    ladder.sort_by_key(|&(concurrency, _)| std::cmp::Reverse(concurrency));
    let length = mean_length(points);
    let all: Vec<(u32, Estimate)> =
        ladder.iter().map(|&(concurrency, point)| (concurrency, requests(point, length))).collect();
    let Some(highest) = all.iter().map(|(_, e)| e.value).max_by(f64::total_cmp) else {
        return Saturation::default();
    };
    // From the most concurrency down, as long as throughput does not fall below the highest.
    let flat: Vec<(u32, Estimate)> = all
        .iter()
        .copied()
        .take_while(|(_, e)| {
            let half = ((e.high - e.low) / 2.0).max(EDGE * e.value);
            highest - e.value <= SAME * std::f64::consts::SQRT_2 * half
        })
        .collect();
    let spread = match (flat.first(), flat.last()) {
        (Some((most, _)), Some((least, _))) => f64::from(*most) / f64::from((*least).max(1)),
        _ => 1.0,
    };
    if spread >= CLOSED_STEP {
        let plateau = pool(&flat.iter().map(|&(_, e)| e).collect::<Vec<_>>())
            .map(|pooled| widen_by_length(pooled, length));
        Saturation { capacity_per_s: plateau, plateau_per_s: plateau, ..Saturation::default() }
    } else {
        Saturation {
            capacity_per_s: Some(Estimate::exact(highest)),
            lower_bound: true,
            ..Saturation::default()
        }
    }
}

#[cfg(test)]
mod tests;
