//! The client of one worker thread: a request in, a row out.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use hyper::Uri;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, InvalidHeaderValue,
    USER_AGENT,
};
use plimsoll_records::{ConnectionUse, Outcome, RequestRow, StampSource};
use plimsoll_units::Clock;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::connect::Connector;
use crate::exchange::{Ending, exchange};
use crate::link::{Head, Link};
use crate::pool::Pool;
use crate::problem::{chain, clip};
use crate::timeline::Timeline;
use crate::watch::Watch;
use crate::{Abort, ClientConfig, Due, Request, Timeouts, TlsError};

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
    clock: Rc<dyn Clock>,
    connector: Connector,
    head: Head,
    pool: RefCell<Pool<TcpStream>>,
}

impl Client {
    /// A client without connections: the first request opens the first.
    ///
    /// # Errors
    /// [`ClientError`] when TLS cannot be set up for the endpoint, or when the API key cannot be
    /// carried by a header.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let clock: Rc<dyn Clock> = Rc::new(config.clock);
        Ok(Self {
            connector: Connector::new(&config, Rc::clone(&clock))?,
            head: head(&config)?,
            pool: RefCell::new(Pool::new(config.max_idle_connections)),
            clock,
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

    /// Sends `request` and follows it to its end, which is the row, whatever it is.
    ///
    /// Must run on a tokio runtime with I/O and time. Dropping the future closes the connection.
    pub async fn send(&self, due: Due, request: Request) -> RequestRow {
        let mut row = blank(due, &request);
        let meter = self.config.meter.clone();
        let mut timeline = Timeline::new(request.output_tokens_planned, meter);
        let abort = self.config.abort.clone();
        let mut watch = Watch::new(Rc::clone(&self.clock), abort, self.config.timeouts);
        let ending = self.follow(&request, &mut row, &mut timeline, &mut watch).await;
        timeline.fill(&mut row);
        row.outcome = ending.outcome;
        row.http_status = ending.status;
        row.error = ending.error.map(|text| self.presentable(text));
        row.done = ending.done;
        row
    }

    /// The request on a kept connection or a new one, and once more if the kept one was stale.
    async fn follow(
        &self,
        request: &Request,
        row: &mut RequestRow,
        timeline: &mut Timeline,
        watch: &mut Watch,
    ) -> Ending {
        if self.config.abort.is_raised() {
            return Ending::new(Outcome::Aborted, None, self.clock.now());
        }
        if let Some(mut link) = self.kept() {
            row.connection = Some(ConnectionUse::Reused);
            row.connected = Some(self.clock.now());
            let ending = self.attempt(&mut link, request, row, timeline, watch).await;
            if !ending.unanswered {
                self.keep(link, &ending);
                return ending;
            }
        }
        watch.connecting();
        let mut link = match watch.guard(self.connector.open()).await {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => {
                return Ending::new(Outcome::Refused, chain(&error), self.clock.now());
            }
            Err(cut) => return Ending::cut(cut, watch, self.clock.now()),
        };
        // If a kept connection was tried before, the row keeps what belongs to the first sending.
        row.resent = row.connection.is_some();
        row.connection.get_or_insert(ConnectionUse::New);
        row.connected.get_or_insert(self.clock.now());
        let ending = self.attempt(&mut link, request, row, timeline, watch).await;
        self.keep(link, &ending);
        ending
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
        row.sent = row.sent.or(link.stamps.sent());
        row.first_byte = link.stamps.first_byte();
        ending
    }

    fn kept(&self) -> Option<Link<TcpStream>> {
        self.pool.borrow_mut().take()
    }

    fn keep(&self, link: Link<TcpStream>, ending: &Ending) {
        if ending.whole && link.is_idle() {
            self.pool.borrow_mut().put(link);
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

/// The path and the headers that all requests share.
fn head(config: &ClientConfig) -> Result<Head, ClientError> {
    let endpoint = &config.endpoint;
    let unusable = || ClientError::Endpoint(endpoint.to_string());
    let path: Uri = endpoint.path(config.api).parse().map_err(|_| unusable())?;
    let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| unusable())?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    let agent = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    if let Some(key) = &config.api_key {
        let value = format!("Bearer {}", key.reveal());
        let mut value =
            HeaderValue::try_from(value).map_err(|_: InvalidHeaderValue| ClientError::ApiKey)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(Head { path, headers })
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
        stamp_source: StampSource::User,
        ..RequestRow::default()
    }
}
