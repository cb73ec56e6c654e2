//! One connection of the ground-truth server.

use std::io::{self, Write as _};
use std::net::TcpStream;

use crate::answer::{Answer, Texts};
use crate::machine::monotonic_ns;
use crate::pulse_log::Entry;

use super::receive::Inlet;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// The kernel took it all.
    Whole,
    /// The rest waits until the connection takes more.
    Blocked,
}

/// A connection and the answer that is under way on it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Its place in the order of acceptance, from 0.
    pub(super) number: u64,
    inbox: Vec<u8>,
    /// When the last bytes of the inbox arrived, if the kernel said.
    pub(super) arrived_ns: Option<u64>,
    /// The inbox need not be parsed again before it holds this many bytes.
    whole_at: usize,
    /// Bytes that the kernel did not take yet.
    outbox: Vec<u8>,
    /// The token among those bytes, by the instant at which it was due.
    blocked_token: Option<u64>,
    current: Option<(Answer, Entry)>,
}

impl Connection {
    pub(super) const fn new(stream: TcpStream, number: u64) -> Self {
        Self {
            stream,
            number,
            inbox: Vec::new(),
            arrived_ns: None,
            whole_at: 0,
            outbox: Vec::new(),
            blocked_token: None,
            current: None,
        }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Reads once; says whether a request may be whole now and can be begun.
    pub(super) fn read(&mut self, inlet: &mut Inlet) -> io::Result<bool> {
        match inlet.read(&self.stream) {
            Ok(received) if received.bytes.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(received) => {
                self.inbox.extend_from_slice(received.bytes);
                self.arrived_ns = received.arrived_ns;
                Ok(self.has_request())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the inbox may hold a whole request and no answer is under way.
    pub(super) fn has_request(&self) -> bool {
        self.current.is_none() && !self.inbox.is_empty() && self.inbox.len() >= self.whole_at
    }

    /// The request is not whole before `whole_at` bytes.
    pub(super) fn expect(&mut self, whole_at: usize) {
        self.whole_at = whole_at;
        self.inbox.reserve(whole_at.saturating_sub(self.inbox.len()));
    }

    /// Forgets the first `bytes` of the inbox.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.inbox.drain(..bytes);
        self.whole_at = 0;
        // A long prompt's room is not kept for ever.
        self.inbox.shrink_to(16 * 1024);
    }

    /// Begins an answer; gives the bytes that go out before the first token.
    pub(super) fn start(&mut self, mut answer: Answer, entry: Entry) -> Vec<u8> {
        let early = std::mem::take(&mut answer.early);
        self.current = Some((answer, entry));
        early
    }

    /// Writes the next token between two stamps.
    pub(super) fn beat(&mut self, texts: &Texts, due_ns: u64) -> io::Result<Push> {
        let Some((answer, entry)) = self.current.as_mut() else { return Ok(Push::Whole) };
        if !self.outbox.is_empty() {
            // What went before it has not been taken yet: the token begins when it has.
            self.blocked_token = Some(due_ns);
            let text = answer.next(texts);
            self.outbox.extend_from_slice(text);
            entry.stamp(monotonic_ns());
            answer.begun += 1;
            entry.blocked += 1;
            return Ok(Push::Blocked);
        }
        let text = answer.next(texts);
        let before = monotonic_ns();
        let written = write(&self.stream, text);
        let after = monotonic_ns();
        entry.stamp(before);
        self.outbox.extend_from_slice(&text[written?..]);
        answer.begun += 1;
        if self.outbox.is_empty() {
            entry.stamp(after);
            return Ok(Push::Whole);
        }
        entry.blocked += 1;
        self.blocked_token = Some(due_ns);
        Ok(Push::Blocked)
    }

    pub(super) fn has_more(&self) -> bool {
        self.current.as_ref().is_some_and(|(answer, _)| answer.begun < answer.tokens)
    }

    /// Ends the answer: what the log gets, and the bytes that are still to go out.
    pub(super) fn finish(&mut self) -> Option<(Entry, Vec<u8>)> {
        self.current.take().map(|(answer, entry)| (entry, answer.tail))
    }

    /// Writes bytes that are no token.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<Push> {
        if !self.outbox.is_empty() {
            self.outbox.extend_from_slice(bytes);
            return Ok(Push::Blocked);
        }
        let written = write(&self.stream, bytes)?;
        self.outbox.extend_from_slice(&bytes[written..]);
        Ok(if self.outbox.is_empty() { Push::Whole } else { Push::Blocked })
    }

    /// Writes on where the kernel took no more.
    pub(super) fn flush(&mut self) -> io::Result<Push> {
        let written = write(&self.stream, &self.outbox)?;
        self.outbox.drain(..written);
        Ok(if self.outbox.is_empty() { Push::Whole } else { Push::Blocked })
    }

    /// The outbox is empty again: stamps the token that was in it, and gives the instant at which
    /// that was due.
    pub(super) fn unblock(&mut self) -> Option<u64> {
        let due_ns = self.blocked_token.take()?;
        if let Some((_, entry)) = self.current.as_mut() {
            entry.stamp(monotonic_ns());
        }
        Some(due_ns)
    }

    /// What the log gets of an answer that was cut short.
    pub(super) fn into_entry(self) -> Option<Entry> {
        self.current.map(|(_, entry)| entry)
    }
}

/// Writes once; a connection that takes nothing took 0 bytes.
fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
