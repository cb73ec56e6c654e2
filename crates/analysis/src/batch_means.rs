//! The mean of a series in time with an interval that holds although neighbours are alike.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::Estimate;

/// Fine bins that a window is cut into. Every batch is a whole number of them.
pub(crate) const FINE_BINS: usize = 60;

/// Numbers of batches, from many to few: the divisors of [`FINE_BINS`].
const BATCHES: [usize; 6] = [30, 20, 15, 12, 10, 6];

/// Length of the window that calls for one batch more, in seconds.
const SECONDS_A_BATCH: f64 = 0.5;

/// The rate of events with its 95 % interval, from what happened in each fine bin of a window.
///
/// The bins are joined into k batches with sums S_1..S_k; mean m = sum(S) / T, and the half width
/// is t(0.975, k - 1) * sd(S_i * k / T) / sqrt(k). k starts at a batch for each half second, 10 to
/// 30, and falls while the batches' correlation at lag 1 is significantly positive (r1 > 1.645 /
/// sqrt(k)), to 6 at the fewest. Negative correlation is left alone: it makes the interval wider
/// than it need be, never narrower. Unit: that of `amounts` per second. An empty window (0 s) gives
/// 0. Source: Law, Simulation Modeling and Analysis, 5th ed., section 9.5.3 (batch means).
pub(crate) fn rate(amounts: &[f64; FINE_BINS], seconds: f64) -> Estimate {
    signed_rate(amounts, seconds).not_negative()
}

/// The same for amounts that can be negative, such as the growth of the number in flight.
pub(crate) fn signed_rate(amounts: &[f64; FINE_BINS], seconds: f64) -> Estimate {
    interval(seconds, 1, |k| batches(amounts, k, seconds))
}

/// The rate of `amounts` with an interval that looks through waves, by a control variate.
///
/// A saturated server spends its time on two kinds of work: tokens, and whatever each request costs
/// once (its prefill). When requests finish together their successors start together, and tokens
/// come slower for as long as the prefills take: a wave, whose phase at the window's ends is
/// chance. `starts` counts the same thing a second way, each request's whole length at its first
/// token. Both have the same long-run rate, and in a wave one is low when the other is high. So
/// with x and y the batches of the two, z = x + g (y - x) has that rate as its mean for every g,
/// and the g of 0 to 1 with the least variance, -cov(x, y - x) / var(y - x), takes the waves out.
/// The value is the plain rate of `amounts`; the interval is that of z from batch means with k - 2
/// degrees of freedom, stretched to hold the value. Its middle is the better estimate of the long
/// run. Source: Law, Simulation Modeling and Analysis, 5th ed., section 11.4 (control variates).
pub(crate) fn controlled_rate(
    amounts: &[f64; FINE_BINS],
    starts: &[f64; FINE_BINS],
    seconds: f64,
) -> Estimate {
    let plain = rate(amounts, seconds);
    if seconds <= 0.0 {
        return plain;
    }
    let clear = interval(seconds, 2, |k| {
        let (x, y) = (batches(amounts, k, seconds), batches(starts, k, seconds));
        let apart: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y - x).collect();
        let (spread, together) = (covariance(&apart, &apart), covariance(&x, &apart));
        let g = if spread > 0.0 { (-together / spread).clamp(0.0, 1.0) } else { 0.0 };
        x.iter().zip(&apart).map(|(x, apart)| x + g * apart).collect()
    });
    if clear.high - clear.low >= plain.high - plain.low {
        return plain;
    }
    Estimate {
        value: plain.value,
        low: clear.low.min(plain.value).max(0.0),
        high: clear.high.max(plain.value),
    }
}

