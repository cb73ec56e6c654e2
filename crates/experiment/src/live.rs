//! What the coordinator of a point can see while it runs: counts that the workers and the writer
//! thread keep, none of them on a lock that the measured path would wait for.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_records::{Outcome, RequestRow};

/// How many of the last TTFTs the live median is taken over.
const RECENT: usize = 64;

/// The live state of one point.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Requests that a worker has started. Workers add to it.
    started: AtomicU64,
    /// What the writer thread has seen of ended requests. The writer thread and the coordinator
    /// share the lock; no worker takes it.
    ended: Mutex<Ended>,
}

/// The requests that have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// Ids, in the order of ending.
    ids: Vec<u64>,
    /// How many ended well.
    pub(crate) ok: u64,
    /// How many failed.
    pub(crate) failed: u64,
    /// How many in a row, up to the last one, never reached the server or lost it.
    pub(crate) lost_in_a_row: u64,
    /// The longest time from intended to done of those that ended well.
    pub(crate) longest_e2e: Duration,
    recent_ttft: VecDeque<Duration>,
}

impl Live {
    /// A worker starts a request.
    pub(crate) fn start(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests started so far.
    pub(crate) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// The writer thread sees a row.
    pub(crate) fn end(&self, row: &RequestRow) {
        let mut ended = self.lock();
        ended.ids.push(row.id);
        let lost = matches!(row.outcome, Outcome::Refused | Outcome::Reset);
        ended.lost_in_a_row = if lost { ended.lost_in_a_row + 1 } else { 0 };
        match row.outcome {
            Outcome::Ok => {
                ended.ok += 1;
                ended.longest_e2e = ended.longest_e2e.max(row.done - row.intended);
                if let Some(first) = row.first_token() {
                    if ended.recent_ttft.len() == RECENT {
                        ended.recent_ttft.pop_front();
                    }
                    ended.recent_ttft.push_back(first - row.intended);
                }
            }
            Outcome::Aborted => {}
            _ => ended.failed += 1,
        }
    }

    /// Runs `look` on what has ended.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Ended) -> T) -> T {
        look(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ended> {
        // A poisoned lock only means that a thread panicked between two plain additions.
        self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Ended {
    /// Requests that have ended.
    pub(crate) fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    /// Requests with an id below `id` that have ended.
    pub(crate) fn count_below(&self, id: u64) -> u64 {
        self.ids.iter().filter(|ended| **ended < id).count() as u64
    }

    /// The median TTFT of the last requests that ended well.
    pub(crate) fn ttft_p50(&self) -> Option<Duration> {
        let mut recent: Vec<_> = self.recent_ttft.iter().copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() / 2).copied()
    }
}
