//! The simulator's own record of every request, from code that no client shares.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use plimsoll_units::{RunClock, RunNanos};
use serde::Serialize;

use crate::Completion;

/// Bytes of a body that are hashed: few enough to cost a long prompt nothing that could be measured.
const HASHED: usize = 1024;

/// One line of the truth file. Times named `*_monotonic_ns` are readings of `CLOCK_MONOTONIC`,
/// the others count from the server's start; both in ns.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Truth {
    /// `X-Request-Id` of the request, or the id the server gave it.
    pub(crate) id: String,
    /// FNV-1a (64 bits, in hexadecimal digits) of the last [`HASHED`] bytes of the request's body, or
    /// of all of it: who kept the body finds its line, whatever the client can or cannot say of
    /// itself in headers.
    pub(crate) body_fnv1a: String,
    pub(crate) replica: usize,
    /// The request had been read completely.
    pub(crate) arrival_ns: u64,
    pub(crate) arrival_monotonic_ns: u64,
    /// The write that carried the first token had returned.
    pub(crate) first_token_ns: Option<u64>,
    pub(crate) first_token_monotonic_ns: Option<u64>,
    /// The write that carried the last token had returned.
    pub(crate) last_token_ns: Option<u64>,
    pub(crate) last_token_monotonic_ns: Option<u64>,
    /// When the engine's time line says that they existed.
    pub(crate) engine_first_token_ns: Option<u64>,
    pub(crate) engine_last_token_ns: Option<u64>,
    /// When the engine first computed some of it.
    pub(crate) scheduled_ns: Option<u64>,
    pub(crate) prompt_tokens: u32,
    /// Tokens generated; for an aborted request those handed to its connection.
    pub(crate) output_tokens: u32,
    pub(crate) cached_tokens: u32,
    pub(crate) preemptions: u32,
    /// `length`, `stop` or `abort`.
    pub(crate) end: &'static str,
}

impl Truth {
    /// What is known when the request has been read.
    pub(crate) fn arrived(
        id: String,
        body: &[u8],
        replica: usize,
        prompt_tokens: u32,
        at: RunNanos,
        clock: &RunClock,
    ) -> Self {
        let tail = &body[body.len().saturating_sub(HASHED)..];
        Self {
            id,
            body_fnv1a: format!("{:016x}", fnv1a(tail)),
            replica,
            arrival_ns: at.as_nanos(),
            arrival_monotonic_ns: monotonic(clock, at),
            first_token_ns: None,
            first_token_monotonic_ns: None,
            last_token_ns: None,
            last_token_monotonic_ns: None,
            engine_first_token_ns: None,
            engine_last_token_ns: None,
            scheduled_ns: None,
            prompt_tokens,
            output_tokens: 0,
            cached_tokens: 0,
            preemptions: 0,
            end: "abort",
        }
    }

    /// The engine has given its last token.
    pub(crate) fn completed(&mut self, completion: &Completion, end: &'static str) {
        self.engine_first_token_ns = Some(completion.first_token.as_nanos());
        self.engine_last_token_ns = Some(completion.last_token.as_nanos());
        self.scheduled_ns = Some(completion.scheduled.as_nanos());
        self.output_tokens = completion.output_tokens.get();
        self.cached_tokens = completion.cached_tokens.get();
        self.preemptions = completion.preemptions;
        self.end = end;
    }

    /// The first token is with the kernel.
    pub(crate) fn first_written(&mut self, at: RunNanos, clock: &RunClock) {
        self.first_token_ns = Some(at.as_nanos());
        self.first_token_monotonic_ns = Some(monotonic(clock, at));
    }

    /// The last token is with the kernel.
    pub(crate) fn last_written(&mut self, at: RunNanos, clock: &RunClock) {
        self.last_token_ns = Some(at.as_nanos());
        self.last_token_monotonic_ns = Some(monotonic(clock, at));
    }
}

/// The hash of Fowler, Noll and Vo, variant 1a, with 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `stamp` as a reading of `CLOCK_MONOTONIC`.
fn monotonic(clock: &RunClock, stamp: RunNanos) -> u64 {
    u64::try_from(clock.monotonic(stamp).as_nanos()).unwrap_or(u64::MAX)
}

/// Where finished records go; cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub(crate) struct TruthSink(Sender<Truth>);

impl TruthSink {
    /// Hands one record to the writer.
    pub(crate) fn send(&self, truth: Truth) {
        // The writer outlives every sink unless the disk failed, which it has reported.
        let _ = self.0.send(truth);
    }
}

/// Creates the file and starts its writer, which ends when the last sink is dropped.
pub(crate) fn open(path: &Path) -> io::Result<(TruthSink, JoinHandle<()>)> {
    let file = File::create(path)?;
    let (sender, receiver) = channel();
    let writer = std::thread::Builder::new().name("sim-truth".to_owned()).spawn(move || {
        if let Err(error) = write_all(file, &receiver) {
            tracing::error!(%error, "the truth file cannot be written; it ends here");
        }
    })?;
    Ok((TruthSink(sender), writer))
}

/// Writes records as they come; whatever came together is flushed together.
fn write_all(file: File, receiver: &Receiver<Truth>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    while let Ok(first) = receiver.recv() {
        for truth in std::iter::once(first).chain(receiver.try_iter()) {
            serde_json::to_writer(&mut out, &truth)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
    }
    Ok(())
}
