//! The kept connections of a client.
//!
//! The last one used is the first one taken: it is the warmest, and the least likely to have been
//! closed. Servers close idle connections after some seconds, and some close every connection right
//! after a stream, without saying so in either case: so each one is looked at before it is used.

use std::collections::VecDeque;

use tokio::io::AsyncWrite;

use crate::link::Link;
use crate::receive::Receive;

/// Idle connections, the least recently used in front.
#[derive(Debug)]
pub(crate) struct Pool<S: Receive + AsyncWrite + Unpin> {
    /// In boxes: a request in flight holds its connection in its own future, which is to stay small.
    idle: VecDeque<Box<Link<S>>>,
    most: usize,
}

impl<S: Receive + AsyncWrite + Unpin> Pool<S> {
    /// An empty pool that keeps up to `most` connections.
    pub(crate) fn new(most: usize) -> Self {
        Self { idle: VecDeque::new(), most }
    }

    /// A connection that the server has left alone, or `None`. Those it has not are dropped.
    pub(crate) fn take(&mut self) -> Option<Box<Link<S>>> {
        while let Some(mut link) = self.idle.pop_back() {
            if link.is_usable() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps `link` for the next request. Beyond the limit the least recently used one goes.
    pub(crate) fn put(&mut self, link: Box<Link<S>>) {
        // One look at the oldest per use: else connections that the server closed would hold their
        // descriptors for as long as younger ones suffice.
        if self.idle.front_mut().is_some_and(|oldest| !oldest.is_usable()) {
            self.idle.pop_front();
        }
        self.idle.push_back(link);
        if self.idle.len() > self.most {
            self.idle.pop_front();
        }
    }

    /// Drops those that the server did not leave alone.
    pub(crate) fn sweep(&mut self) {
        self.idle.retain_mut(|link| link.is_usable());
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.idle.len()
    }
}
