//! When the warm-up of a point is over: while it runs, and looking back.

mod cut;
mod mser5;

use std::time::Duration;

pub use cut::WarmUpCut;
pub(crate) use mser5::mser5;

/// The rule that ends the warm-up of a point with `warm-up = "auto"`.
///
/// A server that keeps up forgets its empty start once the longest request is over: the number in
/// flight of an M/G/infinity queue that starts empty at time 0 has its stationary distribution from
/// the longest service time on (Eick, Massey and Whitt, Management Science 39, 1993). So the
/// warm-up lasts until `elapsed >= max(floor, margin * longest)`, where `longest` is the longest
/// end-to-end time of a completed request so far, and `min_completions` requests have ended. Under
/// overload that time grows without end; `cap` ends the warm-up all the same.
///
/// A pure function of what was seen: the caller asks it about each 100 to 250 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmUp {
    /// Shortest warm-up.
    pub floor: Duration,
    /// How many of the longest end-to-end times it lasts.
    pub margin: f64,
    /// Fewest requests that must have ended.
    pub min_completions: u64,
    /// Longest warm-up.
    pub cap: Duration,
}

impl WarmUp {
    /// The rule for a measure window of length `measure`: at least 1 s and 1.25 of the longest
    /// end-to-end time, 10 completions, at most half the window (and never less than 1 s).
    #[must_use]
    pub fn auto(measure: Duration) -> Self {
        let floor = Duration::from_secs(1);
        Self { floor, margin: 1.25, min_completions: 10, cap: (measure / 2).max(floor) }
    }

    /// Whether the warm-up is over, `elapsed` after the point's start, when `completions` requests
    /// have ended well and the slowest of them took `longest_e2e`.
    #[must_use]
    pub fn is_over(
        &self,
        elapsed: Duration,
        completions: u64,
        longest_e2e: Option<Duration>,
    ) -> bool {
        if elapsed >= self.cap {
            return true;
        }
        let Some(longest) = longest_e2e else { return false };
        completions >= self.min_completions
            && elapsed >= self.floor
            && elapsed.as_secs_f64() >= self.margin * longest.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: WarmUp = WarmUp {
        floor: Duration::from_secs(1),
        margin: 1.25,
        min_completions: 10,
        cap: Duration::from_secs(10),
    };

    #[test]
    fn it_lasts_a_quarter_longer_than_the_longest_request() {
        let longest = Some(Duration::from_secs(4));
        assert!(!RULE.is_over(Duration::from_millis(4999), 50, longest));
        assert!(RULE.is_over(Duration::from_secs(5), 50, longest));
    }

    #[test]
    fn it_has_a_floor_a_count_and_a_cap() {
        let short = Some(Duration::from_millis(10));
        assert!(!RULE.is_over(Duration::from_millis(999), 50, short));
        assert!(!RULE.is_over(Duration::from_secs(2), 9, short));
        assert!(!RULE.is_over(Duration::from_millis(9999), 0, None));
        assert!(RULE.is_over(Duration::from_secs(10), 0, None));
        assert_eq!(WarmUp::auto(Duration::from_secs(1)).cap, Duration::from_secs(1));
        assert_eq!(WarmUp::auto(Duration::from_secs(20)).cap, Duration::from_secs(10));
    }
}
