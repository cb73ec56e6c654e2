//! The writer of a point's rows: a thread of its own, off the path that is measured.
//!
//! A worker hands its rows to a [`RowSender`], which neither waits nor wakes anyone: it puts the
//! row into a bounded queue, and into a list of its own while the queue is full. The thread looks
//! into the queue fifty times a second and appends what it found to two Arrow IPC streams, batch by
//! batch: [`BATCH_ROWS`] rows or [`BATCH_AGE`], whichever comes first. Each batch goes to the
//! system at once, tokens before their requests, so a process that is killed leaves every row but
//! those of the last quarter of a second, and never a request without its tokens.

mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{RecordsError, TableError};
use crate::parquet_file::write_parquet;
use crate::point_dir::PointDir;
use crate::row::RequestRow;
use crate::schema::{REQUESTS_STREAM, TOKENS_STREAM, Table};
use crate::sender::RowSender;
use crate::stream::{StreamFile, read_stream};
use task::{Streams, WriterTask};

/// Rows that fit into the queue.
const QUEUE_ROWS: usize = 16 * 1024;
/// Most requests of a batch.
const BATCH_ROWS: usize = 1024;
/// Most chunks of a batch, so that long answers do not make it unwieldy.
const BATCH_CHUNKS: usize = 64 * 1024;
/// Oldest row of a batch. With [`LOOK_EVERY`] no row waits longer than a quarter of a second.
const BATCH_AGE: Duration = Duration::from_millis(220);
/// How often the thread looks into the queue.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The writer of one point's rows.
///
/// In order: [`PointWriter::create`], [`PointWriter::sender`] for each worker, and when all of
/// those are closed, [`PointWriter::finish`]. Dropped without it, the streams stay, as complete as
/// the rows sent so far.
#[derive(Debug)]
pub struct PointWriter {
    point: PointDir,
    /// `None` once finished; the thread ends when no handle is left.
    queue: Option<SyncSender<RequestRow>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<WrittenPoint, RecordsError>>>,
}

/// What a point's writer has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenPoint {
    /// Rows of `requests.parquet`.
    pub requests: u64,
    /// Rows of `tokens.parquet`.
    pub tokens: u64,
}

/// What writer, thread and senders know of each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Set by the thread when it cannot write, and by a sender that finds it gone.
    pub(crate) failed: AtomicBool,
    /// Set by the writer: end once the queue is empty, even if senders are left.
    stop: AtomicBool,
    /// Senders that are neither closed nor dropped.
    pub(crate) senders: AtomicUsize,
}

impl PointWriter {
    /// A writer into `point`, whose folder it makes where it is missing.
    ///
    /// `observer` sees each row on the writer's thread, before it is on file: for live progress.
    /// It must not wait, or the queue fills behind it.
    ///
    /// # Errors
    /// When the folder has rows already, or cannot be written.
    pub fn create(
        point: &PointDir,
        observer: impl FnMut(&RequestRow) + Send + 'static,
    ) -> Result<Self, RecordsError> {
        point.make()?;
        let finished = point.file(Table::Requests.parquet_name());
        if finished.exists() {
            return Err(RecordsError::HasRows { path: finished });
        }
        let tokens = StreamFile::create(point.file(TOKENS_STREAM), Table::Tokens)?;
        let requests = StreamFile::create(point.file(REQUESTS_STREAM), Table::Requests)?;
        let (queue, rows) = sync_channel(QUEUE_ROWS);
        let shared = Arc::new(Shared::default());
        let streams = Streams { requests, tokens };
        let task = WriterTask::new(rows, Arc::clone(&shared), streams, observer);
        let thread = thread::Builder::new()
            .name("plimsoll-writer".to_owned())
            .spawn(move || task.run())
            .map_err(RecordsError::io("start a thread to write", point.path()))?;
        Ok(Self { point: point.clone(), queue: Some(queue), shared, thread: Some(thread) })
    }

    /// A handle for one worker to hand its rows over.
    ///
    /// # Panics
    /// Never: the queue is there until [`PointWriter::finish`] takes the writer.
    #[must_use]
    pub fn sender(&self) -> RowSender {
        let queue = self.queue.clone().expect("the queue goes with `finish`, which takes self");
        RowSender::new(queue, Arc::clone(&self.shared))
    }

    /// Whether writing has failed; [`PointWriter::finish`] says why.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Writes what is queued, turns the streams into Parquet files, and removes them.
    ///
    /// Waits for the disk. Returns how much was written.
    ///
    /// # Errors
    /// When a sender is still open, when rows could not be written while the point ran, or when the
    /// Parquet files cannot be written. In each case the streams stay, readable up to their last
    /// whole batch.
    pub fn finish(mut self) -> Result<WrittenPoint, RecordsError> {
        let open = self.shared.senders.load(Ordering::Acquire);
        let written = self.end_thread()?;
        if open > 0 {
            return Err(RecordsError::SendersOpen { open });
        }
        to_parquet(&self.point, TOKENS_STREAM, Table::Tokens, written.tokens)?;
        to_parquet(&self.point, REQUESTS_STREAM, Table::Requests, written.requests)?;
        for stream in [REQUESTS_STREAM, TOKENS_STREAM] {
            let path = self.point.file(stream);
            std::fs::remove_file(&path).map_err(RecordsError::io("remove", &path))?;
        }
        Ok(written)
    }

    /// Has the thread write what is queued, and waits for its end.
    fn end_thread(&mut self) -> Result<WrittenPoint, RecordsError> {
        self.shared.stop.store(true, Ordering::Release);
        drop(self.queue.take());
        let Some(thread) = self.thread.take() else {
            return Ok(WrittenPoint::default());
        };
        thread.thread().unpark();
        thread
            .join()
            .map_err(|_| RecordsError::WriterPanicked { path: self.point.path().to_owned() })?
    }
}

impl Drop for PointWriter {
    fn drop(&mut self) {
        // Not finished, so the caller is on its way out with an error of its own.
        let _ = self.end_thread();
    }
}

/// Turns the stream of `table` into its Parquet file, which must then hold `expected` rows.
fn to_parquet(
    point: &PointDir,
    stream: &str,
    table: Table,
    expected: u64,
) -> Result<(), RecordsError> {
    let (from, to) = (point.file(stream), point.file(table.parquet_name()));
    write_parquet(&to, table, |file| {
        let mut found = 0;
        read_stream(&from, |batch| {
            found += batch.num_rows() as u64;
            file.append(&batch).map_err(RecordsError::writing(&to))
        })?;
        if found == expected {
            Ok(())
        } else {
            // The streams must not go: they were changed behind our back, or the disk lost some.
            Err(RecordsError::reading(&from)(TableError::RowCount { found, expected }))
        }
    })
}

#[cfg(test)]
mod tests;
