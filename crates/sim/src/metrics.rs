//! What one replica counts, and its Prometheus text under vLLM's names.

mod histogram;

use std::fmt::Write as _;
use std::time::Duration;

use crate::{Engine, Limits, Step};
use histogram::{Histogram, token_bounds};

/// Bucket bounds of vLLM's histograms, in the unit of each.
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
const PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];
const WHOLE: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];
const ITERATION: &[f64] =
    &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];

/// Everything one replica counts.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaStats {
    running: usize,
    waiting: usize,
    kv_cache_usage: f64,
    prompt_tokens: u64,
    generation_tokens: u64,
    prefix_queries: u64,
    prefix_hits: u64,
    preemptions: u64,
    finished_stop: u64,
    finished_length: u64,
    first_token: Histogram,
    inter_token: Histogram,
    per_output_token: Histogram,
    whole: Histogram,
    queue: Histogram,
    inference: Histogram,
    prefill: Histogram,
    decode: Histogram,
    prompt_lengths: Histogram,
    generation_lengths: Histogram,
    iteration_tokens: Histogram,
    lag_worst: Duration,
    lag_sum: Duration,
    steps: u64,
}

impl ReplicaStats {
    pub(crate) fn new(limits: &Limits) -> Self {
        let lengths = token_bounds(limits.max_model_len);
        Self {
            running: 0,
            waiting: 0,
            kv_cache_usage: 0.0,
            prompt_tokens: 0,
            generation_tokens: 0,
            prefix_queries: 0,
            prefix_hits: 0,
            preemptions: 0,
            finished_stop: 0,
            finished_length: 0,
            first_token: Histogram::new(FIRST_TOKEN),
            inter_token: Histogram::new(PER_TOKEN),
            per_output_token: Histogram::new(PER_TOKEN),
            whole: Histogram::new(WHOLE),
            queue: Histogram::new(WHOLE),
            inference: Histogram::new(WHOLE),
            prefill: Histogram::new(WHOLE),
            decode: Histogram::new(WHOLE),
            prompt_lengths: Histogram::new(&lengths),
            generation_lengths: Histogram::new(&lengths),
            iteration_tokens: Histogram::new(ITERATION),
            lag_worst: Duration::ZERO,
            lag_sum: Duration::ZERO,
            steps: 0,
        }
    }

    /// Counts a step whose tokens were handed over `lag` after its end.
    pub(crate) fn step(&mut self, step: &Step, prefix_caching: bool, lag: Duration) {
        self.steps += 1;
        self.lag_worst = self.lag_worst.max(lag);
        self.lag_sum += lag;
        self.preemptions += u64::from(step.preempted);
        self.generation_tokens += step.tokens.len() as u64;
        self.iteration_tokens.observe(f64::from(step.prefill_tokens) + step.tokens.len() as f64);
        for admission in &step.admitted {
            if prefix_caching {
                self.prefix_queries += u64::from(admission.prompt_tokens.get());
                self.prefix_hits += u64::from(admission.cached_tokens.get());
            }
            self.prompt_tokens += u64::from(admission.prompt_tokens.get());
        }
        for token in &step.tokens {
            let gap = token.gap.as_secs_f64();
            if token.index == 0 {
                self.first_token.observe(gap);
            } else {
                self.inter_token.observe(gap);
            }
        }
        for done in &step.finished {
            let output = done.output_tokens.get();
            self.whole.observe((done.last_token - done.arrival).as_secs_f64());
            self.prompt_lengths.observe(f64::from(done.prompt_tokens.get()));
            self.generation_lengths.observe(f64::from(output));
            // As in vLLM, the phases of a request are counted when it is over, and its scheduling is
            // the first one, whatever it lost to preemption later.
            self.queue.observe((done.scheduled - done.arrival).as_secs_f64());
            self.inference.observe((done.last_token - done.scheduled).as_secs_f64());
            self.prefill.observe((done.first_token - done.scheduled).as_secs_f64());
            let decode = (done.last_token - done.first_token).as_secs_f64();
            self.decode.observe(decode);
            self.per_output_token.observe(decode / f64::from(output.saturating_sub(1).max(1)));
        }
    }

    /// Notes a finished request's reason.
    pub(crate) fn finished(&mut self, stopped: bool) {
        *(if stopped { &mut self.finished_stop } else { &mut self.finished_length }) += 1;
    }

