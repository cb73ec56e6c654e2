//! A latency over the repetitions of one load.

use std::time::Duration;

use crate::{Estimate, LatencySummary, PointSummary, Quantile};

/// A latency over the repetitions of one load, in milliseconds.
///
/// Mean: that of all requests, sum(n_i m_i) / sum(n_i) over the repetitions i. Quantiles: the same of the
/// repetitions' quantiles, for each of them estimates the one of the load; not known where one repetition
/// does not know its own. Interval: the half widths h_i to either side make sqrt(sum((n_i h_i)^2)) / sum(n_i);
/// it is widened by Birge's ratio where repetitions scatter more than their own intervals say (as in
/// docs/method.md#one-plateau-from-several-points), that of a quantile no further than to the ends of theirs.
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
            p50: within(weighted(|it| quantile(&it.p50)), &some, |it| &it.p50),
            p90: within(weighted(|it| quantile(&it.p90)), &some, |it| &it.p90),
            p99: within(weighted(|it| quantile(&it.p99)), &some, |it| &it.p99),
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
    Some(Estimate { value, low: (value - birge * below).max(0.0), high: value + birge * above })
}

/// A pooled quantile whose interval reaches no further than those of its repetitions: where many requests take
/// exactly as long, an interval has hardly a width, and a ratio to it tells nothing.
fn within(
    pooled: Option<Estimate>,
    repetitions: &[(u32, &LatencySummary)],
    of: fn(&LatencySummary) -> &Quantile,
) -> Option<Estimate> {
    let ends = || repetitions.iter().filter_map(|(_, it)| quantile(of(it)));
    let low = ends().map(|it| it.low).reduce(f64::min)?;
    let high = ends().map(|it| it.high).reduce(f64::max)?;
    let Estimate { value, low: below, high: above } = pooled?;
    Some(Estimate { value, low: below.max(low).min(value), high: above.min(high).max(value) })
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
    fn a_quantile_of_equal_times_is_not_widened_beyond_its_repetitions() {
        let at = |us: u64| Some(Duration::from_micros(us));
        let of = |value, low, high| LatencySummary {
            n: 40,
            p50: Quantile { value: at(value), low: at(low), high: at(high) },
            ..LatencySummary::default()
        };
        // Known to a microsecond each, and 2 ms apart; the second is lopsided.
        let (a, b) = (of(27_420, 27_419, 27_421), of(29_420, 27_421, 29_421));
        let some = [(0, &a), (1, &b)];
        let parts = [(40.0, quantile(&a.p50).unwrap()), (40.0, quantile(&b.p50).unwrap())];
        let wide = pooled(&parts).unwrap();
        assert!(wide.low < 20.0, "{wide:?}");
        let found = within(Some(wide), &some, |it| &it.p50).unwrap();
        assert_eq!(found, Estimate { value: wide.value, low: 27.419, high: 29.421 });
        assert_eq!(within(None, &some, |it| &it.p50), None);
    }

    #[test]
    fn the_two_sides_of_an_interval_stay_apart() {
        let lopsided = Estimate { value: 100.0, low: 99.0, high: 110.0 };
        let found = pooled(&[(5.0, lopsided), (5.0, lopsided)]).unwrap();
        assert!((100.0 - found.low - 0.5_f64.sqrt()).abs() < 1e-9, "{found:?}");
        assert!((found.high - 100.0 - 50.0_f64.sqrt()).abs() < 1e-9, "{found:?}");
    }
}
