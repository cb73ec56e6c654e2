//! From a page of metrics to the few figures that matter, whatever the server calls them.
//!
//! One table row a family of servers. The names of vLLM, Dynamo and llama.cpp are those of captured
//! pages; those of SGLang and TGI are from their documentation. What a family does not count, or
//! counts in another sense, stays `None`: nothing is guessed.

use crate::exposition::Exposition;
use crate::identity::ServerKind;

/// The server's own counters and gauges at one moment, summed over its engines.
///
/// `None` where the server does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricsSample {
    /// Whose names these are; `None` when the page is of no known family.
    pub server: Option<ServerKind>,
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

    /// What was counted from `before` to `after`.
    #[must_use]
    pub fn delta(before: &Self, after: &Self) -> MetricsDelta {
        let mut restarted = before.server != after.server;
        let mut grown = |before: Option<f64>, after: Option<f64>| {
            let grown = after? - before?;
            restarted |= grown < 0.0;
            Some(grown)
        };
        let delta = MetricsDelta {
            prefix_cache_queries: grown(before.prefix_cache_queries, after.prefix_cache_queries),
            prefix_cache_hits: grown(before.prefix_cache_hits, after.prefix_cache_hits),
            preemptions: grown(before.preemptions, after.preemptions),
            prompt_tokens: grown(before.prompt_tokens, after.prompt_tokens),
            generation_tokens: grown(before.generation_tokens, after.generation_tokens),
            restarted: false,
        };
        if restarted { MetricsDelta { restarted, ..MetricsDelta::default() } } else { delta }
    }
}

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
    /// Whether a counter fell, or the names changed: then the server is not the one it was, and
    /// every difference is `None`.
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

impl From<&Exposition> for MetricsSample {
    /// The figures of a page; all `None` when it is of no known family.
    fn from(page: &Exposition) -> Self {
        let Some(family) = FAMILIES
            .iter()
            .find(|family| page.samples.iter().any(|s| s.name.starts_with(family.prefix)))
        else {
            return Self::default();
        };
        let read = |reading: &Reading| reading.of(page, family.absent_is_zero);
        Self {
            server: Some(family.server),
            running: read(&family.running),
            waiting: read(&family.waiting),
            kv_cache_usage: read(&family.kv_cache_usage),
            prefix_cache_queries: read(&family.prefix_cache_queries),
            prefix_cache_hits: read(&family.prefix_cache_hits),
            preemptions: read(&family.preemptions),
            prompt_tokens: read(&family.prompt_tokens),
            generation_tokens: read(&family.generation_tokens),
        }
    }
}

/// How one figure is read off a page.
enum Reading {
    /// This family has no such figure.
    Absent,
    /// The sum over label sets of the first of these names that is there: a metric and what it was
    /// called in older versions, never two metrics added.
    First(&'static [&'static str]),
    /// The largest over label sets, of the first of these names that is there.
    Max(&'static [&'static str]),
    /// The sum of two metrics, both of which must be there.
    Sum(&'static str, &'static str),
    /// The first metric less the second, zero at least; both must be there.
    Difference(&'static str, &'static str),
}

impl Reading {
    fn of(&self, page: &Exposition, absent_is_zero: bool) -> Option<f64> {
        let fold = |name: &str, combine: fn(f64, f64) -> f64| {
            page.named(name).map(|s| s.value).filter(|value| value.is_finite()).reduce(combine)
        };
        let add = |a, b| a + b;
        let sum = |name: &str| fold(name, add).or(absent_is_zero.then_some(0.0));
        match *self {
            Self::Absent => None,
            Self::First(names) => names.iter().find_map(|name| sum(name)),
            Self::Max(names) => names.iter().find_map(|name| fold(name, f64::max)),
            Self::Sum(a, b) => Some(sum(a)? + sum(b)?),
            Self::Difference(a, b) => Some((sum(a)? - sum(b)?).max(0.0)),
        }
    }
}

/// One family of servers: its prefix, and the names behind each figure.
struct Family {
    server: ServerKind,
    prefix: &'static str,
    /// Whether a series is missing until the first request that counts on it.
    absent_is_zero: bool,
    running: Reading,
    waiting: Reading,
    kv_cache_usage: Reading,
    prefix_cache_queries: Reading,
    prefix_cache_hits: Reading,
    preemptions: Reading,
    prompt_tokens: Reading,
    generation_tokens: Reading,
}

