//! Response bodies: bytes that are there, or tokens as they come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::Sleep;

use crate::Completion;
use crate::faults::{Cut, Planted};
use crate::http::Shared;
use crate::http::chunks::{Chunks, DONE, Usage};
use crate::http::desk::{Desk, Mail, Mailbox};
use crate::http::socket::{Carries, Marks};
use crate::replica::Command;

/// A request that is with a replica. Dropping it before its end aborts it there.
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Rc<Desk>,
    pub(crate) marks: Rc<Marks>,
    pub(crate) mailbox: Rc<RefCell<Mailbox>>,
    pub(crate) replica: usize,
    pub(crate) ticket: u64,
    /// Whether the answer ends by itself rather than at `max_tokens`.
    pub(crate) stops: bool,
    pub(crate) finished: bool,
}

impl Exchange {
    /// Waits for tokens.
    fn poll_mail(&self, cx: &Context<'_>) -> Poll<Mail> {
        self.mailbox.borrow_mut().poll_take(cx)
    }

    /// Why the answer ended.
    pub(crate) fn finish_reason(&self) -> &'static str {
        if self.stops { "stop" } else { "length" }
    }

    /// The engine is done with it.
    fn finish(&mut self, completion: &Completion) -> Usage {
        self.finished = true;
        self.marks.note(|truth| truth.completed(completion, self.finish_reason()));
        Usage {
            prompt: completion.prompt_tokens.get(),
            completion: completion.output_tokens.get(),
            cached: self
                .shared
                .settings
                .enable_prompt_tokens_details
                .then_some(completion.cached_tokens.get()),
        }
    }

    /// Waits for the whole answer.
    pub(crate) async fn whole(&mut self) -> Usage {
        loop {
            let mail = std::future::poll_fn(|cx| self.poll_mail(cx)).await;
            if let Some(completion) = mail.done {
                return self.finish(&completion);
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.desk.close(self.ticket);
        if !self.finished {
            self.shared.replicas[self.replica].send(Command::Abort(self.ticket));
            self.marks.close();
        }
    }
}

/// A streamed answer.
pub(crate) struct TokenStream {
    exchange: Exchange,
    chunks: Chunks,
    planted: Planted,
    /// Tokens of one chunk after the first token.
    interval: u32,
    /// Tokens that came, and those among them that were put into chunks.
    arrived: u32,
    sent: u32,
    ready: VecDeque<(Bytes, Carries)>,
    stalling: Option<Pin<Box<Sleep>>>,
    end: End,
}

/// How far a stream is from its end.
enum End {
    Open,
    /// The engine has given the last token.
    Complete(Usage),
    /// Nothing more is added; the body ends when `ready` is empty.
    Sealed,
    /// The connection breaks when `ready` has been flushed.
    Breaking,
}

/// A body that breaks off on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a planted fault cut the stream")]
pub(crate) struct Broken;

impl TokenStream {
    pub(crate) fn new(exchange: Exchange, chunks: Chunks, planted: Planted) -> Self {
        let interval = exchange.shared.settings.stream_interval;
        Self {
            exchange,
            chunks,
            planted,
            interval,
            arrived: 0,
            sent: 0,
            ready: VecDeque::new(),
            stalling: None,
            end: End::Open,
        }
    }

    /// Waits out a planted stall that is due before the next token.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((after, span)) = self.planted.stall
            && self.sent >= after
        {
            let sleep = self.stalling.get_or_insert_with(|| Box::pin(tokio::time::sleep(*span)));
            std::task::ready!(sleep.as_mut().poll(cx));
            self.planted.stall = None;
        }
        Poll::Ready(())
    }

    /// Applies a planted end that is due before the next token; `true` when there was one.
    fn planted_end(&mut self) -> bool {
        if let Some((after, how)) = self.planted.cut
            && self.sent >= after
        {
            self.end = match how {
                Cut::End => End::Sealed,
                Cut::Close => End::Breaking,
                Cut::Reset => {
                    self.exchange.marks.reset_on_close();
                    End::Breaking
                }
            };
            return true;
        }
        if self.planted.error_event.is_some_and(|after| self.sent >= after) {
            const EVENT: &[u8] = b"data: {\"error\":{\"message\":\"planted fault\",\"type\":\
                \"InternalServerError\",\"param\":null,\"code\":500}}\n\n";
            self.push(Bytes::from_static(EVENT), Carries::default());
            self.push(DONE, Carries::default());
            self.end = End::Sealed;
            return true;
        }
        if self.sent >= 1
            && let Some(mut left) = self.planted.long_line.take()
        {
            const PIECE: Bytes = Bytes::from_static(&[b'x'; 65_536]);
            while left > 0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
                self.push(PIECE.slice(..length), Carries::default());
                left -= length as u64;
            }
            self.end = End::Sealed;
            return true;
        }
        false
    }

    fn push(&mut self, bytes: Bytes, carries: Carries) {
        self.ready.push_back((bytes, carries));
    }

    /// Puts the next chunk of tokens into `ready` if enough have come, and the stream's end after
    /// the last one.
    fn fill(&mut self) {
        let complete = matches!(self.end, End::Complete(_));
        let waiting = self.arrived - self.sent;
        let wanted = if self.sent == 0 { 1 } else { self.interval };
        let take = if complete { waiting.min(wanted) } else { wanted };
        if waiting < take || take == 0 {
            return;
        }
        let to = self.sent + take;
        let last = complete && to == self.arrived;
        let carries = Carries { first: self.sent == 0, last };
        if self.sent == 0
            && let Some(role) = self.chunks.role()
        {
            self.push(role, Carries::default());
        }
        let finish = last.then(|| self.exchange.finish_reason());
        let chunk = self.chunks.tokens(self.sent, to, finish);
        self.push(chunk, carries);
        self.sent = to;
        self.exchange.marks.note(|truth| truth.output_tokens = to);
        if last && let End::Complete(usage) = self.end {
            let completion = usage.completion + self.planted.usage_off;
            if !self.planted.no_usage
                && let Some(chunk) = self.chunks.usage(Usage { completion, ..usage })
            {
                self.push(chunk, Carries::default());
            }
            self.push(DONE, Carries::default());
            self.end = End::Sealed;
        }
    }
}

