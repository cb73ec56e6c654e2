//! One HTTP/1.1 connection, driven by the request that uses it.
//!
//! There is no task behind it and no channel: the request polls the connection, which reads a piece
//! of what has come, and is told at once what it means. So a token costs one wake-up, an idle connection
//! costs nothing, and dropping the request closes its connection. And while a part is looked at, the last
//! piece that was read is the one that it ended in: its place is [`Stamps::position`].

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use plimsoll_units::RunNanos;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::{Buffers, Held};
use crate::http::{Garbage, Part, Reader, RequestHead};
use crate::receive::{Receive, out_of_order};
use crate::sse::SseDecoder;
use crate::stamped::Wire;
use crate::stamps::Stamps;

/// A connection with the stamps and the decoder that belong to it.
pub(crate) struct Link<S> {
    /// `None` once it is over.
    wire: Option<Wire<S>>,
    outgoing: Option<Outgoing>,
    reader: Reader,
    buffers: Rc<Buffers>,
    /// What was read behind the part that was given last.
    held: Option<Held>,
    /// The socket, for looking at it while idle. Open as long as `wire` is there.
    fd: Option<RawFd>,
    pub(crate) stamps: Rc<Stamps>,
    pub(crate) decoder: SseDecoder,
    /// Its two ends, and when it was begun.
    pub(crate) ends: Ends,
    /// Whether no request has used it yet.
    pub(crate) fresh: bool,
    /// Segments that had come out of order: when last asked, and when last looked.
    out_of_order: [Option<u32>; 2],
}

/// The two ends of a connection, as far as they are known, and when it was begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) begun: RunNanos,
}

/// A request on its way out.
#[derive(Debug)]
struct Outgoing {
    head: Vec<u8>,
    body: Bytes,
    written: usize,
}

/// Why a connection gives nothing more, for now or at all.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The taker had enough.
    Taken,
    /// The server closed.
    Closed,
    Failed(io::Error),
    Garbage(Garbage),
}

impl<S: Receive + AsyncWrite + Unpin> Link<S> {
    /// A connection over `wire`, whose socket is `fd`.
    pub(crate) fn new(
        wire: Wire<S>,
        fd: Option<RawFd>,
        stamps: Rc<Stamps>,
        buffers: Rc<Buffers>,
        decoder: SseDecoder,
        ends: Ends,
    ) -> Self {
        Self {
            wire: Some(wire),
            outgoing: None,
            reader: Reader::default(),
            buffers,
            held: None,
            fd,
            stamps,
            decoder,
            ends,
            fresh: true,
            out_of_order: [Some(0); 2],
        }
    }

    /// Gives a request to the connection, whose answer will take about so many reads.
    /// [`Link::poll`] sends it.
    pub(crate) fn begin(&mut self, head: &RequestHead, body: Bytes, reads: usize) {
        self.fresh = false;
        self.stamps.begin(reads);
        self.decoder.reset();
        self.reader.reset();
        // TLS takes one buffer at a time, and would make two records of two.
        let joined = matches!(self.wire, Some(Wire::Tls(_)));
        let mut head = head.of_length(body.len(), if joined { body.len() } else { 0 });
        let body = if joined {
            head.extend_from_slice(&body);
            Bytes::new()
        } else {
            body
        };
        self.outgoing = Some(Outgoing { head, body, written: 0 });
    }

