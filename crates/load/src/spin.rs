//! How far ahead of its instants a driver is awake.

use std::time::Duration;

/// Wake-ups that are remembered; odd, so that there is one in the middle.
const REMEMBERED: usize = 31;

/// How far ahead of each instant a driver sets its timer, to wait out the rest awake.
///
/// A timer that fires on time still takes the system a while to act on: it leaves its idle state,
/// takes the interrupt, and puts the thread on a core; 10 to 100 us, more in a virtual machine. A
/// timer set that much earlier ends at the instant itself. What is left over is waited out awake:
/// other tasks of the thread get their turns, except in the last few microseconds.
///
/// The cost is that waiting: per start the time ahead less the time that waking took. So a learned
/// one costs what wake-ups differ by, a few microseconds of CPU a start, and a fixed one up to its
/// whole length. None of it is waited out while the driver is behind, and no start is ever early.
/// Neither helps against wake-ups that are late now and then, because the core is taken: those are
/// the lags beyond the median, and they are in the report.
///
/// At 1,000 starts a second on two busy cores of a virtual machine (`RATES=1000 SECONDS=10 cargo
/// bench -p plimsoll-load --bench error`, 2026-11-22), the median lag and the share of a core that
/// the thread used:
///
/// | | median lag | CPU |
/// |---|---|---|
/// | none | 32 us | 1.6 % |
/// | fixed, 50 us | 0.3 us | 3.4 % |
/// | fixed, 100 us | 0.3 us | 7.6 % |
/// | learned, the default | 1.1 us | 1.9 % |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spin {
    /// The same time always. Zero leaves everything to the timer.
    Fixed(Duration),
    /// As long as waking up has lately taken, by the median of the last 31 times (of fewer at the
    /// start), and at most this.
    Learned(Duration),
}

impl Spin {
    /// The timer alone: no CPU is spent on waiting, and every start is late by a wake-up.
    pub const NONE: Self = Self::Fixed(Duration::ZERO);
}

impl Default for Spin {
    /// Learned, up to 100 us.
    ///
    /// The limit keeps a machine that wakes badly because it is busy from being made busier: at
    /// 1,000 starts a second it is a tenth of one core, which only wake-ups that alternate between
    /// none and more than 100 us would take.
    fn default() -> Self {
        Self::Learned(Duration::from_micros(100))
    }
}

impl From<Duration> for Spin {
    /// That time, fixed.
    fn from(spin: Duration) -> Self {
        Self::Fixed(spin)
    }
}

/// The time ahead as it is now; knows no clock.
#[derive(Debug)]
pub(crate) struct Lead {
    spin: Spin,
    now: Duration,
    /// How late the last wake-ups were, ns, in a ring.
    late_ns: [u64; REMEMBERED],
    /// How many there have been.
    wakes: usize,
}

impl Lead {
    /// Before the first wake-up; a learned one starts at zero.
    pub(crate) fn new(spin: Spin) -> Self {
        let now = match spin {
            Spin::Fixed(spin) => spin,
            Spin::Learned(_) => Duration::ZERO,
        };
        Self { spin, now, late_ns: [0; REMEMBERED], wakes: 0 }
    }

    /// How far ahead of the next instant to set the timer.
    pub(crate) const fn get(&self) -> Duration {
        self.now
    }

    /// The thread was awake `late` after the instant that its timer was set to.
    pub(crate) fn woke(&mut self, late: Duration) {
        let Spin::Learned(limit) = self.spin else { return };
        self.late_ns[self.wakes % REMEMBERED] = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.wakes += 1;
        let mut sorted = self.late_ns;
        let known = &mut sorted[..self.wakes.min(REMEMBERED)];
        let middle = (known.len() - 1) / 2;
        let (_, median, _) = known.select_nth_unstable(middle);
        self.now = Duration::from_nanos(*median).min(limit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_fixed_one_learns_nothing() {
        for spin in [Spin::NONE, us(70).into()] {
            let mut lead = Lead::new(spin);
            let before = lead.get();
            (0..100).for_each(|_| lead.woke(us(50)));
            assert_eq!((Spin::Fixed(lead.get()), lead.get()), (spin, before));
        }
    }

    #[test]
    fn one_bad_wake_up_changes_nothing_and_many_reach_the_limit() {
        let mut lead = Lead::new(Spin::Learned(us(100)));
        assert_eq!(lead.get(), Duration::ZERO);
        (0..REMEMBERED).for_each(|_| lead.woke(us(40)));
        assert_eq!(lead.get(), us(40));
        lead.woke(Duration::MAX);
        assert_eq!(lead.get(), us(40));
        (0..REMEMBERED).for_each(|_| lead.woke(Duration::from_millis(3)));
        assert_eq!(lead.get(), us(100));
        (0..REMEMBERED).for_each(|_| lead.woke(us(20)));
        assert_eq!(lead.get(), us(20), "a quiet machine is learned again");
    }

    proptest! {
        /// The lead is the middle one (the lower of two) of the last 31 wake-ups, or of all there
        /// were, in order of size, cut at the limit.
        #[test]
        fn agrees_with_sorting(
            wakes in prop::collection::vec(0_u64..300_000, 0..100),
            limit in 0_u64..300_000,
        ) {
            let mut lead = Lead::new(Spin::Learned(Duration::from_nanos(limit)));
            for (count, wake) in (1..).zip(&wakes) {
                lead.woke(Duration::from_nanos(*wake));
                let mut last = wakes[..count].iter().rev().take(31).collect::<Vec<_>>();
                last.sort_unstable();
                // As many are below the lower median as above it, or one fewer.
                let median = *last[last.len().div_ceil(2) - 1];
                prop_assert_eq!(lead.get().as_nanos(), u128::from(median.min(limit)));
            }
        }
    }
}
