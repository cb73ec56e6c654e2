//! One HTTP/1.1 connection, driven by the request that uses it.
//!
//! hyper splits a connection into a handle that requests are given to and a future that moves the
//! bytes. That future usually lives in a task of its own; here the request polls it itself. So a
//! token costs one wake-up instead of two, an idle connection costs none, and dropping the request
//! closes its connection.
//!
//! # Why a frame's stamp is the stamp of the last read
//! hyper hands the body over through a channel that holds one frame, and its read loop asks whether
//! that channel is free *before* it reads or decodes anything. So while a frame waits to be taken
//! there is no further read, and the last read when a frame is taken is the one that brought its last
//! byte: a frame made from bytes that were already buffered leaves the stamp as it is, and a frame
//! that needed a read carries that read's bytes at its end. (After the last frame of a body with a
//! declared length hyper looks once for the connection's end; that returns bytes only if the server
//! sends what nobody asked for.) The exchange relies on that and its tests hold hyper to it, with a
//! clock that moves at each read.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::sse::SseDecoder;
use crate::stamped::Wire;
use crate::stamps::Stamps;

/// The most that hyper buffers of a connection's input. A head must fit in it; a body passes through
/// piece by piece. Small, since thousands of connections live at once.
const MAX_BUFFER: usize = 64 * 1024;

/// A connection with the stamps and the decoder that belong to it.
pub(crate) struct Link<S: AsyncRead + AsyncWrite + Unpin> {
    sender: SendRequest<Payload>,
    /// `None` once it is over.
    connection: Option<Connection<TokioIo<Wire<S>>, Payload>>,
    /// The socket, for looking at it while idle. Open as long as `connection` is there.
    fd: Option<RawFd>,
    pub(crate) stamps: Rc<Stamps>,
    pub(crate) decoder: SseDecoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// A connection over `wire`, whose socket is `fd`.
    pub(crate) async fn new(
        wire: Wire<S>,
        fd: Option<RawFd>,
        stamps: Rc<Stamps>,
        decoder: SseDecoder,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(wire)).await?;
        Ok(Self { sender, connection: Some(connection), fd, stamps, decoder })
    }

    /// Moves bytes in both directions as far as they go.
    pub(crate) fn poll_io(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            // How it ended, the response or its body is told.
            self.connection = None;
        }
    }

    /// Whether the connection is over: nothing will come that is not there already.
    pub(crate) fn is_over(&self) -> bool {
        self.connection.is_none()
    }

    /// Gives a request to the connection. The future needs [`Link::poll_io`] to get anywhere.
    pub(crate) fn send(
        &mut self,
        head: &Head,
        body: Bytes,
    ) -> impl Future<Output = Result<Response<Incoming>, hyper::Error>> + use<S> {
        let mut request = Request::new(Payload::new(body, Rc::clone(&self.stamps)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = head.path.clone();
        *request.headers_mut() = head.headers.clone();
        self.sender.send_request(request)
    }

    /// Whether the connection could take another request, by what HTTP knows of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Whether the server has left an idle connection alone: it neither closed it nor sent anything.
    /// Looks into the socket without taking anything out.
    pub(crate) fn is_untouched(&self) -> bool {
        let Some(fd) = self.fd else { return true };
        loop {
            match recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Ok(_) | Err(_) => return false,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("fd", &self.fd).field("over", &self.is_over()).finish()
    }
}

/// What every request of a client has in common, built once.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) path: Uri,
    pub(crate) headers: HeaderMap,
}

/// The body of a request, which says when its last byte was taken to be written.
#[derive(Debug)]
pub(crate) struct Payload {
    bytes: Option<Bytes>,
    stamps: Rc<Stamps>,
}

impl Payload {
    fn new(bytes: Bytes, stamps: Rc<Stamps>) -> Self {
        let bytes = (!bytes.is_empty()).then_some(bytes);
        if bytes.is_none() {
            stamps.body_taken();
        }
        Self { bytes, stamps }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            self.stamps.body_taken();
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
