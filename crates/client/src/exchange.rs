//! One request and its response on one connection.
//!
//! Everything happens in one task: each wake-up polls first the [`Watch`], then the connection, then
//! takes what the connection has brought. The response and its body are polled with a waker that does
//! nothing, since they change only while the connection is polled, which happens right before.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};
use plimsoll_records::Outcome;
use tokio::io::AsyncWrite;

use crate::link::{Head, Link};
use crate::position::Moment;
use crate::problem::{chain, error_text};
use crate::receive::Receive;
use crate::timeline::Timeline;
use crate::watch::{Cut, Watch};

/// The most that is read of a body that is no stream.
const MAX_BODY: usize = 64 * 1024;

/// How an exchange ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) done: Moment,
    /// Whether the connection died before a single byte of response.
    pub(crate) unanswered: bool,
    /// Whether the response was read to its end, so that the connection can be used again.
    pub(crate) whole: bool,
}

impl Ending {
    pub(crate) fn new(outcome: Outcome, error: impl Into<Option<String>>, done: Moment) -> Self {
        let error = error.into();
        Self { outcome, error, status: None, done, unanswered: false, whole: false }
    }

    /// The ending of a request that was cut off at `done`.
    pub(crate) fn cut(cut: Cut, watch: &Watch, done: Moment) -> Self {
        match cut {
            Cut::Aborted => Self::new(Outcome::Aborted, None, done),
            Cut::TimedOut(limit) => Self::new(Outcome::Timeout, watch.words(limit), done),
        }
    }
}

/// Sends a request over `link` and follows its response to the end, whatever that is.
pub(crate) async fn exchange<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    head: &Head,
    body: Bytes,
    timeline: &mut Timeline,
    watch: &mut Watch,
) -> Ending {
    link.stamps.begin(timeline.expected_reads());
    link.decoder.reset();
    watch.sending();
    let mut response = pin!(link.send(head, body));
    let response = poll_fn(|cx| {
        if let Poll::Ready(cut) = watch.poll(cx) {
            return Poll::Ready(Err(cut));
        }
        link.poll_io(cx);
        response.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(Ok)
    })
    .await;
    let response = match response {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return no_answer(link, &error),
        Err(cut) => return Ending::cut(cut, watch, now(link)),
    };
    let status = response.status();
    let mut ending = if status != StatusCode::OK {
        refusal(link, response, watch).await
    } else if is_event_stream(response.headers()) {
        stream(link, response, timeline, watch).await
    } else {
        no_stream(link, response, watch).await
    };
    ending.status = Some(status.as_u16());
    ending
}

/// The connection failed before a response head was read.
fn no_answer<S: Receive + AsyncWrite + Unpin>(link: &Link<S>, error: &hyper::Error) -> Ending {
    let now = now(link);
    let unanswered = link.stamps.first_byte().is_none();
    if is_garbage(error) {
        let text = format!("the answer is not HTTP: {}", chain(error));
        return Ending::new(Outcome::Malformed, text, now);
    }
    let text = format!("the connection died before an answer: {}", chain(error));
    Ending { unanswered, ..Ending::new(Outcome::Reset, text, now) }
}

/// This moment.
fn now<S: Receive + AsyncWrite + Unpin>(link: &Link<S>) -> Moment {
    Moment::Clock(link.stamps.now())
}

/// When the last bytes that were looked at came.
fn last_read<S: Receive + AsyncWrite + Unpin>(link: &Link<S>) -> Moment {
    Moment::At(link.stamps.position())
}

/// A status other than 200.
async fn refusal<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    response: Response<Incoming>,
    watch: &mut Watch,
) -> Ending {
    let status = response.status();
    let read = collect(link, response.into_body(), watch).await;
    if read.cut == Some(Cut::Aborted) {
        return Ending::cut(Cut::Aborted, watch, now(link));
    }
    let mut text = error_text(&read.bytes);
    if text.is_empty() {
        text = status.canonical_reason().unwrap_or("no words").to_owned();
    }
    let done = if read.whole { last_read(link) } else { now(link) };
    Ending { whole: read.whole, ..Ending::new(Outcome::HttpStatus, text, done) }
}

/// Status 200 with something else than a stream.
async fn no_stream<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    response: Response<Incoming>,
    watch: &mut Watch,
) -> Ending {
    let kind = response.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_vec());
    let kind = String::from_utf8_lossy(&kind.unwrap_or_default()).into_owned();
    let read = collect(link, response.into_body(), watch).await;
    if let Some(cut) = read.cut {
        return Ending::cut(cut, watch, now(link));
    }
    let words = error_text(&read.bytes);
    let text = format!("the answer is `{kind}` and no event stream: {words}");
    Ending { whole: read.whole, ..Ending::new(Outcome::Malformed, text, last_read(link)) }
}

/// What was read of a body that is no stream.
struct Collected {
    bytes: Vec<u8>,
    whole: bool,
    cut: Option<Cut>,
}

