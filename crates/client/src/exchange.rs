//! One request and its response on one connection.
//!
//! Everything happens in one task: each wake-up polls first the [`Watch`], then the connection, which
//! gives what it has brought, a part at a time.

use std::future::poll_fn;
use std::io;
use std::ops::ControlFlow;
use std::task::Poll;

use ::http::StatusCode;
use bytes::Bytes;
use plimsoll_records::Outcome;
use tokio::io::AsyncWrite;

use crate::http::{Garbage, Part, RequestHead};
use crate::link::{Link, Stop};
use crate::position::Moment;
use crate::problem::error_text;
use crate::receive::Receive;
use crate::sse::SseDecoder;
use crate::stamps::Stamps;
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
    head: &RequestHead,
    body: Bytes,
    timeline: &mut Timeline,
    watch: &mut Watch,
) -> Ending {
    link.begin(head, body, timeline.expected_reads());
    watch.sending();
    let mut response = None;
    let end = follow(link, watch, |_, _, _, part| {
        if let Part::Head(head) = part {
            response = Some(head);
        }
        ControlFlow::Break(())
    })
    .await;
    let Some(response) = response else { return no_answer(link, end, watch) };
    let status = response.status;
    let mut ending = if status != 200 {
        refusal(link, status, watch).await
    } else if is_event_stream(response.content_type.as_deref()) {
        stream(link, response.framed, timeline, watch).await
    } else {
        no_stream(link, &response.content_type.unwrap_or_default(), watch).await
    };
    ending.status = Some(status);
    ending
}

/// The connection failed before a response head was read.
fn no_answer<S: Receive + AsyncWrite + Unpin>(link: &Link<S>, end: End, watch: &Watch) -> Ending {
    let now = now(link);
    let unanswered = link.stamps.first_byte().is_none();
    let words = match end {
        End::Cut(cut) => return Ending::cut(cut, watch, now),
        End::Garbage(garbage) => {
            let text = format!("the answer is not HTTP: {garbage}");
            return Ending::new(Outcome::Malformed, text, now);
        }
        End::Broken(words) => words,
        End::Complete | End::Left => "it was closed".to_owned(),
    };
    let text = format!("the connection died before an answer: {words}");
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
    status: u16,
    watch: &mut Watch,
) -> Ending {
    let read = collect(link, watch).await;
    if read.cut == Some(Cut::Aborted) {
        return Ending::cut(Cut::Aborted, watch, now(link));
    }
    let mut text = error_text(&read.bytes);
    if text.is_empty() {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        text = reason.unwrap_or("no words").to_owned();
    }
    let done = if read.whole { last_read(link) } else { now(link) };
    Ending { whole: read.whole, ..Ending::new(Outcome::HttpStatus, text, done) }
}

/// Status 200 with something else than a stream.
async fn no_stream<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    content_type: &[u8],
    watch: &mut Watch,
) -> Ending {
    let read = collect(link, watch).await;
    if let Some(cut) = read.cut {
        return Ending::cut(cut, watch, now(link));
    }
    let (kind, words) = (String::from_utf8_lossy(content_type), error_text(&read.bytes));
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
    watch: &mut Watch,
) -> Collected {
    let mut bytes = Vec::new();
    let end = follow(link, watch, |_, _, _, part| {
        if let Part::Data(data) = part {
            bytes.extend_from_slice(data);
        }
        if bytes.len() > MAX_BODY { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await;
    let cut = if let End::Cut(cut) = end { Some(cut) } else { None };
    bytes.truncate(MAX_BODY);
    Collected { bytes, whole: matches!(end, End::Complete), cut }
}

/// Reads an event stream into the timeline.
async fn stream<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    framed: bool,
    timeline: &mut Timeline,
    watch: &mut Watch,
) -> Ending {
    let mut overlong = None;
    let end = follow(link, watch, |decoder, stamps, watch, part| {
        let Part::Data(data) = part else { return ControlFlow::Continue(()) };
        let at = stamps.position();
        if let Err(error) = decoder.feed(data, |event| timeline.event(at, event)) {
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
    let now = now(link);
    if let Some(error) = overlong {
        return Ending::new(Outcome::Malformed, error.to_string(), last_read(link));
    }
    if let End::Complete = end {
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
        End::Cut(cut) => Ending::cut(cut, watch, now),
        End::Garbage(garbage) => {
            Ending::new(Outcome::Malformed, format!("the body is not HTTP: {garbage}"), now)
        }
        End::Broken(words) => {
            let text = format!("the connection died during the response: {words}");
            Ending::new(Outcome::Reset, text, now)
        }
        End::Complete | End::Left => {
            let text = "the connection died during the response".to_owned();
            Ending::new(Outcome::Reset, text, now)
        }
    }
}

/// How a response, or a part of it, came to an end.
enum End {
    Complete,
    /// The connection is over, with these words.
    Broken(String),
    Garbage(Garbage),
    /// `take` had enough.
    Left,
    Cut(Cut),
}

/// Gives each part of the response to `take`, up to the response's end.
async fn follow<S: Receive + AsyncWrite + Unpin>(
    link: &mut Link<S>,
    watch: &mut Watch,
    mut take: impl FnMut(&mut SseDecoder, &Stamps, &mut Watch, Part<'_>) -> ControlFlow<()>,
) -> End {
    poll_fn(|cx| {
        if let Poll::Ready(cut) = watch.poll(cx) {
            return Poll::Ready(End::Cut(cut));
        }
        let mut complete = false;
        let polled = link.poll(cx, |decoder, stamps, part| {
            complete = part == Part::End;
            if complete { ControlFlow::Break(()) } else { take(decoder, stamps, watch, part) }
        });
        let end = match polled {
            // The limit of time may be another one than before.
            Poll::Pending => return watch.poll(cx).map(End::Cut),
            Poll::Ready(Stop::Taken) if complete => End::Complete,
            Poll::Ready(Stop::Taken) => End::Left,
            Poll::Ready(Stop::Closed) if link.ends_response() => End::Complete,
            Poll::Ready(Stop::Closed) => End::Broken("it was closed".to_owned()),
            Poll::Ready(Stop::Failed(error)) if is_garbage(&error) => {
                End::Garbage(Garbage::Wire(error))
            }
            Poll::Ready(Stop::Failed(error)) => End::Broken(error.to_string()),
            Poll::Ready(Stop::Garbage(garbage)) => End::Garbage(garbage),
        };
        Poll::Ready(end)
    })
    .await
}

/// Whether TLS found the bytes to break its rules, rather than to stop.
fn is_garbage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

/// Whether the body is an event stream. A server that names no type is believed to send one.
fn is_event_stream(content_type: Option<&[u8]>) -> bool {
    content_type.is_none_or(|kind| {
        let wanted = b"text/event-stream";
        kind.len() >= wanted.len() && kind[..wanted.len()].eq_ignore_ascii_case(wanted)
    })
}

#[cfg(test)]
mod tests;
