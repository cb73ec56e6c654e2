//! Token lengths, drawn by index.

use rand_distr::{Distribution, LogNormal};

use crate::chance::{Source, Streams, below};
use crate::config::{LengthConfig, LognormalConfig, MAX_LENGTH_TOKENS};
use crate::cycle::Cycle;

/// A length for each index: a pure function of the seed and the index.
#[derive(Clone, Debug)]
pub(crate) enum Lengths {
    Constant(u32),
    Uniform { min: u32, max: u32, streams: Streams },
    Lognormal { distribution: LogNormal<f64>, min: u32, max: Option<u32>, streams: Streams },
    Rows { values: Vec<u32>, cycle: Cycle },
}

impl Lengths {
    /// The lengths that `config`, already checked, describes; `None` for a trace, whose file must be
    /// read first.
    pub(crate) fn of(config: &LengthConfig, seed: u64, source: Source) -> Option<Self> {
        let streams = Streams::new(seed, source);
        Some(match *config {
            LengthConfig::Constant(tokens) => Self::Constant(tokens),
            LengthConfig::Uniform(ref uniform) => {
                Self::Uniform { min: uniform.min, max: uniform.max, streams }
            }
            LengthConfig::Lognormal(LognormalConfig { mean, cv, min, max }) => {
                // For X = exp(mu + sigma Z): mean = exp(mu + sigma^2 / 2), cv^2 = exp(sigma^2) - 1.
                let variance = cv.mul_add(cv, 1.0).ln();
                let distribution = LogNormal::new(mean.ln() - variance / 2.0, variance.sqrt())
                    .expect("mean and cv were checked to be finite, so is sigma");
                Self::Lognormal { distribution, min: min.unwrap_or(1), max, streams }
            }
            LengthConfig::Trace(_) => return None,
        })
    }

    /// The length at `index`, in tokens.
    pub(crate) fn draw(&self, index: u64) -> u32 {
        match self {
            Self::Constant(tokens) => *tokens,
            Self::Uniform { min, max, streams } => {
                min + below(&mut streams.at(index), (max - min) as usize + 1) as u32
            }
            Self::Lognormal { distribution, min, max, streams } => {
                round_and_clip(distribution.sample(&mut streams.at(index)), *min, *max)
            }
            Self::Rows { values, cycle } => values[cycle.position(index)],
        }
    }

    /// The mean length in tokens, rounding and clipping included.
    ///
    /// Exact for constant, uniform and trace lengths. For a lognormal X = exp(mu + sigma Z) it is
    /// the integral of clip(round(exp(mu + sigma z))) phi(z) dz, by the midpoint rule on 65,536
    /// steps over |z| <= 9, good to 0.01 % of the mean.
    pub(crate) fn mean(&self) -> f64 {
        match self {
            Self::Constant(tokens) => f64::from(*tokens),
            Self::Uniform { min, max, .. } => f64::midpoint(f64::from(*min), f64::from(*max)),
            Self::Lognormal { distribution, min, max, .. } => {
                const STEPS: u32 = 65_536;
                let step = 18.0 / f64::from(STEPS);
                let (mut sum, mut weights) = (0.0, 0.0);
                for number in 0..STEPS {
                    let z = step.mul_add(f64::from(number) + 0.5, -9.0);
                    let weight = (-z * z / 2.0).exp();
                    let length = round_and_clip(distribution.from_zscore(z), *min, *max);
                    sum += weight * f64::from(length);
                    weights += weight;
                }
                sum / weights
            }
            Self::Rows { values, .. } => {
                values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
            }
        }
    }

    /// The longest length that can come, in tokens; `None` where nothing bounds it.
    pub(crate) fn longest(&self) -> Option<u32> {
        match self {
            Self::Constant(tokens) => Some(*tokens),
            Self::Uniform { max, .. } => Some(*max),
            Self::Lognormal { max, .. } => *max,
            Self::Rows { values, .. } => values.iter().copied().max(),
        }
    }
}

