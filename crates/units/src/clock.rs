//! The one clock of a run: a monotonic origin, and the wall-clock time read beside it.
//!
//! On Linux the monotonic side is `CLOCK_MONOTONIC`, the same clock that absolute timers
//! (`timerfd`, `clock_nanosleep`) take their deadlines from: [`RunClock::monotonic`] turns a stamp
//! into such a deadline without a second reading. The wall side is read once, between two
//! monotonic readings, and serves only to show stamps as dates; [`Wall`](crate::Wall) turns the
//! kernel's wall-clock stamps into stamps of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::RunNanos;

/// A source of stamps. [`RunClock`] is the real one, [`ManualClock`] the one that tests move.
pub trait Clock {
    /// The stamp of this moment; never less than an earlier one.
    fn now(&self) -> RunNanos;
}

/// The clock of one run. Copies share the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunClock {
    /// `CLOCK_MONOTONIC` at the origin, ns.
    origin_monotonic_ns: u64,
    /// `CLOCK_REALTIME` at the origin, ns since 1970-01-01 UTC.
    origin_unix_ns: u64,
}

impl RunClock {
    /// A clock whose origin is this moment.
    #[must_use]
    pub fn start() -> Self {
        // The wall clock is read between two monotonic readings and anchored to their middle, so a
        // preemption between the readings cannot shift the anchor by more than half its length.
        let before = read(ClockId::CLOCK_MONOTONIC);
        let wall = read(ClockId::CLOCK_REALTIME);
        let after = read(ClockId::CLOCK_MONOTONIC);
        Self { origin_monotonic_ns: before + (after - before) / 2, origin_unix_ns: wall }
    }

    /// The clock of a run that was measured elsewhere, by its wall-clock time: `origin` is the time of the
    /// origin since 1970-01-01 UTC. Its monotonic clock is not known, and counts from 0.
    #[must_use]
    pub fn of_wall(origin: Duration) -> Self {
        let origin_unix_ns = u64::try_from(origin.as_nanos()).unwrap_or(u64::MAX);
        Self { origin_monotonic_ns: 0, origin_unix_ns }
    }

    /// The same clock in a later process: stamps go on from the same origin.
    ///
    /// The system's monotonic clock begins anew when the machine does. Where it and the wall clock
    /// disagree by more than a second on the time since the origin, the wall clock is believed: what
    /// lies between is a restart, a sleep, or a wall clock that was set, and stamps of the two
    /// processes are then as far apart as the wall clock says.
    #[must_use]
    pub fn resumed(self) -> Self {
        let now = Self::start();
        let by_wall = now.origin_unix_ns.wrapping_sub(self.origin_unix_ns);
        let by_monotonic = now.origin_monotonic_ns.wrapping_sub(self.origin_monotonic_ns);
        let apart = by_wall.wrapping_sub(by_monotonic).cast_signed().unsigned_abs();
        if apart <= 1_000_000_000 {
            return self;
        }
        // The origin may lie before the monotonic clock's own beginning: it then wraps around, as
        // everything that is computed with it does.
        Self {
            origin_monotonic_ns: now.origin_monotonic_ns.wrapping_sub(by_wall),
            origin_unix_ns: self.origin_unix_ns,
        }
    }

    /// The wall-clock time of the origin, as time since 1970-01-01 UTC.
    #[must_use]
    pub fn wall_anchor(&self) -> Duration {
        Duration::from_nanos(self.origin_unix_ns)
    }

    /// The wall-clock time of `stamp`, as time since 1970-01-01 UTC. For display only.
    #[must_use]
    pub fn wall(&self, stamp: RunNanos) -> Duration {
        self.wall_anchor() + Duration::from_nanos(stamp.as_nanos())
    }

    /// `CLOCK_MONOTONIC` at the origin, ns.
    pub(crate) const fn origin_monotonic_ns(&self) -> u64 {
        self.origin_monotonic_ns
    }

    /// `stamp` as a reading of the system's monotonic clock, for absolute timers.
    #[must_use]
    pub fn monotonic(&self, stamp: RunNanos) -> Duration {
        Duration::from_nanos(self.origin_monotonic_ns.wrapping_add(stamp.as_nanos()))
    }
}

impl Clock for RunClock {
    fn now(&self) -> RunNanos {
        RunNanos::from_nanos(read(ClockId::CLOCK_MONOTONIC).wrapping_sub(self.origin_monotonic_ns))
    }
}

/// A clock that stands still until it is told to move. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock at the origin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward by `span`.
    pub fn advance(&self, span: Duration) {
        let nanos = RunNanos::ZERO + span;
        self.0.fetch_add(nanos.as_nanos(), Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> RunNanos {
        RunNanos::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// A system clock in nanoseconds.
pub(crate) fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("these clocks exist on every supported system");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    // tv_nsec is below 10^9 by the call's contract.
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back() {
        let clock = RunClock::start();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_stamp_maps_to_both_system_clocks() {
        let clock = RunClock::start();
        let stamp = clock.now();
        let system = Duration::from_nanos(read(ClockId::CLOCK_MONOTONIC));
        assert!(clock.monotonic(stamp) <= system);
        assert!(clock.wall(stamp) >= clock.wall_anchor());
        assert!(clock.wall_anchor() > Duration::from_secs(1_600_000_000), "the wall clock is set");
    }

    #[test]
    fn a_resumed_clock_goes_on_from_its_origin() {
        let clock = RunClock::start();
        assert_eq!(clock.resumed(), clock, "the machine has not been started again");
        // An origin two hours ago by the wall clock, on a machine that has been up for less or more.
        let ago = 7_200_000_000_000;
        for origin_monotonic_ns in [u64::MAX / 2, 1, clock.origin_monotonic_ns] {
            let origin_unix_ns = clock.origin_unix_ns - ago;
            let resumed = RunClock { origin_monotonic_ns, origin_unix_ns }.resumed();
            let now = resumed.now().as_nanos();
            assert!((ago..ago + 60_000_000_000).contains(&now), "{now}");
            let deadline = resumed.monotonic(resumed.now());
            let system = Duration::from_nanos(read(ClockId::CLOCK_MONOTONIC));
            assert!(deadline <= system && system - deadline < Duration::from_secs(60));
            assert_eq!(resumed.wall_anchor(), Duration::from_nanos(origin_unix_ns));
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new();
        let other = clock.clone();
        assert_eq!(clock.now(), RunNanos::ZERO);
        other.advance(Duration::from_millis(3));
        assert_eq!(clock.now(), RunNanos::from_nanos(3_000_000));
    }
}
