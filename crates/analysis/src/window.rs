//! The measure window of a point.

use std::time::Duration;

use plimsoll_records::Phases;
use plimsoll_units::RunNanos;

/// The measure window: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub start: RunNanos,
    /// The first moment after it.
    pub end: RunNanos,
}

impl Window {
    /// The measure window of a point.
    #[must_use]
    pub const fn of(phases: &Phases) -> Self {
        Self { start: phases.measure_start_ns, end: phases.measure_end_ns }
    }

    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: RunNanos) -> bool {
        self.start <= at && at < self.end
    }

    /// Its length; zero when it ends before it starts.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.end - self.start
    }
}
