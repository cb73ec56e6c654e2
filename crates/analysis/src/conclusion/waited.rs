//! A latency over the repetitions of one load.

use std::time::Duration;

use crate::{Estimate, LatencySummary, PointSummary, Quantile};

/// A latency over the repetitions of one load, in milliseconds.
///
/// Mean: that of all requests, sum(n_i m_i) / sum(n_i) over the repetitions i. Quantiles: the same of the
/// repetitions' quantiles, for each of them estimates the one of the load; not known where one repetition
/// does not know its own. Interval: the half widths h_i to either side make sqrt(sum((n_i h_i)^2)) / sum(n_i);
/// it is widened by Birge's ratio where repetitions scatter more than their own intervals say (as in
/// docs/method.md#one-plateau-from-several-points), but no further than to the ends of theirs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waited {
    /// Requests with a value.
    pub n: u64,
    /// Requests without one.
    pub missing: u64,
    /// Mean, ms.
    pub mean_ms: Option<f64>,
    /// The mean with its 95 % interval, ms; `None` where a repetition has fewer than two requests.
    pub mean: Option<Estimate>,
    /// Least, ms.
    pub min_ms: Option<f64>,
    /// Largest, ms.
    pub max_ms: Option<f64>,
    /// Median, ms.
    pub p50: Option<Estimate>,
    /// 90th percentile, ms.
    pub p90: Option<Estimate>,
    /// 99th percentile, ms.
    pub p99: Option<Estimate>,
    /// Each repetition's mean, ms, by its number; with its interval where that is known, else exact.
    pub by_repetition: Vec<(u32, Estimate)>,
}

impl Waited {
    /// The latency `of` over these points, which are repetitions of one load.
    pub(crate) fn of(points: &[&PointSummary], of: fn(&PointSummary) -> &LatencySummary) -> Self {
        let all: Vec<(u32, &LatencySummary)> =
            points.iter().map(|point| (point.repetition, of(point))).collect();
        let some: Vec<(u32, &LatencySummary)> =
            all.iter().copied().filter(|(_, latency)| latency.n > 0).collect();
        let weighted = |value: fn(&LatencySummary) -> Option<Estimate>| {
            let parts: Option<Vec<(f64, Estimate)>> =
                some.iter().map(|(_, it)| Some((it.n as f64, value(it)?))).collect();
            pooled(&parts?)
        };
        let ends = |value: fn(&LatencySummary) -> Option<Duration>| {
            some.iter().filter_map(move |(_, latency)| value(latency)).map(ms)
        };
        Self {
            n: some.iter().map(|(_, latency)| latency.n).sum(),
            missing: all.iter().map(|(_, latency)| latency.missing).sum(),
            mean_ms: weighted(|it| it.mean.map(|mean| Estimate::exact(ms(mean))))
                .map(|mean| mean.value),
            mean: weighted(mean),
            min_ms: ends(|it| it.min).reduce(f64::min),
            max_ms: ends(|it| it.max).reduce(f64::max),
            p50: weighted(|it| quantile(&it.p50)),
            p90: weighted(|it| quantile(&it.p90)),
            p99: weighted(|it| quantile(&it.p99)),
            by_repetition: some
                .iter()
                .filter_map(|(repetition, it)| {
                    let known = mean(it).or(it.mean.map(|mean| Estimate::exact(ms(mean))));
                    Some((*repetition, known?))
                })
                .collect(),
        }
    }
}

/// The common value of repetitions by their numbers of requests; `None` without one.
fn pooled(parts: &[(f64, Estimate)]) -> Option<Estimate> {
    let total: f64 = parts.iter().map(|(n, _)| n).sum();
    if total <= 0.0 {
        return None;
    }
    let value = parts.iter().map(|(n, part)| n * part.value).sum::<f64>() / total;
    let side = |half: fn(&Estimate) -> f64| {
        parts.iter().map(|(n, part)| (n * half(part)).powi(2)).sum::<f64>().sqrt() / total
    };
    let (below, above) = (side(|part| part.value - part.low), side(|part| part.high - part.value));
    let deviations = parts.iter().map(|(_, part)| {
        let half = (part.high - part.low) / 2.0;
        if half > 0.0 { (part.value - value) / (half / 1.96) } else { 0.0 }
    });
    let scatter: f64 = deviations.map(|deviation| deviation.powi(2)).sum();
    let birge = (scatter / (parts.len() as f64 - 1.0).max(1.0)).sqrt().max(1.0);
    let lowest = parts.iter().map(|(_, part)| part.low).fold(value, f64::min);
    let highest = parts.iter().map(|(_, part)| part.high).fold(value, f64::max);
    Some(Estimate {
        value,
        low: (value - birge * below).max(lowest),
        high: (value + birge * above).min(highest),
    })
}

/// The mean with its interval, ms.
fn mean(latency: &LatencySummary) -> Option<Estimate> {
    let (value, low, high) = (latency.mean?, latency.mean_low?, latency.mean_high?);
    Some(Estimate { value: ms(value), low: ms(low.min(value)), high: ms(high.max(value)) })
}

/// A quantile with its interval, ms.
fn quantile(quantile: &Quantile) -> Option<Estimate> {
    Some(Estimate { value: ms(quantile.value?), low: ms(quantile.low?), high: ms(quantile.high?) })
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(value: f64, half: f64) -> Estimate {
        Estimate::around(value, half)
    }

    #[test]
    fn repetitions_are_pooled_by_their_requests() {
        assert_eq!(pooled(&[]), None);
        let one = around(50.0, 3.0);
        assert_eq!(pooled(&[(40.0, one)]), Some(one));
        // 30 requests at 50 and 10 at 54, each known to 4: mean 51; half width
        // sqrt((30 * 4)^2 + (10 * 4)^2) / 40 = 3.162. They lie -1 and +3 off in units of 4 / 1.96: ratio
        // sqrt(0.49^2 + 1.47^2) = 1.5495.
        let found = pooled(&[(30.0, around(50.0, 4.0)), (10.0, around(54.0, 4.0))]).unwrap();
        assert!((found.value - 51.0).abs() < 1e-12);
        assert!((found.high - 51.0 - 3.1623 * 1.5495).abs() < 1e-3, "{found:?}");
        // Those that agree are surer together.
        let found = pooled(&[(20.0, around(50.0, 4.0)), (20.0, around(50.0, 4.0))]).unwrap();
        assert!((found.high - 50.0 - 8.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn an_interval_is_not_widened_beyond_those_of_its_repetitions() {
        // Equal times are known to a microsecond, and another repetition was disturbed: a ratio to that
        // width would tell nothing.
        let (sure, unsure) = (around(27.4, 0.001), around(29.4, 2.0));
        let found = pooled(&[(40.0, sure), (40.0, unsure)]).unwrap();
        assert!((found.value - 28.4).abs() < 1e-9);
        assert_eq!((found.low, found.high), (sure.low.min(unsure.low), unsure.high));
    }

    #[test]
    fn the_two_sides_of_an_interval_stay_apart() {
        let lopsided = Estimate { value: 100.0, low: 99.0, high: 110.0 };
        let found = pooled(&[(5.0, lopsided), (5.0, lopsided)]).unwrap();
        assert!((100.0 - found.low - 0.5_f64.sqrt()).abs() < 1e-9, "{found:?}");
        assert!((found.high - 100.0 - 50.0_f64.sqrt()).abs() < 1e-9, "{found:?}");
    }
}