/// The mean of `values`, in the order of time, with its 95 % interval; `None` for fewer than two.
///
/// They are joined into k batches of neighbours whose numbers differ by one at most, and the half width is
/// t(0.975, k - 1) * sd of the batches' means / sqrt(k). k is 30 or the number of values, whichever is
/// less, and falls as in [`rate`] while neighbouring batches are alike. The value is the mean of all. Source: as
/// [`rate`].
pub(crate) fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let most = n.min(BATCHES[0]);
    let fewer = BATCHES.into_iter().filter(|&k| k < most);
    let mut half = 0.0;
    for k in std::iter::once(most).chain(fewer) {
        let batches: Vec<f64> = (0..k)
            .map(|batch| &values[batch * n / k..(batch + 1) * n / k])
            .map(|batch| batch.iter().sum::<f64>() / batch.len() as f64)
            .collect();
        half = student_t(k - 1) * standard_error(&batches);
        if lag_one(&batches) <= 1.645 / (k as f64).sqrt() {
            break;
        }
    }
    Some(Estimate::around(values.iter().sum::<f64>() / n as f64, half))
}

/// The mean of the batches that `batched` makes for k, with the half width for that k which is
/// the largest whose batches are not alike; `lost` degrees of freedom went into estimates.
fn interval(seconds: f64, lost: usize, batched: impl Fn(usize) -> Vec<f64>) -> Estimate {
    if seconds <= 0.0 {
        return Estimate::exact(0.0);
    }
    let most = (seconds / SECONDS_A_BATCH).clamp(10.0, 30.0);
    let mut found = Estimate::exact(0.0);
    for k in BATCHES.into_iter().filter(|&k| k as f64 <= most) {
        let values = batched(k);
        let mean = values.iter().sum::<f64>() / k as f64;
        found = Estimate::around(mean, student_t(k - lost) * standard_error(&values));
        if lag_one(&values) <= 1.645 / (k as f64).sqrt() {
            break;
        }
    }
    found
}

/// The rate in each of `k` batches.
fn batches(amounts: &[f64; FINE_BINS], k: usize, seconds: f64) -> Vec<f64> {
    amounts
        .chunks(FINE_BINS / k)
        .map(|bins| bins.iter().sum::<f64>() * k as f64 / seconds)
        .collect()
}

/// sd / sqrt(n) with the sd's n - 1; 0 for fewer than two values.
pub(crate) fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if values.len() < 2 { 0.0 } else { (covariance(values, values) / (n - 1.0) / n).sqrt() }
}

/// The sum of the products of two series' deviations from their means; the series are equally long.
fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
}

/// The 97.5 % point of Student's t with `degrees` of freedom, at least 1.
pub(crate) fn student_t(degrees: usize) -> f64 {
    StudentsT::new(0.0, 1.0, degrees.max(1) as f64)
        .expect("scale 1 and one degree of freedom or more are legal")
        .inverse_cdf(0.975)
}

