//! How late starts were.

use std::fmt;
use std::time::Duration;

/// Buckets to a doubling: a power of two.
const PER_OCTAVE: u64 = 64;
/// `PER_OCTAVE` as a power of two.
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();
/// Buckets for every `u64`: the values below `PER_OCTAVE`, then that many to a doubling.
const BUCKETS: usize = (65 - OCTAVE_BITS as usize) * PER_OCTAVE as usize;

/// The lag of every start, as a histogram over nanoseconds.
///
/// Count, sum and maximum are exact. A quantile is the upper edge of its bucket (or the maximum, if
/// that is lower), so it is never too low, and at most 1/64 = 1.6 % too high. Size: 30 kB, whatever
/// is recorded; recording allocates nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Lags {
    count: u64,
    sum_ns: u128,
    max_ns: u64,
    buckets: Box<[u64]>,
}

impl Lags {
    /// A histogram of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { count: 0, sum_ns: 0, max_ns: 0, buckets: vec![0; BUCKETS].into_boxed_slice() }
    }

    /// Adds one lag; beyond `u64::MAX` ns it counts as that.
    pub fn record(&mut self, lag: Duration) {
        let nanos = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_ns += u128::from(nanos);
        self.max_ns = self.max_ns.max(nanos);
        self.buckets[bucket(nanos)] += 1;
    }

    /// Adds what `other` recorded, as that of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
    }

    /// How many lags were recorded.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The largest lag, exact; zero when nothing was recorded.
    #[must_use]
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The mean lag, exact to a nanosecond; `None` when nothing was recorded.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        // A mean is at most the maximum, so it fits.
        let mean = self.sum_ns.checked_div(u128::from(self.count))?;
        Some(Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)))
    }

    /// The lag that a share `q` of the starts did not exceed: nearest rank, the ceil(q * n)-th of
    /// the n lags in order of size, never too low and at most 1.6 % too high.
    ///
    /// `q` is taken to lie in 0 to 1. `None` when nothing was recorded.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        // Float-to-int casts saturate; a NaN becomes the first rank.
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut below = 0;
        let bucket = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        });
        let edge = bucket.map_or(self.max_ns, upper_edge);
        Some(Duration::from_nanos(edge.min(self.max_ns)))
    }
}

impl Default for Lags {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lags {
    /// The figures and not the four thousand buckets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lags")
            .field("count", &self.count)
            .field("mean", &self.mean())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

/// The bucket of a value: the value itself below `PER_OCTAVE`, else its leading bits.
fn bucket(nanos: u64) -> usize {
    let octave = (u64::BITS - nanos.leading_zeros()).saturating_sub(OCTAVE_BITS + 1);
    // Below 64 * 65, so it fits.
    (u64::from(octave) * PER_OCTAVE + (nanos >> octave)) as usize
}

/// The largest value of a bucket.
fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket / PER_OCTAVE).saturating_sub(1);
    let leading = bucket - octave * PER_OCTAVE;
    // The last bucket ends at u64::MAX: its edge is computed without passing over it.
    (leading << octave) + ((1 << octave) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_recorded_has_no_figures() {
        let lags = Lags::new();
        assert_eq!((lags.count(), lags.max()), (0, Duration::ZERO));
        assert_eq!((lags.mean(), lags.quantile(0.5)), (None, None));
    }

    #[test]
    fn one_value_is_every_quantile() {
        let mut lags = Lags::new();
        lags.record(Duration::from_micros(123));
        for q in [0.0, 0.5, 1.0] {
            assert_eq!(lags.quantile(q), Some(Duration::from_micros(123)));
        }
        assert_eq!(lags.mean(), Some(Duration::from_micros(123)));
    }

    #[test]
    fn the_longest_span_has_a_bucket() {
        let mut lags = Lags::new();
        lags.record(Duration::MAX);
        lags.record(Duration::ZERO);
        assert_eq!(lags.quantile(1.0), Some(Duration::from_nanos(u64::MAX)));
        assert_eq!(lags.quantile(0.5), Some(Duration::ZERO));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        /// Every value lies at or below the upper edge of its bucket, by at most one part in 64,
        /// and above the edge of the bucket before.
        #[test]
        fn buckets_are_tight(exponent in 0_u32..64, low in any::<u64>()) {
            let value = low >> exponent;
            let edge = upper_edge(bucket(value));
            prop_assert!(edge >= value && edge - value <= value / 64);
            prop_assert!(bucket(value) == 0 || upper_edge(bucket(value) - 1) < value);
        }

        /// A quantile agrees with sorting the values, is never below it and at most 1/64 above;
        /// merging two halves is recording them all.
        #[test]
        fn quantiles_agree_with_sorting(
            values in prop::collection::vec(0_u64..1 << 45, 1..200),
            q in 0.001_f64..=1.0,
            cut in 0_usize..200,
        ) {
            let (mut all, mut first, mut second) = (Lags::new(), Lags::new(), Lags::new());
            for (i, nanos) in values.iter().enumerate() {
                let lag = Duration::from_nanos(*nanos);
                all.record(lag);
                if i < cut { first.record(lag) } else { second.record(lag) }
            }
            first.merge(&second);
            prop_assert_eq!(&first, &all);

            let mut sorted = values.clone();
            sorted.sort_unstable();
            let exact = sorted[(q * sorted.len() as f64).ceil() as usize - 1];
            let shown = all.quantile(q).unwrap().as_nanos() as u64;
            prop_assert!(shown >= exact && shown - exact <= exact / 64);
            prop_assert_eq!(all.max().as_nanos() as u64, *sorted.last().unwrap());
            let mean = values.iter().sum::<u64>() / values.len() as u64;
            prop_assert_eq!(all.mean().unwrap().as_nanos() as u64, mean);
        }
    }
}
