//! A sum of gaps that does not drift.

/// Time since the start of a schedule, as the sum of its gaps.
///
/// A plain `f64` of nanoseconds loses the digits after the point as it grows, and every gap added
/// to it is rounded to what is left. Here whole nanoseconds are an integer and only the fraction,
/// always below 1, is a float: each addition is wrong by at most 2^-53 ns plus the rounding of the
/// gap itself (one part in 2^53), so ten million gaps of a second each are right to a nanosecond.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elapsed {
    whole_ns: u64,
    /// 0 <= fraction < 1.
    fraction_ns: f64,
}

impl Elapsed {
    /// Adds a gap in nanoseconds; `gap_ns` >= 0, and the sum saturates at `u64::MAX`.
    pub(crate) fn advance(&mut self, gap_ns: f64) {
        let whole = gap_ns.floor();
        let fraction = self.fraction_ns + (gap_ns - whole);
        let carry = fraction.floor();
        // An infinite gap leaves NaN as its fraction; the sum is saturated then and stays so.
        self.fraction_ns = if fraction.is_finite() { fraction - carry } else { 0.0 };
        // Float-to-int casts saturate, and the carry is 0 or 1.
        self.whole_ns = self.whole_ns.saturating_add(whole as u64).saturating_add(carry as u64);
    }

    /// The sum, rounded to the nearest nanosecond.
    pub(crate) fn nanos(self) -> u64 {
        self.whole_ns.saturating_add(u64::from(self.fraction_ns >= 0.5))
    }

    /// The sum in seconds.
    pub(crate) fn seconds(self) -> f64 {
        (self.whole_ns as f64 + self.fraction_ns) / 1e9
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_million_gaps_are_right_to_a_nanosecond() {
        // Gaps of 1/3 ms: the exact sum is a rational number, here in integers.
        let mut sum = Elapsed::default();
        for _ in 0..10_000_000 {
            sum.advance(1e6 / 3.0);
        }
        let exact = 10_000_000_u64 * 1_000_000 / 3;
        assert!(sum.nanos().abs_diff(exact) <= 1, "{} against {exact}", sum.nanos());
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        let mut sum = Elapsed::default();
        sum.advance(f64::INFINITY);
        assert_eq!(sum.nanos(), u64::MAX);
        sum.advance(0.75);
        assert_eq!(sum.nanos(), u64::MAX);
    }

    proptest! {
        /// The sum of gaps that are multiples of 2^-10 ns is exact up to its final rounding.
        #[test]
        fn dyadic_gaps_add_exactly(gaps in prop::collection::vec(0_u64..1 << 40, 0..200)) {
            let mut sum = Elapsed::default();
            for gap in &gaps {
                sum.advance(*gap as f64 / 1024.0);
            }
            let exact: u64 = gaps.iter().sum();
            prop_assert_eq!(sum.nanos(), (exact + 512) / 1024);
        }
    }
}