/// The correlation of a series with itself one step later; 0 for a constant series.
fn lag_one(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let squares = covariance(values, values);
    if squares <= 0.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / squares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Bins that hold 1 and 3 in turn, one second each, so each of the 30 batches holds 4.
    fn alternating() -> [f64; FINE_BINS] {
        std::array::from_fn(|i| if i % 2 == 0 { 1.0 } else { 3.0 })
    }

    #[test]
    fn equal_batches_leave_no_doubt() {
        assert_eq!(rate(&alternating(), 60.0), Estimate::exact(2.0));
    }

    #[test]
    fn ten_batches_by_hand() {
        // 5 s: ten batches of six bins with rates 0, 2, 0, 2, ... per half second: mean 2 a second,
        // sd of the batch rates sqrt(10 * 4 / 9) = 2.108, t(0.975, 9) = 2.2622: half width 1.508.
        let bins = std::array::from_fn(|i| if (i / 6) % 2 == 0 { 0.0 } else { 2.0 / 6.0 });
        let found = rate(&bins, 5.0);
        assert!((found.value - 2.0).abs() < 1e-12);
        assert!((found.high - 2.0 - 2.2622 * 2.1082 / 10_f64.sqrt()).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn a_mean_of_few_values_by_hand() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[3.0]), None);
        // Mean 5, sd 2, n = 3: half width 4.3027 * 2 / sqrt(3) = 4.968.
        let found = mean(&[5.0, 3.0, 7.0]).unwrap();
        assert_eq!(found.value, 5.0);
        assert!((found.high - 5.0 - 4.968).abs() < 1e-3, "{found:?}");
        assert_eq!(mean(&[4.0; 100]), Some(Estimate::exact(4.0)));
    }

    #[test]
    fn a_mean_of_neighbours_that_are_alike_is_less_sure() {
        // The truth is 10. Values that remember 0.9 of the one before: an interval from 300 independent
        // ones would hold it in about a third of the cases.
        let series = |smooth: f64, seed: u64| -> Vec<f64> {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut level = 0.0;
            let mut next = || {
                let shock: f64 = StandardNormal.sample(&mut rng);
                level = smooth * level + shock;
                10.0 + level
            };
            // The first ones remember that it began at 10.
            (0..350).map(|_| next()).skip(50).collect()
        };
        for (smooth, least) in [(0.0, 182), (0.9, 165)] {
            let held = (1..=200)
                .filter(|&seed| mean(&series(smooth, seed)).is_some_and(|it| it.contains(10.0)));
            let held = held.count();
            assert!(held >= least, "smooth {smooth}: {held} of 200");
        }
    }

    #[test]
    fn students_t_is_that_of_the_tables() {
        for (degrees, t) in [(1, 12.706), (5, 2.571), (9, 2.262), (19, 2.093), (29, 2.045)] {
            assert!((student_t(degrees) - t).abs() < 1e-3, "{degrees}");
        }
    }

    #[test]
    fn slow_waves_merge_batches_and_widen_the_interval() {
        let noise = |smooth: f64, seed: u64| -> [f64; FINE_BINS] {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut level = 0.0;
            std::array::from_fn(|_| {
                let shock: f64 = StandardNormal.sample(&mut rng);
                level = smooth * level + shock;
                10.0 + level
            })
        };
        // Truth: 10 a bin. With a correlation of 0.8 from bin to bin, intervals that ignored it
        // would hold the truth in about half of the cases.
        for (smooth, least) in [(0.0, 182), (0.8, 165)] {
            let held = (1..=200).filter(|&seed| rate(&noise(smooth, seed), 60.0).contains(10.0));
            let held = held.count();
            assert!(held >= least, "smooth {smooth}: {held} of 200");
        }
    }

    #[test]
    fn the_control_takes_waves_out_and_keeps_the_truth() {
        // A server that gives 0.7 of its time to tokens and 0.3 to starts, in waves of 1.7 s: in
        // each bin starts and tokens share the time.
        let seconds = 15.0;
        let mut tokens = [0.0; FINE_BINS];
        let mut starts = [0.0; FINE_BINS];
        for i in 0..FINE_BINS {
            let at = (i as f64 + 0.5) * seconds / FINE_BINS as f64;
            let share = if (at / 1.7).fract() < 0.5 { 0.6 } else { 0.0 };
            let bin = seconds / FINE_BINS as f64;
            starts[i] = 100.0 * share / 0.3 * bin;
            tokens[i] = 100.0 * (1.0 - share) / 0.7 * bin;
        }
        let plain = rate(&tokens, seconds);
        let clear = controlled_rate(&tokens, &starts, seconds);
        assert_eq!(clear.value, plain.value);
        assert!(clear.contains(100.0), "{clear:?}");
        assert!(clear.relative_half_width() < 0.3 * plain.relative_half_width());
    }

    proptest! {
        /// Whatever happened, the interval is finite and holds the mean; amounts scale it.
        #[test]
        fn intervals_hold_their_mean(
            bins in prop::array::uniform32(0.0..100.0_f64),
            seconds in 0.1..100.0_f64,
        ) {
            let bins: [f64; FINE_BINS] = std::array::from_fn(|i| bins[i % 32]);
            let found = rate(&bins, seconds);
            prop_assert!(0.0 <= found.low && found.low <= found.value && found.value <= found.high);
            prop_assert!(found.high.is_finite());
            let double = rate(&bins.map(|bin| 2.0 * bin), seconds);
            prop_assert!((double.high - 2.0 * found.high).abs() <= 1e-9 * double.high.max(1.0));
            let starts: [f64; FINE_BINS] = std::array::from_fn(|i| bins[(i * 7) % FINE_BINS]);
            let clear = controlled_rate(&bins, &starts, seconds);
            prop_assert!(clear.low <= clear.value && clear.value <= clear.high);
        }
    }
}
