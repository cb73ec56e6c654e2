//! What follows on tasks: starts whose instants nobody knew before, as the turns of a conversation.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use plimsoll_units::RunNanos;
use tokio::sync::Notify;

use crate::step::Step;

/// A start that follows on another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FollowUp {
    pub(crate) intended: RunNanos,
    pub(crate) index: u64,
    pub(crate) turn: u32,
}

/// Where the tasks of a [`Target`](crate::Target) put what is to follow them: the driver starts it at
/// its instant beside the arrivals of its schedule.
///
/// Clones share it. It belongs to one thread, as the driver and its tasks do.
#[derive(Clone, Debug, Default)]
pub struct FollowUps(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    added: RefCell<Vec<FollowUp>>,
    changed: Notify,
}

impl FollowUps {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has turn `turn` of arrival `index` start at `instant`, or at once where that is past; not at
    /// all if the driver stops before.
    ///
    /// A task that something follows must say so before it ends: a driver without arrivals, tasks and
    /// follow-ups has nothing left to do.
    pub fn add(&self, index: u64, turn: u32, instant: RunNanos) {
        self.0.added.borrow_mut().push(FollowUp { intended: instant, index, turn });
        self.0.changed.notify_one();
    }

    /// Completes when something was added since the last time this completed.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

/// Decides between the loop's own next step and what follows; knows no clock and no runtime.
#[derive(Debug, Default)]
pub(crate) struct FollowSteps {
    due: BinaryHeap<Reverse<FollowUp>>,
}

impl FollowSteps {
    /// Takes over what tasks have added.
    pub(crate) fn take(&mut self, follow_ups: &FollowUps) {
        self.due.extend(follow_ups.0.added.borrow_mut().drain(..).map(Reverse));
    }

    /// What to do at `now`, where the loop itself would do `own` and `in_flight` tasks may have
    /// something follow. Nothing due at `stop` or later is started.
    pub(crate) fn step(
        &mut self,
        own: Step,
        now: RunNanos,
        in_flight: u32,
        stop: RunNanos,
    ) -> Step {
        let next = self.due.peek().map(|Reverse(next)| *next).filter(|next| next.intended < stop);
        match (own, next) {
            (Step::Wait(_) | Step::End, Some(next)) if next.intended <= now => {
                self.due.pop();
                Step::Follow(next)
            }
            (Step::Wait(until), Some(next)) => Step::Wait(until.min(next.intended)),
            (Step::End, Some(next)) => Step::Wait(next.intended),
            (Step::End, None) if in_flight > 0 && now < stop => Step::Wait(stop),
            (own, _) => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::step::Due;

    fn ns(nanos: u64) -> RunNanos {
        RunNanos::from_nanos(nanos)
    }

    fn steps(added: &[(u64, u32, u64)]) -> FollowSteps {
        let follow_ups = FollowUps::new();
        for &(index, turn, at) in added {
            follow_ups.add(index, turn, ns(at));
        }
        let mut steps = FollowSteps::default();
        steps.take(&follow_ups);
        steps
    }

    #[test]
    fn a_follow_up_starts_at_its_instant_and_arrivals_go_first() {
        let mut steps = steps(&[(7, 1, 50), (3, 2, 20)]);
        let arrival = Step::Start(Due { index: 9, intended: ns(5) });
        assert_eq!(steps.step(arrival, ns(60), 0, ns(100)), arrival);
        assert_eq!(steps.step(Step::Wait(ns(90)), ns(10), 0, ns(100)), Step::Wait(ns(20)));
        let first = FollowUp { intended: ns(20), index: 3, turn: 2 };
        // However late the driver comes, the instant is the one that was said.
        assert_eq!(steps.step(Step::Wait(ns(90)), ns(33), 0, ns(100)), Step::Follow(first));
        assert_eq!(steps.step(Step::Wait(ns(40)), ns(33), 0, ns(100)), Step::Wait(ns(40)));
    }

    #[test]
    fn what_is_due_at_the_stop_is_not_started() {
        let mut steps = steps(&[(0, 1, 49), (1, 1, 50)]);
        assert!(matches!(steps.step(Step::End, ns(80), 0, ns(50)), Step::Follow(_)));
        assert_eq!(steps.step(Step::End, ns(80), 3, ns(50)), Step::End);
    }

    #[test]
    fn an_ended_schedule_waits_for_tasks_that_something_may_follow() {
        let mut steps = steps(&[]);
        assert_eq!(steps.step(Step::End, ns(10), 1, ns(50)), Step::Wait(ns(50)));
        assert_eq!(steps.step(Step::End, ns(10), 0, ns(50)), Step::End);
        let mut steps = self::steps(&[(1, 1, 30)]);
        assert_eq!(steps.step(Step::End, ns(10), 0, ns(50)), Step::Wait(ns(30)));
    }

    proptest! {
        /// Every follow-up before the stop comes out once, in the order of the instants, none early.
        #[test]
        fn nothing_is_lost(
            added in prop::collection::vec((any::<u64>(), 1_u32..9, 0_u64..1_000), 0..40),
            late in prop::collection::vec(0_u64..90, 1..9),
            stop in 0_u64..1_100,
        ) {
            let mut steps = steps(&added);
            let (mut now, mut started) = (ns(0), Vec::new());
            let mut late = late.iter().cycle();
            loop {
                match steps.step(Step::End, now, 0, ns(stop)) {
                    Step::Follow(next) => {
                        prop_assert!(next.intended <= now);
                        started.push((next.intended, next.index, next.turn));
                    }
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        now = ns(until.as_nanos() + late.next().unwrap());
                    }
                    Step::End => break,
                    other => panic!("{other:?}"),
                }
            }
            let mut expected: Vec<_> = added
                .iter()
                .filter(|(_, _, at)| *at < stop)
                .map(|&(index, turn, at)| (ns(at), index, turn))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(started, expected);
        }
    }
}
