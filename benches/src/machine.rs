//! What is read from and asked of the machine: the clock, CPU time, memory, a core to run on.

use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use std::sync::OnceLock;

/// This moment on `CLOCK_MONOTONIC`, in ns: the same clock in every process of the machine.
#[must_use]
pub fn monotonic_ns() -> u64 {
    static CLOCK: OnceLock<(RunClock, u64)> = OnceLock::new();
    let (clock, origin_ns) = CLOCK.get_or_init(|| {
        let clock = RunClock::start();
        // The nanoseconds since boot fit 584 years.
        (clock, clock.monotonic(RunNanos::ZERO).as_nanos() as u64)
    });
    origin_ns + clock.now().as_nanos()
}

/// Keeps this thread, and those it starts, on one core.
///
/// # Errors
/// When there is no such core, or the process may not use it.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Lets this process open as many files as it may; gives that number.
///
/// # Errors
/// When the system refuses.
pub fn raise_file_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// What the process has used up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads, user and system. Unit: us.
    pub cpu_us: i64,
    /// Resident memory now. Unit: kB.
    pub rss_kb: u64,
    /// The most that was ever resident. Unit: kB.
    pub peak_rss_kb: u64,
}

impl Usage {
    /// The usage of this process now.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn now() -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let status = fs::read_to_string("/proc/self/status")?;
        Ok(Self {
            cpu_us: usage.user_time().num_microseconds() + usage.system_time().num_microseconds(),
            rss_kb: field_kb(&status, "VmRSS:"),
            peak_rss_kb: field_kb(&status, "VmHWM:"),
        })
    }
}

/// A line like `VmRSS:     1234 kB`; 0 where there is none.
fn field_kb(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How long the threads of this process were ready to run and did not, in all. Unit: ns.
///
/// # Errors
/// When the system keeps no such account (`/proc/self/task/*/schedstat`).
pub fn run_queue_wait_ns() -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that ended meanwhile has no more to say.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        // Three numbers: time on a core, time ready and waiting, slices.
        sum += text.split_ascii_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_status_are_found() {
        let status = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!((field_kb(status, "VmRSS:"), field_kb(status, "VmHWM:")), (1024, 2048));
        assert_eq!(field_kb(status, "VmSwap:"), 0);
    }

    #[test]
    fn this_process_uses_something() {
        let before = Usage::now().unwrap();
        let mut sum = 0_u64;
        while Usage::now().unwrap().cpu_us == before.cpu_us {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(before.rss_kb > 0 && before.peak_rss_kb >= before.rss_kb);
        assert!(raise_file_limit().unwrap() > 0);
    }

    #[test]
    fn the_clock_is_the_systems() {
        let before = monotonic_ns();
        let read = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
        let system = read.tv_sec() as u64 * 1_000_000_000 + read.tv_nsec() as u64;
        assert!(before <= system && system <= monotonic_ns());
    }
}
