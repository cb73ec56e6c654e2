//! Goodput: the requests that met every objective.

use plimsoll_records::RequestRow;

use crate::latency::by_metric;
use crate::summarise::binned;
use crate::{Estimate, Goodput, Slo, Window, batch_means};

/// The standard normal's 97.5 % point.
const Z: f64 = 1.959_963_984_540_054;

/// Requests due in the window that met every objective; `None` when there is none, or nothing
/// counts.
///
/// Population: requests whose intended time lies in the window, less those that we aborted. A
/// failed one met nothing. `met` asks of each objective that its own share of the population is
/// within the limit: the smallest count k with k >= quantile * due, the nearest rank.
pub(crate) fn goodput<'a>(
    due: impl Iterator<Item = &'a RequestRow>,
    slo: &Slo,
    window: Window,
) -> Option<Goodput> {
    if slo.terms.is_empty() {
        return None;
    }
    let (mut n, mut good) = (0_u64, 0_u64);
    let mut each = Vec::new();
    let mut attained = vec![0_u64; slo.terms.len()];
    for row in due.filter(|row| row.outcome.is_ok() || row.outcome.is_failure()) {
        n += 1;
        let mut all = row.outcome.is_ok();
        for (term, count) in slo.terms.iter().zip(&mut attained) {
            // A single-token answer has no TPOT and so no token that came too slowly.
            let within = row.outcome.is_ok()
                && by_metric(row, term.metric).is_none_or(|latency| latency <= term.limit);
            *count += u64::from(within);
            all &= within;
        }
        good += u64::from(all);
        each.push((row.intended, all));
    }
    let seconds = window.length().as_secs_f64();
    if n == 0 || seconds <= 0.0 {
        return None;
    }
    let met = slo
        .terms
        .iter()
        .zip(&attained)
        .all(|(term, &count)| count > crate::quantile::rank(n as usize, term.quantile) as u64);
    let share = wilson(good, n);
    // Whole numbers first, so that the order of the rows does not matter to the last digit.
    let came = binned(window, each.iter().map(|&(at, _)| (at, 1.0)));
    let met_all = binned(window, each.iter().filter(|(_, good)| *good).map(|&(at, _)| (at, 1.0)));
    let apart = std::array::from_fn(|i| met_all[i] - share.value * came[i]);
    let sums = batch_means::signed_rate(&apart, seconds);
    let share_error = (sums.high - sums.low) / 2.0 / Z * seconds / n as f64;
    Some(Goodput { good, due: n, share, share_error, per_s: good as f64 / seconds, met })
}

/// The share `good / n` with Wilson's 95 % interval, n >= 1.
///
/// With p = good / n: centre (p + z^2 / 2n) / (1 + z^2 / n), half width
/// z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n). Source: Wilson, JASA 22 (1927), 209-212.
fn wilson(good: u64, n: u64) -> Estimate {
    let n = n as f64;
    let p = good as f64 / n;
    let shrink = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / shrink;
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / shrink;
    // At p = 0 and p = 1 the end meets the value; rounding must not put it on the wrong side.
    Estimate { value: p, low: (centre - half).clamp(0.0, p), high: (centre + half).clamp(p, 1.0) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_records::Outcome;
    use plimsoll_units::RunNanos;

    use super::*;
    use crate::audit::fixture::{MS, fail, row};
    use crate::{SloMetric, SloTerm};

    fn term(metric: SloMetric, quantile: f64, limit_ms: u64) -> SloTerm {
        SloTerm { metric, quantile, limit: Duration::from_millis(limit_ms) }
    }

    /// One hundred requests whose TTFT is 1, 2, ... 100 ms.
    fn hundred() -> Vec<RequestRow> {
        (1..=100).map(|k| row(k, RunNanos::from_nanos(k), k * MS, MS, 2)).collect()
    }

    const WINDOW: Window =
        Window { start: RunNanos::ZERO, end: RunNanos::from_nanos(10_000_000_000) };

    #[test]
    fn wilson_by_published_values() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (good, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(good, n);
            assert!(
                (found.low - low).abs() < 5e-5 && (found.high - high).abs() < 5e-5,
                "{found:?}"
            );
        }
        assert_eq!(wilson(20, 20).high, 1.0);
    }

    #[test]
    fn the_shares_error_knows_who_fares_alike() {
        // 3,000 requests in 30 s; one in ten is late, spread out or all in one second of ten.
        let error = |late: fn(u64) -> bool| {
            let rows: Vec<RequestRow> = (0..3000)
                .map(|k| {
                    let took = if late(k) { 100 * MS } else { MS };
                    row(k, RunNanos::from_nanos(k * 10 * MS), took, MS, 2)
                })
                .collect();
            let window = Window { start: RunNanos::ZERO, end: RunNanos::from_secs_f64(30.0) };
            let slo = Slo { terms: vec![term(SloMetric::Ttft, 0.9, 50)] };
            let found = goodput(rows.iter(), &slo, window).unwrap();
            assert_eq!((found.good, found.due), (2700, 3000));
            found.share_error
        };
        // Of independent requests it would be sqrt(0.09 / 3000) = 0.0055.
        let apart = error(|k| k % 10 == 3);
        let together = error(|k| k % 1000 < 100);
        assert!(apart < 0.006 && together > 4.0 * 0.0055, "{apart} {together}");
    }

    #[test]
    fn each_objective_asks_for_its_own_share() {
        let rows = hundred();
        let of = |limit, quantile| {
            let slo = Slo { terms: vec![term(SloMetric::Ttft, quantile, limit)] };
            goodput(rows.iter(), &slo, WINDOW).unwrap()
        };
        assert_eq!((of(90, 0.9).good, of(90, 0.9).met), (90, true));
        assert!(!of(89, 0.9).met);
        assert_eq!((of(90, 0.9).share.value, of(90, 0.9).per_s), (0.9, 9.0));
    }

    #[test]
    fn a_request_is_good_when_it_meets_every_limit() {
        let rows = hundred();
        let slo =
            Slo { terms: vec![term(SloMetric::Ttft, 0.5, 80), term(SloMetric::E2e, 0.5, 60)] };
        // E2E is TTFT and one token more.
        assert_eq!(goodput(rows.iter(), &slo, WINDOW).unwrap().good, 59);
    }

    #[test]
    fn failed_requests_count_and_meet_nothing_and_aborted_ones_do_not_count() {
        let mut rows = hundred();
        fail(&mut rows[0], Outcome::Timeout);
        fail(&mut rows[1], Outcome::Aborted);
        let slo = Slo { terms: vec![term(SloMetric::Ttft, 0.99, 1000)] };
        let found = goodput(rows.iter(), &slo, WINDOW).unwrap();
        assert_eq!((found.good, found.due, found.met), (98, 99, false));
    }

    #[test]
    fn a_single_token_has_no_tpot_to_miss() {
        let rows = [row(1, RunNanos::ZERO, MS, MS, 1)];
        let slo = Slo { terms: vec![term(SloMetric::Tpot, 0.5, 1)] };
        assert!(goodput(rows.iter(), &slo, WINDOW).unwrap().met);
    }

    #[test]
    fn without_objectives_or_requests_there_is_no_goodput() {
        assert_eq!(goodput(hundred().iter(), &Slo::default(), WINDOW), None);
        let slo = Slo { terms: vec![term(SloMetric::Ttft, 0.5, 1)] };
        assert_eq!(goodput([].iter(), &slo, WINDOW), None);
    }
}
