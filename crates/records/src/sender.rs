//! The end of the writer's queue that a worker holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::row::RequestRow;
use crate::writer::Shared;

/// Hands the rows of one worker to a [`PointWriter`](crate::PointWriter).
///
/// Sending neither waits nor loses: while the queue is full, rows collect in the sender and count
/// as [`deferred`](Self::deferred). Closing or dropping the sender hands over what it still holds,
/// and waits for room if it must. A clone is a sender of its own, for another worker.
#[derive(Debug)]
pub struct RowSender {
    queue: SyncSender<RequestRow>,
    shared: Arc<Shared>,
    /// Rows that the queue had no room for, in order.
    overflow: VecDeque<RequestRow>,
    deferred: u64,
}

impl RowSender {
    pub(crate) fn new(queue: SyncSender<RequestRow>, shared: Arc<Shared>) -> Self {
        shared.senders.fetch_add(1, Ordering::AcqRel);
        Self { queue, shared, overflow: VecDeque::new(), deferred: 0 }
    }

    /// Hands `row` over, without waiting.
    pub fn send(&mut self, row: RequestRow) {
        while let Some(waiting) = self.overflow.pop_front() {
            if let Err(waiting) = self.offer(waiting) {
                self.overflow.push_front(waiting);
                break;
            }
        }
        // No row overtakes another of its worker.
        let left = if self.overflow.is_empty() { self.offer(row).err() } else { Some(row) };
        if let Some(row) = left {
            self.deferred += 1;
            self.overflow.push_back(row);
        }
    }

    /// Rows that had to wait because the queue was full. They reach the file all the same.
    #[must_use]
    pub const fn deferred(&self) -> u64 {
        self.deferred
    }

    /// Whether the writer can no longer put rows on file; its `finish` says why. There is then no
    /// point in measuring on.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Hands over what is left, waiting for room, and returns [`deferred`](Self::deferred).
    pub fn close(self) -> u64 {
        self.deferred
    }

    /// Puts `row` into the queue; gives it back when there is no room. When the writer's thread is
    /// gone, which its panic or an early `finish` brings about, nobody can take the row any more.
    #[expect(
        clippy::result_large_err,
        reason = "the error is the row itself, moved on, never kept"
    )]
    fn offer(&self, row: RequestRow) -> Result<(), RequestRow> {
        match self.queue.try_send(row) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(row)) => Err(row),
            Err(TrySendError::Disconnected(_)) => {
                self.shared.failed.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl Clone for RowSender {
    fn clone(&self) -> Self {
        Self::new(self.queue.clone(), Arc::clone(&self.shared))
    }
}

impl Drop for RowSender {
    fn drop(&mut self) {
        for row in self.overflow.drain(..) {
            if self.queue.send(row).is_err() {
                self.shared.failed.store(true, Ordering::Relaxed);
            }
        }
        // After the last row, so that a writer that sees no sender open has every row in its queue.
        self.shared.senders.fetch_sub(1, Ordering::AcqRel);
    }
}
