//! A number with its interval.

use serde::{Deserialize, Serialize};

/// An estimate with its 95 % confidence interval, in the unit of the field that holds it.
///
/// Invariant of every function that returns one: `low <= value <= high`, all finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// An exactly known number.
    #[must_use]
    pub const fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// `value` with `half_width` to either side; a half width that is not finite counts as 0.
    pub(crate) fn around(value: f64, half_width: f64) -> Self {
        let half = if half_width.is_finite() { half_width.max(0.0) } else { 0.0 };
        Self { value, low: value - half, high: value + half }
    }

    /// The same with its lower end at 0 or above, for quantities that cannot be negative.
    pub(crate) fn not_negative(self) -> Self {
        Self { low: self.low.max(0.0).min(self.value), ..self }
    }

    /// The same in another unit: every number times `factor`, which must be above 0.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Half the interval's width over the value; infinite for a value of 0.
    #[must_use]
    pub fn relative_half_width(&self) -> f64 {
        if self.value == 0.0 {
            f64::INFINITY
        } else {
            (self.high - self.low) / (2.0 * self.value.abs())
        }
    }

    /// Whether `truth` lies inside the interval, ends included.
    #[must_use]
    pub fn contains(&self, truth: f64) -> bool {
        (self.low..=self.high).contains(&truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_stays_inside_its_interval() {
        for estimate in [
            Estimate::around(3.0, 1.0),
            Estimate::around(0.5, 2.0).not_negative(),
            Estimate::around(-0.5, 0.1).not_negative(),
            Estimate::around(1.0, f64::NAN),
            Estimate::around(2.0, 0.5).scaled(4.0),
        ] {
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
            assert!(estimate.low.is_finite() && estimate.high.is_finite());
        }
        assert_eq!(Estimate::around(2.0, 0.5).relative_half_width(), 0.25);
        assert_eq!(Estimate::exact(0.0).relative_half_width(), f64::INFINITY);
        assert!(Estimate::around(2.0, 0.5).contains(1.5) && !Estimate::exact(2.0).contains(1.5));
    }
}
