//! The driver: starts what is due, at absolute deadlines, and waits for nothing else.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use plimsoll_units::{Clock, RunClock, RunNanos};
use thiserror::Error;
use tracing::trace;

use crate::closed::ClosedSteps;
use crate::follow::{FollowSteps, FollowUp};
use crate::open::OpenSteps;
use crate::pacer::Pacer;
use crate::seats::{Seat, Seats};
use crate::step::{Due, Step};
use crate::{ClosedLoop, FollowUps, Lags, OpenLoop, Spin, Start, Stop, Target};

/// Starts in a row after which the other tasks of the thread get a turn. Only a driver that is
/// behind gets there; without it one that can never catch up would keep everyone from ever reading
/// a response, and would not hear of the stop's being set.
const BURST: u32 = 32;

/// Starts the tasks of a [`Target`] when an open or closed loop says so.
///
/// It runs on a current-thread runtime and spawns with `spawn_local`, so it must be run inside
/// [`pacing_runtime`](crate::pacing_runtime) or a `LocalSet`. It never waits for a task it started,
/// nor for a permit or a lock: it sleeps until the next instant and nothing else. When it comes late
/// it starts all that is overdue at once, in order, each with its own lag; later arrivals keep
/// their instants.
///
/// A driver may be made anywhere and sent to the thread that runs it; once run it stays there.
#[derive(Debug)]
pub struct Driver {
    steps: Steps,
    clock: RunClock,
    spin: Spin,
}

/// The loop that decides.
#[derive(Debug)]
enum Steps {
    Open(Box<OpenSteps>),
    Closed(ClosedSteps),
}

impl Driver {
    /// A driver of the arrivals of a shard, whose offsets count from `origin` on `clock`.
    ///
    /// Takes a [`Shard`](crate::Shard), or an [`OpenLoop`] where a cap is wanted. All workers of a
    /// point must be given the same `origin`; it should lie a little ahead, so that nobody starts
    /// late.
    #[must_use]
    pub fn open(open: impl Into<OpenLoop>, clock: RunClock, origin: RunNanos) -> Self {
        let steps = Steps::Open(Box::new(OpenSteps::new(open.into(), origin)));
        Self { steps, clock, spin: Spin::default() }
    }

    /// A driver that keeps the tasks of a closed loop in flight from `origin` on `clock`: the first
    /// ones are all due at `origin`, each later one at the instant the one before it in its slot
    /// ended.
    #[must_use]
    pub fn closed(closed: ClosedLoop, clock: RunClock, origin: RunNanos) -> Self {
        let steps = Steps::Closed(ClosedSteps::new(closed, origin));
        Self { steps, clock, spin: Spin::default() }
    }

    /// The same driver, waking ahead of its instants as `spin` says: a [`Spin`], or a `Duration` for
    /// a fixed one. [`Spin::default`] unless this is called.
    #[must_use]
    pub fn spin(mut self, spin: impl Into<Spin>) -> Self {
        self.spin = spin.into();
        self
    }

