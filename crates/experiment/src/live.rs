//! What the coordinator of a point can see while it runs: counts that the workers and the writer
//! thread keep, none of them on a lock that the measured path would wait for.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_records::{Outcome, RequestRow};
use plimsoll_units::RunNanos;

/// How many of the last requests the live medians are taken over.
const RECENT: usize = 64;

/// The live state of one point.
#[derive(Debug)]
pub(crate) struct Live {
    /// End of the measure window; [`RunNanos::MAX`] until it is known. Requests due before it are
    /// waited for. It is set a whole window ahead, or a little where the window ends with its
    /// requests, so nobody counts by an old one.
    window_end: AtomicU64,
    starts: Vec<Starts>,
    /// What the writer thread has seen of ended requests. The writer thread and the coordinator
    /// share the lock; no worker takes it.
    ended: Mutex<Ended>,
}

/// The requests that one worker has started. Each worker writes to a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Starts {
    all: AtomicU64,
    /// Those due before the end of the window.
    due: AtomicU64,
}

/// The requests that have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    /// All of them.
    pub(crate) all: u64,
    /// Those due before the end of the window.
    pub(crate) due: u64,
    /// How many ended well.
    pub(crate) ok: u64,
    /// How many failed.
    pub(crate) failed: u64,
    /// How many in a row, up to the last one, never reached the server or lost it.
    pub(crate) lost_in_a_row: u64,
    /// The longest time from intended to done of those that ended well.
    pub(crate) longest_e2e: Duration,
    recent_ttft: VecDeque<Duration>,
    /// How late the last requests left.
    recent_lag: VecDeque<Duration>,
}

impl Live {
    /// The state of a point with so many workers.
    pub(crate) fn new(workers: u32) -> Self {
        Self {
            window_end: AtomicU64::new(RunNanos::MAX.as_nanos()),
            starts: (0..workers).map(|_| Starts::default()).collect(),
            ended: Mutex::default(),
        }
    }

    /// The coordinator knows where the window ends.
    pub(crate) fn set_window_end(&self, end: RunNanos) {
        self.window_end.store(end.as_nanos(), Ordering::Relaxed);
    }

    /// A worker starts a request.
    pub(crate) fn start(&self, worker: u32, intended: RunNanos) {
        let starts = &self.starts[worker as usize];
        starts.all.fetch_add(1, Ordering::Relaxed);
        if self.is_due(intended) {
            starts.due.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests started so far.
    pub(crate) fn started(&self) -> u64 {
        self.starts.iter().map(|starts| starts.all.load(Ordering::Relaxed)).sum()
    }

    /// Requests started so far that were due before the end of the window.
    pub(crate) fn started_due(&self) -> u64 {
        self.starts.iter().map(|starts| starts.due.load(Ordering::Relaxed)).sum()
    }

    /// The writer thread sees a row.
    pub(crate) fn end(&self, row: &RequestRow) {
        let is_due = self.is_due(row.intended);
        let mut ended = self.lock();
        if let Some(sent) = row.sent {
            remember(&mut ended.recent_lag, sent - row.intended);
        }
        ended.all += 1;
        ended.due += u64::from(is_due);
        match row.outcome {
            Outcome::Ok => {
                ended.ok += 1;
                ended.lost_in_a_row = 0;
                ended.longest_e2e = ended.longest_e2e.max(row.done - row.intended);
                if let Some(first) = row.first_token() {
                    remember(&mut ended.recent_ttft, first - row.intended);
                }
            }
            // Our own doing: it says nothing about the target.
            Outcome::Aborted => {}
            Outcome::Shed => ended.failed += 1,
            outcome => {
                ended.failed += 1;
                let lost = match outcome {
                    Outcome::Refused | Outcome::Reset => true,
                    // A host that drops every packet is as lost as one that refuses.
                    Outcome::Timeout => row.connected.is_none(),
                    _ => false,
                };
                ended.lost_in_a_row = if lost { ended.lost_in_a_row + 1 } else { 0 };
            }
        }
    }

    /// Runs `look` on what has ended.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Ended) -> T) -> T {
        look(&self.lock())
    }

    fn is_due(&self, intended: RunNanos) -> bool {
        intended.as_nanos() < self.window_end.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ended> {
        // A poisoned lock only means that a thread panicked between two plain additions.
        self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Ended {
    /// The median TTFT of the last requests that ended well.
    pub(crate) fn ttft_p50(&self) -> Option<Duration> {
        median(&self.recent_ttft)
    }

    /// The median of how late the last requests left that were sent at all.
    pub(crate) fn lag_p50(&self) -> Option<Duration> {
        median(&self.recent_lag)
    }
}

/// Keeps the last [`RECENT`].
fn remember(recent: &mut VecDeque<Duration>, span: Duration) {
    if recent.len() == RECENT {
        recent.pop_front();
    }
    recent.push_back(span);
}

fn median(recent: &VecDeque<Duration>) -> Option<Duration> {
    let mut recent: Vec<_> = recent.iter().copied().collect();
    recent.sort_unstable();
    recent.get(recent.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_spans_are_kept_and_their_median_told() {
        let mut recent = VecDeque::new();
        assert_eq!(median(&recent), None);
        for ms in 0..200 {
            remember(&mut recent, Duration::from_millis(ms));
        }
        // The last 64: 136 to 199.
        assert_eq!((recent.len(), median(&recent)), (RECENT, Some(Duration::from_millis(168))));
    }
}
