//! `cold-start`: the first requests of the window were slower than the rest.
//!
//! **What.** The first tenth of the window's requests was slower than all the rest. **Warning**, stable
//! points only.
//! **Why.** Compilation, first connections and cold caches are inside the window instead of before it.
//! **Evidence.** Median TTFT of the first tenth: over 1.2 times that of the slowest other tenth, 6 standard
//! deviations of the nine others above them (in logarithms), Mann-Whitney z above 4, no burst of arrivals
//! at the window's start, and the warm-up as slow.
//! **Remedy.** Lengthen the warm-up.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::quantile::median;

use super::{Evidence, finding};

/// How much slower the first tenth must be than the slowest of the other tenths.
const SLOWER: f64 = 1.2;

/// How many standard deviations of the other tenths it must lie above their mean, in logarithms.
const OUTLIER: f64 = 6.0;

/// The z value that the Mann-Whitney test of the first tenth against the rest must exceed.
const RANK_Z: f64 = 4.0;

/// How many standard deviations above its mean the number of arrivals around the window's start may
/// lie: a burst makes requests wait at any time, and says nothing of a cold server.
const BURST: f64 = 0.5;

/// Fewest requests a tenth must hold.
const FEWEST: usize = 10;

/// Compares the median TTFT of each tenth of the requests due, in order of intended time.
///
/// Queueing makes neighbours alike, so a test that supposes independent requests would call any
/// busy moment at the start a cold one. The first tenth must therefore stand out against the nine
/// others, which show how much tenths of this very point differ, without a burst of arrivals to
/// explain it; the warm-up, where there is one, must have been as slow, for a server is cold from
/// its first request on; the rank test comes on top.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.is_stable() {
        return None;
    }
    let mut requests: Vec<(u64, u64)> = evidence
        .ok()
        .filter_map(|row| {
            Some((row.intended.as_nanos(), crate::latency::ttft(row)?.as_nanos() as u64))
        })
        .collect();
    requests.sort_unstable();
    let ttfts: Vec<u64> = requests.into_iter().map(|(_, ttft)| ttft).collect();
    let tenth = ttfts.len() / 10;
    if tenth < FEWEST {
        return None;
    }
    let mut medians = ttfts
        .chunks(tenth)
        .take(10)
        .filter_map(|part| median(&mut part.to_vec()))
        .map(|nanos| (nanos.max(1)) as f64);
    let first = medians.next()?;
    let others: Vec<f64> = medians.collect();
    let slowest = others.iter().copied().fold(0.0, f64::max);
    let logs: Vec<f64> = others.iter().map(|median| median.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let variance =
        logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (logs.len() as f64 - 1.0);
    let rank_z = mann_whitney(&ttfts[..tenth], &ttfts[tenth..]);
    let mut before: Vec<u64> = evidence
        .rows
        .iter()
        .filter(|row| row.outcome.is_ok() && row.intended < evidence.window.start)
        .filter_map(|row| Some(crate::latency::ttft(row)?.as_nanos() as u64))
        .collect();
    let was_warm = before.len() >= FEWEST
        && median(&mut before).is_some_and(|nanos| nanos as f64 <= SLOWER * slowest);
    if was_warm
        || first <= SLOWER * slowest
        || first.ln() - mean <= OUTLIER * variance.sqrt()
        || rank_z <= RANK_Z
        || burst(evidence) > BURST
    {
        return None;
    }
    let (first_ms, rest_ms) = (first / 1e6, mean.exp() / 1e6);
    Some(finding(
        FindingCode::ColdStart,
        Severity::Warning,
        format!(
            "the first {tenth} requests of the window had a median TTFT of {first_ms:.1} ms, the \
             others {rest_ms:.1} ms"
        ),
        &[("first_ttft_p50_ms", first_ms), ("rest_ttft_p50_ms", rest_ms), ("rank_z", rank_z)],
        "lengthen the warm-up until the server has compiled, cached and opened what it needs",
    ))
}

/// How many standard deviations of a Poisson count the arrivals in a tenth of the window's length
/// before and after its start lie above what the window's own rate makes of that time.
fn burst(evidence: &Evidence<'_>) -> f64 {
    let window = evidence.window;
    let from =
        window.start.saturating_sub(window.length() / 10).max(evidence.point.phases.start_ns);
    let to = window.start + window.length() / 10;
    let expected = evidence.summary.achieved_rate_per_s * (to - from).as_secs_f64();
    let seen = evidence.rows.iter().filter(|row| (from..to).contains(&row.intended)).count();
    (seen as f64 - expected) / expected.max(1.0).sqrt()
}

/// The z value of Mann and Whitney's test that `a` is larger than `b`.
///
/// U = (rank sum of a) - n(n + 1)/2, mean nm/2, variance nm(n + m + 1)/12; ties share their mean
/// rank. Source: Mann and Whitney, Annals of Mathematical Statistics 18 (1947), 50-60.
fn mann_whitney(a: &[u64], b: &[u64]) -> f64 {
    let mut all: Vec<(u64, bool)> =
        a.iter().map(|&x| (x, true)).chain(b.iter().map(|&x| (x, false))).collect();
    all.sort_unstable();
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < all.len() {
        let end = start + all[start..].partition_point(|(x, _)| *x == all[start].0);
        let rank = (start + 1 + end) as f64 / 2.0;
        rank_sum += rank * all[start..end].iter().filter(|(_, of_a)| *of_a).count() as f64;
        start = end;
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    (rank_sum - n * (n + 1.0) / 2.0 - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay};
    use super::*;

    /// What is found when all requests due before `until` seconds are 40 ms slower.
    fn slow_until(seed: u64, until: f64) -> Option<Finding> {
        let mut fixture = Fixture::with(seed, 40.0, 20.0);
        for row in &mut fixture.rows {
            if row.intended.as_secs_f64() < until {
                delay(row, 40 * MS);
            }
        }
        fixture.find(FindingCode::ColdStart)
    }

    #[test]
    fn a_slow_start_inside_the_window_is_found() {
        // Where the arrivals happen to burst at the window's start the check keeps silent.
        let found: Vec<Finding> = (1..=30).filter_map(|seed| slow_until(seed, 4.2)).collect();
        assert!(found.len() >= 15, "{}", found.len());
        assert!(found[0].numbers["first_ttft_p50_ms"] > 90.0, "{found:?}");
    }

    #[test]
    fn a_slow_start_inside_the_warm_up_is_what_the_warm_up_is_for() {
        assert!((1..=30).all(|seed| slow_until(seed, 2.0).is_none()));
    }

    #[test]
    fn mann_whitney_is_the_count_of_pairs() {
        // U by counting pairs, ties as a half: no ranks involved.
        let (a, b) = ([5, 9, 9, 12, 30, 31], [1, 2, 5, 7, 9, 10, 11, 11, 3]);
        let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
        let u: f64 = pairs
            .map(|(x, y)| match x.cmp(y) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            })
            .sum();
        let expected = (u - 27.0) / (54.0 * 16.0 / 12.0_f64).sqrt();
        assert!((mann_whitney(&a, &b) - expected).abs() < 1e-12);
    }
}
