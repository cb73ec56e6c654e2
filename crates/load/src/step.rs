//! What a loop tells the driver to do next.

use plimsoll_units::RunNanos;

use crate::follow::FollowUp;

/// A start that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) index: u64,
    pub(crate) intended: RunNanos,
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start it now.
    Start(Due),
    /// Start what follows on another task now.
    Follow(FollowUp),
    /// It is due and may not start: the cap is reached.
    Shed(Due),
    /// Nothing before this instant, unless a task ends or the stop changes.
    Wait(RunNanos),
    /// Nothing ever.
    End,
}
