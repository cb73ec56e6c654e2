//! The client of one worker thread: a request in, a row out.

mod warm;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use ::http::{HeaderValue, Uri};
use plimsoll_records::{ConnectionUse, Outcome, RequestRow, StampSource};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::connect::Connector;
use crate::exchange::{Ending, exchange};
use crate::gauge::Gauge;
use crate::http::RequestHead;
use crate::link::Link;
use crate::measured::{Marks, Trail};
use crate::pool::Pool;
use crate::position::{Moment, Read};
use crate::problem::{chain, clip};
use crate::timeline::Timeline;
use crate::watch::Watch;
use crate::{Abort, ClientConfig, ClientReport, Due, Measured, Request, Timeouts, TlsError};

/// Why no client could be made from a configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The endpoint is `https` and TLS cannot be set up.
    #[error("TLS cannot be set up for this endpoint")]
    Tls(#[from] TlsError),
    /// The API key holds what no header may carry. The key is not repeated.
    #[error("the API key holds characters that no HTTP header may carry; was a wrong file read?")]
    ApiKey,
    /// The endpoint cannot be written into a request.
    #[error("the endpoint `{0}` cannot be written into a request")]
    Endpoint(String),
}

/// Sends requests from one thread and returns the row of each.
pub struct Client {
    config: ClientConfig,
    gauge: Rc<Gauge>,
    connector: Connector,
    head: RequestHead,
    pool: RefCell<Pool<TcpStream>>,
    /// Told when a connection is taken out of the pool.
    needed: Notify,
}

