//! One engine in real time, on its own thread.
//!
//! The thread keeps the engine's own time line: a step's end is its begin plus its duration, the
//! next step begins there, and waking late never lengthens the line. An idle engine begins a step
//! at the instant of the arrival, not at the moment the thread woke up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use plimsoll_units::{Clock, RunClock, RunNanos};
use tokio::sync::oneshot;

use crate::metrics::ReplicaStats;
use crate::{Completion, Engine, Request, RequestId, Step};

/// What the HTTP side wants of a replica.
pub(crate) enum Command {
    Submit(Submission),
    /// The client of this ticket has gone.
    Abort(u64),
    ResetPrefixCache(oneshot::Sender<bool>),
}

/// A request on its way into the engine.
pub(crate) struct Submission {
    /// Unique in the server; tokens are delivered under it.
    pub(crate) ticket: u64,
    pub(crate) request: Request,
    pub(crate) at: RunNanos,
    /// Which outbox its tokens go to.
    pub(crate) outbox: usize,
    /// Whether the answer ends by itself rather than at `max_tokens`.
    pub(crate) stops: bool,
}

/// One token for one ticket.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) ticket: u64,
    /// With the last token, the life of the request.
    pub(crate) done: Option<Box<Completion>>,
}

/// Tokens on their way to one HTTP thread: a step's worth is handed over under one lock and with
/// one wake-up, for a wake-up a token would cost more than the token.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    batch: Mutex<Vec<Delivery>>,
    pub(crate) ready: tokio::sync::Notify,
}

impl Outbox {
    /// Swaps what has gathered for the empty `batch`.
    pub(crate) fn collect(&self, batch: &mut Vec<Delivery>) {
        std::mem::swap(&mut *lock(&self.batch), batch);
    }

    fn push(&self, deliveries: &mut Vec<Delivery>) {
        if !deliveries.is_empty() {
            lock(&self.batch).append(deliveries);
            self.ready.notify_one();
        }
    }
}

/// A lock that a panic elsewhere does not spread: the data are counters and queues, whole at every
/// instant.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side of a replica that other threads see.
#[derive(Debug)]
pub(crate) struct Replica {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    /// Submitted and not finished, for the router.
    pub(crate) unfinished: AtomicUsize,
    pub(crate) stats: Mutex<ReplicaStats>,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    sleeping: bool,
    stopped: bool,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("commands", &self.commands.len()).finish_non_exhaustive()
    }
}

impl Replica {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            inbox: Mutex::default(),
            arrived: Condvar::new(),
            unfinished: AtomicUsize::new(0),
            stats: Mutex::new(ReplicaStats::new(engine.limits())),
        }
    }

    /// Hands over a command; the engine sees it at the end of the step that is under way.
    pub(crate) fn send(&self, command: Command) {
        if matches!(command, Command::Submit(_)) {
            self.unfinished.fetch_add(1, Ordering::Relaxed);
        }
        let mut inbox = lock(&self.inbox);
        inbox.commands.push(command);
        if inbox.sleeping {
            self.arrived.notify_one();
        }
    }

    /// Makes the thread end after the step that is under way.
    pub(crate) fn stop(&self) {
        lock(&self.inbox).stopped = true;
        self.arrived.notify_one();
    }

    /// Moves the commands that have come into `commands`, waiting for one if told to; `false` when
    /// the replica is to stop.
    fn receive(&self, commands: &mut Vec<Command>, wait: bool) -> bool {
        let mut inbox = lock(&self.inbox);
        while wait && inbox.commands.is_empty() && !inbox.stopped {
            inbox.sleeping = true;
            inbox = self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner);
            inbox.sleeping = false;
        }
        commands.append(&mut inbox.commands);
        !inbox.stopped
    }
}

/// The thread's own state.
pub(crate) struct Runner {
    engine: Engine,
    clock: RunClock,
    replica: Arc<Replica>,
    outboxes: Arc<[Outbox]>,
    /// End of the last step: where the time line has got to.
    free_at: RunNanos,
    /// Submissions stamped later than `free_at`.
    arrived: Vec<Submission>,
    routes: HashMap<RequestId, Route>,
    ids: HashMap<u64, RequestId>,
    /// One a HTTP thread, reused from step to step.
    outgoing: Vec<Vec<Delivery>>,
}

/// Where the tokens of a request go.
#[derive(Clone, Copy)]
struct Route {
    ticket: u64,
    outbox: usize,
    stops: bool,
}

