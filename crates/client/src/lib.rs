//! How a request is sent and stamped: OpenAI-compatible streaming over HTTP/1.1.
//!
//! In order of use: a [`ClientConfig`] names the [`Endpoint`], the [`Api`], the [`Timeouts`], the
//! run's clock and the grade of stamps; a [`Client`] is made from it on each worker thread, and told
//! to open connections ahead ([`Client::warm_up`], [`Client::keep_warm`]); [`Client::send`] takes a
//! [`Due`] (which arrival, and when it was due) and a [`Request`] (the encoded body) and returns a
//! [`RequestRow`](plimsoll_records::RequestRow). [`Client::measure`] leaves the times open, and a
//! [`Capture`] looks them up by packets. [`Client::report`] says how late the client itself was.
//! [`Abort`] ends everything in flight from any thread. [`SseDecoder`] is the event-stream decoder
//! alone.
//!
//! # What is promised
//! - `send` never fails: every ending (status, time limit, refused, reset, truncated, malformed,
//!   error inside the stream, abort) is a row with the stamps that were reached.
//! - A stamp is the moment at which the last byte of an event was there, and all bytes before it: by
//!   the arrival of each segment (`packet`), by the kernel's time of each read (`socket`), or by the
//!   run clock right after the read (`user`). All three are taken below TLS, HTTP and JSON: parsing is
//!   never inside a measured time. The row says which it has, and which chunks share one.
//! - A token is a token: role chunks, comments and the response head are none, and an empty finish
//!   chunk is one only if the usage says so. With `continuous_usage_stats` the server's own counts
//!   are used and marked as counted.
//! - Nothing is retried, with one exception that the row shows: a request that dies on a kept
//!   connection before one byte of answer is sent once more and marked `resent`.
//! - `send` waits for no permit and no other request: a connection is taken from the kept ones, or
//!   opened.
//!
//! # What it refuses to do
//! Decide when to send, compose a body, follow redirects, speak HTTP/2, skip the check of a
//! certificate, or judge what it measured.
//!
//! # Units and clocks
//! Stamps are ns since the origin of the run's clock. Time limits run on the runtime's timer, whose
//! ticks are 1 ms: good enough to end a request, and never used to measure one.
//!
//! # Threads
//! A `Client` belongs to one thread (it is neither `Send` nor `Sync`) and needs a tokio runtime
//! with I/O and time there. It spawns nothing: dropping the future of `send` closes its connection.
//!
//! ```
//! use bytes::Bytes;
//! use plimsoll_client::{Api, Client, ClientConfig, Due, Request};
//! use plimsoll_records::Outcome;
//! use plimsoll_units::{Clock, RunClock};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let clock = RunClock::start();
//! // Nothing listens on port 1: the row says so.
//! let config = ClientConfig::new("http://127.0.0.1:1/v1".parse()?, Api::Chat, clock);
//! let client = Client::new(config)?;
//! let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
//! let due = Due::now(0, clock.now());
//! let row = client.send(due, Request::new(Bytes::from_static(body.as_bytes()))).await;
//! assert_eq!(row.outcome, Outcome::Refused);
//! assert!(row.first_token().is_none() && row.done >= row.dequeued);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abort;
mod buffers;
mod capture;
mod chunk;
mod client;
mod config;
mod connect;
mod endpoint;
mod exchange;
mod gauge;
mod http;
mod link;
mod measured;
mod meter;
mod pieces;
mod pool;
mod position;
mod problem;
mod receive;
mod request;
mod secret;
mod sse;
mod stamped;
mod stamps;
mod tally;
mod timeline;
mod tls;
mod watch;

pub use abort::Abort;
pub use capture::{Capture, CaptureConfig, CaptureError, CaptureHandle, CaptureReport};
pub use client::{Client, ClientError};
pub use config::{ClientConfig, Timeouts};
pub use endpoint::{Api, Endpoint, ParseEndpointError};
pub use gauge::ClientReport;
pub use measured::Measured;
pub use meter::Meter;
pub use request::{Due, Request};
pub use secret::Secret;
pub use sse::{OverlongLine, SseDecoder, SseEvent};
pub use tls::{TlsError, TlsRoots};
