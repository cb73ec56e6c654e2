//! A live count of tokens, for whoever watches a run from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the output tokens that a client receives, while it receives them.
///
/// Clones share the count, on any thread. Give each worker's client its own: then no two threads
/// write to it, and counting costs what adding to a number in one's own cache costs.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// A count at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Output tokens received so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, tokens: u32) {
        self.0.fetch_add(u64::from(tokens), Ordering::Relaxed);
    }
}
