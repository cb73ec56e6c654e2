//! The points as numbers to compute with: sorted, checked, with their noise.

use super::{ScalePoint, ScalingError};

/// 97.5 % point of the normal curve.
pub(super) const NORMAL: f64 = 1.959_963_984_540_054;

/// The least relative half width that is believed, as for the plateau (docs/method.md).
const LEAST_HALF_WIDTH: f64 = 0.002;

/// One point, ready for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Size.
    pub(super) n: f64,
    /// Capacity.
    pub(super) y: f64,
    /// Standard deviation of `ln y` upwards and downwards; 0 where no interval is known.
    pub(super) log_up: f64,
    pub(super) log_down: f64,
    /// Standard deviation of `y`: a quarter of the interval, roughly; 1 where none is known.
    pub(super) sd: f64,
    /// Known from below only.
    pub(super) lower_bound: bool,
}

impl Sample {
    /// Whether the noise of this sample is known.
    pub(super) fn has_interval(&self) -> bool {
        self.log_up > 0.0
    }
}

/// The points as samples, smallest first.
///
/// Where any saturated point has an interval, those without width are given the least that is
/// believed; where none has, all have the same weight and no noise of their own.
pub(super) fn of(points: &[ScalePoint]) -> Result<Vec<Sample>, ScalingError> {
    if points.is_empty() {
        return Err(ScalingError::NoPoints);
    }
    let known = points.iter().any(|p| !p.lower_bound && p.capacity.high > p.capacity.low);
    let mut samples = Vec::with_capacity(points.len());
    for point in points {
        let ScalePoint { n, capacity, lower_bound } = *point;
        if !(n > 0.0 && n.is_finite()) {
            return Err(ScalingError::Size { n });
        }
        let whole = capacity.low <= capacity.value && capacity.value <= capacity.high;
        if !(capacity.low > 0.0 && capacity.high.is_finite() && whole) {
            let crate::Estimate { value, low, high } = capacity;
            return Err(ScalingError::Capacity { n, value, low, high });
        }
        let y = capacity.value;
        let (log_up, log_down, sd) = if known {
            let low = capacity.low.min(y * (1.0 - LEAST_HALF_WIDTH));
            let high = capacity.high.max(y * (1.0 + LEAST_HALF_WIDTH));
            ((high / y).ln() / NORMAL, (y / low).ln() / NORMAL, (high - low) / (2.0 * NORMAL))
        } else {
            (0.0, 0.0, 1.0)
        };
        samples.push(Sample { n, y, log_up, log_down, sd, lower_bound });
    }
    samples.sort_by(|a, b| a.n.total_cmp(&b.n));
    match samples.windows(2).find(|pair| pair[0].n == pair[1].n) {
        Some(pair) => Err(ScalingError::SameSize { n: pair[0].n }),
        None => Ok(samples),
    }
}
