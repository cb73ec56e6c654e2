//! Bodies encoded ahead of their time, on a thread of their own.
//!
//! The measured path never waits for it. [`Feeder::next`] looks into a bounded queue; when the body
//! is not there yet it encodes it on the spot and says so. Neither side takes a lock: the sender
//! only ever tries to send and parks when the queue is full, the receiver only ever tries to
//! receive, and wakes the sender when half of the queue is used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::encode::{EncodedRequest, Encoder};
use crate::error::EncodeError;

/// The bodies of one shard: indexes `shard`, `shard + shards`, `shard + 2 shards`, ...
///
/// Its thread stops when it is dropped.
#[derive(Debug)]
pub struct Feeder {
    encoder: Encoder,
    queue: Receiver<EncodedRequest>,
    /// A body that came for a later index than the one asked for.
    held: Option<EncodedRequest>,
    /// Hears once that the queue is full; `None` when that was heard.
    filled: Option<Receiver<()>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    shards: u64,
    /// Taken from the queue since the thread was last woken.
    taken: usize,
    /// How many taken make half a queue.
    half: usize,
}

/// What the two sides tell each other.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// No index below this is wanted any more.
    wanted: AtomicU64,
}

impl Feeder {
    /// Starts encoding ahead, up to `ahead` bodies (at least 1), for shard `shard` of `shards`.
    ///
    /// # Errors
    /// When there is no such shard, or the system gives no thread.
    pub fn start(
        encoder: Encoder,
        shard: u64,
        shards: u64,
        ahead: usize,
    ) -> Result<Self, EncodeError> {
        if shard >= shards {
            return Err(EncodeError::Shard { shard, shards });
        }
        let ahead = ahead.max(1);
        let (sender, queue) = sync_channel(ahead);
        let (full, filled) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name(format!("plimsoll-feed-{shard}"))
            .spawn({
                let (encoder, shared) = (encoder.clone(), Arc::clone(&shared));
                move || feed(&encoder, &sender, &full, &shared, shard, shards)
            })
            .map_err(|source| EncodeError::Thread { source })?;
        Ok(Self {
            encoder,
            queue,
            held: None,
            filled: Some(filled),
            shared,
            thread: Some(thread),
            shards,
            taken: 0,
            half: ahead.div_ceil(2),
        })
    }

    /// Waits until the queue is full for the first time: to be called before the clock starts. Later
    /// calls return at once.
    pub fn ready(&mut self) {
        if let Some(filled) = self.filled.take() {
            // An error means that the thread is gone. Then every body is encoded when it is asked
            // for, and said to be late.
            let _ = filled.recv();
        }
    }

    /// The body of `index`, and whether it was ready; if not, it was encoded here and now.
    ///
    /// Indexes are to be asked for in rising order. Never waits.
    pub fn next(&mut self, index: u64) -> (EncodedRequest, bool) {
        self.shared.wanted.store(index.saturating_add(self.shards), Ordering::Relaxed);
        let ready = self.take(index);
        if self.taken >= self.half {
            self.taken = 0;
            if let Some(thread) = &self.thread {
                thread.thread().unpark();
            }
        }
        match ready {
            Some(request) => (request, true),
            None => (self.encoder.encode(index), false),
        }
    }

    /// The body of `index` from the queue. Bodies of earlier indexes are dropped: those were asked
    /// for before they were ready.
    fn take(&mut self, index: u64) -> Option<EncodedRequest> {
        loop {
            let request = match self.held.take() {
                Some(request) => request,
                None => {
                    let request = self.queue.try_recv().ok()?;
                    self.taken += 1;
                    request
                }
            };
            if request.index == index {
                return Some(request);
            }
            if request.index > index {
                self.held = Some(request);
                return None;
            }
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends after the body it may be at; a panic there was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// The thread: keeps the queue full.
fn feed(
    encoder: &Encoder,
    queue: &SyncSender<EncodedRequest>,
    full: &SyncSender<()>,
    shared: &Shared,
    shard: u64,
    shards: u64,
) {
    let mut index = shard;
    while !shared.stop.load(Ordering::Acquire) {
        let wanted = shared.wanted.load(Ordering::Relaxed);
        if index < wanted {
            // The first index of this shard that is still wanted.
            index += (wanted - index).div_ceil(shards) * shards;
        }
        let mut request = encoder.encode(index);
        while let Err(error) = queue.try_send(request) {
            match error {
                TrySendError::Disconnected(_) => return,
                TrySendError::Full(back) => request = back,
            }
            let _ = full.try_send(());
            // The receiver's wake is kept if it comes between the try and the park.
            thread::park();
            if shared.stop.load(Ordering::Acquire) {
                return;
            }
        }
        let Some(following) = index.checked_add(shards) else { return };
        index = following;
    }
}
