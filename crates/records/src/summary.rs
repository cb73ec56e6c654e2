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
