//! What the client knows of itself: of its threads, its stamps, its clock, and of its own error.

use plimsoll_units::Lags;
use serde::{Deserialize, Serialize};

use crate::row::StampSource;

/// One worker thread of the client over the measure window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Its number, from 0.
    pub worker: u32,
    /// CPU time of the thread over the measure window / its length; 0 to 1. `None` where the system
    /// does not say.
    pub cpu_share: Option<f64>,
    /// Time that the thread was ready to run and another had its core, over the measure window / its
    /// length; 0 to 1. `None` where the system does not say.
    #[serde(default)]
    pub run_queue_share: Option<f64>,
    /// Rows that had to wait because the writer's queue was full. They are in the file all the same.
    pub rows_deferred: u64,
    /// Requests whose body was not encoded ahead of time.
    pub bodies_late: u64,
    /// How late the thread woke for each start: dequeued - intended, over the whole point.
    #[serde(default)]
    pub wake_up: LagRecord,
    /// Connections that the thread opened, ahead of requests and for them.
    #[serde(default)]
    pub connections_opened: u64,
}

/// How the client stamped the responses of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StampsRecord {
    /// The best source that was in effect. A row whose stamps fell back says so itself.
    pub source: StampSource,
    /// How long bytes lay in the kernel before the client read them: the clock right after each read
    /// that brought bytes, less the kernel's time of their arrival. What stamps of the `user` kind
    /// would have been wrong by. Without kernel stamps it counts nothing.
    pub read_delay: LagRecord,
    /// Reads whose kernel stamp was missing or could not be right, so that the clock was used.
    pub socket_fallbacks: u64,
    /// Chunks and marks that the packet capture had no time for, so that the socket's stamp, or the
    /// clock's, was used.
    pub packet_fallbacks: u64,
    /// Segments that the packet capture saw; `None` without one.
    pub packets: Option<u64>,
    /// Segments that the packet capture lost because its ring was full; `None` without one.
    pub packets_dropped: Option<u64>,
}

/// What the system's clocks did during a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// How often the wall clock was set against the monotonic one.
    pub steps: u32,
    /// The sum of the sizes of those steps, ms.
    pub stepped_ms: f64,
    /// The rate of the monotonic clock against the raw hardware one, less 1, in parts per million;
    /// `None` where the system has no raw clock.
    pub slew_ppm: Option<f64>,
}

/// How late something was, over many occasions. Zero where `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LagRecord {
    /// Occasions.
    pub count: u64,
    /// The mean, ms.
    pub mean_ms: f64,
    /// The median, ms.
    pub p50_ms: f64,
    /// The 99th percentile, ms: nearest rank, at most 1.6 % too high.
    pub p99_ms: f64,
    /// The largest, ms.
    pub max_ms: f64,
}

impl From<&Lags> for LagRecord {
    fn from(lags: &Lags) -> Self {
        let ms = |lag: Option<std::time::Duration>| lag.map_or(0.0, |lag| lag.as_secs_f64() * 1e3);
        Self {
            count: lags.count(),
            mean_ms: ms(lags.mean()),
            p50_ms: ms(lags.quantile(0.5)),
            p99_ms: ms(lags.quantile(0.99)),
            max_ms: ms(Some(lags.max())),
        }
    }
}

/// The client's own error, measured on this machine against the simulator of this process, whose log
/// says when it sent what.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// When it was made.
    pub when: SelfTestTime,
    /// Requests due in its window / the window's length, per second.
    pub rate_per_s: f64,
    /// Streams that were open at once, on average.
    pub streams: f64,
    /// Requests due in its window that were compared with the simulator's log.
    pub requests: u64,
    /// Requests that failed, that were sent twice or that the log lacks.
    pub lost: u64,
    /// Where the stamps came from.
    pub stamps: StampSource,
    /// (First token as stamped - first token as the simulator wrote it) - max(0, sent - when the
    /// simulator had read the request), all on one clock. Above 0 the client says too long a TTFT. What
    /// passes between sent and a later reading is the simulator's delay, and no error of the client's.
    pub ttft_error: ErrorRecord,
    /// (Last - first token) / (tokens - 1) by the client's stamps, less the same by the simulator's log.
    /// Answers of two tokens or more.
    pub tpot_error: ErrorRecord,
    /// Sent - intended.
    pub schedule_lag: LagRecord,
}

/// When a self-test was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfTestTime {
    /// Before the first point.
    Before,
    /// After the last one.
    After,
}

/// A signed error over many requests, ms. Zero where `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// Requests.
    pub count: u64,
    /// The mean of the signed errors, ms.
    pub mean_ms: f64,
    /// The median of the signed errors, ms.
    pub p50_ms: f64,
    /// The 99th percentile of the errors' sizes, ms.
    pub p99_ms: f64,
    /// The largest size, ms.
    pub max_ms: f64,
}
