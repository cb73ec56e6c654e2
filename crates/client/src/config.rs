//! What a client is made from.

use std::time::Duration;

use plimsoll_records::StampSource;
use plimsoll_units::RunClock;

use crate::{Abort, Api, Endpoint, Meter, Secret, TlsRoots};

/// Everything a client needs to know before its first request.
///
/// Independent fields: begin with [`ClientConfig::new`] and replace what differs.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server.
    pub endpoint: Endpoint,
    /// Which part of the API requests go to.
    pub api: Api,
    /// The clock of the run: every stamp of every row comes from it.
    pub clock: RunClock,
    /// Sent as `Authorization: Bearer ...`. Default: none.
    pub api_key: Option<Secret>,
    /// When to give up. See [`Timeouts`].
    pub timeouts: Timeouts,
    /// The best stamps to ask for: [`StampSource::User`] takes the clock after each read, anything
    /// better the kernel's receive time. (Stamps by packet come from a
    /// [`Capture`](crate::Capture), which falls back on these.) Default: the kernel's.
    pub stamps: StampSource,
    /// Acknowledge segments at once (`TCP_QUICKACK`). Default: off, as every other client has it. A
    /// server without `TCP_NODELAY` that sends head and first event in two writes adds some 25 ms to
    /// TTFT on kept connections while this is off.
    pub quickack: bool,
    /// The longest line and the longest event accepted in a stream, in bytes. Default: 1 MiB, far
    /// above any real chunk, so that a server that never ends a line cannot fill the memory.
    pub max_line_bytes: usize,
    /// How many idle connections are kept. Default: 65,536, so that a burst's connections all stay.
    pub max_idle_connections: usize,
    /// Whose certificates are believed when the endpoint is `https`.
    pub tls_roots: TlsRoots,
    /// The switch that ends everything in flight. Default: a new one; keep a clone to raise it.
    pub abort: Abort,
    /// Counts the output tokens of all its responses while they come.
    pub meter: Meter,
}

impl ClientConfig {
    /// The defaults, for `endpoint` and `api` on the clock of the run.
    #[must_use]
    pub fn new(endpoint: Endpoint, api: Api, clock: RunClock) -> Self {
        Self {
            endpoint,
            api,
            clock,
            api_key: None,
            timeouts: Timeouts::default(),
            stamps: StampSource::Socket,
            quickack: false,
            max_line_bytes: 1024 * 1024,
            max_idle_connections: 65_536,
            tls_roots: TlsRoots::default(),
            abort: Abort::new(),
            meter: Meter::new(),
        }
    }
}

/// When to give up on a request.
///
/// Each limit ends the request with [`Outcome::Timeout`](plimsoll_records::Outcome::Timeout) and a
/// text that names it. They are enforced with the runtime's timer (ticks of 1 ms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the attempt to connect until the connection can be used, name lookup and TLS included.
    /// Default: 10 s.
    pub connect: Duration,
    /// From the moment the request is given to its connection until the first token. Default: 300 s,
    /// since a long queue is a finding and not a failure.
    pub first_token: Duration,
    /// From the call of `send` until the end of the response. Default: 600 s.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_token: Duration::from_secs(300),
            request: Duration::from_secs(600),
        }
    }
}
