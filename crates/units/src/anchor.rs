//! Wall-clock stamps on the run's clock.
//!
//! The kernel stamps packets with the wall clock (`CLOCK_REALTIME`). On Linux that clock and the
//! monotonic one are steered together, so their difference is constant until somebody sets the wall
//! clock: a *step*. An anchor is that difference, measured. How fast both run against the raw
//! hardware clock is the *slew*: it bends every duration of the run alike, by parts per million.

use std::time::Duration;

use nix::time::ClockId;

use crate::clock::read;
use crate::{RunClock, RunNanos};

/// Readings of which the tightest is taken.
const READINGS: usize = 3;

/// A difference between two anchors that is a step, beyond what the readings leave open. A clock that
/// is merely steered moves both sides.
const STEP: Duration = Duration::from_micros(2);

/// How to turn a wall-clock stamp into one of the run's clock, at the time of measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallAnchor {
    /// The wall clock at the origin of the run's clock, ns since 1970-01-01 UTC.
    origin_ns: i128,
    /// Half the time that the reading took, ns: the anchor may be off by so much.
    uncertainty_ns: u64,
}

impl WallAnchor {
    /// The anchor of this moment.
    #[must_use]
    pub fn measure(clock: &RunClock) -> Self {
        let reading = |_| {
            // The wall clock between two monotonic readings, anchored to their middle.
            let before = read(ClockId::CLOCK_MONOTONIC);
            let wall = read(ClockId::CLOCK_REALTIME);
            let after = read(ClockId::CLOCK_MONOTONIC);
            let half = (after - before) / 2;
            let since_origin =
                i128::from((before + half).wrapping_sub(clock.origin_monotonic_ns()));
            Self { origin_ns: i128::from(wall) - since_origin, uncertainty_ns: half.max(1) }
        };
        let tightest = (0..READINGS).map(reading).min_by_key(|anchor| anchor.uncertainty_ns);
        tightest.unwrap_or_else(|| reading(0))
    }

    /// The stamp of a reading of the wall clock; the origin for what lies before it.
    #[must_use]
    pub fn stamp(&self, wall_ns: u64) -> RunNanos {
        let since = i128::from(wall_ns) - self.origin_ns;
        RunNanos::from_nanos(u64::try_from(since.max(0)).unwrap_or(u64::MAX))
    }

    /// How far the wall clock was set between `earlier` and this anchor: positive when forward.
    /// `None` when the two agree as well as they can be told apart.
    #[must_use]
    pub fn step_since(&self, earlier: &Self) -> Option<Step> {
        let difference = self.origin_ns - earlier.origin_ns;
        let doubt = u128::from(self.uncertainty_ns + earlier.uncertainty_ns) + STEP.as_nanos();
        let ns =
            i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX });
        (difference.unsigned_abs() > doubt).then_some(Step(ns))
    }
}

/// A setting of the wall clock, ns: positive when forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step(i64);

impl Step {
    /// Its size.
    #[must_use]
    pub const fn size(self) -> Duration {
        Duration::from_nanos(self.0.unsigned_abs())
    }
}

/// The wall clock of a run: an anchor that is measured again as the run goes on, and what was seen of
/// steps and slew meanwhile.
#[derive(Clone, Debug)]
pub struct Wall {
    clock: RunClock,
    anchor: WallAnchor,
    measured: RunNanos,
    steps: u32,
    stepped: Duration,
    /// The monotonic and the raw clock when it began, ns.
    began: (u64, Option<u64>),
}

impl Wall {
    /// How long an anchor is believed. Within it a step goes unnoticed.
    pub const RENEWED_EVERY: Duration = Duration::from_millis(100);

    /// The wall clock beside `clock`, from now on.
    #[must_use]
    pub fn new(clock: RunClock) -> Self {
        let anchor = WallAnchor::measure(&clock);
        let began = both();
        let measured = RunNanos::from_nanos(began.0.wrapping_sub(clock.origin_monotonic_ns()));
        Self { clock, anchor, measured, steps: 0, stepped: Duration::ZERO, began }
    }

    /// The stamp of a reading of the wall clock, by an anchor that was measured at most
    /// [`Self::RENEWED_EVERY`] before `now`.
    pub fn stamp(&mut self, wall_ns: u64, now: RunNanos) -> RunNanos {
        self.renew(now);
        self.anchor.stamp(wall_ns)
    }

    /// Measures the anchor again if it is old. Costs a comparison otherwise.
    pub fn renew(&mut self, now: RunNanos) {
        if now - self.measured >= Self::RENEWED_EVERY {
            self.measure(now);
        }
    }

