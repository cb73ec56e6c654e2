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

    /// This over `base`, which was estimated apart from it; `None` unless both are above 0.
    ///
    /// ratio = value / base; its interval is ratio * exp(-+ sqrt(a^2 + b^2)) with a and b the relative half
    /// widths of the two: the delta method on ln(value) - ln(base). It has the confidence of the two.
    #[must_use]
    pub fn over(&self, base: &Self) -> Option<Self> {
        let positive = |it: &Self| it.value > 0.0 && it.value.is_finite();
        if !positive(self) || !positive(base) {
            return None;
        }
        let ratio = self.value / base.value;
        let half = self.relative_half_width().hypot(base.relative_half_width());
        Some(Self { value: ratio, low: ratio * (-half).exp(), high: ratio * half.exp() })
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
        let ratio = Estimate::around(30.0, 0.9).over(&Estimate::around(10.0, 0.4)).unwrap();
        // 3 % and 4 % make 5 %.
        assert!(
            (ratio.value - 3.0).abs() < 1e-12 && (ratio.high - 3.0 * 0.05_f64.exp()).abs() < 1e-12
        );
        assert!((ratio.low * ratio.high - 9.0).abs() < 1e-12);
        assert_eq!(Estimate::exact(1.0).over(&Estimate::exact(0.0)), None);
        assert!(Estimate::around(2.0, 0.5).contains(1.5) && !Estimate::exact(2.0).contains(1.5));
    }
}
