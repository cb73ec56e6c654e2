//! The connection's bytes: stamped where they meet the kernel, then plain or through TLS.
//!
//! ```text
//! hyper  <->  Wire  <->  (TLS)  <->  Stamped<TcpStream>  <->  kernel
//!               |                        |
//!       first byte of response     stamp of each read, write
//! ```
//! [`Stamped`] is the place where a better stamp than the clock (the kernel's receive time, from
//! the control messages of a read) will be taken: nothing above it knows where a stamp comes from.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::stamps::Stamps;

/// A stream whose every successful read and write leaves a stamp.
#[derive(Debug)]
pub(crate) struct Stamped<S> {
    inner: S,
    stamps: Rc<Stamps>,
    /// Called after every read and after the request went out: asks for immediate acknowledgement,
    /// which the kernel otherwise forgets again by itself.
    quickack: Option<fn(&S)>,
}

impl<S> Stamped<S> {
    pub(crate) fn new(inner: S, stamps: Rc<Stamps>, quickack: Option<fn(&S)>) -> Self {
        Self { inner, stamps, quickack }
    }

    fn acknowledge(&self) {
        if let Some(quickack) = self.quickack {
            quickack(&self.inner);
        }
    }
}

/// Asks the kernel to acknowledge what comes next at once. A refusal changes nothing but timing.
pub(crate) fn quickack(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_tcp_quickack(true) {
        tracing::debug!(%error, "TCP_QUICKACK was refused");
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stamped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if result.is_ok() {
            if buf.filled().len() > before {
                self.stamps.read();
                self.acknowledge();
            } else {
                self.stamps.read_end();
            }
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stamped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        if matches!(result, Ok(1..)) {
            self.stamps.wrote();
        }
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs));
        if matches!(result, Ok(1..)) {
            self.stamps.wrote();
        }
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        // HTTP and TLS flush downwards only when they hold nothing back, so now all is written.
        if result.is_ok() && self.stamps.flushed() {
            self.acknowledge();
        }
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What hyper talks to: the stamped stream itself, or TLS above it.
#[derive(Debug)]
pub(crate) enum Wire<S> {
    Plain(Stamped<S>),
    Tls(Box<TlsStream<Stamped<S>>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn stamps(&self) -> &Stamps {
        match self {
            Self::Plain(stamped) => &stamped.stamps,
            Self::Tls(tls) => &tls.get_ref().0.stamps,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = match &mut *self {
            Self::Plain(stamped) => ready!(Pin::new(stamped).poll_read(cx, buf)),
            Self::Tls(tls) => ready!(Pin::new(tls).poll_read(cx, buf)),
        };
        // Counted here, above TLS: session tickets are reads too, but no part of a response.
        if buf.filled().len() > before {
            self.stamps().response_bytes();
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
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