/// Reads a body up to [`MAX_BODY`] bytes.
async fn collect<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    mut body: Incoming,
    watch: &mut Watch,
) -> Collected {
    let mut bytes = Vec::new();
    let end = follow(link, &mut body, watch, |_, _, frame| {
        bytes.extend_from_slice(frame);
        if bytes.len() > MAX_BODY { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    let cut = if let BodyEnd::Cut(cut) = end { Some(cut) } else { None };
    bytes.truncate(MAX_BODY);
    Collected { bytes, whole: matches!(end, BodyEnd::Complete), cut }
}

/// Reads an event stream into the timeline.
async fn stream<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    response: Response<Incoming>,
    timeline: &mut Timeline,
    watch: &mut Watch,
) -> Ending {
    let framed = is_framed(response.headers());
    let mut body = response.into_body();
    let mut overlong = None;
    let end = follow(link, &mut body, watch, |link, watch, frame| {
        let at = link.stamps.position();
        if let Err(error) = link.decoder.feed(frame, |event| timeline.event(at, event)) {
            overlong = Some(error);
            return ControlFlow::Break(());
        }
        if timeline.ended().is_some() {
            watch.lingering();
        } else if timeline.has_token() {
            watch.streaming();
        }
        if timeline.is_malformed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    drop(body);
    let now = now(link);
    if let Some(error) = overlong {
        return Ending::new(Outcome::Malformed, error.to_string(), last_read(link));
    }
    if let BodyEnd::Complete = end {
        let last = link.stamps.position();
        link.decoder.finish(|event| timeline.event(last, event));
        // A body without length or chunks ends with the connection: there the end is what was read
        // last.
        let end_of_input = || link.stamps.end_of_input().map_or(now, Moment::Clock);
        let done = if framed { Moment::At(last) } else { end_of_input() };
        let (outcome, error) = timeline.end_of_body();
        return Ending { whole: true, ..Ending::new(outcome, error, done) };
    }
    // The stream's own end stands, whatever happened to the connection after it.
    if let (Some(at), Some((outcome, error))) = (timeline.ended(), timeline.own_end()) {
        return Ending::new(outcome, error, Moment::At(at));
    }
    match end {
        BodyEnd::Cut(cut) => Ending::cut(cut, watch, now),
        BodyEnd::Broken(error) if is_garbage(&error) => {
            let text = format!("the body is not HTTP: {}", chain(&error));
            Ending::new(Outcome::Malformed, text, now)
        }
        BodyEnd::Broken(error) => {
            let text = format!("the connection died during the response: {}", chain(&error));
            Ending::new(Outcome::Reset, text, now)
        }
        BodyEnd::Complete | BodyEnd::Left | BodyEnd::Gone => {
            let text = "the connection died during the response".to_owned();
            Ending::new(Outcome::Reset, text, now)
        }
    }
}

/// How a body ended.
enum BodyEnd {
    Complete,
    Broken(hyper::Error),
    /// The connection ended and told the body nothing.
    Gone,
    /// `take` had enough.
    Left,
    Cut(Cut),
}

/// Gives each piece of the body to `take`, which sees the place of the piece as the last one.
async fn follow<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    body: &mut Incoming,
    watch: &mut Watch,
    mut take: impl FnMut(&mut Link<S>, &mut Watch, &[u8]) -> ControlFlow<()>,
) -> BodyEnd {
    let end = poll_fn(|cx| {
        if let Poll::Ready(cut) = watch.poll(cx) {
            return Poll::Ready(BodyEnd::Cut(cut));
        }
        loop {
            link.poll_io(cx);
            match link.take_frame(body) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing that a timeline needs.
                    let data = frame.into_data().unwrap_or_default();
                    if take(link, watch, &data).is_break() {
                        return Poll::Ready(BodyEnd::Left);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(BodyEnd::Broken(error)),
                Poll::Ready(None) => return Poll::Ready(BodyEnd::Complete),
                Poll::Pending if link.is_over() => return Poll::Ready(BodyEnd::Gone),
                // The limit of time may be another one than before.
                Poll::Pending => return watch.poll(cx).map(BodyEnd::Cut),
            }
        }
    })
    .await;
    if matches!(end, BodyEnd::Complete) {
        // hyper needs one more turn after the body to call the connection idle, or over.
        poll_fn(|cx| {
            link.poll_io(cx);
            Poll::Ready(())
        })
        .await;
    }
    end
}

/// Whether the bytes broke the rules, rather than stopped.
fn is_garbage(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_parse() || io.is_some_and(|io| matches!(io.kind(), InvalidData | InvalidInput))
}

/// Whether the body is an event stream. A server that names no type is believed to send one.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.as_bytes();
        let wanted = b"text/event-stream";
        kind.len() >= wanted.len() && kind[..wanted.len()].eq_ignore_ascii_case(wanted)
    })
}

/// Whether the body's end is marked in the bytes, rather than by the connection's end.
fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
mod tests;
