//! A latency's distribution over the requests, or gaps, of a window.

use std::time::Duration;

use plimsoll_records::RequestRow;
use plimsoll_units::RunNanos;

use crate::quantile::{quantile, weighted_quantile};
use crate::{Estimate, LatencySummary, SloMetric, batch_means};

/// First token - intended, from the moment the schedule meant; `None` without a token.
pub(crate) fn ttft(row: &RequestRow) -> Option<Duration> {
    row.first_token().map(|first| first - row.intended)
}

/// First token - sent; `None` without a token or when never sent.
pub(crate) fn service_ttft(row: &RequestRow) -> Option<Duration> {
    Some(row.first_token()? - row.sent?)
}

/// (last - first) / (output tokens - 1); `None` for fewer than two tokens or a request that failed.
pub(crate) fn tpot(row: &RequestRow) -> Option<Duration> {
    let gaps = row.output_count().checked_sub(1).filter(|&gaps| gaps > 0)?;
    let span = row.last_token? - row.first_token()?;
    Some(Duration::from_nanos((span.as_nanos() / u128::from(gaps)) as u64))
}

/// Last token - first token: the time for every token but the first; `None` where no token came.
pub(crate) fn decode(row: &RequestRow) -> Option<Duration> {
    Some(row.last_token? - row.first_token()?)
}

/// Done - intended.
pub(crate) fn e2e(row: &RequestRow) -> Duration {
    row.done - row.intended
}

/// The latency that an objective speaks of; `None` where the request has none.
pub(crate) fn by_metric(row: &RequestRow, metric: SloMetric) -> Option<Duration> {
    match metric {
        SloMetric::Ttft => ttft(row),
        SloMetric::Tpot => tpot(row),
        SloMetric::E2e => Some(e2e(row)),
    }
}

/// The distribution of `samples` in nanoseconds, of a population in which `missing` more had no
/// value.
pub(crate) fn describe(mut samples: Vec<u64>, missing: u64) -> LatencySummary {
    samples.sort_unstable();
    let sum: u128 = samples.iter().map(|&nanos| u128::from(nanos)).sum();
    let n = samples.len() as u64;
    LatencySummary {
        n,
        missing,
        mean: mean(sum, n),
        mean_low: None,
        mean_high: None,
        min: samples.first().copied().map(Duration::from_nanos),
        max: samples.last().copied().map(Duration::from_nanos),
        p50: quantile(&samples, 0.5),
        p90: quantile(&samples, 0.9),
        p99: quantile(&samples, 0.99),
    }
}

/// The same for samples that each stand for several alike: (nanoseconds, how many). n and the mean
/// count them all; the intervals of the quantiles take each for the one sample that it is.
pub(crate) fn describe_weighted(mut samples: Vec<(u64, u32)>, missing: u64) -> LatencySummary {
    samples.sort_unstable();
    let sum: u128 =
        samples.iter().map(|&(nanos, weight)| u128::from(nanos) * u128::from(weight)).sum();
    let n = samples.iter().map(|&(_, weight)| u64::from(weight)).sum();
    LatencySummary {
        n,
        missing,
        mean: mean(sum, n),
        mean_low: None,
        mean_high: None,
        min: samples.first().map(|&(nanos, _)| Duration::from_nanos(nanos)),
        max: samples.last().map(|&(nanos, _)| Duration::from_nanos(nanos)),
        p50: weighted_quantile(&samples, n, 0.5),
        p90: weighted_quantile(&samples, n, 0.9),
        p99: weighted_quantile(&samples, n, 0.99),
    }
}

/// A mean is at most the largest sample, so it fits.
fn mean(sum: u128, n: u64) -> Option<Duration> {
    Some(Duration::from_nanos(sum.checked_div(u128::from(n))? as u64))
}

/// The distribution of one value a request; those without it count as missing.
pub(crate) fn of_requests<'a>(
    rows: impl Iterator<Item = &'a RequestRow>,
    value: impl Fn(&RequestRow) -> Option<Duration>,
) -> LatencySummary {
    let mut missing = 0;
    let mut samples: Vec<(RunNanos, u64)> = rows
        .filter_map(|row| {
            let found = value(row);
            missing += u64::from(found.is_none());
            // Half the range of u64 is 292 years: no latency of a run saturates.
            found.map(|span| (row.intended, span.as_nanos() as u64))
        })
        .collect();
    samples.sort_unstable();
    let in_time: Vec<f64> = samples.iter().map(|&(_, nanos)| nanos as f64).collect();
    let mean = batch_means::mean(&in_time).map(Estimate::not_negative);
    let nanos = |nanos: f64| Duration::from_nanos(nanos.round() as u64);
    LatencySummary {
        mean_low: mean.map(|mean| nanos(mean.low)),
        mean_high: mean.map(|mean| nanos(mean.high)),
        ..describe(samples.into_iter().map(|(_, nanos)| nanos).collect(), missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::{MS, row};

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn reasoning_is_a_token_and_a_single_token_has_no_gap() {
        let mut request = row(0, RunNanos::ZERO, 50 * MS, 10 * MS, 5);
        request.first_reasoning = request.first_answer;
        request.first_answer = Some(RunNanos::from_nanos(80 * MS));
        assert_eq!((ttft(&request), tpot(&request)), (ms(50), ms(10)));
        assert_eq!(tpot(&row(0, RunNanos::ZERO, MS, MS, 1)), None);
    }

    #[test]
    fn tpot_counts_tokens_by_usage() {
        // Five chunks over 40 ms that carried nine tokens.
        let mut request = row(0, RunNanos::ZERO, 50 * MS, 10 * MS, 5);
        request.output_tokens = Some(9);
        assert_eq!(tpot(&request), ms(5));
    }

    #[test]
    fn a_late_client_shows_in_ttft_and_not_in_service_ttft() {
        let mut request = row(0, RunNanos::ZERO, 50 * MS, 10 * MS, 5);
        request.sent = Some(RunNanos::from_nanos(30 * MS));
        assert_eq!((ttft(&request), service_ttft(&request)), (ms(50), ms(20)));
    }

    #[test]
    fn a_mean_has_its_interval_from_the_order_of_time() {
        // TTFTs of 3, 5 and 7 ms, the rows out of order: mean 5 ms, half width 4.968 ms.
        let at = |id: u64, first: u64| row(id, RunNanos::from_nanos(id), first * MS, MS, 2);
        let rows = [at(2, 7), at(0, 5), at(1, 3)];
        let found = of_requests(rows.iter(), ttft);
        assert_eq!(found.mean, ms(5));
        let (low, high) = (found.mean_low.unwrap(), found.mean_high.unwrap());
        assert!(low.abs_diff(Duration::from_micros(32)) < Duration::from_micros(1), "{low:?}");
        assert!(high.abs_diff(Duration::from_micros(9968)) < Duration::from_micros(1), "{high:?}");
        let one = of_requests(rows[..1].iter(), ttft);
        assert_eq!((one.n, one.mean, one.mean_low), (1, ms(7), None));
        assert_eq!(of_requests(rows.iter(), decode).mean, ms(1));
    }

    #[test]
    fn a_description_of_nothing_and_of_one() {
        assert_eq!(
            describe(Vec::new(), 3),
            LatencySummary { missing: 3, ..LatencySummary::default() }
        );
        let one = describe(vec![7 * MS], 0);
        assert_eq!((one.mean, one.min, one.max, one.p50.value), (ms(7), ms(7), ms(7), None));
    }
}
