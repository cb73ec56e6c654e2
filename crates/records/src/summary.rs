//! The row of one point in `summary.parquet`: what tables and notebooks read.

/// One point in numbers. Times are milliseconds, rates per second; `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryRow {
    /// The point's id.
    pub point: String,
    /// The factors of its group as text, `a=1 b=2`; empty when there are none.
    pub group: String,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// Offered rate.
    pub rate_per_s: Option<f64>,
    /// Fixed concurrency of a closed loop.
    pub concurrency: Option<u32>,
    /// Arrivals inside the window / its length.
    pub achieved_rate_per_s: f64,
    /// Length of the measure window, s.
    pub window_s: f64,
    /// Requests due in the window.
    pub due: u64,
    /// Of those: ended well.
    pub ok: u64,
    /// Of those: failed.
    pub failed: u64,
    /// Of those: aborted by the end of the point.
    pub aborted: u64,
    /// Requests due in the window that died on a stale kept connection and were sent once more.
    pub resent: u64,
    /// Completions inside the window / its length.
    pub throughput_per_s: f64,
    /// Lower end of its 95 % interval.
    pub throughput_low_per_s: Option<f64>,
    /// Upper end of its 95 % interval.
    pub throughput_high_per_s: Option<f64>,
    /// Output tokens delivered inside the window / its length.
    pub output_tokens_per_s: f64,
    /// Prompt tokens of requests completed inside the window / its length; `None` when the length of
    /// one of them is not known.
    pub input_tokens_per_s: Option<f64>,
    /// N / (last done - first sent), as other tools count.
    pub makespan_throughput_per_s: Option<f64>,
    /// Requests due in the window that met every SLO / window length.
    pub goodput_per_s: Option<f64>,
    /// The same as a share of the requests due.
    pub goodput_share: Option<f64>,
    /// Whether completions kept up with arrivals.
    pub stable: bool,
    /// (arrivals - completions) / window.
    pub drift_per_s: f64,
    /// Mean number of requests in flight over the window.
    pub in_flight_mean: f64,
    /// Its place in its search, from 0; `None` at a point that is no probe.
    pub probe: Option<u32>,
    /// Time to first token.
    pub ttft: QuantilesMs,
    /// First token - sent.
    pub service_ttft: QuantilesMs,
    /// Time per output token after the first.
    pub tpot: QuantilesMs,
    /// Gap between output tokens, where the server counted the tokens of every chunk: the gap before a
    /// chunk / its tokens, once a token.
    pub itl: QuantilesMs,
    /// Gap between successive chunks of a response, whatever they carried.
    pub chunk_gap: QuantilesMs,
    /// Done - intended.
    pub e2e: QuantilesMs,
    /// Sent - intended.
    pub schedule_lag: QuantilesMs,
    /// Mean time from a request's arrival at the engine to its first scheduling, by the server's own
    /// histogram over the window.
    pub queue_time_mean_ms: Option<f64>,
    /// Mean time from the first scheduling to the first token, by the server's own histogram.
    pub prefill_time_mean_ms: Option<f64>,
    /// Mean time from the first token to the last, by the server's own histogram.
    pub decode_time_mean_ms: Option<f64>,
    /// What is left of the mean time to first token when queue and prefill are taken off: network,
    /// client, and what the server did outside its engine. May be below 0, for the two sides average
    /// over different requests.
    pub ttft_rest_mean_ms: Option<f64>,
    /// Prompt tokens found in the server's prefix cache / those looked up there over the window; 0 to 1.
    pub prefix_hit_share: Option<f64>,
    /// Requests that the server preempted over the window.
    pub preemptions: Option<f64>,
    /// Mean of the requests running over the window's scrapes.
    pub running_mean: Option<f64>,
    /// Mean of the requests waiting over the window's scrapes.
    pub waiting_mean: Option<f64>,
    /// Largest share of the KV cache in use in any of the window's scrapes; 0 to 1.
    pub kv_cache_usage_max: Option<f64>,
    /// GPUs that the server used.
    pub gpus: Option<u32>,
    /// Share of time in which a kernel ran, mean over the window and the used GPUs, percent.
    pub gpu_sm_utilisation_mean_pct: Option<f64>,
    /// Power of all used GPUs together, mean over the window, W.
    pub gpu_power_mean_w: Option<f64>,
    /// Energy of all used GPUs over the window / output tokens delivered in it, J.
    pub energy_j_per_output_token: Option<f64>,
    /// Energy of all used GPUs over the window / requests completed in it, J.
    pub energy_j_per_request: Option<f64>,
    /// Output tokens per second and watt: `output_tokens_per_s` / `gpu_power_mean_w`.
    pub output_tokens_per_s_per_w: Option<f64>,
    /// Share of the window's samples in which heat or power held the clocks of the used GPUs down; 0 to
    /// 1.
    pub gpu_throttled_share: Option<f64>,
}

/// Mean and quantiles of a latency in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantilesMs {
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile; `None` where the samples do not carry it.
    pub p99: Option<f64>,
}