fn round_and_clip(length: f64, min: u32, max: Option<u32>) -> u32 {
    // A float-to-int cast saturates.
    (length.round() as u32).clamp(min, max.unwrap_or(MAX_LENGTH_TOKENS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;
    use crate::config::UniformConfig;

    fn lognormal(mean: f64, cv: f64, min: Option<u32>, max: Option<u32>) -> Lengths {
        let config = LengthConfig::Lognormal(LognormalConfig { mean, cv, min, max });
        Lengths::of(&config, 3, Source::InputLength).unwrap()
    }

    /// The exact mean of the rounded and clipped lognormal, as a sum over the survival function:
    /// E[L] = min + sum over k in (min, max] of P(X >= k - 1/2).
    fn exact_mean(mean: f64, cv: f64, min: u32, max: u32) -> f64 {
        let sigma = (1.0 + cv * cv).ln().sqrt();
        let mu = mean.ln() - sigma * sigma / 2.0;
        let normal = Normal::new(mu, sigma).unwrap();
        f64::from(min) + (min + 1..=max).map(|k| normal.sf((f64::from(k) - 0.5).ln())).sum::<f64>()
    }

    #[test]
    fn the_lognormal_mean_matches_the_sum_over_its_survival_function() {
        for (mean, cv, min, max) in [
            (512.0, 0.6, 1, 4096),
            (512.0, 0.6, 300, 700),
            (128.0, 1.5, 1, 200),
            (3.0, 2.0, 1, 100),
            (2000.0, 0.01, 1, 9000),
        ] {
            let ours = lognormal(mean, cv, Some(min), Some(max)).mean();
            let exact = exact_mean(mean, cv, min, max);
            assert!((ours / exact - 1.0).abs() < 1e-4, "{mean} {cv}: {ours} {exact}");
        }
        // Clipping to 700 takes tokens away; without a bound the mean is the one written.
        assert!(lognormal(512.0, 0.6, None, Some(700)).mean() < 480.0);
        assert!((lognormal(512.0, 0.6, None, None).mean() - 512.0).abs() < 0.1);
    }

    #[test]
    fn draws_have_the_mean_that_is_promised() {
        let uniform = LengthConfig::Uniform(UniformConfig { min: 10, max: 100 });
        for lengths in [
            lognormal(512.0, 0.6, None, Some(4096)),
            lognormal(100.0, 1.2, Some(20), Some(300)),
            Lengths::of(&uniform, 3, Source::InputLength).unwrap(),
        ] {
            const DRAWS: u64 = 40_000;
            let drawn: Vec<f64> = (0..DRAWS).map(|index| f64::from(lengths.draw(index))).collect();
            let mean = drawn.iter().sum::<f64>() / DRAWS as f64;
            let variance =
                drawn.iter().map(|length| (length - mean).powi(2)).sum::<f64>() / DRAWS as f64;
            let error = (variance / DRAWS as f64).sqrt();
            // The seed is fixed: four standard errors hold or they do not, for ever.
            assert!((mean - lengths.mean()).abs() < 4.0 * error, "{mean} {}", lengths.mean());
        }
    }

    proptest! {
        /// No draw leaves the bounds, and the bounds of a uniform length both come.
        #[test]
        fn draws_stay_in_bounds(min in 1_u32..50, width in 0_u32..4, seed: u64) {
            let max = min + width;
            let uniform = LengthConfig::Uniform(UniformConfig { min, max });
            let uniform = Lengths::of(&uniform, seed, Source::OutputLength).unwrap();
            let drawn: Vec<u32> = (0..200).map(|index| uniform.draw(index)).collect();
            prop_assert_eq!(drawn.iter().copied().min(), Some(min));
            prop_assert_eq!(drawn.iter().copied().max(), Some(max));
            let clipped = lognormal(f64::from(min), 3.0, Some(min), Some(max));
            prop_assert!((0..200).all(|index| (min..=max).contains(&clipped.draw(index))));
        }
    }

    #[test]
    fn a_draw_depends_on_seed_and_index_alone() {
        let lengths = lognormal(512.0, 0.6, None, None);
        let forward: Vec<u32> = (0..50).map(|index| lengths.draw(index)).collect();
        let backward: Vec<u32> = (0..50).rev().map(|index| lengths.draw(index)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert_eq!(lengths.longest(), None);
    }
}
