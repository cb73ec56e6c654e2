//! From a page of metrics to the few figures that matter, whatever the server calls them.
//!
//! [`MetricsSample`] is what one page says, [`MetricsSample::delta`] what two say of the time between;
//! `families` is the table of names, one row a family of servers. What a family does not count, or
//! counts in another sense, stays `None`: nothing is guessed.

mod delta;
mod families;
mod names;

use std::time::Duration;

use plimsoll_records::Tally;

use crate::exposition::Exposition;
use crate::identity::ServerKind;

pub(crate) use names::{CREATED, Names};

/// The server's own counters and gauges at one moment, summed over its engines.
///
/// `None` where the server does not say. Times are in seconds, as every known server counts them; a
/// [`Tally`] is a histogram's count and sum since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricsSample {
    /// Whose names these are; `None` when the page is of no known family.
    pub server: Option<ServerKind>,
    /// When the server's process started, since 1970-01-01 UTC by its own clock: what the page says
    /// outright, else the earliest moment at which one of its series was created.
    pub started: Option<Duration>,
    /// Requests being worked on. For Dynamo's frontend: those past their first token.
    pub running: Option<f64>,
    /// Requests waiting for a slot. For Dynamo's frontend: those before their first token.
    pub waiting: Option<f64>,
    /// Share of the KV cache in use, 0 to 1; of the fullest engine.
    pub kv_cache_usage: Option<f64>,
    /// Prompt tokens looked up in the prefix cache, since the server's start. Some early versions
    /// of vLLM count blocks here and in the hits, which leaves the ratio as it is.
    pub prefix_cache_queries: Option<f64>,
    /// Prompt tokens found there, since the server's start.
    pub prefix_cache_hits: Option<f64>,
    /// Requests preempted since the server's start.
    pub preemptions: Option<f64>,
    /// Prompt tokens taken in since the server's start, cached ones included.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated since the server's start.
    pub generation_tokens: Option<f64>,
    /// Arrival at the engine to first scheduling, of finished requests.
    pub queue_time_s: Option<Tally>,
    /// First scheduling to first token, of finished requests.
    pub prefill_time_s: Option<Tally>,
    /// First token to last, of finished requests.
    pub decode_time_s: Option<Tally>,
    /// The server's own time to first token.
    pub ttft_s: Option<Tally>,
    /// The server's own time of a whole request.
    pub e2e_s: Option<Tally>,
    /// Tokens of an engine step, prompt and output together.
    pub step_tokens: Option<Tally>,
}

impl MetricsSample {
    /// Whether nothing runs and nothing waits; `None` when the server does not say enough to know.
    #[must_use]
    pub fn idle(&self) -> Option<bool> {
        match (self.running, self.waiting) {
            (Some(running), Some(waiting)) => Some(running == 0.0 && waiting == 0.0),
            (Some(count), None) | (None, Some(count)) if count > 0.0 => Some(false),
            _ => None,
        }
    }

    /// The figures of a page whose series are called `names` and have the values `values`.
    pub(crate) fn read(names: &Names, values: &[f64]) -> Self {
        let mut families = names.families();
        let mut sample = families.next().map(|family| family.read(values)).unwrap_or_default();
        // The frontend of a cluster knows nothing of the inside of the engines; a page that also
        // passes their metrics on does.
        if sample.server == Some(ServerKind::Dynamo)
            && let Some(engine) = families.next()
        {
            let engine = engine.read(values);
            sample.kv_cache_usage = sample.kv_cache_usage.or(engine.kv_cache_usage);
            sample.preemptions = sample.preemptions.or(engine.preemptions);
            sample.queue_time_s = sample.queue_time_s.or(engine.queue_time_s);
            sample.prefill_time_s = sample.prefill_time_s.or(engine.prefill_time_s);
            sample.decode_time_s = sample.decode_time_s.or(engine.decode_time_s);
            sample.step_tokens = sample.step_tokens.or(engine.step_tokens);
        }
        sample.started = names.started(values);
        sample
    }
}

impl From<&Exposition> for MetricsSample {
    /// The figures of a page; all `None` when it is of no known family, but for `started`, which has
    /// the same name everywhere.
    fn from(page: &Exposition) -> Self {
        let names = Names::of(page.samples.iter().map(|sample| sample.name.as_str()));
        let values: Vec<f64> = page.samples.iter().map(|sample| sample.value).collect();
        Self::read(&names, &values)
    }
}

#[cfg(test)]
mod tests;