    /// Measures the anchor again, and says whether the wall clock was set since the last time.
    pub fn measure(&mut self, now: RunNanos) -> bool {
        self.measured = now;
        let anchor = WallAnchor::measure(&self.clock);
        let step = anchor.step_since(&self.anchor);
        if let Some(step) = step {
            self.steps += 1;
            self.stepped += step.size();
        }
        // While nothing steps the tightest anchor is the truest: the difference is constant.
        if step.is_some() || anchor.uncertainty_ns <= self.anchor.uncertainty_ns {
            self.anchor = anchor;
        }
        step.is_some()
    }

    /// The anchor in effect.
    #[must_use]
    pub const fn anchor(&self) -> WallAnchor {
        self.anchor
    }

    /// How often the wall clock was set since the beginning.
    #[must_use]
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// The sum of the sizes of those steps.
    #[must_use]
    pub const fn stepped(&self) -> Duration {
        self.stepped
    }

    /// The rate of the monotonic clock against the raw hardware one since the beginning, less 1, in
    /// parts per million. `None` without a raw clock, and in the first tenth of a second.
    #[must_use]
    pub fn slew_ppm(&self) -> Option<f64> {
        let (steered, raw) = both();
        let steered = steered.saturating_sub(self.began.0);
        let raw = raw?.saturating_sub(self.began.1?);
        (raw > 100_000_000).then(|| (steered as f64 / raw as f64 - 1.0) * 1e6)
    }
}

/// The monotonic clock and the raw one, read as close together as three tries get them.
fn both() -> (u64, Option<u64>) {
    let reading = |_| {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let raw = raw();
        let after = read(ClockId::CLOCK_MONOTONIC);
        (after - before, before + (after - before) / 2, raw)
    };
    let tightest = (0..READINGS).map(reading).min_by_key(|(width, ..)| *width);
    tightest
        .map_or_else(|| (read(ClockId::CLOCK_MONOTONIC), None), |(_, middle, raw)| (middle, raw))
}

#[cfg(target_os = "linux")]
fn raw() -> Option<u64> {
    Some(read(ClockId::CLOCK_MONOTONIC_RAW))
}

#[cfg(not(target_os = "linux"))]
fn raw() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock as _;

    fn anchor(origin_ns: i128, uncertainty_ns: u64) -> WallAnchor {
        WallAnchor { origin_ns, uncertainty_ns }
    }

    #[test]
    fn a_wall_stamp_of_now_lies_between_two_readings_of_the_clock() {
        let clock = RunClock::start();
        let mut wall = Wall::new(clock);
        for _ in 0..1000 {
            let before = clock.now();
            let now = read(ClockId::CLOCK_REALTIME);
            let after = clock.now();
            let stamp = wall.stamp(now, after);
            let doubt = Duration::from_nanos(wall.anchor.uncertainty_ns);
            assert!(stamp + doubt >= before && stamp <= after + doubt, "{before} {stamp} {after}");
        }
        assert_eq!((wall.steps(), wall.stepped()), (0, Duration::ZERO));
    }

    #[test]
    fn what_lies_before_the_origin_is_the_origin() {
        assert_eq!(anchor(1_000, 1).stamp(999), RunNanos::ZERO);
        assert_eq!(anchor(1_000, 1).stamp(1_007), RunNanos::from_nanos(7));
    }

    #[test]
    fn a_step_is_what_the_readings_cannot_explain() {
        let early = anchor(1_000_000, 300);
        assert_eq!(anchor(1_002_400, 300).step_since(&early), None);
        let forward = anchor(1_002_700, 300).step_since(&early).unwrap();
        assert_eq!(forward.size(), Duration::from_nanos(2_700));
        assert_eq!(anchor(0, 300).step_since(&early).unwrap().size(), Duration::from_millis(1));
    }

    #[test]
    fn a_step_is_counted_and_the_new_anchor_is_believed() {
        let clock = RunClock::start();
        let mut wall = Wall::new(clock);
        // As if the wall clock had been a second back when the anchor was measured.
        wall.anchor.origin_ns -= 1_000_000_000;
        let later = clock.now() + Wall::RENEWED_EVERY;
        let stamp = wall.stamp(read(ClockId::CLOCK_REALTIME), later);
        assert_eq!(wall.steps(), 1);
        let second = Duration::from_secs(1);
        assert!(wall.stepped() > second / 2 && wall.stepped() < second * 3 / 2);
        assert!(stamp < clock.now() + second / 2);
    }

    #[test]
    fn the_slew_of_a_steered_clock_is_small_and_unknown_at_first() {
        let mut wall = Wall::new(RunClock::start());
        assert_eq!(wall.slew_ppm(), None);
        // As if it had begun a second ago, with the monotonic clock 1 % fast since.
        wall.began.0 -= 1_010_000_000;
        wall.began.1 = wall.began.1.map(|raw| raw - 1_000_000_000);
        if let Some(slew) = wall.slew_ppm() {
            assert!((slew - 10_000.0).abs() < 2_000.0, "{slew}");
        }
    }
}
