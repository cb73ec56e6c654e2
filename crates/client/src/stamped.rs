//! The connection's bytes: noted where they meet the kernel, then plain or through TLS.
//!
//! ```text
//! Link  <->   Wire  <->  (TLS)  <->  Stamped<TcpStream>  <->  kernel
//!               |                        |
//!       first byte of response     note of each read, piece and write
//! ```
//! What one read brought is handed up in pieces, so that the layers above can tell which byte of the
//! wire an event ended at: see [`Pieces`].

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::buffers::{Buffers, Held};
use crate::pieces::Pieces;
use crate::receive::Receive;
use crate::stamps::Stamps;

/// A stream whose every successful read and write leaves a note.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    inner: S,
    stamps: Rc<Stamps>,
    buffers: Rc<Buffers>,
    pieces: Pieces,
    held: Option<Held>,
    /// Called after every read and when a request is out: asks for immediate acknowledgement,
    /// which the kernel otherwise forgets again by itself.
    quickack: Option<fn(&S)>,
}

impl<S> Stamped<S> {
    pub(crate) fn new(inner: S, stamps: Rc<Stamps>, buffers: Rc<Buffers>, pieces: Pieces) -> Self {
        Self { inner, stamps, buffers, pieces, held: None, quickack: None }
    }

    /// Calls `quickack` after every read and when a request is out.
    pub(crate) fn with_quickack(self, quickack: Option<fn(&S)>) -> Self {
        Self { quickack, ..self }
    }

    fn acknowledge(&self) {
        if let Some(quickack) = self.quickack {
            quickack(&self.inner);
        }
    }
}

/// Hands the first piece of `bytes` up and says how long it was. Only the part for which there is room
/// counts as passed.
fn hand_up(bytes: &[u8], pieces: &mut Pieces, stamps: &Stamps, buf: &mut ReadBuf<'_>) -> usize {
    let piece = pieces.next(&bytes[..bytes.len().min(buf.remaining())]);
    buf.put_slice(&bytes[..piece.length]);
    stamps.handed(piece);
    piece.length
}

/// Asks the kernel to acknowledge what comes next at once. A refusal changes nothing but timing.
pub(crate) fn quickack(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_tcp_quickack(true) {
        tracing::debug!(%error, "TCP_QUICKACK was refused");
    }
}

impl<S: Receive + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(held) = &mut this.held {
            // A flood must not keep the thread from the others: a piece costs what a read does.
            ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
            let length = hand_up(held.rest(), &mut this.pieces, &this.stamps, buf);
            if held.handed(length)
                && let Some(held) = this.held.take()
            {
                this.buffers.give_back(held);
            }
            return Poll::Ready(Ok(()));
        }
        let mut scratch = this.buffers.scratch();
        let received = ready!(Pin::new(&mut this.inner).poll_receive(cx, &mut scratch))?;
        let bytes = &scratch[..received.bytes];
        if bytes.is_empty() {
            this.stamps.read_end();
            return Poll::Ready(Ok(()));
        }
        this.stamps.read(received);
        let length = hand_up(bytes, &mut this.pieces, &this.stamps, buf);
        if length < bytes.len() {
            this.held = Some(this.buffers.hold(&bytes[length..]));
        }
        drop(scratch);
        this.acknowledge();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let before = self.stamps.now();
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        if let Ok(bytes @ 1..) = result {
            self.stamps.wrote(before, bytes);
        }
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = self.stamps.now();
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        if let Ok(bytes @ 1..) = result {
            self.stamps.wrote(before, bytes);
        }
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What a connection talks to: the stamped stream itself, or TLS above it.
#[derive(Debug)]
pub(crate) enum Wire<S> {
    Plain(Stamped<S>),
    Tls(Box<TlsStream<Stamped<S>>>),
}

impl<S> Wire<S> {
    fn stamped(&self) -> &Stamped<S> {
        match self {
            Self::Plain(stamped) => stamped,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Asks for immediate acknowledgement, if that is wished for.
    pub(crate) fn acknowledge(&self) {
        self.stamped().acknowledge();
    }
}

/// Reads from one record at most. (`poll_read` of a TLS stream goes on to further records while there
/// is room, and then nobody can tell which of them the bytes came from.)
fn read_record<S: Receive + AsyncWrite + Unpin>(
    mut tls: Pin<&mut TlsStream<Stamped<S>>>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let data = ready!(tls.as_mut().poll_fill_buf(cx))?;
    let length = data.len().min(buf.remaining());
    buf.put_slice(&data[..length]);
    tls.consume(length);
    Poll::Ready(Ok(()))
}

impl<S: Receive + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut *self {
            Self::Plain(stamped) => ready!(Pin::new(stamped).poll_read(cx, buf)),
            Self::Tls(tls) => ready!(read_record(Pin::new(tls), cx, buf)),
        };
        // Counted here, above TLS: session tickets are reads too, but no part of a response.
        if buf.filled().len() > before {
            self.stamped().stamps.response_bytes();
        }
        Poll::Ready(result)
    }
}

impl<S: Receive + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stamped) => Pin::new(stamped).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stamped) => Pin::new(stamped).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stamped) => stamped.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stamped) => Pin::new(stamped).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stamped) => Pin::new(stamped).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
