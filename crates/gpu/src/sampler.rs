//! The sampler: every device at a fixed period, on threads of its own.
//!
//! Sample `k` is due `k` periods after the first, whatever the ones before took: it sleeps to an
//! absolute deadline of the run's clock, in nanoseconds. When a call into the driver takes longer than
//! a period, the deadlines that passed meanwhile have no sample: a gap in the rows, after which they
//! stand where they would have stood. The slow readings have a second thread (see `census.rs`).
//!
//! The driver is opened on the sampler's thread as well: with a card that fell off the bus, that call
//! may never return.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use plimsoll_records::GpuRow;
use plimsoll_units::{Clock as _, RunClock, RunNanos};

use crate::census::{Census, Desk};
use crate::samples::{CpuReading, GpuMiss, GpuSamples};
use crate::{GpuDriver, GpuError, GpuMachine, GpuReader};

/// The time between two rounds of the slow readings.
const CENSUS_PERIOD: Duration = Duration::from_secs(1);

/// Longest sleep without a look at whether to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Longest wait for the driver to open. Where it keeps no GPU initialised, that takes seconds.
const LONGEST_OPEN: Duration = Duration::from_secs(10);

/// Longest wait for the sampler's threads to end. A driver that hangs must not hang the caller.
const LONGEST_STOP: Duration = Duration::from_secs(2);

/// What the sampler needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuConfig {
    /// The NVML library; `None` looks for it as [`GpuDriver::open`] says.
    pub library: Option<PathBuf>,
    /// The time between two samples: 10 ms to 10 s.
    pub period: Duration,
    /// The clock that stamps them.
    pub clock: RunClock,
}

impl GpuConfig {
    /// The shortest period: devices renew their readings no more often.
    pub const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
    /// The longest period.
    pub const LONGEST_PERIOD: Duration = Duration::from_secs(10);

    /// Ten samples a second of the driver's own library, stamped by `clock`.
    ///
    /// Devices average their utilisation over 1/6 s to 1 s and their power over 25 ms to 1 s: ten
    /// samples a second lose nothing of the first and little of the second.
    #[must_use]
    pub const fn new(clock: RunClock) -> Self {
        Self { library: None, period: Duration::from_millis(100), clock }
    }
}

/// Samples every GPU of this machine until it is dropped.
///
/// What it does after the start can fail in no way that concerns its caller: a device that is lost, a
/// reading that fails, a driver that stalls are part of what [`take`](Self::take) gives. Samples stay
/// in memory until they are taken: some 200 bytes for each sample of each device, hence 60 MB an hour
/// for eight devices at ten samples a second.
#[derive(Debug)]
pub struct GpuSampler {
    shared: Arc<Shared>,
    machine: GpuMachine,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    samples: Mutex<GpuSamples>,
    stop: AtomicBool,
    /// CPU time of the census thread, ns.
    census_cpu_ns: AtomicU64,
}

impl GpuSampler {
    /// Opens the driver and starts to sample.
    ///
    /// It waits for the driver for ten seconds at most. One that opens later is closed again.
    ///
    /// # Errors
    /// When the period is out of range, when the driver does not answer or a thread is not to be had,
    /// and as [`GpuDriver::open`].
    pub fn start(config: GpuConfig) -> Result<Self, GpuError> {
        Self::start_within(config, LONGEST_OPEN)
    }

    fn start_within(config: GpuConfig, longest_open: Duration) -> Result<Self, GpuError> {
        let GpuConfig { library, period, clock } = config;
        if !(GpuConfig::SHORTEST_PERIOD..=GpuConfig::LONGEST_PERIOD).contains(&period) {
            return Err(GpuError::Period { period });
        }
        let shared = Arc::new(Shared {
            samples: Mutex::new(GpuSamples::empty(period, Vec::new())),
            stop: AtomicBool::new(false),
            census_cpu_ns: AtomicU64::new(0),
        });
        let for_thread = Arc::clone(&shared);
        let (opened, answer) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("plimsoll-gpu".to_owned())
            .spawn(move || {
                if let Some(driver) = for_thread.open(library.as_deref(), &opened) {
                    for_thread.run(&driver, period, clock);
                }
            })
            .map_err(GpuError::Thread)?;
        match answer.recv_timeout(longest_open) {
            Ok(machine) => Ok(Self { shared, machine: machine?, thread: Some(thread) }),
            Err(RecvTimeoutError::Timeout) => {
                // It may answer between this moment and the end of the channel.
                shared.stop.store(true, Ordering::Relaxed);
                Err(GpuError::NoAnswer { waited: longest_open })
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(GpuError::Thread(io::Error::other("it panicked while it opened the driver")))
            }
        }
    }

