//! One kept connection of the null client.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use bytes::Bytes;

use crate::{Seen, monotonic_ns};

/// What a read led to.
#[derive(Debug)]
pub(super) enum Progress {
    More,
    /// The response is over; the stamp of its last read.
    Ended(Seen, u64),
    Failed {
        in_flight: bool,
    },
}

/// A connection, and the request that is under way on it.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    /// Bytes of head and body still to be written, the body's behind the head's.
    unsent: usize,
    head: Vec<u8>,
    body: Bytes,
    seen: Option<Seen>,
    events: EventCount,
    end: EndOfBody,
}

impl Stream {
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            unsent: 0,
            head: Vec::with_capacity(128),
            body: Bytes::new(),
            seen: None,
            events: EventCount::default(),
            end: EndOfBody::default(),
        })
    }

    pub(super) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Begins a request; says whether it has been written whole.
    pub(super) fn begin(&mut self, seen: Seen, body: Bytes) -> io::Result<bool> {
        self.head.clear();
        write!(
            self.head,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: pulse\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )?;
        self.unsent = self.head.len() + body.len();
        (self.body, self.seen) = (body, Some(seen));
        (self.events, self.end) = (EventCount::default(), EndOfBody::default());
        self.write_on()
    }

    /// Writes what is left; says whether nothing is.
    pub(super) fn write_on(&mut self) -> io::Result<bool> {
        while self.unsent > 0 {
            let sent = self.head.len() + self.body.len() - self.unsent;
            let head = &self.head[sent.min(self.head.len())..];
            let body = &self.body[sent.saturating_sub(self.head.len())..];
            match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(written) => self.unsent -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.sent_ns == 0) {
            seen.sent_ns = monotonic_ns();
        }
        Ok(true)
    }

    /// Reads once, stamps, counts.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Progress {
        let read = match self.socket.read(scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::More,
            Ok(0) | Err(_) => return Progress::Failed { in_flight: self.seen.take().is_some() },
            Ok(read) => read,
        };
        let now = monotonic_ns();
        let Some(seen) = self.seen.as_mut() else { return Progress::Failed { in_flight: false } };
        let bytes = &scratch[..read];
        for _ in 0..self.events.count(bytes) {
            seen.tokens_ns.push(now);
        }
        match self.end.reached(bytes).then(|| self.seen.take()).flatten() {
            Some(seen) => Progress::Ended(seen, now),
            None => Progress::More,
        }
    }

    /// Makes sure that a broken connection wakes nobody again.
    pub(super) fn abandon(&self) {
        // What is broken need not be closed well.
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// Counts `data:` in bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct EventCount {
    /// How much of the word the bytes so far end with.
    matched: usize,
}

impl EventCount {
    fn count(&mut self, bytes: &[u8]) -> usize {
        const WORD: &[u8] = b"data:";
        let mut events = 0;
        for byte in bytes {
            // `d` occurs only in front, so a mismatch can only begin the word anew.
            self.matched = if *byte == WORD[self.matched] {
                self.matched + 1
            } else {
                usize::from(*byte == WORD[0])
            };
            if self.matched == WORD.len() {
                events += 1;
                self.matched = 0;
            }
        }
        events
    }
}

/// Watches for the last chunk of a chunked body in bytes that come in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct EndOfBody([u8; 7]);

impl EndOfBody {
    /// Whether the bytes so far end with the last chunk.
    fn reached(&mut self, bytes: &[u8]) -> bool {
        let keep = self.0.len();
        if bytes.len() >= keep {
            self.0.copy_from_slice(&bytes[bytes.len() - keep..]);
        } else {
            self.0.rotate_left(bytes.len());
            self.0[keep - bytes.len()..].copy_from_slice(bytes);
        }
        self.0 == *b"\r\n0\r\n\r\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_the_end_are_found_wherever_the_bytes_are_cut() {
        let text =
            b"head\r\n\r\n10\r\ndata: {\"ddata\"}\n\n\r\n5\r\nddata: datdata:\n\n\r\n0\r\n\r\n";
        for first in 0..text.len() {
            for second in first..text.len() {
                let (mut count, mut end) = (EventCount::default(), EndOfBody::default());
                let (mut events, mut ends) = (0, Vec::new());
                for piece in [&text[..first], &text[first..second], &text[second..]] {
                    events += count.count(piece);
                    ends.push(end.reached(piece));
                }
                assert_eq!(events, 3, "cut at {first} and {second}");
                assert_eq!(ends[2], second < text.len(), "cut at {first} and {second}");
            }
        }
    }
}
