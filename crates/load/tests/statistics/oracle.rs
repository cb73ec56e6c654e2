//! Whether instants are those of a Poisson process: tests at level 1 % that know nothing of how the
//! instants came about. The statistical tests use them on schedules, the bench `wire` on what a
//! server saw.

use statrs::distribution::{ChiSquared, ContinuousCDF, Exp};

/// The share of true Poisson processes that each test rejects.
pub(crate) const LEVEL: f64 = 0.01;

/// What [`judge_poisson`] looks at, in its order.
pub(crate) const TESTS: [&str; 4] =
    ["counts in 0.1 s", "counts in 1 s", "counts in 10 s", "gaps (Kolmogorov-Smirnov)"];

/// For each of [`TESTS`] whether it rejects that `instants`, in seconds from the start and in order,
/// are the arrivals of a Poisson process of `rate` a second in `length` seconds.
pub(crate) fn judge_poisson(instants: &[f64], rate: f64, length: f64) -> [bool; 4] {
    let exponential = Exp::new(rate).expect("the rate is above zero");
    let from_start = [0.0].into_iter().chain(instants.iter().copied());
    let gaps = instants.iter().zip(from_start).map(|(at, before)| at - before).collect();
    [
        counts_rejected(instants, 0.1, length),
        counts_rejected(instants, 1.0, length),
        counts_rejected(instants, 10.0, length),
        gaps_rejected(gaps, |gap| exponential.cdf(gap)),
    ]
}

/// Whether the dispersion of the counts in whole windows of `window` seconds is too small or too
/// large, with half of the level at either end.
///
/// The sum of (count - mean)^2 / mean over n windows, which is n - 1 times the index of dispersion,
/// is chi-squared with n - 1 degrees of freedom (Fisher, Thornton and Mackenzie, Annals of Applied
/// Biology 9, 1922). There must be two windows.
pub(crate) fn counts_rejected(instants: &[f64], window: f64, length: f64) -> bool {
    // The small addition keeps 100 / 0.1 from being one short of 1,000.
    let mut counts = vec![0.0; (length / window + 1e-6) as usize];
    for at in instants {
        if let Some(count) = counts.get_mut((at / window) as usize) {
            *count += 1.0;
        }
    }
    let windows = counts.len() as f64;
    let mean = counts.iter().sum::<f64>() / windows;
    let dispersion = counts.iter().map(|count| (count - mean).powi(2) / mean).sum::<f64>();
    let chi = ChiSquared::new(windows - 1.0).expect("there are two windows");
    !(LEVEL / 2.0..=1.0 - LEVEL / 2.0).contains(&chi.cdf(dispersion))
}

/// Whether Kolmogorov-Smirnov rejects that `values` come from `cdf`.
///
/// The critical value is the asymptotic one, 1.6276 at 1 %, with Stephens' correction for finite n
/// (Stephens, JASA 69, 1974). Steps of the empirical distribution below 100 ns are not looked at:
/// offsets are whole nanoseconds, and of gamma gaps with a large cv a good part is smaller than that.
pub(crate) fn gaps_rejected(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> bool {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = values.iter().enumerate().fold(0.0_f64, |worst, (i, value)| {
        if *value < 1e-7 {
            return worst;
        }
        let p = cdf(*value);
        worst.max(p - i as f64 / n).max((i + 1) as f64 / n - p)
    });
    distance * (n.sqrt() + 0.12 + 0.11 / n.sqrt()) > 1.6276
}