impl Client {
    /// A client without connections: the first request opens the first.
    ///
    /// # Errors
    /// [`ClientError`] when TLS cannot be set up for the endpoint, or when the API key cannot be
    /// carried by a header.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let gauge = Gauge::new(config.clock, config.stamps > StampSource::User);
        Ok(Self {
            connector: Connector::new(&config, Rc::clone(&gauge))?,
            head: head(&config)?,
            pool: RefCell::new(Pool::new(config.max_idle_connections)),
            needed: Notify::new(),
            gauge,
            config,
        })
    }

    /// The switch that ends everything in flight.
    #[must_use]
    pub fn abort_handle(&self) -> Abort {
        self.config.abort.clone()
    }

    /// The limits of time in effect.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.config.timeouts
    }

    /// How many idle connections are kept now. Some of them may be closed by the server already.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.pool.borrow().len()
    }

    /// What the client knows of its own error so far.
    #[must_use]
    pub fn report(&self) -> ClientReport {
        self.gauge.report()
    }

    /// Sends `request` and follows it to its end, which is the row, whatever it is.
    ///
    /// Must run on a tokio runtime with I/O and time. Dropping the future closes the connection.
    pub async fn send(&self, due: Due, request: Request) -> RequestRow {
        self.measure(due, request).await.settle()
    }

    /// Like [`send`](Self::send), but leaves the times of the response to be looked up: by
    /// [`Measured::settle`], or better by a [`Capture`](crate::Capture).
    pub async fn measure(&self, due: Due, request: Request) -> Measured {
        self.converse(due, request).await.0
    }

    /// As [`Client::measure`], with the text of the answer's first choice, as far as it came, for a
    /// conversation that goes on from there; empty unless the request says to keep it. Each chunk is
    /// then read twice, which costs about as much again as reading it once.
    pub async fn converse(&self, due: Due, request: Request) -> (Measured, String) {
        let mut row = blank(due, &request);
        let meter = self.config.meter.clone();
        let mut timeline = Timeline::new(request.output_tokens_planned, meter);
        if request.keep_answer {
            timeline.keep_answer();
        }
        let abort = self.config.abort.clone();
        let mut watch = Watch::new(Rc::clone(self.gauge.clock()), abort, self.config.timeouts);
        let mut trail = Trail { source: self.source(), ..Trail::default() };
        let mut first_byte = None;
        let steps = self.gauge.steps();
        let (ending, link) = self.follow(&request, &mut row, &mut timeline, &mut watch).await;
        if let Some(mut link) = link {
            first_byte = link.stamps.first_byte();
            self.leave_trail(&mut link, &row, steps, &mut trail);
            self.keep(link, &ending);
        }
        let answer = timeline.take_answer();
        let marks = Marks { first_byte, ..timeline.fill(&mut row) };
        row.outcome = ending.outcome;
        row.http_status = ending.status;
        row.error = ending.error.map(|text| self.presentable(text));
        (Measured { row, marks, done: ending.done, trail }, answer)
    }

    /// The request on a kept connection or a new one, and once more if the kept one was stale.
    async fn follow(
        &self,
        request: &Request,
        row: &mut RequestRow,
        timeline: &mut Timeline,
        watch: &mut Watch,
    ) -> (Ending, Option<Box<Link<TcpStream>>>) {
        let now = || Moment::Clock(self.gauge.now());
        if self.config.abort.is_raised() {
            return (Ending::new(Outcome::Aborted, None, now()), None);
        }
        if let Some(mut link) = self.kept() {
            let used = if link.fresh { ConnectionUse::Prewarmed } else { ConnectionUse::Reused };
            row.connection = Some(used);
            row.connected = Some(self.gauge.now());
            let ending = self.attempt(&mut link, request, row, timeline, watch).await;
            if !ending.unanswered {
                return (ending, Some(link));
            }
        }
        watch.connecting();
        let mut link = match watch.guard(Box::pin(self.connector.open())).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                return (Ending::new(Outcome::Refused, chain(&error), now()), None);
            }
            Err(cut) => return (Ending::cut(cut, watch, now()), None),
        };
        // If a kept connection was tried before, the row keeps what belongs to the first sending.
        row.resent = row.connection.is_some();
        row.connection.get_or_insert(ConnectionUse::New);
        row.connected.get_or_insert(self.gauge.now());
        let ending = self.attempt(&mut link, request, row, timeline, watch).await;
        (ending, Some(link))
    }

    /// One sending. Stamps of an earlier one stay.
    async fn attempt(
        &self,
        link: &mut Link<TcpStream>,
        request: &Request,
        row: &mut RequestRow,
        timeline: &mut Timeline,
        watch: &mut Watch,
    ) -> Ending {
        let ending = exchange(link, &self.head, request.body.clone(), timeline, watch).await;
        row.sent = row.sent.or(link.stamps.sent().map(|(at, _)| at));
        ending
    }

    /// Takes what the connection noted of the exchange that is over.
    fn leave_trail(
        &self,
        link: &mut Link<TcpStream>,
        row: &RequestRow,
        steps: u32,
        trail: &mut Trail,
    ) {
        (trail.local, trail.remote) = (link.ends.local, link.ends.remote);
        trail.opened = link.ends.begun;
        let sent_end = link.stamps.sent().map(|(_, end)| end);
        trail.sent_end = sent_end.filter(|_| !row.resent);
        trail.reads = link.stamps.take_reads();
        // The kernel's time of a read is that of its last segment, which is not the last to arrive
        // when segments came out of order: then the clock after the read is the only safe bound. So it
        // is when the wall clock was set meanwhile.
        let set = self.gauge.steps() != steps;
        if self.gauge.asks_kernel() && (!link.came_in_order() || set) {
            self.gauge.fell_back(trail.reads.len() as u64);
            trail.reads.iter_mut().for_each(Read::forget_kernel);
        }
    }

    /// Where the stamps of the client's own rows come from at best.
    fn source(&self) -> StampSource {
        if self.gauge.asks_kernel() { StampSource::Socket } else { StampSource::User }
    }

    fn kept(&self) -> Option<Box<Link<TcpStream>>> {
        let link = self.pool.borrow_mut().take();
        self.needed.notify_one();
        link
    }

    fn keep(&self, mut link: Box<Link<TcpStream>>, ending: &Ending) {
        if ending.whole {
            link.rest();
            if link.is_idle() {
                self.pool.borrow_mut().put(link);
            }
        }
    }

    /// An error text as a row may hold it: without the API key, and not too long.
    fn presentable(&self, text: String) -> String {
        let text = match &self.config.api_key {
            Some(key) => key.redact(text),
            None => text,
        };
        clip(&text)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What all requests begin with.
fn head(config: &ClientConfig) -> Result<RequestHead, ClientError> {
    let endpoint = &config.endpoint;
    let unusable = || ClientError::Endpoint(endpoint.to_string());
    let path: Uri = endpoint.path(config.api).parse().map_err(|_| unusable())?;
    // A header value holds no line break, so none of these can end the head early.
    let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| unusable())?;
    let mut headers = vec![
        ("host", host),
        ("content-type", HeaderValue::from_static("application/json")),
        ("accept", HeaderValue::from_static("text/event-stream, application/json")),
        ("user-agent", HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))),
    ];
    if let Some(key) = &config.api_key {
        let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
        headers.push(("authorization", value.map_err(|_| ClientError::ApiKey)?));
    }
    Ok(RequestHead::new(path.path(), headers.iter().map(|(name, value)| (*name, value.as_bytes()))))
}

/// The row of a request before anything is known of it.
pub(crate) fn blank(due: Due, request: &Request) -> RequestRow {
    RequestRow {
        id: due.id,
        session: request.session,
        turn: request.turn,
        worker: due.worker,
        intended: due.intended,
        dequeued: due.dequeued,
        prompt_tokens_planned: request.prompt_tokens_planned,
        output_tokens_planned: request.output_tokens_planned,
        ..RequestRow::default()
    }
}
