//! A connection whose server is a script, and a clock that moves by 1 ms with each read.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use plimsoll_records::{ChunkRow, Outcome, RequestRow};
use plimsoll_units::{ManualClock, RunNanos};
use tokio::io::AsyncWrite;

use crate::buffers::Buffers;
use crate::client::blank;
use crate::exchange::{Ending, exchange};
use crate::gauge::Gauge;
use crate::http::RequestHead;
use crate::link::{Ends, Link};
use crate::measured::{Marks, Measured, Trail};
use crate::pieces::Pieces;
use crate::position::{Moment, Position, Read};
use crate::receive::{Receive, Received};
use crate::stamped::{Stamped, Wire};
use crate::stamps::Stamps;
use crate::timeline::Timeline;
use crate::watch::Watch;
use crate::{Abort, Due, Request, SseDecoder, Timeouts};

/// What a server sends: bytes, and where they are cut into reads.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) bytes: Rc<[u8]>,
    /// Sorted; a read ends before each of these.
    pub(super) cuts: Rc<[usize]>,
    /// Whether every other read finds nothing yet.
    pub(super) pauses: bool,
    pub(super) after: After,
}

/// What follows the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing: the connection stays.
    Stay,
    /// The server closes.
    Close,
    /// The connection is reset.
    Reset,
}

impl Script {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), cuts: Rc::new([]), pauses: false, after: After::Stay }
    }

    pub(super) fn cut(&self, cuts: &[usize]) -> Self {
        Self { cuts: cuts.into(), ..self.clone() }
    }

    /// Every byte a read of its own.
    pub(super) fn byte_by_byte(&self) -> Self {
        let cuts: Vec<usize> = (1..self.bytes.len()).collect();
        Self { pauses: true, ..self.cut(&cuts) }
    }
}