    /// Takes over the engine's present state.
    pub(crate) fn state(&mut self, engine: &Engine, arrived: usize) {
        self.running = engine.running();
        self.waiting = engine.waiting() + arrived;
        self.kv_cache_usage = engine.kv_cache_usage();
    }

    /// How late the tokens of a step were handed over at worst.
    pub(crate) fn worst_lag(&self) -> Duration {
        self.lag_worst
    }
}

/// Reads one figure of a replica.
type Reading = fn(&ReplicaStats) -> f64;

/// Gauges and counters without further labels: name, type, help text and value.
const READINGS: &[(&str, &str, &str, Reading)] = &[
    ("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", |s| {
        s.running as f64
    }),
    ("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", |s| {
        s.waiting as f64
    }),
    ("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", |s| {
        s.kv_cache_usage
    }),
    (
        "vllm:prefix_cache_queries_total",
        "counter",
        "Prefix cache queries, in terms of number of queried tokens.",
        |s| s.prefix_queries as f64,
    ),
    (
        "vllm:prefix_cache_hits_total",
        "counter",
        "Prefix cache hits, in terms of number of cached tokens.",
        |s| s.prefix_hits as f64,
    ),
    (
        "vllm:num_preemptions_total",
        "counter",
        "Cumulative number of preemption from the engine.",
        |s| s.preemptions as f64,
    ),
    ("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", |s| {
        s.prompt_tokens as f64
    }),
    ("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", |s| {
        s.generation_tokens as f64
    }),
    ("plimsoll_sim:steps_total", "counter", "Engine steps.", |s| s.steps as f64),
    (
        "plimsoll_sim:handover_lag_seconds_total",
        "counter",
        "Time by which tokens were handed over after their step's end, summed over steps.",
        |s| s.lag_sum.as_secs_f64(),
    ),
    (
        "plimsoll_sim:handover_lag_worst_seconds",
        "gauge",
        "The longest time by which a step's tokens were handed over after its end.",
        |s| s.lag_worst.as_secs_f64(),
    ),
];

/// Picks one histogram of a replica.
type Pick = fn(&ReplicaStats) -> &Histogram;

/// Histograms by name and help text.
const HISTOGRAMS: &[(&str, &str, Pick)] = &[
    ("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", |s| {
        &s.first_token
    }),
    ("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", |s| {
        &s.inter_token
    }),
    (
        "vllm:request_time_per_output_token_seconds",
        "Histogram of time_per_output_token_seconds per request.",
        |s| &s.per_output_token,
    ),
    ("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", |s| {
        &s.whole
    }),
    (
        "vllm:request_queue_time_seconds",
        "Histogram of time spent in WAITING phase for request.",
        |s| &s.queue,
    ),
    (
        "vllm:request_inference_time_seconds",
        "Histogram of time spent in RUNNING phase for request.",
        |s| &s.inference,
    ),
    (
        "vllm:request_prefill_time_seconds",
        "Histogram of time spent in PREFILL phase for request.",
        |s| &s.prefill,
    ),
    (
        "vllm:request_decode_time_seconds",
        "Histogram of time spent in DECODE phase for request.",
        |s| &s.decode,
    ),
    ("vllm:request_prompt_tokens", "Number of prefill tokens processed.", |s| &s.prompt_lengths),
    ("vllm:request_generation_tokens", "Number of generation tokens processed.", |s| {
        &s.generation_lengths
    }),
    ("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", |s| {
        &s.iteration_tokens
    }),
];

