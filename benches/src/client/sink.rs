//! Where the rows of a load go: the first ones are kept, all are counted.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_records::{Outcome, RequestRow, StampSource};
use tokio::sync::Notify;

use super::DriveError;
use crate::load::PATIENCE;
use crate::{Load, Run};

/// The rows, and what is known of all of them.
///
/// Behind a lock, since rows with stamps by packet come from the capture's thread. Otherwise one
/// thread alone takes it, which costs a few nanoseconds a request.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) rows: Vec<RequestRow>,
    keep: usize,
    tokens_asked: u64,
    counts: Run,
}

impl Kept {
    pub(super) fn new(load: &Load) -> Self {
        Self {
            rows: Vec::new(),
            keep: load.keep,
            tokens_asked: load.bodies.shape().tokens.into(),
            counts: Run::default(),
        }
    }

    fn take(&mut self, row: RequestRow) {
        let counts = &mut self.counts;
        let tokens = row.output_count();
        counts.tokens += tokens;
        counts.shared_chunks += row.chunks.iter().filter(|chunk| chunk.shared).count() as u64;
        counts.rows_by_grade[grade(row.stamp_source)] += 1;
        if row.outcome == Outcome::Ok && tokens == self.tokens_asked {
            counts.ended += 1;
            if self.rows.len() < self.keep {
                self.rows.push(row);
            }
        } else {
            counts.failed += 1;
            let text = || format!("{:?}, {tokens} tokens: {:?}", row.outcome, row.error);
            counts.first_failure.get_or_insert_with(text);
        }
    }

    /// Copies the counts into `run`.
    pub(super) fn count(&self, run: &mut Run) {
        let Run { ended, failed, tokens, shared_chunks, rows_by_grade, .. } = self.counts;
        (run.ended, run.failed, run.tokens) = (ended, failed, tokens);
        (run.shared_chunks, run.rows_by_grade) = (shared_chunks, rows_by_grade);
        run.first_failure.clone_from(&self.counts.first_failure);
    }
}

/// The place of a grade in [`Run::rows_by_grade`].
const fn grade(source: StampSource) -> usize {
    match source {
        StampSource::Packet => 2,
        StampSource::Socket => 1,
        _ => 0,
    }
}

/// Hands over a row, if there is one here.
pub(super) fn take(kept: &Mutex<Kept>, row: Option<RequestRow>) {
    if let Some(row) = row {
        lock(kept).take(row);
    }
}

pub(super) fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // A thread that panicked while it held the lock left whole rows behind.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the requests that have ended, so that the last of them can be waited for.
#[derive(Debug, Default)]
pub(super) struct Flight {
    ended: Cell<u64>,
    moved: Notify,
}

impl Flight {
    pub(super) fn ended(&self) {
        self.ended.set(self.ended.get() + 1);
        self.moved.notify_one();
    }

    pub(super) async fn wait_for(&self, started: u64) -> Result<(), DriveError> {
        let left = || started - self.ended.get();
        let all = async {
            while left() > 0 {
                self.moved.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| DriveError::Unfinished(left()))
    }
}
