//! Axes: from a value to its place between 0 and 1, and the ticks that a reader counts by.

use crate::numbers::plain;

/// An axis from `low` to `high`, linear or logarithmic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// A linear axis from 0 to at least `high`; to 1 when `high` is not above 0.
    pub(crate) fn linear(high: f64) -> Self {
        Self {
            low: 0.0,
            high: if high.is_finite() && high > 0.0 { high } else { 1.0 },
            logarithmic: false,
        }
    }

    /// A linear axis that holds every finite one of `values` with a little room; 0 to 1 when there is
    /// none.
    pub(crate) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return Self::linear(1.0);
        }
        let room = 0.06 * (high - low).max(high.abs() * 1e-3).max(1e-6);
        Self { low: low - room, high: high + room, logarithmic: false }
    }

    /// A logarithmic axis that holds every positive value of `values`, its ends at 1, 2 or 5 times
    /// a power of ten; 1 to 10 when there is none.
    pub(crate) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            low = low.min(value);
            high = high.max(value);
        }
        if high <= 0.0 {
            return Self { low: 1.0, high: 10.0, logarithmic: true };
        }
        let (low, mut high) = (round_down(low * 0.95), round_up(high * 1.05));
        if high / low < 4.0 {
            high = round_up(low * 4.0);
        }
        Self { low, high, logarithmic: true }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end, beyond them outside.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if self.logarithmic {
            let value = value.max(f64::MIN_POSITIVE);
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Whether `value` lies on the axis.
    pub(crate) fn holds(&self, value: f64) -> bool {
        value.is_finite() && (-1e-9..=1.0 + 1e-9).contains(&self.place(value))
    }

    /// The low and the high end.
    pub(crate) const fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// About `wanted` ticks with their labels.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let values = if self.logarithmic { self.powers() } else { self.steps(wanted) };
        values.into_iter().filter(|value| self.holds(*value)).map(|v| (v, plain(v))).collect()
    }

    fn steps(&self, wanted: usize) -> Vec<f64> {
        let step = round_up((self.high - self.low) / wanted.max(1) as f64);
        let first = (self.low / step).ceil();
        // At most a step below the wanted number of ticks fits, so this ends. Adding 0 makes a -0 one of
        // the other kind.
        (0..=2 * wanted).map(|n| (first + n as f64) * step + 0.0).collect()
    }

    /// Powers of ten; with 2 and 5 between them where there are few.
    fn powers(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let digits: &[f64] = if decades < 3.6 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        (first..=last)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
            .collect()
    }
}

/// The largest of 1, 2 and 5 times a power of ten that is not above `value` (positive).
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powi(value.log10().floor() as i32);
    [5.0, 2.0, 1.0]
        .into_iter()
        .map(|d| d * power)
        .find(|v| *v <= value * (1.0 + 1e-9))
        .unwrap_or(power)
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `value` (positive).
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powi(value.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|d| d * power)
        .find(|v| *v >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks(6).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_numbers_that_people_count_by() {
        assert_eq!(labels(Axis::linear(63.0)), ["0", "20", "40", "60"]);
        assert_eq!(labels(Axis::linear(0.9)), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(
            labels(Axis::logarithmic([42.0, 350.0].into_iter())),
            ["20", "50", "100", "200", "500"]
        );
        assert_eq!(
            labels(Axis::logarithmic([0.2, 3000.0].into_iter())),
            ["0.1", "1", "10", "100", "1,000"]
        );
    }

    #[test]
    fn an_axis_around_values_holds_them_and_no_more_than_it_need() {
        let axis = Axis::around([-7.5, 12.0, f64::NAN].into_iter());
        assert_eq!(labels(axis), ["−5", "0", "5", "10"]);
        assert!(axis.holds(-7.5) && axis.holds(12.0) && !axis.holds(-9.0) && !axis.holds(14.0));
        assert!(!labels(Axis::around([3.0].into_iter())).is_empty());
        assert_eq!(Axis::around(std::iter::empty()), Axis::linear(1.0));
    }

    #[test]
    fn places_run_from_end_to_end() {
        let axis = Axis::logarithmic([1.2, 90.0].into_iter());
        assert!(axis.place(1.0).abs() < 1e-12 && (axis.place(100.0) - 1.0).abs() < 1e-12);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-12);
        assert!(!axis.holds(0.0) && !axis.holds(f64::NAN));
        let axis = Axis::linear(50.0);
        assert_eq!(axis.place(25.0), 0.5);
    }

    #[test]
    fn nothing_to_show_is_still_an_axis() {
        for axis in [
            Axis::linear(f64::NAN),
            Axis::linear(-1.0),
            Axis::logarithmic(std::iter::empty()),
            Axis::logarithmic([f64::NAN, 0.0, -3.0].into_iter()),
        ] {
            assert!(!axis.ticks(6).is_empty());
        }
        assert!(Axis::logarithmic([5.0].into_iter()).ticks(6).len() >= 3);
    }
}