/// The whole `/metrics` page of a server that has run since `started`, counted from 1970. `model` must
/// need no escaping, which [`crate::SimServer`] checks.
pub(crate) fn render(
    replicas: &[ReplicaStats],
    model: &str,
    limits: &Limits,
    started: Duration,
) -> String {
    let mut page = String::with_capacity(16_384 * replicas.len());
    // Writing to a String cannot fail, so the results are dropped.
    let name = "process_start_time_seconds";
    let _ = writeln!(page, "# HELP {name} Start time of the server since unix epoch in seconds.");
    let _ = writeln!(page, "# TYPE {name} gauge\n{name} {:?}", started.as_secs_f64());
    for (name, kind, help, reading) in READINGS {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (engine, stats) in replicas.iter().enumerate() {
            let value = reading(stats);
            let _ =
                writeln!(page, "{name}{{engine=\"{engine}\",model_name=\"{model}\"}} {value:?}");
        }
    }
    let name = "vllm:request_success_total";
    let _ = writeln!(page, "# HELP {name} Count of successfully processed requests.");
    let _ = writeln!(page, "# TYPE {name} counter");
    for (engine, stats) in replicas.iter().enumerate() {
        // As vLLM does, an abort by the client is not counted anywhere.
        for (reason, count) in
            [("stop", stats.finished_stop), ("length", stats.finished_length), ("abort", 0)]
        {
            let _ = writeln!(
                page,
                "{name}{{engine=\"{engine}\",finished_reason=\"{reason}\",model_name=\"{model}\"}} \
                 {:?}",
                count as f64
            );
        }
    }
    for (name, help, histogram) in HISTOGRAMS {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (engine, stats) in replicas.iter().enumerate() {
            let labels = format!("engine=\"{engine}\",model_name=\"{model}\"");
            let histogram = histogram(stats);
            let mut below = 0;
            for (place, count) in histogram.counts.iter().enumerate() {
                below += count;
                let bound = histogram
                    .bounds
                    .get(place)
                    .map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
                let _ = writeln!(
                    page,
                    "{name}_bucket{{engine=\"{engine}\",le=\"{bound}\",model_name=\"{model}\"}} \
                     {:?}",
                    below as f64
                );
            }
            let _ = writeln!(page, "{name}_count{{{labels}}} {:?}", below as f64);
            let _ = writeln!(page, "{name}_sum{{{labels}}} {:?}", histogram.sum);
        }
    }
    let name = "vllm:cache_config_info";
    let _ = writeln!(page, "# HELP {name} Information of the LLMEngine CacheConfig");
    let _ = writeln!(page, "# TYPE {name} gauge");
    for engine in 0..replicas.len() {
        let _ = writeln!(
            page,
            "{name}{{block_size=\"{}\",cache_dtype=\"auto\",enable_prefix_caching=\"{}\",\
             engine=\"{engine}\",kv_cache_size_tokens=\"{}\",num_gpu_blocks=\"{}\"}} 1.0",
            limits.block_size,
            if limits.prefix_caching { "True" } else { "False" },
            u64::from(limits.num_gpu_blocks) * u64::from(limits.block_size),
            limits.num_gpu_blocks,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use plimsoll_units::{RunNanos, Tokens};

    use super::*;
    use crate::{ModelProfile, Request, Settings};

    #[test]
    fn the_page_counts_what_the_engine_did() {
        let profile = ModelProfile::tiny();
        let mut engine = Engine::new(&profile, &Settings::default()).unwrap();
        let mut stats = ReplicaStats::new(engine.limits());
        let request = Request { prompt: vec![5; 40], output_tokens: Tokens::new(3), seed: 1 };
        engine.submit(request, RunNanos::ZERO).unwrap();
        let mut now = RunNanos::ZERO;
        while let Some(step) = engine.step(now) {
            now = step.end;
            stats.step(step, true, Duration::from_millis(2));
            for _ in &step.finished {
                stats.finished(false);
            }
        }
        stats.state(&engine, 4);
        let page = render(
            &[stats.clone(), stats],
            "tiny",
            engine.limits(),
            Duration::from_millis(1_790_000_000_250),
        );
        for line in [
            "vllm:prompt_tokens_total{engine=\"1\",model_name=\"tiny\"} 40.0",
            "vllm:generation_tokens_total{engine=\"0\",model_name=\"tiny\"} 3.0",
            "vllm:num_requests_waiting{engine=\"0\",model_name=\"tiny\"} 4.0",
            "vllm:inter_token_latency_seconds_count{engine=\"0\",model_name=\"tiny\"} 2.0",
            "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.001\",model_name=\"tiny\"} 0.0",
            "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"0.005\",model_name=\"tiny\"} 1.0",
            "vllm:time_to_first_token_seconds_bucket{engine=\"0\",le=\"+Inf\",model_name=\"tiny\"} 1.0",
            "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"tiny\"} 1.0",
            "vllm:request_prompt_tokens_bucket{engine=\"0\",le=\"20.0\",model_name=\"tiny\"} 0.0",
            "vllm:request_prompt_tokens_bucket{engine=\"0\",le=\"50.0\",model_name=\"tiny\"} 1.0",
            "plimsoll_sim:handover_lag_worst_seconds{engine=\"0\",model_name=\"tiny\"} 0.002",
            "process_start_time_seconds 1790000000.25",
            "vllm:request_prefill_time_seconds_count{engine=\"0\",model_name=\"tiny\"} 1.0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
        assert!(page.contains("num_gpu_blocks=\"8192\""));
    }
}
