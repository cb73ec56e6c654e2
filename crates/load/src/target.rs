//! What the driver calls.

use std::time::Duration;

use plimsoll_units::RunNanos;

use crate::FollowUps;

/// One start: which arrival it is, when it was due, when the driver got to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Index of the arrival in the point's one sequence, from 0, over all shards.
    pub index: u64,
    /// Which start of that arrival it is: 0, or what was said to follow ([`FollowUps`]).
    pub turn: u32,
    /// When the schedule said; in a closed loop, when the slot fell free; of a follow-up, the instant
    /// that was given.
    pub intended: RunNanos,
    /// When the driver called the target; never before `intended`.
    pub dequeued: RunNanos,
}

impl Start {
    /// How late the driver was: dequeued - intended.
    #[must_use]
    pub const fn lag(&self) -> Duration {
        self.dequeued.since(self.intended)
    }
}

/// What is started. Any `Fn(Start) -> Future` is one.
pub trait Target {
    /// The task of one start.
    ///
    /// The call itself must be short, and so must the task up to its first await: both run inside
    /// the driver, so that a request leaves at its time and not when the tasks that are already
    /// queued on the thread have had their turn. From its first await on the task runs beside the
    /// driver, which never looks at it again; what it finds out it must hand on by itself.
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static;

    /// Told of an arrival that was due and not started because the cap on tasks in flight was
    /// reached. By default nothing: the driver counts it in any case.
    fn shed(&self, start: Start) {
        let _ = start;
    }

    /// Where the tasks put what is to follow them, if anything ever does. By default nothing.
    fn follow_ups(&self) -> Option<&FollowUps> {
        None
    }
}

impl<F, Task> Target for F
where
    F: Fn(Start) -> Task,
    Task: Future<Output = ()> + 'static,
{
    fn start(&self, start: Start) -> impl Future<Output = ()> + 'static {
        self(start)
    }
}