impl Runner {
    pub(crate) fn new(
        engine: Engine,
        clock: RunClock,
        replica: Arc<Replica>,
        outboxes: Arc<[Outbox]>,
    ) -> Self {
        let outgoing = outboxes.iter().map(|_| Vec::new()).collect();
        Self {
            engine,
            clock,
            replica,
            outboxes,
            free_at: RunNanos::ZERO,
            arrived: Vec::new(),
            routes: HashMap::new(),
            ids: HashMap::new(),
            outgoing,
        }
    }

    /// Runs until the replica is told to stop.
    pub(crate) fn run(mut self) {
        // The default slack lets the kernel wake a thread 50 us late. Where it cannot be lowered
        // the tokens are a little late, which the lag metrics show.
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut commands = Vec::new();
        loop {
            let idle = !self.engine.has_work() && self.arrived.is_empty();
            if !self.replica.receive(&mut commands, idle) {
                break;
            }
            for command in commands.drain(..) {
                self.obey(command);
            }
            if !self.engine.has_work()
                && let Some(first) = self.arrived.iter().map(|submission| submission.at).min()
            {
                self.free_at = self.free_at.max(first);
            }
            self.admit();
            let Some(end) = self.engine.step(self.free_at).map(|step| step.end) else {
                lock(&self.replica.stats).state(&self.engine, self.arrived.len());
                continue;
            };
            sleep_until(&self.clock, end);
            self.hand_over();
            self.free_at = end;
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit(submission) => self.arrived.push(submission),
            Command::Abort(ticket) => {
                let held = self.arrived.len();
                self.arrived.retain(|submission| submission.ticket != ticket);
                let known = self.ids.remove(&ticket);
                if let Some(id) = known {
                    self.routes.remove(&id);
                    self.engine.abort(id);
                }
                if known.is_some() || self.arrived.len() < held {
                    self.replica.unfinished.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Command::ResetPrefixCache(reply) => {
                // Nobody minds when the asker has gone.
                let _ = reply.send(self.engine.reset_prefix_cache());
            }
        }
    }

    /// Submits what had arrived by `free_at`, in the order of arrival.
    fn admit(&mut self) {
        self.arrived.sort_by_key(|submission| submission.at);
        let due = self.arrived.partition_point(|submission| submission.at <= self.free_at);
        for submission in self.arrived.drain(..due) {
            let Submission { ticket, request, at, outbox, stops } = submission;
            match self.engine.submit(request, at) {
                Ok(id) => {
                    self.routes.insert(id, Route { ticket, outbox, stops });
                    self.ids.insert(ticket, id);
                }
                Err(error) => {
                    tracing::error!(%error, "a request passed the checks and was refused");
                    self.replica.unfinished.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Sends the tokens of the step that has just ended to the HTTP threads.
    fn hand_over(&mut self) {
        let step: &Step = self.engine.last_step();
        let mut finished = step.finished.iter();
        let mut stopped = 0_usize;
        for token in &step.tokens {
            // `finished` lists the last tokens in the order of `tokens`.
            let done = if token.last { finished.next().map(|done| Box::new(*done)) } else { None };
            if let Some(route) = self.routes.get(&token.id) {
                self.outgoing[route.outbox].push(Delivery { ticket: route.ticket, done });
            }
        }
        for (outbox, outgoing) in self.outboxes.iter().zip(&mut self.outgoing) {
            outbox.push(outgoing);
        }
        let lag = self.clock.now().since(step.end);
        for done in &step.finished {
            if let Some(route) = self.routes.remove(&done.id) {
                self.ids.remove(&route.ticket);
                stopped += usize::from(route.stops);
            }
        }
        self.replica.unfinished.fetch_sub(step.finished.len(), Ordering::Relaxed);
        let mut stats = lock(&self.replica.stats);
        stats.step(step, self.engine.limits().prefix_caching, lag);
        for place in 0..step.finished.len() {
            stats.finished(place < stopped);
        }
        stats.state(&self.engine, self.arrived.len());
    }
}

/// Sleeps until `deadline`, at once if it has passed.
fn sleep_until(clock: &RunClock, deadline: RunNanos) {
    let absolute = clock.monotonic(deadline).into();
    // Only a signal ends the sleep early, and the loop goes back to it.
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &absolute)
        .is_err_and(|error| error == nix::errno::Errno::EINTR)
    {}
}