    /// The GPUs of the machine, as the driver described them at the start.
    #[must_use]
    pub const fn machine(&self) -> &GpuMachine {
        &self.machine
    }

    /// Everything since the last call. It never waits for the driver.
    #[must_use]
    pub fn take(&self) -> GpuSamples {
        self.shared.samples().take()
    }

    /// The newest sample of each GPU that has one since the last [`take`](Self::take), in the order of the
    /// GPUs. It takes nothing, and never waits for the driver.
    #[must_use]
    pub fn latest(&self) -> Vec<GpuRow> {
        let samples = self.shared.samples();
        let newest = |gpu: &u32| samples.rows.iter().rev().find(|row| row.gpu == *gpu).cloned();
        samples.gpus.iter().filter_map(newest).collect()
    }

    /// Ends the sampling and gives the rest.
    ///
    /// It waits for a call into the driver that is under way, for two seconds at most.
    #[must_use]
    pub fn finish(mut self) -> GpuSamples {
        self.stop();
        self.take()
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        let pause = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < LONGEST_STOP {
            thread::sleep(pause);
            waited += pause;
        }
        if !thread.is_finished() {
            tracing::warn!("the GPU driver does not return from a call: its thread is left behind");
        } else if thread.join().is_err() {
            tracing::error!("the GPU sampler's thread panicked");
        }
    }
}

impl Drop for GpuSampler {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn samples(&self) -> MutexGuard<'_, GpuSamples> {
        // What is behind the lock is whole whatever happened to its last holder.
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Opens the driver and tells what it says of the machine, or why it cannot be had; `None` when
    /// there is nothing to sample, or nobody waits for it any more.
    fn open(
        &self,
        library: Option<&Path>,
        opened: &SyncSender<Result<GpuMachine, GpuError>>,
    ) -> Option<GpuDriver> {
        match GpuDriver::open(library) {
            Ok(driver) => {
                self.samples().gpus = driver.indices();
                opened.send(Ok(driver.machine())).ok().map(|()| driver)
            }
            Err(error) => {
                // Whoever gave up waiting has an error of his own.
                let _ = opened.send(Err(error));
                None
            }
        }
    }

    /// The life of the sampler's thread, once the driver is open.
    fn run(&self, driver: &GpuDriver, period: Duration, clock: RunClock) {
        let desk = Desk::default();
        thread::scope(|scope| {
            let census = thread::Builder::new()
                .name("plimsoll-gpu-1s".to_owned())
                .spawn_scoped(scope, || self.census(driver, period, clock, &desk));
            if let Err(error) = &census {
                tracing::warn!(%error, "no thread for PCIe traffic, processes and memory errors");
            }
            self.pulse(driver, period, clock, &desk);
            if let Ok(census) = census {
                census.thread().unpark();
            }
        });
    }

    /// Samples every period until it is told to stop.
    fn pulse(&self, driver: &GpuDriver, period: Duration, clock: RunClock, desk: &Desk) {
        let mut reader = GpuReader::new(driver, clock);
        let mut rows = Vec::new();
        let mut sightings = Vec::new();
        let first = clock.now();
        let mut due = first;
        while self.sleep_until(clock, due) {
            reader.read(&mut rows);
            desk.collect(&mut rows, &mut sightings, &mut reader.troubles);
            let used =
                cpu_time() + Duration::from_nanos(self.census_cpu_ns.load(Ordering::Relaxed));
            let now = clock.now();
            {
                let mut samples = self.samples();
                samples.rows.append(&mut rows);
                samples.processes.append(&mut sightings);
                let misses = reader.empty.drain(..).map(|(at, gpu)| GpuMiss { at, gpu });
                samples.misses.extend(misses);
                reader.troubles.hand_over(&mut samples);
                samples.cpu.push(CpuReading { at: now, used });
            }
            due = next_due(first, period, now);
        }
    }

