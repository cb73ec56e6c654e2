//! Linux: a timer of nanosecond resolution that the runtime polls like a socket.
//!
//! The deadline is absolute on `CLOCK_MONOTONIC`, the clock of [`RunClock`], so neither the time
//! between reading the clock and setting the timer nor a late wake-up can add up. Timer slack does
//! not apply to it: the kernel adds slack to sleeping system calls, not to timer descriptors.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::{Poll, ready};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use plimsoll_units::{Clock, RunClock, RunNanos};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One `timerfd`, set anew for each sleep.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<Descriptor>);

/// The timer's file descriptor as the runtime wants it.
#[derive(Debug)]
struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// The kernel's timer is exact; what waking takes is learned ([`crate::Spin`]).
    pub(super) const LEAST_SPIN: Duration = Duration::ZERO;

    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Descriptor(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        // SAFETY: the descriptor is open, owned by `timer` and closed only when that is dropped,
        // which the `AsyncFd` that owns it does; `as_raw_fd` returns that one descriptor.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(timer))
    }

    /// Returns once the clock has reached `instant`.
    pub(super) async fn sleep_until(
        &mut self,
        clock: &RunClock,
        instant: RunNanos,
    ) -> io::Result<()> {
        let deadline = TimeSpec::from_duration(clock.monotonic(instant));
        let timer = &self.0.get_ref().0;
        timer.set(Expiration::OneShot(deadline), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        // The clock decides and the descriptor only wakes: an expiry left over from a sleep that
        // was given up is harmless, and so is a poll that comes for another reason. Nothing is read
        // from the descriptor, since every expiry raises a new edge and setting it clears the count.
        poll_fn(|cx| {
            while clock.now() < instant {
                ready!(self.0.poll_read_ready(cx))?.clear_ready();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}
