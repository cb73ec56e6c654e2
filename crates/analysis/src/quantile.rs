//! Quantiles by nearest rank, and what order statistics say of their certainty.

use std::time::Duration;

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::Quantile;

/// The chance left outside either end of a 95 % interval.
const TAIL: f64 = 0.025;

/// The point of the normal curve that leaves `TAIL` above it.
const NORMAL: f64 = 1.959_963_984_540_054;

/// The variance of the number of values below a quantile from which on the normal curve stands for
/// the binomial distribution. The two then differ by less than a rank in a thousand, while the
/// continued fraction of the latter begins to lack terms.
const NORMAL_FROM: f64 = 1e6;

/// Index of the nearest-rank quantile in a sorted slice of `n` values: `ceil(q n) - 1`.
///
/// Range: 0 < q < 1, n >= 1. A product within 10^-9 (relative) of a whole number counts as that
/// number: 0.07 * 100 is 7.000000000000001 in binary and its rank is 7 all the same.
pub(crate) fn rank(n: usize, q: f64) -> usize {
    let exact = q * n as f64;
    let whole = exact.round();
    let up = if (exact - whole).abs() <= 1e-9 * whole.max(1.0) { whole } else { exact.ceil() };
    (up as usize).clamp(1, n) - 1
}

/// Indices of the order statistics that enclose the `q` quantile with at least 95 %, equal-tailed;
/// `None` when `n` values cannot carry that interval.
///
/// With B ~ Binomial(n, q), the number of values below the quantile: P(X_(l) <= x_q <= X_(u)) >=
/// P(l <= B < u). Here l is the largest rank with P(B < l) <= 0.025 and u the smallest with P(B >=
/// u) <= 0.025. The median needs 6 values, p90 36, p99 368. Source: David and Nagaraja, Order
/// Statistics, 3rd ed., section 7.1. It supposes independent values; queueing makes neighbours
/// alike, so it is a lower bound on the uncertainty.
pub(crate) fn interval_ranks(n: usize, q: f64) -> Option<(usize, usize)> {
    let (mean, variance) = (q * n as f64, q * (1.0 - q) * n as f64);
    if variance > NORMAL_FROM {
        let half = NORMAL * variance.sqrt();
        return Some(((mean - half).floor() as usize - 1, (mean + half).ceil() as usize));
    }
    let below = Binomial::new(q, n as u64).ok()?;
    // The largest l in 1..=n with cdf(l - 1) <= TAIL.
    let lower = largest(n, |l| below.cdf(l as u64 - 1) <= TAIL)?;
    // The smallest u in 1..=n with 1 - cdf(u - 1) <= TAIL; `sf` keeps the digits of a small tail.
    let upper = match largest(n, |u| below.sf(u as u64 - 1) > TAIL) {
        None => 1,
        Some(u) if u < n => u + 1,
        Some(_) => return None,
    };
    Some((lower - 1, upper - 1))
}

/// The largest i in `1..=n` with `holds(i)`, for a predicate that holds up to some point only.
fn largest(n: usize, holds: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut yes, mut no) = (0, n + 1);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if holds(middle) { yes = middle } else { no = middle }
    }
    (yes > 0).then_some(yes)
}

/// The `q` quantile of sorted nanoseconds with its interval; all `None` when the values are too
/// few.
pub(crate) fn quantile(sorted: &[u64], q: f64) -> Quantile {
    let Some((low, high)) = interval_ranks(sorted.len(), q) else {
        return Quantile::default();
    };
    let at = |index: usize| Some(Duration::from_nanos(sorted[index]));
    Quantile { value: at(rank(sorted.len(), q)), low: at(low), high: at(high) }
}

/// The same for sorted samples that each stand for several alike, (nanoseconds, how many), `n` in
/// all: the value is that of the n; the interval's ranks are those of the samples, each taken once,
/// and turned into shares of n, for those that are alike carry no more news than one.
pub(crate) fn weighted_quantile(sorted: &[(u64, u32)], n: u64, q: f64) -> Quantile {
    let Some((low, high)) = interval_ranks(sorted.len(), q) else {
        return Quantile::default();
    };
    let (samples, n) = (sorted.len() as u128, u128::from(n));
    let ranks = [
        ((low as u128 + 1) * n / samples).max(1),
        rank(n as usize, q) as u128 + 1,
        ((high as u128 + 1) * n).div_ceil(samples),
    ];
    let (mut below, mut sample) = (0, 0);
    let [low, value, high] = ranks.map(|rank| {
        while below + u128::from(sorted[sample].1) < rank {
            below += u128::from(sorted[sample].1);
            sample += 1;
        }
        Some(Duration::from_nanos(sorted[sample].0))
    });
    Quantile { value, low, high }
}

