//! One law through the points: its parameters with intervals, its AICc, and how well it fits.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::bootstrap::{Draws, Noise, bounded};
use super::law::Parameters;
use super::least_squares::{self, Solution};
use super::samples::Sample;
use super::{Bound, Law};
use crate::Estimate;

/// The chance below which residuals are larger than the intervals explain.
const MISFIT: f64 = 0.05;

/// The least relative standard deviation of residuals: below it the data are exact.
const EXACT: f64 = 1e-6;

/// A law through the points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Which law.
    pub law: Law,
    /// Capacity of one GPU or replica by this law, in the unit of the points.
    pub lambda: Estimate,
    /// Serial share (contention), 0 to 1; `None` for the linear law.
    pub sigma: Option<Estimate>,
    /// Cost of coherency, 0 or more; only USL has it.
    pub kappa: Option<Estimate>,
    /// Corrected information criterion, less is better; `None` with too few points.
    pub aicc: Option<f64>,
    /// Chance of residuals this large if the law were true and the intervals right; below 0.05 the
    /// intervals of the parameters were widened. `None` without intervals or spare points.
    pub misfit: Option<f64>,
    /// What was measured and what the law says, for each saturated point.
    pub residuals: Vec<Residual>,
    /// [`Bound::AtLeast`] where a point that is only known from below holds the curve up: capacities
    /// by the law are then this or more, sigma and kappa this or less.
    pub bound: Bound,
}

impl Fit {
    /// Capacity at size `n` by the law, in the unit of the points. It is a forecast wherever `n`
    /// lies outside the points, and no interval is known for it there.
    #[must_use]
    pub fn capacity(&self, n: f64) -> f64 {
        let value = |estimate: Option<Estimate>| estimate.map_or(0.0, |estimate| estimate.value);
        Parameters { lambda: self.lambda.value, sigma: value(self.sigma), kappa: value(self.kappa) }
            .capacity(self.law, n)
    }
}

/// One point against a law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// GPUs or replicas.
    pub n: f64,
    /// Capacity as measured.
    pub measured: f64,
    /// Capacity by the law.
    pub fitted: f64,
}

/// Saturated points that AICc needs for `law`: more than the number of its parameters, that of the
/// noise included where it is unknown, plus one.
pub(super) fn points_for_aicc(law: Law, known_noise: bool) -> usize {
    law.parameters() + usize::from(!known_noise) + 2
}

/// A fit, and the parameters of every draw, without limits.
pub(super) struct Fitted {
    pub(super) fit: Fit,
    pub(super) draws: Vec<Parameters>,
}

/// The law through the samples; `None` where they are too few for its parameters.
pub(super) fn fit(law: Law, samples: &[Sample], seed: u64) -> Option<Fitted> {
    let measured: Vec<&Sample> = samples.iter().filter(|sample| !sample.lower_bound).collect();
    let known = measured.iter().any(|sample| sample.has_interval());
    let k = law.parameters();
    if measured.len() < k + usize::from(!known) {
        return None;
    }
    let y: Vec<f64> = samples.iter().map(|sample| sample.y).collect();
    let free = least_squares::solve(law.free(), samples, &y, None);
    let (best, squares) = within_limits(law, samples, &y, free)?;

    let spare = measured.len() - k;
    let exact = EXACT * measured.iter().map(|sample| sample.y).sum::<f64>() / measured.len() as f64;
    let misfit = if known && spare > 0 {
        ChiSquared::new(spare as f64).ok().map(|law| law.sf(squares))
    } else {
        None
    };
    let noise = if known {
        let widen = misfit.is_some_and(|chance| chance < MISFIT);
        // Birge's ratio.
        Noise::Interval { wider: if widen { (squares / spare as f64).sqrt() } else { 1.0 } }
    } else {
        let sd = (squares / spare as f64).sqrt().max(exact);
        Noise::Residuals { sd, freedom: spare as f64 }
    };
    let draws: Vec<Parameters> = Draws::of(samples, noise, seed)
        .iter()
        .map(|y| {
            let found = least_squares::solve(law.free(), samples, y, Some(free.factors));
            law.free().parameters(found.factors)
        })
        .collect();

    let of = |part: fn(&Parameters) -> f64, least, most| {
        let mut parts: Vec<f64> = draws.iter().map(part).collect();
        bounded(&mut parts, part(&best), least, most)
    };
    let held_up =
        samples.iter().any(|sample| sample.lower_bound && best.capacity(law, sample.n) < sample.y);
    let fit = Fit {
        law,
        lambda: of(|p| p.lambda, 0.0, f64::INFINITY),
        sigma: (k > 1).then(|| of(|p| p.sigma, 0.0, 1.0)),
        kappa: (k > 2).then(|| of(|p| p.kappa, 0.0, f64::INFINITY)),
        aicc: (measured.len() >= points_for_aicc(law, known))
            .then(|| aicc(known, measured.len(), k, squares, exact)),
        misfit,
        residuals: measured
            .iter()
            .map(|sample| Residual {
                n: sample.n,
                measured: sample.y,
                fitted: best.capacity(law, sample.n),
            })
            .collect(),
        bound: if held_up { Bound::AtLeast } else { Bound::Measured },
    };
    Some(Fitted { fit, draws })
}

/// The best parameters that `law` allows for capacities `y`, and their sum of squares.
#[cfg(test)]
pub(super) fn best(law: Law, samples: &[Sample], y: &[f64]) -> Option<(Parameters, f64)> {
    within_limits(law, samples, y, least_squares::solve(law.free(), samples, y, None))
}

/// The best parameters within the law's limits, and their sum of squares.
///
/// Where the free fit is allowed it is the answer; else the answer lies on one of the limits, and
/// is the best of the fits along each that are allowed themselves.
fn within_limits(
    law: Law,
    samples: &[Sample],
    y: &[f64],
    free: Solution,
) -> Option<(Parameters, f64)> {
    let parameters = law.free().parameters(free.factors);
    if parameters.allowed() {
        return Some((parameters, free.squares));
    }
    law.at_limits()
        .iter()
        .map(|curve| {
            let found = least_squares::solve(*curve, samples, y, None);
            (curve.parameters(found.factors), found.squares)
        })
        .filter(|(parameters, squares)| parameters.allowed() && squares.is_finite())
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Akaike's criterion with the correction of Hurvich and Tsai (*Biometrika* 76, 1989, 297-307):
/// -2 ln L + 2k + 2k(k + 1) / (n - k - 1).
///
/// With known noise -2 ln L is the weighted sum of squares, and k the law's parameters. Else it is
/// n ln(squares / n), and the noise counts as one parameter more.
fn aicc(known: bool, n: usize, k: usize, squares: f64, exact: f64) -> f64 {
    let n = n as f64;
    let (deviance, k) = if known {
        (squares, k as f64)
    } else {
        (n * (squares / n).max(exact * exact).ln(), k as f64 + 1.0)
    };
    deviance + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0)
}
