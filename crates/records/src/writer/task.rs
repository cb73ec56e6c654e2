//! What the writer's thread does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;

use plimsoll_units::{Clock, RunClock, RunNanos};

use super::{BATCH_AGE, BATCH_CHUNKS, BATCH_ROWS, LOOK_EVERY, Shared, WrittenPoint};
use crate::encode::{encode_requests, encode_tokens};
use crate::error::{RecordsError, TableError};
use crate::row::RequestRow;
use crate::stream::StreamFile;

/// The streams of a point.
pub(super) struct Streams {
    pub(super) requests: StreamFile,
    pub(super) tokens: StreamFile,
}

/// The thread's state.
pub(super) struct WriterTask<F> {
    rows: Receiver<RequestRow>,
    shared: Arc<Shared>,
    observer: F,
    /// Times batches; its stamps go into no row.
    clock: RunClock,
    pending: Vec<RequestRow>,
    pending_chunks: usize,
    /// When the oldest pending row was taken; meaningless while there is none.
    pending_since: RunNanos,
    streams: Streams,
    written: WrittenPoint,
    failure: Option<Failure>,
}

/// A stream that could not be written. Nothing is appended after it: the batch it cut short would
/// make what follows unreadable.
struct Failure {
    path: PathBuf,
    cause: TableError,
    rows_not_written: u64,
}

impl<F: FnMut(&RequestRow)> WriterTask<F> {
    pub(super) fn new(
        rows: Receiver<RequestRow>,
        shared: Arc<Shared>,
        streams: Streams,
        observer: F,
    ) -> Self {
        Self {
            rows,
            shared,
            observer,
            clock: RunClock::start(),
            pending: Vec::with_capacity(BATCH_ROWS),
            pending_chunks: 0,
            pending_since: RunNanos::ZERO,
            streams,
            written: WrittenPoint::default(),
            failure: None,
        }
    }

    /// Writes until no sender is left or the writer says stop.
    pub(super) fn run(mut self) -> Result<WrittenPoint, RecordsError> {
        loop {
            // Read before the queue: whatever was sent before the stop is then in the queue.
            let stop = self.shared.stop.load(Ordering::Acquire);
            let ended = self.drain() || stop;
            if ended || self.batch_is_old() {
                self.write_batch();
            }
            if ended {
                return self.close();
            }
            // Senders never unpark: waking a thread would cost them a system call each row.
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Takes every row from the queue; says whether it can hold no more, ever.
    fn drain(&mut self) -> bool {
        loop {
            match self.rows.try_recv() {
                Ok(row) => self.take(row),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn take(&mut self, row: RequestRow) {
        (self.observer)(&row);
        if let Some(failure) = &mut self.failure {
            failure.rows_not_written += 1;
            return;
        }
        if self.pending.is_empty() {
            self.pending_since = self.clock.now();
        }
        self.pending_chunks += row.chunks.len();
        self.pending.push(row);
        if self.pending.len() >= BATCH_ROWS || self.pending_chunks >= BATCH_CHUNKS {
            self.write_batch();
        }
    }

    fn batch_is_old(&self) -> bool {
        !self.pending.is_empty() && self.clock.now() - self.pending_since >= BATCH_AGE
    }

    /// Appends the pending rows to both streams.
    fn write_batch(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.streams.append(&self.pending) {
            Ok(()) => {
                self.written.requests += self.pending.len() as u64;
                self.written.tokens += self.pending_chunks as u64;
            }
            Err((path, cause)) => {
                tracing::error!(path = %path.display(), %cause, "rows cannot be written");
                let rows_not_written = self.pending.len() as u64;
                self.failure = Some(Failure { path, cause, rows_not_written });
                self.shared.failed.store(true, Ordering::Relaxed);
            }
        }
        self.pending.clear();
        self.pending_chunks = 0;
    }

    fn close(self) -> Result<WrittenPoint, RecordsError> {
        if let Some(Failure { path, cause, rows_not_written }) = self.failure {
            return Err(RecordsError::RowsNotWritten { path, cause, rows_not_written });
        }
        for stream in [self.streams.tokens, self.streams.requests] {
            let path = stream.path().to_owned();
            stream.close().map_err(RecordsError::writing(&path))?;
        }
        Ok(self.written)
    }
}

impl Streams {
    /// Appends `rows`: first their chunks, then the requests. A reader that sees a request
    /// therefore sees its chunks.
    fn append(&mut self, rows: &[RequestRow]) -> Result<(), (PathBuf, TableError)> {
        let failed = |stream: &StreamFile, cause| (stream.path().to_owned(), cause);
        let tokens = encode_tokens(rows);
        self.tokens.append(&tokens).map_err(|cause| failed(&self.tokens, cause))?;
        let requests = encode_requests(rows);
        self.requests.append(&requests).map_err(|cause| failed(&self.requests, cause))
    }
}