impl Body for TokenStream {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            if let Some((bytes, carries)) = this.ready.pop_front() {
                this.exchange.marks.carry(carries);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match this.end {
                End::Sealed => return Poll::Ready(None),
                // hyper writes what it has when the body is pending, so the break comes after it.
                End::Breaking => {
                    if this.stalling.take().is_none() {
                        this.stalling =
                            Some(Box::pin(tokio::time::sleep(std::time::Duration::ZERO)));
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Err(Broken)));
                }
                End::Open | End::Complete(_) => {}
            }
            std::task::ready!(this.poll_stall(cx));
            if this.planted_end() {
                continue;
            }
            this.fill();
            if this.ready.is_empty() {
                // All that came is sent, so the engine is not done.
                let mail = std::task::ready!(this.exchange.poll_mail(cx));
                this.arrived += mail.tokens;
                if let Some(completion) = mail.done {
                    this.end = End::Complete(this.exchange.finish(&completion));
                }
            }
        }
    }
}

/// The body of any response.
pub(crate) enum Answer {
    Plain(http_body_util::Full<Bytes>),
    Stream(Box<TokenStream>),
}

impl Answer {
    pub(crate) fn plain(bytes: impl Into<Bytes>) -> Self {
        Self::Plain(http_body_util::Full::new(bytes.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Plain(full) => {
                Pin::new(full).poll_frame(cx).map_err(|never: Infallible| match never {})
            }
            Self::Stream(stream) => Pin::new(stream.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(full) => full.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Plain(full) => full.size_hint(),
            Self::Stream(_) => hyper::body::SizeHint::default(),
        }
    }
}
