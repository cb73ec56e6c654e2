//! Connections that are there before anybody needs them.
//!
//! A request that has to open its connection leaves late by a handshake. So a client can be told to
//! keep some open ahead: the first use of such a connection is marked `prewarmed` in its row.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::Client;
use crate::connect::ConnectError;
use crate::link::Link;

/// How often idle connections are looked at: the server may have closed them.
const SWEEP: Duration = Duration::from_secs(1);

/// The most connections that are being opened ahead at once: a server's queue of them is short.
const AT_ONCE: usize = 64;

type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<Link<TcpStream>>, ConnectError>> + 'a>>;

impl Client {
    /// Opens connections until `connections` are idle, and says how many are: fewer if the server
    /// would not take them, or did not keep them.
    ///
    /// Must run on a tokio runtime with I/O and time.
    pub async fn warm_up(&self, connections: usize) -> usize {
        self.fill(connections).await;
        self.idle_connections()
    }

    /// Keeps `connections` idle for as long as it is polled: opens one whenever a request took one or
    /// the server closed one. A server that would not take one is left alone for a second.
    ///
    /// Must run on a tokio runtime with I/O and time, beside the requests.
    pub async fn keep_warm(&self, connections: usize) -> Infallible {
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let filled = self.fill(connections).await;
            tokio::select! {
                () = self.needed.notified(), if filled => {}
                _ = sweeps.tick() => self.pool.borrow_mut().sweep(),
            }
        }
    }

    /// Opens what is missing, also what is taken meanwhile. Whether `connections` are idle then.
    async fn fill(&self, connections: usize) -> bool {
        if self.connector.resolve().await.is_err() {
            return false;
        }
        let mut opening: Vec<Opening<'_>> = Vec::new();
        // A server that closes what it has just taken would be asked for ever.
        let mut left = connections.saturating_mul(2);
        let mut taken = pin!(self.needed.notified());
        poll_fn(|cx| {
            loop {
                let before = opening.len();
                opening.retain_mut(|one| match one.as_mut().poll(cx) {
                    Poll::Ready(opened) => {
                        if !self.take_in(opened) {
                            left = 0;
                        }
                        false
                    }
                    Poll::Pending => true,
                });
                while taken.as_mut().poll(cx).is_ready() {
                    taken.set(self.needed.notified());
                }
                let missing = connections.saturating_sub(self.idle_connections() + opening.len());
                let more = missing.min(AT_ONCE - opening.len()).min(left);
                left -= more;
                opening.extend((0..more).map(|_| -> Opening<'_> { Box::pin(self.open()) }));
                if opening.is_empty() {
                    return Poll::Ready(());
                }
                // The new ones have to be polled once; what ended makes room for more.
                if more == 0 && opening.len() == before {
                    return Poll::Pending;
                }
            }
        })
        .await;
        self.idle_connections() >= connections
    }

    /// A new connection, within the limit of time.
    async fn open(&self) -> Result<Box<Link<TcpStream>>, ConnectError> {
        let limit = self.config.timeouts.connect;
        tokio::time::timeout(limit, self.connector.open()).await.unwrap_or(Err(ConnectError::Late))
    }

    /// Puts an opened connection to the others. Says whether there was one.
    fn take_in(&self, opened: Result<Box<Link<TcpStream>>, ConnectError>) -> bool {
        match opened {
            Ok(link) => {
                self.pool.borrow_mut().put(link);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "no connection could be opened ahead");
                false
            }
        }
    }
}
