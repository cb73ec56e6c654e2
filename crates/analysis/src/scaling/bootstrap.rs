//! Capacities as they might have been measured, and the quantiles of what follows from them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use super::samples::Sample;
use crate::Estimate;

/// Draws of a judgement: the 2.5 % quantile then has 50 of them outside.
pub(super) const DRAWS: usize = 2000;

/// Where the noise of the capacities comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Noise {
    /// From the capacities' own intervals, so many times as wide.
    Interval { wider: f64 },
    /// From the residuals of a fit: their standard deviation and its degrees of freedom.
    Residuals { sd: f64, freedom: f64 },
}

/// Sets of capacities, each as long as the samples.
#[derive(Debug)]
pub(super) struct Draws {
    values: Vec<f64>,
    width: usize,
}

impl Draws {
    /// [`DRAWS`] sets around what was measured.
    ///
    /// From intervals: log-normal, with its own width upwards and downwards: a capacity is above 0, what is judged
    /// are ratios, and 2.5 % and 97.5 % of the draws lie outside exactly the interval that the
    /// capacity came with. From residuals: normal and alike for all samples, as the fit that left
    /// them supposes. Residuals of few points know their own spread badly: each set then has
    /// another, by the chi-squared distribution, which makes the intervals those of Student's t.
    pub(super) fn of(samples: &[Sample], noise: Noise, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut values = Vec::with_capacity(DRAWS * samples.len());
        for _ in 0..DRAWS {
            let spread = match noise {
                Noise::Interval { wider } => wider,
                Noise::Residuals { freedom, .. } => match ChiSquared::new(freedom) {
                    Ok(law) => (freedom / law.sample(&mut random)).sqrt(),
                    Err(_) => 1.0,
                },
            };
            for sample in samples {
                let z: f64 = StandardNormal.sample(&mut random);
                values.push(match noise {
                    Noise::Residuals { sd, .. } => sample.y + z * sd * spread,
                    Noise::Interval { .. } => {
                        let width = if z > 0.0 { sample.log_up } else { sample.log_down };
                        // A factor beyond e^5 is no measurement any more; it keeps draws finite.
                        sample.y * (z * width * spread).clamp(-5.0, 5.0).exp()
                    }
                });
            }
        }
        Self { values, width: samples.len() }
    }

    /// The sets, one after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }
}

/// The `q` quantile of sorted draws, by nearest rank.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    sorted[crate::quantile::rank(sorted.len(), q)]
}

/// `value` with the middle 95 % of sorted draws.
pub(super) fn interval(sorted: &[f64], value: f64) -> Estimate {
    Estimate {
        value,
        low: quantile(sorted, 0.025).min(value),
        high: quantile(sorted, 0.975).max(value),
    }
}

/// The same for a parameter that cannot leave `[least, most]`, from draws that may.
///
/// An unbounded estimate has an interval of the right coverage, and cutting off what is impossible
/// takes no truth out of it. So the draws are fitted without limits and the interval is cut, while
/// a bootstrap of limited fits is wrong at the limit (Andrews, *Econometrica* 68, 2000, 399-405).
/// What is left is one-sided there. It must not vanish when the unbounded estimate lies far
/// outside: it then reaches as far as a one-sided 95 % interval around the limit itself would.
pub(super) fn bounded(draws: &mut [f64], value: f64, least: f64, most: f64) -> Estimate {
    draws.sort_unstable_by(f64::total_cmp);
    let Estimate { mut low, mut high, .. } = interval(draws, value);
    let middle = quantile(draws, 0.5);
    if value <= least {
        high = high.max(least + quantile(draws, 0.95) - middle);
    }
    if value >= most {
        low = low.min(most - (middle - quantile(draws, 0.05)));
    }
    Estimate { value, low: low.max(least).min(value), high: high.min(most).max(value) }
}
