//! The third grade of stamps: a packet capture that knows when each segment came and went.
//!
//! A thread of its own reads the headers of the run's TCP segments from a ring that the kernel
//! fills. When a request is over, its [`Measured`] is handed to this thread by a [`CaptureHandle`];
//! as soon as all its packets were seen the thread looks up when each of its bytes was there, and
//! gives the finished row to the sink. However late the client reads, each chunk has the time of its
//! own arrival; and `sent` is when the last byte of the request left this machine.
//!
//! What arrival means: the moment when the byte *and all before it* were there, for the first
//! time. A lost segment that comes again holds up what came behind it, as it holds up every reader;
//! see [`flow`]. Below TLS, all of this is about the encrypted bytes.
//!
//! What a row needs and was not seen (the ring was full, the connection was translated to another
//! address on its way, the wall clock was set) falls back to the stamps of its reads, and is counted.
//!
//! ```text
//! kernel -> ring -> segment -> connections (two flows each) -.
//!                                                             settle -> sink
//! workers -> CaptureHandle::settle(Measured) ----------------'
//! ```

mod connections;
#[cfg(target_os = "linux")]
mod filter;
mod flow;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(not(target_os = "linux"))]
#[path = "capture/no_ring.rs"]
mod ring;
mod segment;
mod settle;
mod thread;

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_records::RequestRow;
use plimsoll_units::{Lags, RunClock};

use crate::Measured;
use ring::Ring;
use thread::{Message, Thread};

/// What to capture.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// The addresses and ports that the client connects to: all that the server's name stands for. 1
    /// to 64.
    pub remotes: Vec<SocketAddr>,
    /// The clock of the run.
    pub clock: RunClock,
    /// The memory of the ring, bytes; rounded up to whole blocks of 128 KiB, at least two. A segment
    /// takes about 176 bytes.
    pub ring_bytes: usize,
}

impl CaptureConfig {
    /// The default size of the ring: 16 MiB, room for two seconds at 50,000 segments a second.
    pub const RING_BYTES: usize = 16 << 20;

    /// A capture of the connections to `remotes` with a ring of the default size.
    #[must_use]
    pub fn new(remotes: Vec<SocketAddr>, clock: RunClock) -> Self {
        Self { remotes, clock, ring_bytes: Self::RING_BYTES }
    }
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The process lacks the right.
    #[error(
        "packet capture needs the capability CAP_NET_RAW: run as root, or give it to the program \
         (`setcap cap_net_raw+ep`)"
    )]
    NotPermitted,
    /// The system lacks the means.
    #[error("this system has no packet sockets with a ring (Linux with TPACKET_V3)")]
    NotSupported,
    /// No server, or too many, to tell apart in a filter.
    #[error("a capture is of 1 to {most} server addresses, not {given}")]
    Servers {
        /// How many were given.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// The kernel refused a step that it offers.
    #[error("{step} failed; without packet capture the stamps are those of the sockets")]
    Refused {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A capture that runs. [`Capture::finish`] ends it; one that is dropped ends by itself, after it has
/// settled what was handed in.
#[derive(Debug)]
pub struct Capture {
    handle: CaptureHandle,
    thread: Option<JoinHandle<CaptureReport>>,
}

impl Capture {
    /// Whether this process may capture packets here.
    ///
    /// # Errors
    /// The reason why not.
    pub fn probe() -> Result<(), CaptureError> {
        ring::permitted()
    }

    /// Starts to capture, and the thread that settles rows and gives each to `sink`. The sink runs on
    /// that thread: while it takes its time, the ring fills.
    ///
    /// Start it before the first connection: one that was open already has no stamps of packets.
    ///
    /// # Errors
    /// When the process may not capture, or the kernel cannot; nothing is left behind then.
    pub fn start(
        config: CaptureConfig,
        sink: impl FnMut(RequestRow) + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let ring = Ring::open(&config.remotes, config.ring_bytes)?;
        let (sender, inbox) = mpsc::channel();
        let closed = Arc::new(RwLock::new(false));
        let thread = Thread::new(config.clock, Some(ring), inbox, Arc::clone(&closed), sink);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || thread.run())
            .map_err(|source| CaptureError::Refused { step: "starting the thread", source })?;
        Ok(Self { handle: CaptureHandle { sender, closed }, thread: Some(thread) })
    }

    /// A way to hand in rows, for one more worker.
    #[must_use]
    pub fn handle(&self) -> CaptureHandle {
        self.handle.clone()
    }

    /// Settles what was handed in, ends the capture and says how it went. Takes a tenth of a second,
    /// or a little more where packets are missing.
    ///
    /// # Panics
    /// When the sink has panicked.
    #[must_use]
    pub fn finish(mut self) -> CaptureReport {
        self.handle.stop();
        let thread = self.thread.take().expect("only this method takes it, and it takes `self`");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Hands measured requests to a capture. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CaptureHandle {
    sender: Sender<Message>,
    /// Set when the thread has taken its last message. Whoever sends holds it for reading, so that
    /// nothing is sent to nobody.
    closed: Arc<RwLock<bool>>,
}

impl CaptureHandle {
    /// Has the row settled by packets and given to the capture's sink, once.
    ///
    /// Waits for nothing. When the capture has ended, the row comes back at once, with the stamps of
    /// its reads, and it is the caller's to pass on.
    #[must_use = "after the capture's end the row comes back"]
    pub fn settle(&self, measured: Measured) -> Option<RequestRow> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        let message = Message::Settle(Box::new(measured));
        let refused = if *closed { Some(message) } else { self.send(message) };
        match refused {
            Some(Message::Settle(measured)) => Some(measured.settle()),
            Some(Message::Stop) | None => None,
        }
    }

    fn stop(&self) {
        // A thread that has ended needs no telling.
        self.send(Message::Stop);
    }

    fn send(&self, message: Message) -> Option<Message> {
        self.sender.send(message).err().map(|refused| refused.0)
    }
}

/// How a capture went.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CaptureReport {
    /// Segments that were seen: those with a payload, SYN, FIN or RST.
    pub segments: u64,
    /// Segments for which the ring had no room.
    pub dropped: u64,
    /// Rows whose every stamp is that of a packet.
    pub settled_by_packet: u64,
    /// Rows of which at least one stamp is not.
    pub fell_back: u64,
    /// Rows of requests of which not a byte went or came.
    pub without_bytes: u64,
    /// Stamps that were looked for and not there.
    pub unstamped: u64,
    /// How much later than its arrival each chunk was read: the clock right after the read that
    /// brought it, less the packet's stamp. The client's own delay.
    pub delay: Lags,
    /// How often the wall clock, which packets are stamped with, was set. Packets of such a moment
    /// are not trusted.
    pub clock_steps: u64,
    /// Stamps that were forgotten for want of memory.
    pub forgotten: u64,
    /// CPU time of the capture's thread, user and system.
    pub cpu: Duration,
    /// What ended the capture early. The rows after it have the stamps of their reads.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests;
