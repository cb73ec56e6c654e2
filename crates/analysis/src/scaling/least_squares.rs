//! Weighted least squares of a curve, by Levenberg and Marquardt's way, on one to three factors.
//!
//! Minimised is the sum of ((y - f(n)) / sd)^2, on the capacities themselves: Gunther's older
//! transform (least squares on n / C) is linear, but it lets the smallest capacities rule; it only
//! gives the starting values here. A point known from below adds its term only while the curve runs
//! below it, so it can hold a curve up and never pull it down.
//!
//! Own code instead of a crate: a bootstrap solves this some ten thousand times a judgement with
//! three factors at most, where fixed arrays need no heap and no matrix library. Source: Marquardt,
//! *SIAM Journal on Applied Mathematics* 11(2), 1963, 431-441, with his scaling of the diagonal.

use super::law::Curve;
use super::samples::Sample;

/// Steps before the fit is taken as it is; exact data take about five.
const STEPS: usize = 60;

/// A relative step of the factors below which nothing changes any more.
const STILL: f64 = 1e-11;

/// The factors of a curve and its weighted sum of squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Solution {
    pub(super) factors: [f64; 3],
    pub(super) squares: f64,
}

/// The best factors of `curve` for capacities `y` at the samples' sizes; needs as many saturated
/// samples as the curve has terms. `from` is where to begin, if a near solution is known.
pub(super) fn solve(
    curve: Curve,
    samples: &[Sample],
    y: &[f64],
    from: Option<[f64; 3]>,
) -> Solution {
    let start = from.unwrap_or_else(|| transformed(curve, samples, y));
    let mut at = match squares(curve, samples, y, start) {
        Some(squares) => Solution { factors: start, squares },
        None => {
            let factors = flat(curve, samples, y);
            let squares = squares(curve, samples, y, factors).unwrap_or(f64::INFINITY);
            Solution { factors, squares }
        }
    };
    let mut damping = 1e-4;
    for _ in 0..STEPS {
        let (matrix, gradient) = normal_equations(curve, samples, y, at.factors);
        let Some(step) = damped(matrix, gradient, damping, curve.terms.len()) else {
            damping *= 10.0;
            continue;
        };
        let mut factors = at.factors;
        for (factor, step) in factors.iter_mut().zip(step) {
            *factor += step;
        }
        let still = (0..curve.terms.len()).all(|i| step[i].abs() <= STILL * factors[i].abs());
        match squares(curve, samples, y, factors) {
            Some(squares) if squares <= at.squares => {
                at = Solution { factors, squares };
                damping = f64::max(damping * 0.05, 1e-15);
            }
            _ => damping *= 10.0,
        }
        if still || damping > 1e12 {
            break;
        }
    }
    at
}

/// Capacity and the factor of its derivative by the terms, at `n`; `None` past a pole.
fn value(curve: Curve, factors: [f64; 3], terms: [f64; 3], n: f64) -> Option<(f64, f64)> {
    let sum: f64 = factors.iter().zip(terms).map(|(factor, term)| factor * term).sum();
    if !curve.reciprocal {
        return Some((sum, 1.0));
    }
    (sum > 0.0).then(|| (n / sum, -n / (sum * sum)))
}

/// How far a curve's `value` is off the sample, in its standard deviations.
fn residual(sample: &Sample, y: f64, value: f64) -> f64 {
    if sample.lower_bound && value >= y { 0.0 } else { (y - value) / sample.sd }
}

/// The sum that is minimised; `None` where the curve has a pole before one of the sizes.
fn squares(curve: Curve, samples: &[Sample], y: &[f64], factors: [f64; 3]) -> Option<f64> {
    let mut sum = 0.0;
    for (sample, &y) in samples.iter().zip(y) {
        let (value, _) = value(curve, factors, curve.terms_at(sample.n), sample.n)?;
        sum += residual(sample, y, value).powi(2);
    }
    sum.is_finite().then_some(sum)
}

type Matrix = [[f64; 3]; 3];

fn normal_equations(
    curve: Curve,
    samples: &[Sample],
    y: &[f64],
    factors: [f64; 3],
) -> (Matrix, [f64; 3]) {
    let (mut matrix, mut gradient) = ([[0.0; 3]; 3], [0.0; 3]);
    for (sample, &y) in samples.iter().zip(y) {
        let terms = curve.terms_at(sample.n);
        let Some((value, slope)) = value(curve, factors, terms, sample.n) else { continue };
        let residual = residual(sample, y, value);
        if sample.lower_bound && residual == 0.0 {
            continue;
        }
        add(&mut matrix, &mut gradient, terms, slope / sample.sd, residual);
    }
    (matrix, gradient)
}

/// Adds one row, `weight` times the terms, with its residual.
fn add(matrix: &mut Matrix, gradient: &mut [f64; 3], terms: [f64; 3], weight: f64, residual: f64) {
    for i in 0..3 {
        gradient[i] += weight * terms[i] * residual;
        for j in 0..3 {
            matrix[i][j] += weight * weight * terms[i] * terms[j];
        }
    }
}

/// Solves (A + damping diag(A)) x = b by Cholesky on the scaled matrix; `None` if it is singular.
fn damped(matrix: Matrix, right: [f64; 3], damping: f64, size: usize) -> Option<[f64; 3]> {
    let mut scale = [0.0; 3];
    for i in 0..size {
        scale[i] = matrix[i][i].sqrt();
        if !(scale[i] > 0.0 && scale[i].is_finite()) {
            return None;
        }
    }
    let mut lower = [[0.0; 3]; 3];
    let mut solution = [0.0; 3];
    for i in 0..size {
        for j in 0..=i {
            let mut sum = matrix[i][j] / (scale[i] * scale[j]);
            if i == j {
                sum += damping;
            }
            sum -= (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            if i == j {
                if sum <= 1e-18 {
                    return None;
                }
                lower[i][i] = sum.sqrt();
            } else {
                lower[i][j] = sum / lower[j][j];
            }
        }
        let known: f64 = (0..i).map(|k| lower[i][k] * solution[k]).sum();
        solution[i] = (right[i] / scale[i] - known) / lower[i][i];
    }
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|k| lower[k][i] * solution[k]).sum();
        solution[i] = (solution[i] - known) / lower[i][i];
    }
    for i in 0..size {
        solution[i] /= scale[i];
    }
    Some(solution)
}

/// Starting values: linear least squares, of n / y for a reciprocal curve, each weighted by what its
/// error does to the capacity.
fn transformed(curve: Curve, samples: &[Sample], y: &[f64]) -> [f64; 3] {
    let (mut matrix, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for (sample, &y) in samples.iter().zip(y).filter(|(sample, _)| !sample.lower_bound) {
        let (target, weight) = if curve.reciprocal {
            (sample.n / y, y * y / (sample.n * sample.sd))
        } else {
            (y, sample.sd.recip())
        };
        add(&mut matrix, &mut right, curve.terms_at(sample.n), weight, weight * target);
    }
    damped(matrix, right, 0.0, curve.terms.len()).unwrap_or_else(|| flat(curve, samples, y))
}

/// The first term alone, through the middle of the samples: positive everywhere.
fn flat(curve: Curve, samples: &[Sample], y: &[f64]) -> [f64; 3] {
    let each = samples.iter().zip(y).map(|(sample, &y)| {
        let target = if curve.reciprocal { sample.n / y } else { y };
        target / curve.terms_at(sample.n)[0]
    });
    [each.sum::<f64>() / samples.len() as f64, 0.0, 0.0]
}
