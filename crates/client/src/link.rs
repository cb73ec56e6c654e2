//! One HTTP/1.1 connection, driven by the request that uses it.
//!
//! hyper splits a connection into a handle that requests are given to and a future that moves the
//! bytes. That future usually lives in a task of its own; here the request polls it itself. So a
//! token costs one wake-up instead of two, an idle connection costs none, and dropping the request
//! closes its connection.
//!
//! # Why a frame ends where the last piece did
//! What is read is handed to hyper in pieces that end where an event does. hyper hands the body over
//! through a channel that holds one frame, and its read loop asks whether that channel is free *before*
//! it reads or decodes anything. So while a frame waits to be taken nothing more is handed to it, and
//! the last piece when a frame is taken is the one that brought its last byte: a frame made from bytes
//! that were already buffered leaves the place as it is, and a frame that needed a piece carries that
//! piece's bytes at its end. (After the last frame of a body with a declared length hyper looks once for
//! the connection's end; that returns bytes only if the server sends what nobody asked for.) The
//! exchange relies on that and its tests hold hyper to it, with a clock that moves at each read.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use plimsoll_units::RunNanos;
use tokio::io::AsyncWrite;

use crate::bell::Bell;
use crate::receive::{Receive, out_of_order};
use crate::sse::SseDecoder;
use crate::stamped::Wire;
use crate::stamps::Stamps;

/// The most that hyper buffers of a connection's input. A head must fit in it; a body passes through
/// piece by piece. Small, since thousands of connections live at once.
const MAX_BUFFER: usize = 64 * 1024;

/// A connection with the stamps and the decoder that belong to it.
pub(crate) struct Link<S: Receive + AsyncWrite + Unpin> {
    sender: SendRequest<Payload>,
    /// `None` once it is over.
    connection: Option<Box<Connection<TokioIo<Wire<S>>, Payload>>>,
    /// The socket, for looking at it while idle. Open as long as `connection` is there.
    fd: Option<RawFd>,
    pub(crate) stamps: Rc<Stamps>,
    pub(crate) decoder: SseDecoder,
    /// Its two ends, and when it was begun.
    pub(crate) ends: Ends,
    /// Whether no request has used it yet.
    pub(crate) fresh: bool,
    /// Segments that had come out of order: when last asked, and when last looked.
    out_of_order: [Option<u32>; 2],
    bell: Bell,
    tls: bool,
}

/// The two ends of a connection, as far as they are known, and when it was begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) begun: RunNanos,
}

impl<S: Receive + AsyncWrite + Unpin> Link<S> {
    /// A connection over `wire`, whose socket is `fd`.
    pub(crate) async fn new(
        wire: Wire<S>,
        fd: Option<RawFd>,
        stamps: Rc<Stamps>,
        decoder: SseDecoder,
        ends: Ends,
    ) -> Result<Self, hyper::Error> {
        let tls = matches!(wire, Wire::Tls(_));
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(wire)).await?;
        let mut link = Self {
            sender,
            connection: Some(Box::new(connection)),
            fd,
            stamps,
            decoder,
            ends,
            fresh: true,
            out_of_order: [Some(0); 2],
            bell: Bell::new(),
            tls,
        };
        // hyper takes requests once its connection has been polled.
        link.poll_io(&mut Context::from_waker(Waker::noop()));
        Ok(link)
    }

    /// Moves bytes in both directions as far as they go.
    pub(crate) fn poll_io(&mut self, cx: &mut Context<'_>) {
        self.bell.answer_to(cx.waker());
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(&mut self.bell.context()).is_ready()
        {
            // How it ended, the response or its body is told. What the socket can tell ends here.
            self.count_disorder();
            self.connection = None;
        }
    }

    /// The next piece of `body`, which this connection brings.
    pub(crate) fn take_frame(
        &self,
        body: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        self.bell.muffled(|| Pin::new(body).poll_frame(&mut quiet))
    }

    /// The request that used the connection is over: nobody is to be woken, and no task is kept.
    pub(crate) fn rest(&mut self) {
        self.bell.answer_to(Waker::noop());
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

    /// Whether all segments have come in order since this was last asked, as far as the system says.
    pub(crate) fn came_in_order(&mut self) -> bool {
        self.count_disorder();
        let [before, now] = self.out_of_order;
        self.out_of_order[0] = now;
        now.is_some() && before == now
    }

    fn count_disorder(&mut self) {
        if self.connection.is_some() {
            self.out_of_order[1] = self.fd.and_then(out_of_order);
        }
    }

    /// Whether an idle connection can be used: HTTP takes a request, and the server has left it alone.
    /// Looks into the socket without taking anything out.
    ///
    /// A TLS server sends session tickets of its own accord (RFC 8446, 4.6.1), so there words alone are
    /// nothing against it, only an end is.
    pub(crate) fn is_usable(&mut self) -> bool {
        if self.tls {
            self.poll_io(&mut Context::from_waker(Waker::noop()));
        }
        if !self.is_idle() {
            return false;
        }
        let Some(fd) = self.fd else { return true };
        loop {
            match recv(fd, &mut [0; 1], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return true,
                Ok(bytes) => return self.tls && bytes > 0,
                Err(_) => return false,
            }
        }
    }
}

impl<S: Receive + AsyncWrite + Unpin> fmt::Debug for Link<S> {
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
