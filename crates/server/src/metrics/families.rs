//! The table of names: one row a family of servers.
//!
//! The names of vLLM, Dynamo and llama.cpp are those of captured pages; those of SGLang, TensorRT-LLM
//! and TGI are from their documentation and sources. Left out although there is something of the kind:
//! - llama.cpp's `prompt_seconds_total` and `tokens_predicted_seconds_total`: times without the number
//!   of requests they belong to, and its `n_decode_total` moves with each step, the tokens that were
//!   computed only at the end of a request.
//! - SGLang's `per_stage_req_latency_seconds`: of a prompt in several chunks it counts the last.
//! - TGI's `batch_inference_duration`: of batches, not of requests.

use plimsoll_records::Tally;

use super::MetricsSample;
use super::names::Names;
use crate::identity::ServerKind;

/// How one figure is read off a page. Names are without the family's prefix.
#[derive(Debug)]
pub(super) enum Reading {
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

/// One family of servers: its prefix, and the names behind each figure.
#[derive(Debug)]
pub(super) struct Family {
    server: ServerKind,
    /// What its names begin with, and what they began with in other versions.
    pub(super) prefixes: &'static [&'static str],
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
    /// Names of histograms, without `_sum` and `_count`.
    queue_time: Option<&'static str>,
    prefill_time: Option<&'static str>,
    decode_time: Option<&'static str>,
    ttft: Option<&'static str>,
    e2e: Option<&'static str>,
    step_tokens: Option<&'static str>,
}

/// A family as it is on one page.
pub(crate) struct Members<'a> {
    pub(super) family: &'static Family,
    pub(super) prefix: &'static str,
    pub(super) names: &'a Names,
}

impl Members<'_> {
    /// The family's figures, from the values of the page.
    pub(super) fn read(&self, values: &[f64]) -> MetricsSample {
        let family = self.family;
        let read = |reading: &Reading| self.figure(reading, values);
        let tally = |name: Option<&str>| self.tally(name?, values);
        MetricsSample {
            server: Some(family.server),
            started: None,
            running: read(&family.running),
            waiting: read(&family.waiting),
            kv_cache_usage: read(&family.kv_cache_usage),
            prefix_cache_queries: read(&family.prefix_cache_queries),
            prefix_cache_hits: read(&family.prefix_cache_hits),
            preemptions: read(&family.preemptions),
            prompt_tokens: read(&family.prompt_tokens),
            generation_tokens: read(&family.generation_tokens),
            queue_time_s: tally(family.queue_time),
            prefill_time_s: tally(family.prefill_time),
            decode_time_s: tally(family.decode_time),
            ttft_s: tally(family.ttft),
            e2e_s: tally(family.e2e),
            step_tokens: tally(family.step_tokens),
        }
    }

    fn figure(&self, reading: &Reading, values: &[f64]) -> Option<f64> {
        let sum = |name: &str| self.sum(name, values);
        match *reading {
            Reading::Absent => None,
            Reading::First(names) => names.iter().find_map(|name| sum(name)),
            Reading::Max(names) => names.iter().find_map(|name| self.fold(name, values, f64::max)),
            Reading::Sum(a, b) => Some(sum(a)? + sum(b)?),
            Reading::Difference(a, b) => Some((sum(a)? - sum(b)?).max(0.0)),
        }
    }

    fn tally(&self, name: &str, values: &[f64]) -> Option<Tally> {
        let part = |end: &str| self.sum(&format!("{name}{end}"), values);
        Some(Tally { count: part("_count")?, sum: part("_sum")? })
    }

    fn sum(&self, name: &str, values: &[f64]) -> Option<f64> {
        let sum = self.fold(name, values, |a, b| a + b);
        sum.or(self.family.absent_is_zero.then_some(0.0))
    }

    fn fold(&self, name: &str, values: &[f64], combine: fn(f64, f64) -> f64) -> Option<f64> {
        self.names.fold(&format!("{}{name}", self.prefix), values, combine)
    }
}

/// What a row says of a figure that it does not name.
const NOTHING: Family = Family {
    server: ServerKind::Simulator,
    prefixes: &[],
    absent_is_zero: false,
    running: Reading::Absent,
    waiting: Reading::Absent,
    kv_cache_usage: Reading::Absent,
    prefix_cache_queries: Reading::Absent,
    prefix_cache_hits: Reading::Absent,
    preemptions: Reading::Absent,
    prompt_tokens: Reading::Absent,
    generation_tokens: Reading::Absent,
    queue_time: None,
    prefill_time: None,
    decode_time: None,
    ttft: None,
    e2e: None,
    step_tokens: None,
};

