//! What a server counted between two pages of its metrics.

use std::time::Duration;

use plimsoll_records::Tally;

use super::MetricsSample;

/// Two start times that differ by no more than this are the same: each is a float of seconds.
const SAME_START: Duration = Duration::from_millis(100);

/// Share of a counter by which it may seem to fall: histograms of several processes are summed as
/// floats, in an order that is not always the same.
const ROUNDING: f64 = 1e-9;

/// The growth of the server's counters between two samples; `None` where either has none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricsDelta {
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_cache_queries: Option<f64>,
    /// Prompt tokens found there.
    pub prefix_cache_hits: Option<f64>,
    /// Requests preempted.
    pub preemptions: Option<f64>,
    /// Prompt tokens taken in, cached ones included.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated.
    pub generation_tokens: Option<f64>,
    /// Arrival at the engine to first scheduling, of the requests that finished in between.
    pub queue_time_s: Option<Tally>,
    /// First scheduling to first token, of the requests that finished in between.
    pub prefill_time_s: Option<Tally>,
    /// First token to last, of the requests that finished in between.
    pub decode_time_s: Option<Tally>,
    /// The server's own time to first token.
    pub ttft_s: Option<Tally>,
    /// The server's own time of a whole request.
    pub e2e_s: Option<Tally>,
    /// Tokens of an engine step.
    pub step_tokens: Option<Tally>,
    /// Whether a counter fell, the start time changed, or the names did: then the server is not the
    /// one it was, and every difference is `None`.
    pub restarted: bool,
}

impl MetricsDelta {
    /// Hits / queries, 0 to 1; `None` without a query.
    #[must_use]
    pub fn prefix_hit_rate(&self) -> Option<f64> {
        let queries = self.prefix_cache_queries.filter(|&queries| queries > 0.0)?;
        Some(self.prefix_cache_hits? / queries)
    }
}

impl MetricsSample {
    /// What was counted from `before` to `after`.
    #[must_use]
    pub fn delta(before: &Self, after: &Self) -> MetricsDelta {
        let mut growth = Growth { fell: false };
        let delta = MetricsDelta {
            prefix_cache_queries: growth
                .of(before.prefix_cache_queries, after.prefix_cache_queries),
            prefix_cache_hits: growth.of(before.prefix_cache_hits, after.prefix_cache_hits),
            preemptions: growth.of(before.preemptions, after.preemptions),
            prompt_tokens: growth.of(before.prompt_tokens, after.prompt_tokens),
            generation_tokens: growth.of(before.generation_tokens, after.generation_tokens),
            queue_time_s: growth.of_tally(before.queue_time_s, after.queue_time_s),
            prefill_time_s: growth.of_tally(before.prefill_time_s, after.prefill_time_s),
            decode_time_s: growth.of_tally(before.decode_time_s, after.decode_time_s),
            ttft_s: growth.of_tally(before.ttft_s, after.ttft_s),
            e2e_s: growth.of_tally(before.e2e_s, after.e2e_s),
            step_tokens: growth.of_tally(before.step_tokens, after.step_tokens),
            restarted: false,
        };
        let new_start = before
            .started
            .zip(after.started)
            .is_some_and(|(before, after)| before.abs_diff(after) > SAME_START);
        if growth.fell || new_start || before.server != after.server {
            MetricsDelta { restarted: true, ..MetricsDelta::default() }
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
