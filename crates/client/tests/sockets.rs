//! Every way in which a request can end, against real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its server fails")]

#[path = "sockets/connections.rs"]
mod connections;
#[path = "sockets/endings.rs"]
mod endings;
#[path = "tls/self_signed.rs"]
mod self_signed;
#[path = "sockets/server.rs"]
mod server;
#[path = "sockets/tls.rs"]
mod tls;
#[path = "sockets/warm.rs"]
mod warm;

use std::time::Duration;

use bytes::Bytes;
use plimsoll_client::{Api, Client, ClientConfig, Due, Request, Timeouts};
use plimsoll_records::{Outcome, RequestRow};
use plimsoll_units::{Clock, RunClock};
use server::Server;
use tokio::task::LocalSet;
use tokio::time::timeout;

const BODY: &[u8] = br#"{"model":"m","prompt":"p","stream":true}"#;

/// Limits that no test of another limit reaches.
const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(20),
    first_token: Duration::from_secs(20),
    request: Duration::from_secs(20),
};

/// Runs `work` on a runtime like a worker's. A test that hangs fails.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        timeout(Duration::from_secs(60), work).await.expect("the client hangs")
    })
}

fn config(url: &str) -> ClientConfig {
    let config = ClientConfig::new(url.parse().unwrap(), Api::Chat, RunClock::start());
    ClientConfig { timeouts: PATIENT, ..config }
}

struct Sender {
    client: Client,
    clock: RunClock,
}

impl Sender {
    fn new(config: ClientConfig) -> Self {
        Self { clock: config.clock, client: Client::new(config).unwrap() }
    }

    fn to(server: &Server) -> Self {
        Self::new(config(&server.url()))
    }

    async fn send(&self) -> RequestRow {
        self.send_body(Bytes::from_static(BODY)).await
    }

    async fn send_body(&self, body: Bytes) -> RequestRow {
        let row = self.client.send(Due::now(7, self.clock.now()), Request::new(body)).await;
        assert_ordered(&row);
        row
    }
}

/// The row's stamps come in the order that its documentation states.
fn assert_ordered(row: &RequestRow) {
    let stamps = [
        Some(row.intended),
        Some(row.dequeued),
        row.connected,
        row.sent,
        row.first_byte,
        row.role_chunk,
        row.first_token(),
        row.last_token,
        Some(row.done),
    ];
    assert!(stamps.iter().flatten().is_sorted(), "{row:?}");
    assert!(row.chunks.iter().map(|chunk| chunk.at).is_sorted(), "{row:?}");
    assert_eq!(row.first_token(), row.chunks.first().map(|chunk| chunk.at));
    assert_eq!(row.outcome.is_ok(), row.error.is_none() && row.outcome != Outcome::Aborted);
}

/// The row of one request to a server that answers with `bytes`.
fn answer(bytes: impl Into<Vec<u8>>) -> RequestRow {
    let server = Server::saying(bytes);
    run(Sender::to(&server).send())
}

#[track_caller]
fn assert_failed(row: &RequestRow, outcome: Outcome, words: &str) {
    assert_eq!(row.outcome, outcome, "{row:?}");
    let text = row.error.as_deref().unwrap_or_default();
    assert!(text.contains(words), "`{text}` lacks `{words}`");
}
