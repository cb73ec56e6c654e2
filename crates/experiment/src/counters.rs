//! The server's own counters over a point's window, read from its metrics page beside the load.

use std::time::Duration;

use plimsoll_records::ServerCounters;
use plimsoll_server::{ControlClient, MetricsDelta, MetricsSample};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use tokio::runtime::Runtime;

use crate::interrupt::Interrupt;

/// How often the gauges are read inside the window.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for a server to become idle between two points.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Wait between two points where the server does not say whether it is idle.
const IDLE_BLIND: Duration = Duration::from_millis(1500);

/// Reads the counters at both ends of the window, and the gauges in between.
pub(crate) struct Counters<'a> {
    runtime: &'a Runtime,
    /// `None` where nobody wants to know.
    control: Option<&'a ControlClient>,
    /// Whether the server has a metrics page that we understand.
    known: bool,
    before: Option<MetricsSample>,
    next_sample: RunNanos,
    record: ServerCounters,
}

impl<'a> Counters<'a> {
    /// Counters of the server behind `control`; reads its page once to see whether there is one.
    pub(crate) fn new(runtime: &'a Runtime, control: &'a ControlClient) -> Self {
        let mut counters = Self { control: Some(control), known: true, ..Self::none(runtime) };
        counters.known = counters.read().is_some();
        counters
    }

    /// Counters of nothing, for a load whose server is of no interest.
    pub(crate) fn none(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            control: None,
            known: false,
            before: None,
            next_sample: RunNanos::ZERO,
            record: ServerCounters::default(),
        }
    }

    /// The window begins.
    pub(crate) fn start(&mut self) {
        self.before = self.read();
    }

    /// A moment inside the window; reads the gauges when it is time.
    pub(crate) fn sample(&mut self, now: RunNanos) {
        if self.known && now >= self.next_sample {
            self.next_sample = now + SAMPLE_EVERY;
            self.read();
        }
    }

    /// The window has ended.
    pub(crate) fn end(&mut self) {
        let Some(before) = self.before.take() else { return };
        let Some(after) = self.read() else { return };
        let delta: MetricsDelta = MetricsSample::delta(&before, &after);
        self.record.prefix_cache_queries_tokens = delta.prefix_cache_queries;
        self.record.prefix_cache_hits_tokens = delta.prefix_cache_hits;
        self.record.preemptions = delta.preemptions;
    }

    /// What was seen; the next point starts from nothing.
    pub(crate) fn finish(&mut self) -> ServerCounters {
        self.before = None;
        std::mem::take(&mut self.record)
    }

    /// Waits until the server has nothing left to do, as far as it tells; says whether it got there.
    pub(crate) fn wait_until_idle(&mut self, clock: RunClock, interrupt: &Interrupt) -> bool {
        let start = clock.now();
        let mut idle = false;
        while !idle && clock.now() - start < IDLE_LIMIT && !interrupt.is_raised() {
            idle = match self.read().and_then(|sample| sample.idle()) {
                Some(idle) => idle,
                None => clock.now() - start >= IDLE_BLIND,
            };
            if !idle {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        // What the gauges said while waiting belongs to no point.
        self.finish();
        idle || interrupt.is_raised()
    }

    fn read(&mut self) -> Option<MetricsSample> {
        if !self.known {
            return None;
        }
        // A page that fails once is a gap in the circumstances, not in the measurement.
        let sample = self.runtime.block_on(self.control?.metrics()).ok().flatten()?;
        sample.server?;
        let most = |seen: &mut Option<f64>, now: Option<f64>| {
            if let Some(now) = now {
                *seen = Some(seen.map_or(now, |seen: f64| seen.max(now)));
            }
        };
        most(&mut self.record.running_max, sample.running);
        most(&mut self.record.waiting_max, sample.waiting);
        most(&mut self.record.kv_cache_usage_max, sample.kv_cache_usage);
        Some(sample)
    }
}
