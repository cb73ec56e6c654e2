//! When a driver ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_units::RunNanos;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The instant from which no arrival is started any more. Clones share it, on any thread; a driver
/// that sleeps wakes when it is set.
///
/// It starts out as never, and can only come earlier.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at_ns: AtomicU64,
    changed: Notify,
}

impl Stop {
    /// A stop that never comes, until it is told to.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            at_ns: AtomicU64::new(RunNanos::MAX.as_nanos()),
            changed: Notify::new(),
        }))
    }

    /// Arrivals due at `instant` or later are not started; those due before are, however late the
    /// driver is. An instant later than the one already set changes nothing.
    pub fn at(&self, instant: RunNanos) {
        self.0.at_ns.fetch_min(instant.as_nanos(), Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }

    /// Nothing more is started from here on, not even what is overdue: for an interrupt. A
    /// measurement ends by [`Stop::at`].
    pub fn now(&self) {
        self.at(RunNanos::ZERO);
    }

    /// The instant set, [`RunNanos::MAX`] if none is.
    #[must_use]
    pub fn instant(&self) -> RunNanos {
        RunNanos::from_nanos(self.0.at_ns.load(Ordering::Acquire))
    }

    /// Completes at the first change after this call, awaited or not.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ever_comes_earlier() {
        let stop = Stop::new();
        let other = stop.clone();
        assert_eq!(stop.instant(), RunNanos::MAX);
        other.at(RunNanos::from_nanos(70));
        stop.at(RunNanos::from_nanos(90));
        assert_eq!(stop.instant(), RunNanos::from_nanos(70));
        stop.now();
        assert_eq!(other.instant(), RunNanos::ZERO);
    }
}
