//! The C function that the library puts in front of the system's.

use std::sync::OnceLock;
use std::time::Duration;

use nix::libc::{
    CLOCK_MONOTONIC, CLOCK_REALTIME, SYS_clock_gettime, c_int, clockid_t, syscall, timespec,
};

/// The environment variable that says by how much the wall clock is set, ms.
pub const STEP_MS: &str = "PLIMSOLL_CLOCK_STEP_MS";

/// How long the wall clock goes on between two settings: forward at the end of each even one of the
/// monotonic clock's, back at the end of each odd one.
pub const PERIOD: Duration = Duration::from_millis(400);

const SECOND: i64 = 1_000_000_000;

/// `clock_gettime` of the system, but for the wall clock.
///
/// # Safety
/// As the system's own: `to` is null or valid for a write.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    // SAFETY: the caller's promise about `to` is what the system asks for.
    let code = unsafe { syscall(SYS_clock_gettime, clock, to) } as c_int;
    if code == 0 && clock == CLOCK_REALTIME {
        // SAFETY: the system has just written there, so it is neither null nor invalid.
        let now = unsafe { &mut *to };
        set(now, offset_ns());
    }
    code
}

/// By how much the wall clock is ahead at this moment.
fn offset_ns() -> i64 {
    static STEP: OnceLock<i64> = OnceLock::new();
    let step_ms = *STEP.get_or_init(|| {
        std::env::var(STEP_MS).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    if step_ms == 0 {
        return 0;
    }
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for a write.
    unsafe { syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &raw mut now) };
    let period = i64::try_from(PERIOD.as_nanos()).unwrap_or(SECOND);
    let periods = (now.tv_sec * SECOND + now.tv_nsec) / period;
    if periods % 2 == 0 { 0 } else { step_ms * (SECOND / 1000) }
}

fn set(now: &mut timespec, offset_ns: i64) {
    let nanos = now.tv_nsec + offset_ns;
    now.tv_sec += nanos.div_euclid(SECOND);
    now.tv_nsec = nanos.rem_euclid(SECOND);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_time_is_still_one() {
        for (from, by, to) in [
            ((5, 999_000_000), 40_000_000, (6, 39_000_000)),
            ((5, 1_000_000), -40_000_000, (4, 961_000_000)),
            ((5, 7), 0, (5, 7)),
        ] {
            let mut now = timespec { tv_sec: from.0, tv_nsec: from.1 };
            set(&mut now, by);
            assert_eq!((now.tv_sec, now.tv_nsec), to);
        }
    }

    #[test]
    fn without_the_variable_every_clock_is_the_systems() {
        assert_eq!(offset_ns(), 0);
    }
}
