//! Elsewhere: the runtime's millisecond timer, and the rest awake.

use std::io;
use std::time::Duration;

use plimsoll_units::{Clock, RunClock, RunNanos};

/// The runtime's own timer.
#[derive(Debug)]
pub(super) struct Timer;

impl Timer {
    /// What the runtime's timer may be late by; the pacer waits it out awake.
    pub(super) const LEAST_SPIN: Duration = Duration::from_millis(2);

    #[expect(clippy::unnecessary_wraps, reason = "the timer of other systems can fail here")]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Returns once the clock has reached `instant`.
    pub(super) async fn sleep_until(
        &mut self,
        clock: &RunClock,
        instant: RunNanos,
    ) -> io::Result<()> {
        loop {
            match instant.since(clock.now()) {
                Duration::ZERO => return Ok(()),
                left => tokio::time::sleep(left).await,
            }
        }
    }
}
