//! The server's end of a connection: notes when tokens have been handed to the kernel.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use plimsoll_units::{Clock, RunClock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::truth::{Truth, TruthSink};

/// Which token a piece of the body carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carries {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// What a connection's response and its socket tell each other. A connection serves one request
/// at a time, so there is one record under way.
#[derive(Debug)]
pub(crate) struct Marks {
    clock: RunClock,
    sink: Option<TruthSink>,
    truth: RefCell<Option<Truth>>,
    /// What the bytes not yet written carry.
    pending: Cell<Carries>,
    /// Written in place of the next response.
    replacement: RefCell<Option<Bytes>>,
    reset: Cell<bool>,
}

impl Marks {
    pub(crate) fn new(clock: RunClock, sink: Option<TruthSink>) -> Self {
        Self {
            clock,
            sink,
            truth: RefCell::default(),
            pending: Cell::default(),
            replacement: RefCell::default(),
            reset: Cell::default(),
        }
    }

    /// Opens the record of a request, if records are kept.
    pub(crate) fn open(&self, truth: impl FnOnce() -> Truth) {
        if self.sink.is_some() {
            self.close();
            *self.truth.borrow_mut() = Some(truth());
        }
    }

    /// Changes the record under way.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Truth)) {
        if let Some(truth) = self.truth.borrow_mut().as_mut() {
            change(truth);
        }
    }

    /// The next bytes to be written carry these tokens.
    pub(crate) fn carry(&self, carries: Carries) {
        if self.sink.is_some() {
            let before = self.pending.get();
            self.pending.set(Carries {
                first: before.first || carries.first,
                last: before.last || carries.last,
            });
        }
    }

    /// Sends the record away, as far as it has come.
    pub(crate) fn close(&self) {
        if let (Some(sink), Some(truth)) = (&self.sink, self.truth.borrow_mut().take()) {
            sink.send(truth);
        }
        self.pending.set(Carries::default());
    }

    /// Writes `bytes` instead of the response that follows.
    pub(crate) fn replace_response(&self, bytes: Bytes) {
        *self.replacement.borrow_mut() = Some(bytes);
    }

    /// Resets the connection when it is closed.
    pub(crate) fn reset_on_close(&self) {
        self.reset.set(true);
    }

    /// Everything given so far is with the kernel.
    fn written(&self) {
        let pending = self.pending.take();
        if pending == Carries::default() {
            return;
        }
        let now = self.clock.now();
        self.note(|truth| {
            if pending.first {
                truth.first_written(now, &self.clock);
            }
            if pending.last {
                truth.last_written(now, &self.clock);
            }
        });
        if pending.last {
            self.close();
        }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.close();
    }
}

/// A TCP stream whose writes complete the marks.
#[derive(Debug)]
pub(crate) struct MarkedSocket {
    stream: TcpStream,
    marks: Rc<Marks>,
}

impl MarkedSocket {
    pub(crate) fn new(stream: TcpStream, marks: Rc<Marks>) -> Self {
        Self { stream, marks }
    }
}

impl Drop for MarkedSocket {
    fn drop(&mut self) {
        if self.marks.reset.get() {
            // Where it cannot be set the client sees a plain close.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for MarkedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for MarkedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let replacement = self.marks.replacement.borrow().clone();
        if let Some(mut bytes) = replacement {
            while !bytes.is_empty() {
                let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, &bytes) else {
                    *self.marks.replacement.borrow_mut() = Some(bytes);
                    return Poll::Pending;
                };
                bytes = bytes.slice(written?..);
            }
            // Empty from now on: the rest of the response is swallowed too.
            *self.marks.replacement.borrow_mut() = Some(bytes);
            return Poll::Ready(Ok(buffer.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buffer);
        // hyper gives everything it has in one write, so a whole write leaves nothing behind.
        if let Poll::Ready(Ok(count)) = &result
            && *count == buffer.len()
        {
            self.marks.written();
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
