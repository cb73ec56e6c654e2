//! A runtime on which a driver wakes in time.

use std::io;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// Tasks polled between two looks at timers and sockets.
///
/// The driver's timer is a file descriptor like the sockets: while tasks are ready to run, nobody
/// looks at it. Eight polls of a stream reader take some 50 us; tokio's own 61 take half a
/// millisecond, and the look itself costs under one.
const EVENT_INTERVAL: u32 = 8;

/// A runtime of the calling thread alone, tuned so that a driver starts on time while hundreds of
/// tasks read responses beside it.
///
/// Run the driver as the future of `block_on`, not as a spawned task: it is polled first whenever
/// its timer has fired. `tokio::task::spawn_local` works without a `LocalSet`, and should be
/// used without one: a `LocalSet` polls 61 tasks in a row, whatever the runtime says.
///
/// # Errors
/// When the system gives no poll descriptor (too many open files).
pub fn pacing_runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build_local(LocalOptions::default())
}