/// Looked through in this order. Dynamo comes first: a frontend may pass on the metrics of the
/// engines behind it, but the requests that Plimsoll sends are counted at the front.
const FAMILIES: &[Family] = &[
    Family {
        server: ServerKind::Dynamo,
        prefix: "dynamo_frontend_",
        absent_is_zero: true,
        // `inflight` counts a request from its arrival to its end, `queued` from its arrival to
        // its first token: the queued ones are among the others. A mocker of 8 slots with 32
        // clients shows 32 and 24.
        running: Reading::Difference(
            "dynamo_frontend_inflight_requests",
            "dynamo_frontend_queued_requests",
        ),
        waiting: Reading::First(&["dynamo_frontend_queued_requests"]),
        kv_cache_usage: Reading::Absent,
        prefix_cache_queries: Reading::First(&["dynamo_frontend_input_sequence_tokens_sum"]),
        prefix_cache_hits: Reading::First(&["dynamo_frontend_cached_tokens_sum"]),
        preemptions: Reading::Absent,
        // Counted at the first token; the cached ones follow at the end of the request.
        prompt_tokens: Reading::First(&["dynamo_frontend_input_sequence_tokens_sum"]),
        generation_tokens: Reading::First(&["dynamo_frontend_output_tokens_total"]),
    },
    Family {
        server: ServerKind::Vllm,
        prefix: "vllm:",
        absent_is_zero: false,
        running: Reading::First(&["vllm:num_requests_running"]),
        waiting: Reading::First(&["vllm:num_requests_waiting"]),
        kv_cache_usage: Reading::Max(&["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"]),
        prefix_cache_queries: Reading::First(&[
            "vllm:prefix_cache_queries_total",
            "vllm:prefix_cache_queries",
            "vllm:gpu_prefix_cache_queries_total",
            "vllm:gpu_prefix_cache_queries",
        ]),
        prefix_cache_hits: Reading::First(&[
            "vllm:prefix_cache_hits_total",
            "vllm:prefix_cache_hits",
            "vllm:gpu_prefix_cache_hits_total",
            "vllm:gpu_prefix_cache_hits",
        ]),
        preemptions: Reading::First(&["vllm:num_preemptions_total", "vllm:num_preemptions"]),
        prompt_tokens: Reading::First(&["vllm:prompt_tokens_total", "vllm:prompt_tokens"]),
        generation_tokens: Reading::First(&[
            "vllm:generation_tokens_total",
            "vllm:generation_tokens",
        ]),
    },
    Family {
        server: ServerKind::LlamaCpp,
        prefix: "llamacpp:",
        absent_is_zero: false,
        running: Reading::First(&["llamacpp:requests_processing"]),
        waiting: Reading::First(&["llamacpp:requests_deferred"]),
        kv_cache_usage: Reading::Absent,
        // Its prompt tokens leave the cached ones out, so a lookup is one or the other.
        prefix_cache_queries: Reading::Sum(
            "llamacpp:prompt_tokens_total",
            "llamacpp:prompt_tokens_cached_total",
        ),
        prefix_cache_hits: Reading::First(&["llamacpp:prompt_tokens_cached_total"]),
        preemptions: Reading::Absent,
        prompt_tokens: Reading::Sum(
            "llamacpp:prompt_tokens_total",
            "llamacpp:prompt_tokens_cached_total",
        ),
        generation_tokens: Reading::First(&["llamacpp:tokens_predicted_total"]),
    },
    Family {
        server: ServerKind::SgLang,
        prefix: "sglang:",
        absent_is_zero: false,
        running: Reading::First(&["sglang:num_running_reqs"]),
        waiting: Reading::First(&["sglang:num_queue_reqs"]),
        kv_cache_usage: Reading::Max(&["sglang:token_usage"]),
        prefix_cache_queries: Reading::First(&["sglang:prompt_tokens_total"]),
        prefix_cache_hits: Reading::First(&["sglang:cached_tokens_total"]),
        preemptions: Reading::Absent,
        prompt_tokens: Reading::First(&["sglang:prompt_tokens_total"]),
        generation_tokens: Reading::First(&["sglang:generation_tokens_total"]),
    },
    Family {
        server: ServerKind::Tgi,
        prefix: "tgi_",
        absent_is_zero: false,
        running: Reading::First(&["tgi_batch_current_size"]),
        waiting: Reading::First(&["tgi_queue_size"]),
        kv_cache_usage: Reading::Absent,
        prefix_cache_queries: Reading::Absent,
        prefix_cache_hits: Reading::Absent,
        preemptions: Reading::Absent,
        prompt_tokens: Reading::First(&["tgi_request_input_length_sum"]),
        generation_tokens: Reading::First(&["tgi_request_generated_tokens_sum"]),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(page: &str) -> MetricsSample {
        let page = Exposition::parse(page.as_bytes());
        assert_eq!(page.skipped_lines, 0);
        MetricsSample::from(&page)
    }

    #[test]
    fn engines_are_summed_and_the_fullest_cache_counts() {
        let got = sample(
            "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 4\n\
             vllm:num_requests_waiting{engine=\"0\"} 0\nvllm:num_requests_waiting{engine=\"1\"} 2\n\
             vllm:num_requests_waiting_by_reason{reason=\"capacity\"} 2\n\
             vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n",
        );
        assert_eq!((got.running, got.waiting), (Some(7.0), Some(2.0)));
        assert_eq!(got.kv_cache_usage, Some(0.5));
        assert_eq!(got.preemptions, None);
        assert_eq!(got.server, Some(ServerKind::Vllm));
    }

    #[test]
    fn an_old_name_is_read_and_never_added_to_the_new_one() {
        let old = "vllm:gpu_cache_usage_perc 0.3\nvllm:gpu_prefix_cache_queries_total 10\n\
                   vllm:gpu_prefix_cache_hits_total 4\n";
        let both = format!(
            "{old}vllm:kv_cache_usage_perc 0.3\nvllm:prefix_cache_queries_total 10\n\
             vllm:prefix_cache_hits_total 4\n"
        );
        for page in [old, &both] {
            let got = sample(page);
            assert_eq!(got.kv_cache_usage, Some(0.3));
            assert_eq!(got.prefix_cache_queries, Some(10.0));
            assert_eq!(got.prefix_cache_hits, Some(4.0));
        }
    }

    #[test]
    fn dynamo_counts_no_request_twice_and_is_idle_before_its_first() {
        let busy = sample(
            "dynamo_frontend_inflight_requests{model=\"a\"} 9\n\
             dynamo_frontend_queued_requests{model=\"a\"} 4\nvllm:num_requests_running 100\n",
        );
        assert_eq!((busy.running, busy.waiting), (Some(5.0), Some(4.0)));
        let fresh = sample("dynamo_frontend_model_ready{model=\"a\"} 1\n");
        assert_eq!(fresh.idle(), Some(true));
        assert_eq!(fresh.generation_tokens, Some(0.0));
        assert_eq!(fresh.preemptions, None);
    }

    #[test]
    fn documented_names_of_sglang_and_tgi() {
        let sglang = sample(
            "sglang:num_running_reqs{model_name=\"m\"} 8\nsglang:num_queue_reqs 4\n\
             sglang:token_usage 0.28\nsglang:prompt_tokens_total 100\n\
             sglang:cached_tokens_total{cache_source=\"device\"} 30\n\
             sglang:cached_tokens_total{cache_source=\"host\"} 10\nsglang:generation_tokens_total 7\n",
        );
        assert_eq!(
            sglang,
            MetricsSample {
                server: Some(ServerKind::SgLang),
                running: Some(8.0),
                waiting: Some(4.0),
                kv_cache_usage: Some(0.28),
                prefix_cache_queries: Some(100.0),
                prefix_cache_hits: Some(40.0),
                preemptions: None,
                prompt_tokens: Some(100.0),
                generation_tokens: Some(7.0),
            }
        );
        let tgi = sample("tgi_batch_current_size 0\ntgi_queue_size 0\n");
        assert_eq!((tgi.server, tgi.idle()), (Some(ServerKind::Tgi), Some(true)));
    }

    #[test]
    fn unknown_or_unusable_figures_stay_unknown() {
        assert_eq!(sample("up 1\nhttp_requests_total 5\n"), MetricsSample::default());
        let nan = sample("vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\n");
        assert_eq!((nan.running, nan.waiting, nan.idle()), (None, None, None));
        // Without the cached ones, llama.cpp's prompt tokens are something else.
        assert_eq!(sample("llamacpp:prompt_tokens_total 5\n").prompt_tokens, None);
    }

    #[test]
    fn idle_needs_both_figures_unless_one_is_busy() {
        let of = |running, waiting| {
            MetricsSample { running, waiting, ..MetricsSample::default() }.idle()
        };
        assert_eq!(of(Some(0.0), Some(0.0)), Some(true));
        assert_eq!(of(Some(0.0), Some(1.0)), Some(false));
        assert_eq!(of(Some(1.0), Some(0.0)), Some(false));
        assert_eq!(of(Some(1.0), None), Some(false));
        assert_eq!(of(None, Some(2.0)), Some(false));
        assert_eq!(of(Some(0.0), None), None);
        assert_eq!(of(None, None), None);
    }

    #[test]
    fn deltas_are_differences_until_a_counter_falls() {
        let before = MetricsSample {
            server: Some(ServerKind::Vllm),
            prefix_cache_queries: Some(100.0),
            prefix_cache_hits: Some(10.0),
            generation_tokens: Some(5.0),
            ..MetricsSample::default()
        };
        let after = MetricsSample {
            prefix_cache_queries: Some(300.0),
            prefix_cache_hits: Some(60.0),
            preemptions: Some(1.0),
            ..before
        };
        let delta = MetricsSample::delta(&before, &after);
        assert_eq!(delta.prefix_cache_queries, Some(200.0));
        assert_eq!(delta.prefix_hit_rate(), Some(0.25));
        assert_eq!(delta.generation_tokens, Some(0.0));
        assert_eq!(delta.preemptions, None);
        assert!(!delta.restarted);

        let back = MetricsSample::delta(&after, &before);
        assert_eq!(back, MetricsDelta { restarted: true, ..MetricsDelta::default() });
        let other = MetricsSample { server: Some(ServerKind::SgLang), ..after };
        assert!(MetricsSample::delta(&before, &other).restarted);
        assert_eq!(MetricsDelta::default().prefix_hit_rate(), None);
        let none = MetricsDelta {
            prefix_cache_queries: Some(0.0),
            prefix_cache_hits: Some(0.0),
            ..MetricsDelta::default()
        };
        assert_eq!(none.prefix_hit_rate(), None);
    }
}
