//! The open loop: arrivals come when they come.

use plimsoll_units::RunNanos;

use crate::schedule::{Arrival, Shard};
use crate::step::{Due, Step};

/// Arrivals of a shard, started when they are due whatever became of those before.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    shard: Shard,
    max_in_flight: Option<u32>,
}

impl OpenLoop {
    /// The arrivals of `shard`, all of them.
    #[must_use]
    pub const fn new(shard: Shard) -> Self {
        Self { shard, max_in_flight: None }
    }

    /// The same with at most `cap` tasks of this driver in flight: an arrival that finds as many is
    /// shed, which is recorded, and never waits. `None` is no cap.
    #[must_use]
    pub fn max_in_flight(mut self, cap: Option<u32>) -> Self {
        self.max_in_flight = cap;
        self
    }
}

impl From<Shard> for OpenLoop {
    fn from(shard: Shard) -> Self {
        Self::new(shard)
    }
}

/// Decides what to do, given the time; knows no clock and no runtime.
#[derive(Debug)]
pub(crate) struct OpenSteps {
    shard: Shard,
    next: Option<Arrival>,
    origin: RunNanos,
    max_in_flight: u32,
}

impl OpenSteps {
    pub(crate) fn new(mut open: OpenLoop, origin: RunNanos) -> Self {
        let next = open.shard.next();
        let max_in_flight = open.max_in_flight.unwrap_or(u32::MAX);
        Self { shard: open.shard, next, origin, max_in_flight }
    }

    /// What to do at `now`, with `in_flight` tasks running and no starts due at `stop` or later.
    ///
    /// An arrival that is overdue comes out like one that is due, with its own instant: nothing is
    /// skipped and nothing moved.
    pub(crate) fn step(&mut self, now: RunNanos, in_flight: u32, stop: RunNanos) -> Step {
        let Some(arrival) = self.next else { return Step::End };
        let due = Due { index: arrival.index, intended: self.origin + arrival.offset };
        if due.intended >= stop {
            return Step::End;
        }
        if due.intended > now {
            return Step::Wait(due.intended);
        }
        self.next = self.shard.next();
        if in_flight < self.max_in_flight { Step::Start(due) } else { Step::Shed(due) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Schedule;

    const ORIGIN: RunNanos = RunNanos::from_nanos(1_000_000_000);

    fn at(millis: u64) -> RunNanos {
        ORIGIN + Duration::from_millis(millis)
    }

    fn steps(millis: &[u64], max_in_flight: Option<u32>) -> OpenSteps {
        let schedule = Schedule::replay(millis.iter().copied().map(Duration::from_millis)).unwrap();
        let open = OpenLoop::new(schedule.into()).max_in_flight(max_in_flight);
        OpenSteps::new(open, ORIGIN)
    }

    #[test]
    fn waits_for_each_instant_and_ends_with_the_last() {
        let mut steps = steps(&[10, 20], None);
        let first = Due { index: 0, intended: at(10) };
        assert_eq!(steps.step(RunNanos::ZERO, 0, RunNanos::MAX), Step::Wait(at(10)));
        assert_eq!(steps.step(at(9), 0, RunNanos::MAX), Step::Wait(at(10)));
        assert_eq!(steps.step(at(10), 0, RunNanos::MAX), Step::Start(first));
        assert_eq!(steps.step(at(10), 1, RunNanos::MAX), Step::Wait(at(20)));
        let second = Due { index: 1, intended: at(20) };
        assert_eq!(steps.step(at(25), 1, RunNanos::MAX), Step::Start(second));
        assert_eq!(steps.step(at(25), 2, RunNanos::MAX), Step::End);
    }

    #[test]
    fn after_a_stall_all_overdue_start_at_their_own_instants_and_later_ones_stay() {
        let mut steps = steps(&[10, 20, 30, 40, 250], None);
        let now = at(210);
        for (index, millis) in [(0, 10), (1, 20), (2, 30), (3, 40)] {
            let due = Due { index, intended: at(millis) };
            assert_eq!(steps.step(now, 0, RunNanos::MAX), Step::Start(due));
        }
        assert_eq!(steps.step(now, 4, RunNanos::MAX), Step::Wait(at(250)));
    }

    #[test]
    fn a_full_house_sheds_and_goes_on() {
        let mut steps = steps(&[10, 20, 30], Some(2));
        let due = |index, millis| Due { index, intended: at(millis) };
        assert_eq!(steps.step(at(10), 1, RunNanos::MAX), Step::Start(due(0, 10)));
        assert_eq!(steps.step(at(20), 2, RunNanos::MAX), Step::Shed(due(1, 20)));
        assert_eq!(steps.step(at(30), 1, RunNanos::MAX), Step::Start(due(2, 30)));
    }

    #[test]
    fn the_stop_is_exclusive_and_what_was_due_before_it_still_starts() {
        let mut steps = steps(&[10, 20, 30], None);
        let due = |index, millis| Due { index, intended: at(millis) };
        assert_eq!(steps.step(at(100), 0, at(30)), Step::Start(due(0, 10)));
        assert_eq!(steps.step(at(100), 1, at(30)), Step::Start(due(1, 20)));
        assert_eq!(steps.step(at(100), 2, at(30)), Step::End);
    }

    #[test]
    fn an_arrival_that_never_comes_ends_the_loop() {
        let schedule = Schedule::replay([Duration::MAX]).unwrap();
        let mut steps = OpenSteps::new(OpenLoop::new(schedule.into()), ORIGIN);
        assert_eq!(steps.step(ORIGIN, 0, RunNanos::MAX), Step::End);
    }

    proptest! {
        /// However late the steps are asked for, the starts are the schedule's arrivals before the
        /// stop, each once, in order, at their own instants, and none ahead of time.
        #[test]
        fn lateness_changes_nothing_but_the_lag(
            mut offsets in prop::collection::vec(0_u64..2_000, 0..60),
            sleeps in prop::collection::vec(0_u64..300, 1..20),
            stop in 0_u64..2_500,
        ) {
            offsets.sort_unstable();
            let mut steps = steps(&offsets, None);
            let (mut now, mut started) = (ORIGIN, Vec::new());
            let mut sleeps = sleeps.iter().cycle();
            loop {
                match steps.step(now, 0, at(stop)) {
                    Step::Start(due) => {
                        prop_assert!(due.intended <= now);
                        prop_assert_eq!(due.index, started.len() as u64);
                        started.push(due.intended);
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        now = until + Duration::from_millis(*sleeps.next().unwrap());
                    }
                    Step::End => break,
                    other => panic!("an open loop without a cap does not {other:?}"),
                }
            }
            let expected: Vec<_> =
                offsets.iter().filter(|offset| **offset < stop).map(|offset| at(*offset)).collect();
            prop_assert_eq!(started, expected);
        }
    }
}