    /// Reads the slow readings every second until it is told to stop.
    fn census(&self, driver: &GpuDriver, period: Duration, clock: RunClock, desk: &Desk) {
        let period = CENSUS_PERIOD.max(period);
        let mut census = Census::new(driver, clock);
        let first = clock.now();
        while self.goes_on() {
            census.round(desk, || self.goes_on());
            let used = u64::try_from(cpu_time().as_nanos()).unwrap_or(u64::MAX);
            self.census_cpu_ns.store(used, Ordering::Relaxed);
            let due = next_due(first, period, clock.now());
            while self.goes_on() && clock.now() < due {
                thread::park_timeout(due - clock.now());
            }
        }
    }

    /// Sleeps until `due`, and says whether to go on.
    fn sleep_until(&self, clock: RunClock, due: RunNanos) -> bool {
        loop {
            if !self.goes_on() {
                return false;
            }
            let now = clock.now();
            if now >= due {
                return true;
            }
            // A signal may end the sleep early, and the loop goes back to it.
            let until = clock.monotonic(due.min(now + LONGEST_SLEEP)).into();
            let flags = ClockNanosleepFlags::TIMER_ABSTIME;
            let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, flags, &until);
        }
    }
}

/// The first deadline after `now`: a whole number of periods after `first`.
fn next_due(first: RunNanos, period: Duration, now: RunNanos) -> RunNanos {
    let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let gone = (now.as_nanos().saturating_sub(first.as_nanos())) / period_ns;
    RunNanos::from_nanos(first.as_nanos().saturating_add(period_ns.saturating_mul(gone + 1)))
}

/// The CPU time that the calling thread has used; zero where the system does not say.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use plimsoll_nvml_stand_in::{Script, ScriptedGpu, install};

    use super::*;

    #[test]
    fn deadlines_never_move() {
        let (first, period) = (RunNanos::from_nanos(1_007), Duration::from_nanos(100));
        let due = |now| next_due(first, period, RunNanos::from_nanos(now)).as_nanos();
        assert_eq!(due(1_007), 1_107, "a sample that took no time");
        assert_eq!(due(1_106), 1_107);
        assert_eq!(due(1_107), 1_207, "the deadline of this moment has had its sample");
        assert_eq!(due(1_950), 2_007, "a slow call skips deadlines, and moves none");
    }

    /// A library whose start takes so long, and the folder that it stays in.
    fn slow(init_sleep_ms: u64) -> (tempfile::TempDir, GpuConfig) {
        let dir = tempfile::tempdir().unwrap();
        let gpus = vec![ScriptedGpu::named("slow")];
        let library = install(&Script { init_sleep_ms, gpus, ..Script::default() }, dir.path());
        let library = Some(library.unwrap());
        (dir, GpuConfig { library, ..GpuConfig::new(RunClock::start()) })
    }

    #[test]
    fn a_driver_that_does_not_open_is_an_error_and_holds_nobody() {
        let (_dir, config) = slow(3_600_000);
        let limit = Duration::from_millis(50);
        let error = GpuSampler::start_within(config, limit).unwrap_err();
        assert!(matches!(error, GpuError::NoAnswer { waited } if waited == limit), "{error}");
        assert!(error.to_string().contains("has not opened within 50ms"), "{error}");
    }

    #[test]
    fn a_driver_that_opens_in_time_is_sampled_however_slowly() {
        let (_dir, config) = slow(200);
        let sampler = GpuSampler::start_within(config, Duration::from_secs(60)).unwrap();
        assert_eq!(sampler.machine().gpus.len(), 1);
        assert_eq!(sampler.finish().gpus, [0]);
    }

    #[test]
    fn a_driver_that_opens_for_nobody_is_closed_again() {
        let (_dir, config) = slow(0);
        let shared = Shared {
            samples: Mutex::default(),
            stop: AtomicBool::new(false),
            census_cpu_ns: AtomicU64::new(0),
        };
        let (opened, answer) = mpsc::sync_channel(1);
        assert!(shared.open(config.library.as_deref(), &opened).is_some());
        assert_eq!(answer.recv().unwrap().unwrap().gpus.len(), 1);
        drop(answer);
        assert!(shared.open(config.library.as_deref(), &opened).is_none());
    }

    #[test]
    fn a_period_out_of_range_is_refused_before_anything_is_opened() {
        for period in [Duration::ZERO, Duration::from_millis(9), Duration::from_secs(11)] {
            let clock = RunClock::start();
            let config = GpuConfig { period, ..GpuConfig::new(clock) };
            let error = GpuSampler::start(config).unwrap_err();
            assert!(matches!(error, GpuError::Period { .. }));
            assert!(error.to_string().contains("10ms to 10s"), "{error}");
        }
    }
}