    /// Moves bytes in both directions as far as they go, and gives the parts of the response to `take`,
    /// until that breaks or nothing more can come.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut SseDecoder, &Stamps, Part<'_>) -> ControlFlow<()>,
    ) -> Poll<Stop> {
        // A server may answer, and close, before it has read all. So what it says is read first.
        let unsent = match self.poll_write(cx) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        };
        match self.poll_parts(cx, &mut take) {
            Poll::Pending => match unsent {
                Some(error) => Poll::Ready(self.over(Stop::Failed(error))),
                None => Poll::Pending,
            },
            Poll::Ready(Stop::Taken) => Poll::Ready(Stop::Taken),
            Poll::Ready(stop) => Poll::Ready(self.over(stop)),
        }
    }

    fn poll_parts(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&mut SseDecoder, &Stamps, Part<'_>) -> ControlFlow<()>,
    ) -> Poll<Stop> {
        // What is there already; a response without a body ends without a byte more.
        let held = self.held.take();
        let stop = self.give(held.as_ref().map_or(&[], Held::rest), take);
        if let Some(held) = held {
            self.buffers.give_back(held);
        }
        if let Some(stop) = stop {
            return Poll::Ready(stop);
        }
        loop {
            let buffers = Rc::clone(&self.buffers);
            let mut piece = buffers.piece();
            let bytes = match ready!(self.poll_read(cx, &mut piece)) {
                Ok(0) => return Poll::Ready(Stop::Closed),
                Ok(bytes) => bytes,
                Err(error) => return Poll::Ready(Stop::Failed(error)),
            };
            if let Some(stop) = self.give(&piece[..bytes], take) {
                return Poll::Ready(stop);
            }
        }
    }

    /// Gives the parts that `bytes` make. What is behind a part that was enough is kept.
    fn give(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&mut SseDecoder, &Stamps, Part<'_>) -> ControlFlow<()>,
    ) -> Option<Stop> {
        let mut at = 0;
        loop {
            let (used, part) = match self.reader.next(&bytes[at..]) {
                Ok(next) => next,
                Err(garbage) => return Some(Stop::Garbage(garbage)),
            };
            at += used;
            if part == Part::Nothing {
                return None;
            }
            if take(&mut self.decoder, &self.stamps, part).is_break() {
                if at < bytes.len() {
                    self.held = Some(self.buffers.hold(&bytes[at..]));
                }
                return Some(Stop::Taken);
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(0)) };
        let mut buf = ReadBuf::new(into);
        ready!(Pin::new(wire).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Writes what is left of the request.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(wire), Some(out)) = (&mut self.wire, &mut self.outgoing) else {
            return Poll::Ready(Ok(()));
        };
        loop {
            let head = out.head.get(out.written..).unwrap_or_default();
            let in_body = out.written.saturating_sub(out.head.len());
            let body = out.body.get(in_body..).unwrap_or_default();
            if head.is_empty() && body.is_empty() {
                break;
            }
            let both = [IoSlice::new(head), IoSlice::new(body)];
            let rest = if head.is_empty() { &both[1..] } else { &both };
            match ready!(Pin::new(&mut *wire).poll_write_vectored(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => out.written += bytes,
            }
        }
        ready!(Pin::new(&mut *wire).poll_flush(cx))?;
        self.stamps.request_sent();
        wire.acknowledge();
        self.outgoing = None;
        Poll::Ready(Ok(()))
    }

    /// The connection is at its end. What the socket can tell ends here.
    fn over(&mut self, stop: Stop) -> Stop {
        self.count_disorder();
        self.wire = None;
        stop
    }

    /// Whether the end of the connection is the end of the response too.
    pub(crate) fn ends_response(&self) -> bool {
        self.reader.ends_with_connection()
    }

    /// Whether the connection could take another request, by what HTTP knows of it.
    pub(crate) fn is_idle(&self) -> bool {
        let answered = self.fresh || self.reader.is_reusable();
        let quiet = self.outgoing.is_none() && self.held.is_none();
        self.wire.is_some() && answered && quiet
    }

    /// Looks once for what the server may have to add to a response that is over: its end, or bytes that
    /// nobody asked for; either is the end of the connection. From here on it wakes nobody.
    pub(crate) fn rest(&mut self) {
        let mut quiet = Context::from_waker(Waker::noop());
        if self.poll_read(&mut quiet, &mut [0; 1]).is_ready() {
            self.wire = None;
        }
    }

    /// Whether all segments have come in order since this was last asked, as far as the system says.
    pub(crate) fn came_in_order(&mut self) -> bool {
        self.count_disorder();
        let [before, now] = self.out_of_order;
        self.out_of_order[0] = now;
        now.is_some() && before == now
    }

    fn count_disorder(&mut self) {
        if self.wire.is_some() {
            self.out_of_order[1] = self.fd.and_then(out_of_order);
        }
    }

    /// Whether an idle connection can be used: HTTP takes a request, and the server has left it alone.
    /// Looks into the socket without taking anything out.
    ///
    /// A TLS server sends session tickets of its own accord (RFC 8446, 4.6.1): those are read, and words
    /// that were not there yet are nothing against it, only an end is.
    pub(crate) fn is_usable(&mut self) -> bool {
        let tls = matches!(self.wire, Some(Wire::Tls(_)));
        if tls {
            self.rest();
        }
        if !self.is_idle() {
            return false;
        }
        let Some(fd) = self.fd else { return true };
        loop {
            match recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Ok(bytes) => return tls && bytes > 0,
                Err(_) => return false,
            }
        }
    }
}

impl<S> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("fd", &self.fd)
            .field("over", &self.wire.is_none())
            .finish_non_exhaustive()
    }
}
