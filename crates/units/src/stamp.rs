//! The stamp of a run: nanoseconds since the origin of its clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a run: nanoseconds since the origin of the run's clock.
///
/// Unit: ns. Range: 0 to `u64::MAX` (584 years). Two stamps may be compared and subtracted only
/// when they come from the same [`RunClock`](crate::RunClock).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RunNanos(u64);

impl RunNanos {
    /// The origin of the run.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes; the deadline of something without one.
    pub const MAX: Self = Self(u64::MAX);

    /// The stamp `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The stamp `seconds` after the origin; negative and non-finite values become the origin.
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Self {
        // A float-to-int cast saturates and sends NaN to 0, which is the contract above.
        Self((seconds * 1e9).round() as u64)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the origin.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self - other` in nanoseconds, negative when `other` is later.
    #[must_use]
    pub const fn signed_nanos_since(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// The stamp `span` earlier, or the origin if that would lie before it.
    #[must_use]
    pub fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

/// A span in nanoseconds, saturating at `u64::MAX`.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for RunNanos {
    type Output = Self;

    /// Saturates at [`RunNanos::MAX`].
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for RunNanos {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub for RunNanos {
    type Output = Duration;

    /// Same as [`RunNanos::since`]: saturates at zero.
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for RunNanos {
    /// Seconds with nanosecond digits: `12.000345678s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_saturate_and_signed_ones_do_not() {
        let (early, late) = (RunNanos::from_nanos(5), RunNanos::from_nanos(9));
        assert_eq!(late - early, Duration::from_nanos(4));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early.signed_nanos_since(late), -4);
        assert_eq!(RunNanos::MAX + Duration::from_secs(1), RunNanos::MAX);
        assert_eq!(early.saturating_sub(Duration::from_secs(1)), RunNanos::ZERO);
    }

    #[test]
    fn seconds_round_to_the_nearest_nanosecond() {
        assert_eq!(RunNanos::from_secs_f64(1.5).as_nanos(), 1_500_000_000);
        assert_eq!(RunNanos::from_secs_f64(-1.0), RunNanos::ZERO);
        assert_eq!(RunNanos::from_secs_f64(f64::NAN), RunNanos::ZERO);
        assert_eq!(RunNanos::from_nanos(12_000_345_678).to_string(), "12.000345678s");
    }
}