/// The median by nearest rank, without an interval; `None` of nothing. Reorders the values.
pub(crate) fn median(values: &mut [u64]) -> Option<u64> {
    if values.is_empty() {
        return None;
    }
    let middle = rank(values.len(), 0.5);
    Some(*values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// P(from <= B < to) for B ~ Binomial(n, num/100), by multiplying ratios of whole numbers and
    /// summing in logarithms: no code shared with the incomplete beta function that `statrs` uses.
    fn binomial_mass(n: usize, percent: usize, from: usize, to: usize) -> f64 {
        let (p, q) = (percent as f64 / 100.0, (100 - percent) as f64 / 100.0);
        let mut log_term = n as f64 * q.ln();
        let mut sum = 0.0;
        for k in 0..=n {
            if (from..to).contains(&k) {
                sum += log_term.exp();
            }
            log_term += ((n - k) as f64 / (k + 1) as f64 * (p / q)).ln();
        }
        sum
    }

    #[test]
    fn ranks_are_those_of_whole_number_arithmetic() {
        for n in 1..=1500_usize {
            for percent in 1..100_usize {
                let exact = (percent * n).div_ceil(100) - 1;
                assert_eq!(rank(n, percent as f64 / 100.0), exact, "n={n} q={percent}%");
            }
        }
    }

    #[test]
    fn the_interval_covers_95_percent_and_no_rank_more() {
        for percent in [50, 90, 99] {
            for n in 1..=1200 {
                let q = percent as f64 / 100.0;
                let Some((low, high)) = interval_ranks(n, q) else {
                    // Even the largest value leaves more than 2.5 % above, or the smallest below.
                    let above = binomial_mass(n, percent, n, n + 1);
                    let below = binomial_mass(n, percent, 0, 1);
                    assert!(above > TAIL || below > TAIL, "n={n} q={q}");
                    continue;
                };
                let (l, u) = (low + 1, high + 1);
                assert!(binomial_mass(n, percent, l, u) >= 0.95 - 1e-9, "n={n} q={q}");
                assert!(
                    binomial_mass(n, percent, 0, l + 1) > TAIL - 1e-9,
                    "lower could rise: n={n}"
                );
                assert!(
                    binomial_mass(n, percent, u - 1, n + 1) > TAIL - 1e-9,
                    "upper could fall: n={n}"
                );
                let at = rank(n, q);
                assert!(low <= at && at <= high);
            }
        }
    }

    #[test]
    fn the_fewest_samples_that_carry_an_interval() {
        for (q, fewest) in [(0.5, 6), (0.9, 36), (0.99, 368)] {
            assert_eq!(interval_ranks(fewest - 1, q), None);
            assert!(interval_ranks(fewest, q).is_some());
        }
        assert_eq!(interval_ranks(0, 0.5), None);
    }

    #[test]
    fn many_samples_have_the_interval_of_the_normal_curve() {
        // Within a thousandth of the standard deviation and two ranks of de Moivre's limit.
        for n in [100_000_usize, 3_900_000, 4_100_000, 50_000_000, 4_000_000_000] {
            for q in [0.5, 0.9, 0.99] {
                let deviation = (n as f64 * q * (1.0 - q)).sqrt();
                let (low, high) = interval_ranks(n, q).unwrap();
                for (found, z) in [(low, -1.959_964), (high, 1.959_964)] {
                    let expected = q * n as f64 + z * deviation;
                    let off = (found as f64 - expected).abs();
                    assert!(off < 2.5 + 0.001 * deviation, "n={n} q={q}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn the_published_interval_of_the_median() {
        // Conover, Practical Nonparametric Statistics, table of ranks for n = 20: 6th and 15th.
        assert_eq!(interval_ranks(20, 0.5), Some((5, 14)));
    }

    proptest! {
        /// A quantile is one of the values, lies in its interval, and does not fall when q rises.
        #[test]
        fn quantiles_are_values_in_order(
            mut values in prop::collection::vec(0_u64..1_000_000, 0..600),
        ) {
            values.sort_unstable();
            let found = [0.5, 0.9, 0.99].map(|q| quantile(&values, q));
            for one in found {
                if let (Some(value), Some(low), Some(high)) = (one.value, one.low, one.high) {
                    prop_assert!(low <= value && value <= high);
                    prop_assert!(values.contains(&(value.as_nanos() as u64)));
                } else {
                    prop_assert!(one == Quantile::default());
                }
            }
            if let (Some(a), Some(b)) = (found[0].value, found[1].value) {
                prop_assert!(a <= b);
            }
        }

        /// Samples that all stand for equally many have the quantiles, and the intervals, of the
        /// samples alone.
        #[test]
        fn equal_weights_change_nothing(
            mut values in prop::collection::vec(0_u64..1_000_000, 1..600),
            weight in 1_u32..9,
        ) {
            values.sort_unstable();
            let weighted: Vec<(u64, u32)> = values.iter().map(|&value| (value, weight)).collect();
            let n = values.len() as u64 * u64::from(weight);
            for q in [0.5, 0.9, 0.99] {
                prop_assert_eq!(weighted_quantile(&weighted, n, q), quantile(&values, q));
            }
        }

        /// The median is the middle of the sorted values.
        #[test]
        fn median_by_sorting(mut values in prop::collection::vec(0_u64..1000, 1..100)) {
            let found = median(&mut values.clone());
            values.sort_unstable();
            prop_assert_eq!(found, Some(values[values.len().div_ceil(2) - 1]));
        }
    }
}
