//! The mean of log-ratios over repetitions, how sure it is, and what may be claimed of it.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::Estimate;

/// The point of the normal curve that leaves 2.5 % above it.
pub(crate) const NORMAL: f64 = 1.959_963_984_540_054;

/// Student's t with `degrees` of freedom, at least 1.
pub(crate) fn student(degrees: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees.max(1.0))
        .expect("scale 1 and one degree of freedom or more are legal")
}

/// A mean on the scale of logarithms with its standard error from repetitions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogMean {
    /// The mean.
    pub(crate) mean: f64,
    /// Its standard error.
    pub(crate) error: f64,
    /// The degrees of freedom of the error, 1 or more.
    pub(crate) degrees: f64,
}

impl LogMean {
    /// The log-ratio of two settings from their repetitions, pair by pair.
    ///
    /// With y_i = ln(candidate_i / baseline_i), i = 1..n: mean(y), and the greater of sd(y) /
    /// sqrt(n) and 1.96 / t(0.975, n - 1) times what the repetitions' own intervals imply,
    /// sqrt(sum(a_i^2 + b_i^2)) / n, where a_i and b_i are their relative half widths / 1.96.
    /// `None` for fewer than two pairs; the figures must be above 0.
    pub(crate) fn of_pairs(baseline: &[Estimate], candidate: &[Estimate]) -> Option<Self> {
        let logs: Vec<f64> =
            baseline.iter().zip(candidate).map(|(a, b)| (b.value / a.value).ln()).collect();
        if logs.len() < 2 {
            return None;
        }
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let squares: f64 = logs.iter().map(|y| (y - mean).powi(2)).sum();
        let between = (squares / (n - 1.0) / n).sqrt();
        let degrees = n - 1.0;
        let own = own_variance(baseline, candidate).sqrt() / n;
        let error = between.max(own * NORMAL / student(degrees).inverse_cdf(0.975));
        Some(Self { mean, error, degrees })
    }

    /// e to the mean, with the interval that leaves `alpha` outside.
    pub(crate) fn ratio(&self, alpha: f64) -> Estimate {
        let half = student(self.degrees).inverse_cdf(1.0 - alpha / 2.0) * self.error;
        Estimate {
            value: self.mean.exp(),
            low: (self.mean - half).exp(),
            high: (self.mean + half).exp(),
        }
    }

    /// The chance of a mean this far from 0, or farther, if the truth is 0; two-sided.
    pub(crate) fn p_different(&self) -> f64 {
        if self.error > 0.0 {
            2.0 * student(self.degrees).sf(self.mean.abs() / self.error)
        } else {
            f64::from(u8::from(self.mean == 0.0))
        }
    }

    /// The greater p value of the two one-sided tests that the truth lies inside -`margin` to
    /// `margin`. Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987, 657-680.
    pub(crate) fn p_equivalent(&self, margin: f64) -> f64 {
        let room = margin - self.mean.abs();
        if self.error > 0.0 {
            student(self.degrees).sf(room / self.error)
        } else {
            f64::from(u8::from(room <= 0.0))
        }
    }

    /// The standard deviation of one repetition's log-ratio that this error stands for.
    pub(crate) fn deviation(&self) -> f64 {
        self.error * (self.degrees + 1.0).sqrt()
    }
}