    /// Starts what is due until `stop`, or until a replayed schedule ends, and says how late each
    /// start was.
    ///
    /// Tasks still in flight when it returns go on; they end with their runtime or `LocalSet`.
    /// Dropping the future before it ends also leaves them running.
    ///
    /// # Errors
    /// When the system gives no timer.
    ///
    /// # Panics
    /// When called outside the runtimes named above or in one without I/O and time, and when the
    /// target panics before its task's first await.
    pub async fn run(
        mut self,
        target: &impl Target,
        stop: &Stop,
    ) -> Result<DriverReport, DriverError> {
        let mut pacer = Pacer::new(self.clock, self.spin)?;
        let follow_ups = target.follow_ups();
        let mut follow = FollowSteps::default();
        let seats = match &self.steps {
            // The end of a task may be the end of all, if nothing follows.
            Steps::Open(_) if follow_ups.is_some() => Seats::watched(self.clock, 0),
            Steps::Open(_) => Seats::counted(self.clock),
            Steps::Closed(closed) => Seats::watched(self.clock, closed.concurrency()),
        };
        let mut report = DriverReport::default();
        let mut burst = 0;
        loop {
            // Listening begins before the stop is read, so that no change falls in between.
            let mut stop_changed = pin!(stop.changed());
            let now = self.clock.now();
            let mut step = self.steps.next(now, &seats, stop.instant());
            if let Some(follow_ups) = follow_ups {
                follow.take(follow_ups);
                step = follow.step(step, now, seats.taken(), stop.instant());
            }
            match step {
                Step::Start(due) => {
                    launch(target, report.started(due, 0, now), seats.take()).await;
                    burst += 1;
                }
                Step::Follow(FollowUp { index, turn, intended }) => {
                    let start = report.started(Due { index, intended }, turn, now);
                    launch(target, start, seats.take()).await;
                    burst += 1;
                }
                Step::Shed(due) => target.shed(report.shed(due, now)),
                Step::Wait(until) => {
                    burst = 0;
                    tokio::select! {
                        biased;
                        timer = pacer.until(until) => timer?,
                        () = stop_changed.as_mut() => {}
                        () = seats.changed() => {}
                        () = changed(follow_ups) => {}
                    }
                }
                Step::End => return Ok(report),
            }
            if burst == BURST {
                burst = 0;
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Steps {
    fn next(&mut self, now: RunNanos, seats: &Seats, stop: RunNanos) -> Step {
        match self {
            Self::Open(open) => {
                seats.drain_freed(|_| ());
                open.step(now, seats.taken(), stop)
            }
            Self::Closed(closed) => {
                seats.drain_freed(|instant| closed.freed(instant));
                closed.step(now, stop)
            }
        }
    }
}

/// Completes when something was said to follow; never where nothing ever is.
async fn changed(follow_ups: Option<&FollowUps>) {
    match follow_ups {
        Some(follow_ups) => follow_ups.changed().await,
        None => pending().await,
    }
}

/// Begins a task here and now, and leaves what is not done after its first poll to the runtime.
///
/// A task that is only spawned begins when those already queued have had their turn, which at
/// hundreds of busy streams is milliseconds. The first poll registers the driver's own waker; the
/// runtime polls every spawned task once in any case, which puts the right one in its place.
async fn launch(target: &impl Target, start: Start, seat: Seat) {
    let task = target.start(start);
    let mut task = Box::pin(async move {
        task.await;
        drop(seat);
    });
    let done = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx).is_ready())).await;
    if !done {
        // The handle is not needed: the task answers for itself.
        drop(tokio::task::spawn_local(task));
    }
}

/// What one driver did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverReport {
    /// Arrivals started, and what followed on them.
    pub started: u64,
    /// Arrivals that were due and not started, because the cap on tasks in flight was reached.
    pub shed: u64,
    /// The lag (dequeued - intended) of every start.
    pub lag: Lags,
}

impl DriverReport {
    /// Adds the report of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.started += other.started;
        self.shed += other.shed;
        self.lag.merge(&other.lag);
    }

    fn started(&mut self, due: Due, turn: u32, now: RunNanos) -> Start {
        let start = Start { index: due.index, turn, intended: due.intended, dequeued: now };
        self.started += 1;
        self.lag.record(start.lag());
        trace!(index = start.index, lag_ns = start.lag().as_nanos(), "start");
        start
    }

    fn shed(&mut self, due: Due, now: RunNanos) -> Start {
        self.shed += 1;
        trace!(index = due.index, "shed");
        Start { index: due.index, turn: 0, intended: due.intended, dequeued: now }
    }
}

/// A driver that could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The system gave no timer, or would not set it.
    #[error("no timer for the schedule; the limit on open files (ulimit -n) may be too low")]
    Timer(#[from] io::Error),
}
