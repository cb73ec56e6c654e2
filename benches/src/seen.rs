//! What a client saw of a load.

use serde::Serialize;

use crate::Usage;

/// One request as its client saw it. Stamps are ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The name of its body.
    pub name: u64,
    /// When it was due; in a closed loop, when its slot fell free.
    pub intended_ns: u64,
    /// When the client got to it.
    pub dequeued_ns: u64,
    /// When it had been sent, as the client says.
    pub sent_ns: u64,
    /// When each token arrived, as the client says.
    pub tokens_ns: Vec<u64>,
}

/// How much later than they arrived the client read its bytes, as it knows itself. Unit: ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OwnDelay {
    /// Half of the reads were not later than this.
    pub p50: f64,
    /// 99 of 100 were not.
    pub p99: f64,
    /// None was.
    pub max: f64,
}

/// What one client did for a load.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The origin of the schedule. Unit: ns of `CLOCK_MONOTONIC`.
    pub origin_ns: u64,
    /// The requests that ended well, as far as they were to be kept.
    pub seen: Vec<Seen>,
    /// All requests that ended well.
    pub ended: u64,
    /// All requests that ended otherwise.
    pub failed: u64,
    /// What was wrong with the first of those.
    pub first_failure: Option<String>,
    /// Output tokens of all requests.
    pub tokens: u64,
    /// Token chunks whose stamp is not their own: they came with later ones in one read.
    pub shared_chunks: u64,
    /// Rows with stamps of the user, the socket and the packet grade.
    pub rows_by_grade: [u64; 3],
    /// What the client knows of its own delay; `None` for one that does not ask.
    pub own_delay: Option<OwnDelay>,
    /// Segments that a packet capture had no room for.
    pub packets_dropped: u64,
    /// The process before it had a connection.
    pub fresh: Usage,
    /// The process right before the origin of the schedule.
    pub before: Usage,
    /// The process when the last request had ended.
    pub after: Usage,
    /// How long threads of the process waited for a core between those two. Unit: ns.
    pub waited_ns: u64,
    /// The time between those two. Unit: ns.
    pub wall_ns: u64,
}

/// Collects the accounts around a load.
#[derive(Debug)]
pub(crate) struct Account {
    fresh: Usage,
    before: Usage,
    waited_ns: u64,
    began_ns: u64,
}

impl Account {
    /// Opened before anything is done.
    pub(crate) fn open() -> Self {
        Self { fresh: usage(), before: Usage::default(), waited_ns: 0, began_ns: 0 }
    }

    /// Called when everything is ready.
    pub(crate) fn begin(&mut self) {
        self.before = usage();
        self.waited_ns = crate::run_queue_wait_ns().unwrap_or(0);
        self.began_ns = crate::monotonic_ns();
    }

    /// Called when the last request has ended, before anything is computed.
    pub(crate) fn close(&self, run: &mut Run) {
        run.after = usage();
        run.wall_ns = crate::monotonic_ns() - self.began_ns;
        run.waited_ns = crate::run_queue_wait_ns().unwrap_or(0).saturating_sub(self.waited_ns);
        (run.fresh, run.before) = (self.fresh, self.before);
    }
}

fn usage() -> Usage {
    // A machine without these accounts shows zeros, which nobody takes for a result.
    Usage::now().unwrap_or_default()
}