/// The sum over all pairs of the variances that the figures' own intervals imply, on the scale of
/// logarithms (a relative half width is a half width there, to first order).
pub(crate) fn own_variance(baseline: &[Estimate], candidate: &[Estimate]) -> f64 {
    let of = |figure: &Estimate| (figure.relative_half_width() / NORMAL).powi(2);
    baseline.iter().zip(candidate).map(|(a, b)| of(a) + of(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(values: &[f64]) -> Vec<Estimate> {
        values.iter().map(|&value| Estimate::exact(value)).collect()
    }

    #[test]
    fn two_pairs_follow_the_closed_form_of_one_degree() {
        // With one degree of freedom t has the Cauchy law: P(T > t) = 1/2 - atan(t) / pi, and its
        // 97.5 % point is tan(0.475 pi) = 12.706.
        let a = exact(&[10.0, 10.0]);
        let b = exact(&[10.0 * 0.1_f64.exp(), 10.0 * 0.3_f64.exp()]);
        let found = LogMean::of_pairs(&a, &b).unwrap();
        assert!((found.mean - 0.2).abs() < 1e-12 && (found.error - 0.1).abs() < 1e-12);
        let pi = std::f64::consts::PI;
        assert!((found.p_different() - 2.0 * (0.5 - 2_f64.atan() / pi)).abs() < 1e-9);
        let one_sided = 0.5 - ((0.5 - 0.2) / 0.1_f64).atan() / pi;
        assert!((found.p_equivalent(0.5) - one_sided).abs() < 1e-9);
        let half = 0.1 * (0.475 * pi).tan();
        let ratio = found.ratio(0.05);
        assert!((ratio.high.ln() - 0.2 - half).abs() < 1e-6, "{ratio:?}");
        assert!((ratio.low.ln() - 0.2 + half).abs() < 1e-6);
    }

    #[test]
    fn three_pairs_follow_the_closed_form_of_two_degrees() {
        // Two degrees: F(t) = 1/2 + t / (2 sqrt(2 + t^2)).
        let a = exact(&[5.0, 6.0, 7.0]);
        let logs: [f64; 3] = [0.02, 0.05, 0.11];
        let b: Vec<Estimate> =
            a.iter().zip(logs).map(|(a, y)| Estimate::exact(a.value * y.exp())).collect();
        let found = LogMean::of_pairs(&a, &b).unwrap();
        // Deviations from 0.06: -0.04, -0.01, 0.05: variance 0.0021, error sqrt(0.0007).
        let error = 0.0007_f64.sqrt();
        assert!((found.error - error).abs() < 1e-12);
        let t = 0.06 / error;
        assert!((found.p_different() - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9);
    }

    #[test]
    fn the_wider_of_spread_and_own_intervals_counts() {
        // No spread at all, and each figure known to 2 %: the mean of four ratios is known to
        // 2 % * sqrt(2) / sqrt(4), with the normal curve's 1.96 already inside the 2 %.
        let figures = vec![Estimate::around(50.0, 1.0); 4];
        let ratio = LogMean::of_pairs(&figures, &figures).unwrap().ratio(0.05);
        assert!((ratio.high.ln() - 0.02 * 2_f64.sqrt() / 2.0).abs() < 1e-9, "{ratio:?}");
        // A spread of 10 % hides it: the same as without intervals.
        let wild: Vec<f64> = [0.9, 1.1, 0.9, 1.1].map(|x| 50.0 * x).to_vec();
        let own: Vec<Estimate> = wild.iter().map(|&x| Estimate::around(x, 0.5)).collect();
        let with = LogMean::of_pairs(&figures, &own).unwrap().error;
        let without = LogMean::of_pairs(&figures, &exact(&wild)).unwrap().error;
        assert_eq!(with, without);
    }

    #[test]
    fn the_t_test_agrees_with_the_exact_permutation_distribution() {
        // Under no difference the signs of the log-ratios are coin tosses. All 2^12 of them give
        // Fisher's exact p; the t test's is near it for well-behaved numbers.
        let logs: [f64; 12] =
            [0.31, -0.08, 0.22, 0.11, -0.17, 0.27, 0.05, 0.19, -0.02, 0.14, -0.11, 0.09];
        let sum: f64 = logs.iter().sum();
        let extreme = (0..1_u32 << 12).filter(|signs| {
            let signed: f64 = (0..12)
                .map(|i| if signs >> i & 1 == 1 { -logs[i as usize] } else { logs[i as usize] })
                .sum();
            signed.abs() >= sum.abs() - 1e-12
        });
        let permutation = extreme.count() as f64 / 4096.0;
        let a = exact(&[1.0; 12]);
        let b = exact(&logs.map(f64::exp));
        let found = LogMean::of_pairs(&a, &b).unwrap().p_different();
        assert!((found - permutation).abs() < 0.01, "{found} {permutation}");
    }

    #[test]
    fn no_spread_leaves_no_doubt() {
        let (a, b) = (exact(&[4.0, 4.0]), exact(&[5.0, 5.0]));
        let same = LogMean::of_pairs(&a, &a).unwrap();
        assert_eq!((same.p_different(), same.p_equivalent(0.01)), (1.0, 0.0));
        let other = LogMean::of_pairs(&a, &b).unwrap();
        assert_eq!((other.p_different(), other.p_equivalent(0.01)), (0.0, 1.0));
        assert!(LogMean::of_pairs(&a[..1], &b[..1]).is_none());
    }
}