/// Looked through in this order. Dynamo comes first: a frontend may pass on the metrics of the
/// engines behind it, but the requests that Plimsoll sends are counted at the front.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        server: ServerKind::Dynamo,
        prefixes: &["dynamo_frontend_"],
        absent_is_zero: true,
        // `inflight` counts a request from its arrival to its end, `queued` from its arrival to
        // its first token: the queued ones are among the others. A mocker of 8 slots with 32
        // clients shows 32 and 24.
        running: Reading::Difference("inflight_requests", "queued_requests"),
        waiting: Reading::First(&["queued_requests"]),
        prefix_cache_queries: Reading::First(&["input_sequence_tokens_sum"]),
        prefix_cache_hits: Reading::First(&["cached_tokens_sum"]),
        // Counted at the first token; the cached ones follow at the end of the request.
        prompt_tokens: Reading::First(&["input_sequence_tokens_sum"]),
        generation_tokens: Reading::First(&["output_tokens_total"]),
        ttft: Some("time_to_first_token_seconds"),
        // Requests that failed are among these.
        e2e: Some("request_duration_seconds"),
        ..NOTHING
    },
    Family {
        server: ServerKind::Vllm,
        prefixes: &["vllm:"],
        running: Reading::First(&["num_requests_running"]),
        waiting: Reading::First(&["num_requests_waiting"]),
        kv_cache_usage: Reading::Max(&["kv_cache_usage_perc", "gpu_cache_usage_perc"]),
        prefix_cache_queries: Reading::First(&[
            "prefix_cache_queries_total",
            "prefix_cache_queries",
            "gpu_prefix_cache_queries_total",
            "gpu_prefix_cache_queries",
        ]),
        prefix_cache_hits: Reading::First(&[
            "prefix_cache_hits_total",
            "prefix_cache_hits",
            "gpu_prefix_cache_hits_total",
            "gpu_prefix_cache_hits",
        ]),
        preemptions: Reading::First(&["num_preemptions_total", "num_preemptions"]),
        prompt_tokens: Reading::First(&["prompt_tokens_total", "prompt_tokens"]),
        generation_tokens: Reading::First(&["generation_tokens_total", "generation_tokens"]),
        queue_time: Some("request_queue_time_seconds"),
        prefill_time: Some("request_prefill_time_seconds"),
        decode_time: Some("request_decode_time_seconds"),
        ttft: Some("time_to_first_token_seconds"),
        e2e: Some("e2e_request_latency_seconds"),
        step_tokens: Some("iteration_tokens_total"),
        ..NOTHING
    },
    Family {
        server: ServerKind::LlamaCpp,
        prefixes: &["llamacpp:"],
        running: Reading::First(&["requests_processing"]),
        waiting: Reading::First(&["requests_deferred"]),
        // Its prompt tokens leave the cached ones out, so a lookup is one or the other.
        prefix_cache_queries: Reading::Sum("prompt_tokens_total", "prompt_tokens_cached_total"),
        prefix_cache_hits: Reading::First(&["prompt_tokens_cached_total"]),
        prompt_tokens: Reading::Sum("prompt_tokens_total", "prompt_tokens_cached_total"),
        generation_tokens: Reading::First(&["tokens_predicted_total"]),
        ..NOTHING
    },
    Family {
        server: ServerKind::SgLang,
        // Some versions wrote the underscore.
        prefixes: &["sglang:", "sglang_"],
        running: Reading::First(&["num_running_reqs"]),
        waiting: Reading::First(&["num_queue_reqs"]),
        kv_cache_usage: Reading::Max(&["token_usage"]),
        prefix_cache_queries: Reading::First(&["prompt_tokens_total"]),
        prefix_cache_hits: Reading::First(&["cached_tokens_total"]),
        // A retracted request loses its cache and is computed again, which is what preemption means.
        preemptions: Reading::First(&["num_retracted_requests_total"]),
        prompt_tokens: Reading::First(&["prompt_tokens_total"]),
        generation_tokens: Reading::First(&["generation_tokens_total"]),
        queue_time: Some("queue_time_seconds"),
        ttft: Some("time_to_first_token_seconds"),
        e2e: Some("e2e_request_latency_seconds"),
        ..NOTHING
    },
    Family {
        server: ServerKind::TensorRtLlm,
        // The colon is Dynamo's, where it passed them on in early versions.
        prefixes: &["trtllm_", "trtllm:"],
        running: Reading::First(&["num_requests_running"]),
        waiting: Reading::First(&["num_requests_waiting"]),
        kv_cache_usage: Reading::Max(&["kv_cache_utilization"]),
        // Tokens of finished requests, both; its blocks reused and missed are counted elsewhere.
        prefix_cache_queries: Reading::First(&["prompt_tokens_total"]),
        prefix_cache_hits: Reading::First(&["prompt_cached_tokens_total"]),
        prompt_tokens: Reading::First(&["prompt_tokens_total"]),
        generation_tokens: Reading::First(&["generation_tokens_total"]),
        queue_time: Some("request_queue_time_seconds"),
        prefill_time: Some("request_prefill_time_seconds"),
        decode_time: Some("request_decode_time_seconds"),
        ttft: Some("time_to_first_token_seconds"),
        e2e: Some("e2e_request_latency_seconds"),
        ..NOTHING
    },
    Family {
        server: ServerKind::Tgi,
        prefixes: &["tgi_"],
        running: Reading::First(&["batch_current_size"]),
        waiting: Reading::First(&["queue_size"]),
        prompt_tokens: Reading::First(&["request_input_length_sum"]),
        generation_tokens: Reading::First(&["request_generated_tokens_sum"]),
        queue_time: Some("request_queue_duration"),
        e2e: Some("request_duration"),
        ..NOTHING
    },
];
