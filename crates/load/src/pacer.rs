//! Sleeping until an instant of the run clock.

use std::io;
use std::time::Duration;

use plimsoll_units::{Clock, RunClock, RunNanos};

use crate::Spin;
use crate::spin::Lead;

// The fallback is compiled into the tests everywhere, so that it cannot rot where it is not used.
#[cfg(any(not(target_os = "linux"), test))]
mod coarse;
#[cfg(target_os = "linux")]
mod timerfd;

#[cfg(not(target_os = "linux"))]
use coarse::Timer;
#[cfg(target_os = "linux")]
use timerfd::Timer;

/// Below this distance the thread turns on the spot instead of giving others a turn, since a turn
/// may take longer.
const LAST_STRETCH: Duration = Duration::from_micros(5);

/// Wakes at absolute instants; a late wake-up never moves the next one.
#[derive(Debug)]
pub(crate) struct Pacer {
    clock: RunClock,
    timer: Timer,
    lead: Lead,
}

impl Pacer {
    /// A pacer that wakes ahead of each instant as `spin` says and waits out the rest awake.
    ///
    /// Must be called inside a runtime.
    pub(crate) fn new(clock: RunClock, spin: Spin) -> io::Result<Self> {
        Ok(Self { clock, timer: Timer::new()?, lead: Lead::new(spin) })
    }

    /// Returns at `instant` or as soon after as the system lets it, never before.
    pub(crate) async fn until(&mut self, instant: RunNanos) -> io::Result<()> {
        let wake = instant.saturating_sub(self.lead.get().max(Timer::LEAST_SPIN));
        if self.clock.now() < wake {
            self.timer.sleep_until(&self.clock, wake).await?;
            self.lead.woke(self.clock.now() - wake);
        }
        loop {
            match instant.since(self.clock.now()) {
                Duration::ZERO => return Ok(()),
                left if left > LAST_STRETCH => tokio::task::yield_now().await,
                _ => std::hint::spin_loop(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::LocalRuntime {
        crate::pacing_runtime().unwrap()
    }

    #[test]
    fn never_wakes_early_and_does_not_sleep_past_instants_gone_by() {
        runtime().block_on(async {
            let clock = RunClock::start();
            for spin in [Spin::NONE, Duration::from_micros(300).into(), Spin::default()] {
                let mut pacer = Pacer::new(clock, spin).unwrap();
                let start = clock.now();
                for step in [3_000_u64, 3_001, 3_001, 1_000, 5_000] {
                    let instant = start + Duration::from_micros(step);
                    pacer.until(instant).await.unwrap();
                    assert!(clock.now() >= instant);
                }
                pacer.until(RunNanos::ZERO).await.unwrap();
            }
        });
    }

    #[test]
    fn learns_how_long_waking_takes() {
        runtime().block_on(async {
            let clock = RunClock::start();
            let limit = Duration::from_micros(80);
            let mut pacer = Pacer::new(clock, Spin::Learned(limit)).unwrap();
            for _ in 0..10 {
                let instant = clock.now() + Duration::from_millis(1);
                pacer.until(instant).await.unwrap();
                assert!(clock.now() >= instant);
            }
            // No system acts on a timer in no time.
            assert!(pacer.lead.get() > Duration::ZERO && pacer.lead.get() <= limit);
        });
    }

    #[test]
    fn a_sleep_given_up_leaves_no_trace() {
        runtime().block_on(async {
            let clock = RunClock::start();
            let mut pacer = Pacer::new(clock, Spin::NONE).unwrap();
            // Given up before it is due; its expiry then falls into the next sleep.
            let soon = clock.now() + Duration::from_millis(2);
            tokio::select! {
                biased;
                _ = pacer.until(soon) => panic!("not due yet"),
                () = std::future::ready(()) => {}
            }
            std::thread::sleep(Duration::from_millis(4));
            let instant = clock.now() + Duration::from_millis(2);
            pacer.until(instant).await.unwrap();
            assert!(clock.now() >= instant);
        });
    }

    #[test]
    fn the_fallback_keeps_its_instants_too() {
        runtime().block_on(async {
            let clock = RunClock::start();
            let mut timer = coarse::Timer::new().unwrap();
            for millis in [1, 4, 4, 9] {
                let instant = RunNanos::ZERO + Duration::from_millis(millis);
                timer
                    .sleep_until(&clock, instant.saturating_sub(coarse::Timer::LEAST_SPIN))
                    .await
                    .unwrap();
            }
            assert!(clock.now() >= RunNanos::ZERO + Duration::from_millis(7));
        });
    }
}
