//! The switch that ends every request in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// A switch that ends every request in flight of the clients that hold a clone of it.
///
/// It may be raised from any thread, and stays raised: later requests end at once, unsent, with
/// [`Outcome::Aborted`](plimsoll_records::Outcome::Aborted). Make a new client, with a new switch,
/// to send again.
#[derive(Clone, Debug, Default)]
pub struct Abort {
    raised: Arc<AtomicBool>,
    waiting: Arc<Notify>,
}

impl Abort {
    /// A switch that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every request in flight, now.
    pub fn raise(&self) {
        // The flag goes first: who registers after the notification still sees the flag.
        self.raised.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    /// Whether the switch was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// A future that completes when the switch is raised after this call.
    pub(crate) fn notified(&self) -> OwnedNotified {
        Arc::clone(&self.waiting).notified_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_switch_and_it_stays_raised() {
        let abort = Abort::new();
        let other = abort.clone();
        assert!(!abort.is_raised());
        other.raise();
        assert!(abort.is_raised());
        other.raise();
        assert!(abort.is_raised());
    }
}
