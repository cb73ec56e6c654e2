//! What a server counted between two pages of its metrics.

use std::time::Duration;

use plimsoll_records::{ServerCounters, Tally};

use super::MetricsSample;

/// Two start times that differ by no more than this are the same: each is a float of seconds.
const SAME_START: Duration = Duration::from_millis(100);

/// Share of a counter by which it may seem to fall: histograms of several processes are summed as
/// floats, in an order that is not always the same.
const ROUNDING: f64 = 1e-9;

impl MetricsSample {
    /// What was counted from `before` to `after`: each difference is `None` where either has no such
    /// figure, and the gauges stay `None`, for they do not grow.
    ///
    /// When a counter fell, the start time changed or the names did, the server is not the one it was:
    /// then it is `restarted`, and every difference is `None`.
    #[must_use]
    pub fn delta(before: &Self, after: &Self) -> ServerCounters {
        let mut growth = Growth { fell: false };
        let delta = ServerCounters {
            prefix_cache_queries_tokens: growth
                .of(before.prefix_cache_queries, after.prefix_cache_queries),
            prefix_cache_hits_tokens: growth.of(before.prefix_cache_hits, after.prefix_cache_hits),
            preemptions: growth.of(before.preemptions, after.preemptions),
            prompt_tokens: growth.of(before.prompt_tokens, after.prompt_tokens),
            generation_tokens: growth.of(before.generation_tokens, after.generation_tokens),
            queue_time_s: growth.of_tally(before.queue_time_s, after.queue_time_s),
            prefill_time_s: growth.of_tally(before.prefill_time_s, after.prefill_time_s),
            decode_time_s: growth.of_tally(before.decode_time_s, after.decode_time_s),
            ttft_s: growth.of_tally(before.ttft_s, after.ttft_s),
            e2e_s: growth.of_tally(before.e2e_s, after.e2e_s),
            step_tokens: growth.of_tally(before.step_tokens, after.step_tokens),
            ..ServerCounters::default()
        };
        let new_start = before
            .started
            .zip(after.started)
            .is_some_and(|(before, after)| before.abs_diff(after) > SAME_START);
        if growth.fell || new_start || before.server != after.server {
            ServerCounters { restarted: true, ..ServerCounters::default() }
        } else {
            delta
        }
    }
}

/// Takes differences, and notes whether one was negative.
struct Growth {
    fell: bool,
}

impl Growth {
    fn of(&mut self, before: Option<f64>, after: Option<f64>) -> Option<f64> {
        let (before, after) = before.zip(after)?;
        let grown = after - before;
        self.fell |= grown < -ROUNDING * before.abs();
        Some(grown.max(0.0))
    }

    fn of_tally(&mut self, before: Option<Tally>, after: Option<Tally>) -> Option<Tally> {
        let (before, after) = before.zip(after)?;
        Some(Tally {
            count: self.of(Some(before.count), Some(after.count))?,
            sum: self.of(Some(before.sum), Some(after.sum))?,
        })
    }
}