struct Scripted {
    script: Script,
    clock: ManualClock,
    at: usize,
    pause: bool,
    /// The script begins when the request has been written.
    started: bool,
    reader: Option<Waker>,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Receive for Scripted {
    fn poll_receive(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        let received = |bytes| Poll::Ready(Ok(Received { bytes, wall_ns: None, emptied: false }));
        if !self.started {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.script.pauses {
            self.pause = !self.pause;
            if self.pause {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let at = self.at;
        let rest = &self.script.bytes[at..];
        if rest.is_empty() {
            return match self.script.after {
                After::Stay => Poll::Pending,
                After::Close => received(0),
                After::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        let cut = self.script.cuts.iter().find(|&&cut| cut > at).copied();
        let end = cut.unwrap_or(self.script.bytes.len()).min(at + buf.len());
        buf[..end - at].copy_from_slice(&self.script.bytes[at..end]);
        self.at = end;
        self.clock.advance(Duration::from_millis(1));
        received(end - at)
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.started = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.written.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came of a replay.
pub(super) struct Replay {
    pub(super) ending: Ending,
    pub(super) row: RequestRow,
    pub(super) written: Vec<u8>,
    pub(super) idle: bool,
}

/// A replay without its stamps: what must not depend on how the bytes were cut.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) role_chunk: bool,
    pub(super) reasoning: bool,
    pub(super) answer: bool,
    pub(super) chunks: Vec<(u32, bool)>,
    pub(super) usage: bool,
    /// Prompt, output and cached tokens.
    pub(super) tokens: [Option<u32>; 3],
    pub(super) finish: Option<String>,
    pub(super) unanswered: bool,
    pub(super) idle: bool,
}

impl Replay {
    pub(super) fn seen(&self) -> Seen {
        let row = &self.row;
        let pair = |chunk: &ChunkRow| (chunk.tokens, chunk.counted);
        Seen {
            outcome: self.ending.outcome,
            status: self.ending.status,
            error: self.ending.error.clone(),
            role_chunk: row.role_chunk.is_some(),
            reasoning: row.first_reasoning.is_some(),
            answer: row.first_answer.is_some(),
            chunks: row.chunks.iter().map(pair).collect(),
            usage: row.usage.is_some(),
            tokens: [row.prompt_tokens, row.output_tokens, row.cached_tokens],
            finish: row.finish_reason.clone(),
            unanswered: self.ending.unanswered,
            idle: self.idle,
        }
    }
}

/// Runs `work` on a runtime like a worker's.
pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// One exchange with `script` as the server, with the stamps of its reads.
pub(super) async fn replay(script: &Script) -> Replay {
    replay_with(script, Measured::settle).await
}

/// One exchange with `script` as the server, whose row `settle` makes.
pub(super) async fn replay_with(
    script: &Script,
    settle: impl FnOnce(Measured) -> RequestRow,
) -> Replay {
    let clock = ManualClock::new();
    let stamps = Stamps::new(Gauge::on(clock.clone()));
    let written = Rc::new(RefCell::new(Vec::new()));
    let server = Scripted {
        script: script.clone(),
        clock: clock.clone(),
        at: 0,
        pause: false,
        started: false,
        reader: None,
        written: Rc::clone(&written),
    };
    let stamped = Stamped::new(server, Rc::clone(&stamps), Buffers::new(), Pieces::plain());
    let wire = Wire::Plain(stamped);
    let decoder = SseDecoder::new(100_000);
    let mut link = Link::new(wire, None, stamps, Buffers::new(), decoder, Ends::default());
    let head = RequestHead::new("/v1/chat/completions", std::iter::empty());
    let mut timeline = Timeline::new(0, crate::Meter::new());
    let mut watch = Watch::new(Rc::new(clock), Abort::new(), Timeouts::default());
    let body = Bytes::from_static(b"{\"stream\":true}");
    let ending = exchange(&mut link, &head, body.clone(), &mut timeline, &mut watch).await;
    let mut row = blank(Due::now(0, RunNanos::ZERO), &Request::new(body));
    row.sent = link.stamps.sent().map(|(at, _)| at);
    let marks = Marks { first_byte: link.stamps.first_byte(), ..timeline.fill(&mut row) };
    let trail = Trail { reads: link.stamps.take_reads(), ..Trail::default() };
    let row = settle(Measured { row, marks, done: ending.done, trail });
    if ending.whole {
        link.rest();
    }
    let idle = ending.whole && link.is_idle();
    let written = written.borrow().clone();
    Replay { ending, row, written, idle }
}

/// A captured response as the bytes of a connection.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if name.ends_with(".wire") {
        return bytes;
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = parts(&text);
    let mut wire = format!("{head}\r\n\r\n").into_bytes();
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        wire.extend_from_slice(body.trim_end().as_bytes());
        return wire;
    }
    for event in body.split_inclusive("\n\n") {
        wire.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

/// Head and body of a capture by `curl -i`.
fn parts(text: &str) -> (&str, &str) {
    let text = match text.strip_prefix("### ") {
        Some(noted) => noted.split_once('\n').unwrap().1,
        None => text,
    };
    text.split_once("\r\n\r\n").unwrap()
}

/// The body of a captured stream.
pub(super) fn body(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    parts(&std::fs::read_to_string(path).unwrap()).1.as_bytes().to_vec()
}

/// What a stream comes to when its body arrives in two pieces and ends cleanly.
pub(super) fn body_alone(body: &[u8], cut: usize) -> Seen {
    let mut decoder = SseDecoder::new(100_000);
    let mut timeline = Timeline::new(0, crate::Meter::new());
    let at = Position(1);
    for piece in [&body[..cut], &body[cut..]] {
        decoder.feed(piece, |event| timeline.event(at, event)).unwrap();
    }
    decoder.finish(|event| timeline.event(at, event));
    let (outcome, error) = timeline.end_of_body();
    let mut ending = Ending::new(outcome, error, Moment::At(at));
    ending.status = Some(200);
    let mut row = blank(Due::now(0, RunNanos::ZERO), &Request::new(Bytes::new()));
    let marks = timeline.fill(&mut row);
    let reads = vec![Read::new(at, RunNanos::ZERO, None)];
    let trail = Trail { reads, ..Trail::default() };
    let row = Measured { row, marks, done: ending.done, trail }.settle();
    let written = Vec::new();
    Replay { ending, row, written, idle: true }.seen()
}

/// A response with status 200 that streams `events`, each in a chunk of its own.
pub(super) fn streamed(events: &[&str]) -> Vec<u8> {
    let mut wire = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        transfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for event in events {
        let event = format!("data: {event}\n\n");
        wire.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}
