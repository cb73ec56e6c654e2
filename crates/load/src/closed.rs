//! The closed loop: a fixed number of tasks in flight, the next one starts when one has ended.

use std::collections::VecDeque;

use plimsoll_units::RunNanos;

use crate::ScheduleError;
use crate::step::{Due, Step};

/// A fixed number of tasks in flight, or one worker's share of them.
///
/// Indices are dealt like those of a schedule: shard k of n starts k, k + n, k + 2n, ... Since every
/// shard goes at its own pace, the indices of all shards together may have gaps at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLoop {
    concurrency: u32,
    shard: u32,
    shards: u32,
}

impl ClosedLoop {
    /// `concurrency` tasks in flight; 0 starts nothing.
    #[must_use]
    pub const fn new(concurrency: u32) -> Self {
        Self { concurrency, shard: 0, shards: 1 }
    }

    /// The share of worker `shard` of `shards`: the tasks in flight are dealt out as evenly as can
    /// be, and all shares together are the whole. Of a share, the share is taken again.
    ///
    /// # Errors
    /// When `shard` is not below `shards`.
    pub const fn shard(self, shard: u32, shards: u32) -> Result<Self, ScheduleError> {
        if shard >= shards {
            return Err(ScheduleError::NoSuchShard { shard, shards });
        }
        let extra = (shard < self.concurrency % shards) as u32;
        Ok(Self { concurrency: self.concurrency / shards + extra, shard, shards })
    }

    /// Tasks in flight of this loop.
    #[must_use]
    pub const fn concurrency(&self) -> u32 {
        self.concurrency
    }
}

/// Decides what to do, given the time and the slots that fell free; knows no clock and no runtime.
#[derive(Debug)]
pub(crate) struct ClosedSteps {
    /// When each slot that waits to be filled fell free, in that order.
    free: VecDeque<RunNanos>,
    next_index: u64,
    stride: u64,
    concurrency: u32,
}

impl ClosedSteps {
    /// All slots fall free at `origin`.
    pub(crate) fn new(closed: ClosedLoop, origin: RunNanos) -> Self {
        let ClosedLoop { concurrency, shard, shards } = closed;
        Self {
            free: std::iter::repeat_n(origin, concurrency as usize).collect(),
            next_index: shard.into(),
            stride: shards.into(),
            concurrency,
        }
    }

    /// How many slots there are, free or not.
    pub(crate) const fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// A task ended at `instant`.
    pub(crate) fn freed(&mut self, instant: RunNanos) {
        self.free.push_back(instant);
    }

    /// What to do at `now`, with no starts due at `stop` or later.
    pub(crate) fn step(&mut self, now: RunNanos, stop: RunNanos) -> Step {
        match self.free.front() {
            // A slot that falls free later can only fall free at the stop or after it.
            Some(freed) if *freed >= stop => Step::End,
            Some(freed) if *freed > now => Step::Wait(*freed),
            Some(freed) => {
                let due = Due { index: self.next_index, intended: *freed };
                self.free.pop_front();
                self.next_index += self.stride;
                Step::Start(due)
            }
            None if now >= stop || self.concurrency == 0 => Step::End,
            None => Step::Wait(stop),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ns(nanos: u64) -> RunNanos {
        RunNanos::from_nanos(nanos)
    }

    #[test]
    fn fills_its_slots_at_the_origin_and_each_again_when_it_falls_free() {
        let mut steps = ClosedSteps::new(ClosedLoop::new(2), ns(100));
        let (never, due) = (RunNanos::MAX, |index, at| Due { index, intended: ns(at) });
        assert_eq!(steps.step(ns(0), never), Step::Wait(ns(100)));
        assert_eq!(steps.step(ns(105), never), Step::Start(due(0, 100)));
        assert_eq!(steps.step(ns(105), never), Step::Start(due(1, 100)));
        assert_eq!(steps.step(ns(106), ns(900)), Step::Wait(ns(900)));
        steps.freed(ns(200));
        steps.freed(ns(210));
        assert_eq!(steps.step(ns(230), never), Step::Start(due(2, 200)));
        assert_eq!(steps.step(ns(230), never), Step::Start(due(3, 210)));
    }

    #[test]
    fn slots_freed_before_the_stop_are_filled_and_later_ones_not() {
        let mut steps = ClosedSteps::new(ClosedLoop::new(2), ns(0));
        for _ in 0..2 {
            assert!(matches!(steps.step(ns(1), RunNanos::MAX), Step::Start(_)));
        }
        steps.freed(ns(499));
        steps.freed(ns(500));
        let due = Due { index: 2, intended: ns(499) };
        assert_eq!(steps.step(ns(600), ns(500)), Step::Start(due));
        assert_eq!(steps.step(ns(600), ns(500)), Step::End);
        assert_eq!(ClosedSteps::new(ClosedLoop::new(0), ns(0)).step(ns(0), ns(9)), Step::End);
    }

    proptest! {
        /// The shares of all shards add up to the concurrency and differ by at most one; their
        /// indices are those of the same shard of a schedule.
        #[test]
        fn shares_add_up(concurrency in 0_u32..5_000, shards in 1_u32..40) {
            let shares: Vec<_> = (0..shards)
                .map(|shard| ClosedLoop::new(concurrency).shard(shard, shards).unwrap())
                .collect();
            let sizes = || shares.iter().map(ClosedLoop::concurrency);
            prop_assert_eq!(sizes().sum::<u32>(), concurrency);
            prop_assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
            for (shard, share) in shares.into_iter().enumerate() {
                let mut steps = ClosedSteps::new(share, RunNanos::ZERO);
                let mut expected = shard as u64;
                while let Step::Start(due) = steps.step(RunNanos::ZERO, RunNanos::MAX) {
                    prop_assert_eq!(due.index, expected);
                    expected += u64::from(shards);
                }
            }
            prop_assert!(ClosedLoop::new(concurrency).shard(shards, shards).is_err());
        }
    }
}
