//! What is known of one point: the values that `summarise` returns.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_records::{OfferedLoad, Outcome, PointEnd, ProbeRecord, ServerCounters, ServerStart};
use plimsoll_units::RunNanos;

use crate::{
    Ceilings, ClientSummary, Estimate, Failure, Fall, GpuSummary, ServerBreakdown, Window,
};

/// One point in numbers. See docs/definitions.md for every word.
#[derive(Clone, Debug)]
pub struct PointSummary {
    /// The point's id.
    pub id: String,
    /// The values of its factors.
    pub factors: BTreeMap<String, String>,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// What was offered.
    pub load: OfferedLoad,
    /// Why it ended.
    pub ended: PointEnd,
    /// The measure window.
    pub window: Window,
    /// Requests by what became of them.
    pub counts: Counts,
    /// What failed of the requests due in the window, the most frequent first: the first 8 kinds.
    pub failures: Vec<Failure>,
    /// Arrivals (by intended time) inside the window / its length, requests per second.
    pub achieved_rate_per_s: f64,
    /// Requests per second that the server completed inside the window, with an interval from
    /// batch means.
    pub throughput_per_s: Estimate,
    /// Output tokens delivered inside the window / its length. The interval is from batch means;
    /// for an unstable point with known output lengths the waves of a saturated batch server are
    /// taken out of it, so that its middle, not the value, is the best estimate of the long run.
    pub output_tokens_per_s: Estimate,
    /// Output tokens per second that a server which did not keep up delivers in the long run, with its
    /// interval; `None` where it kept up.
    pub long_run_tokens_per_s: Option<Estimate>,
    /// Prompt tokens of the requests that completed inside the window / its length: by the server's
    /// usage, else as planned; `None` when the length of one of them is not known.
    pub input_tokens_per_s: Option<f64>,
    /// Mean prompt tokens that were planned for the requests due in the window, however they ended; `None`
    /// where one was planned without.
    pub prompt_tokens_planned: Option<f64>,
    /// Mean prompt tokens by the server's usage of those that ended well; `None` where it told none.
    pub prompt_tokens: Option<f64>,
    /// Mean output tokens of a request, whole point: as asked for where the workload asks for exact
    /// lengths and gets them, else of the requests that ended well; `None` when none did, or when
    /// so many were aborted that the others are no fair sample.
    pub mean_output_tokens: Option<f64>,
    /// Standard error of that mean: 0 where the workload declares it; `None` with fewer than two.
    pub mean_output_tokens_error: Option<f64>,
    /// N / (last done - first sent), as other tools count; `None` with no completion.
    pub makespan_throughput_per_s: Option<f64>,
    /// Requests that met every SLO; `None` when there is no SLO.
    pub goodput: Option<Goodput>,
    /// Whether the server kept up.
    pub stability: Stability,
    /// Its throughput's fall under the point's own backlog, where it did not keep up and there was one.
    pub fall: Option<Fall>,
    /// Time to first token from intended.
    pub ttft: LatencySummary,
    /// First token - sent.
    pub service_ttft: LatencySummary,
    /// Time per output token after the first.
    pub tpot: LatencySummary,
    /// Inter-token latency, per token: the gap before a chunk / its tokens, once a token, pooled over
    /// the requests whose chunks the server counted, every one of them. Empty where it counted none:
    /// `chunks.uncounted_responses` then says why, and `chunk_gap` is what is known.
    pub itl: LatencySummary,
    /// Gap between successive chunks of a response, whatever they carried, pooled over requests.
    pub chunk_gap: LatencySummary,
    /// Chunks of the requests that ended well, and what their stamps and counts are worth.
    pub chunks: ChunkCounts,
    /// Last token - first token.
    pub decode: LatencySummary,
    /// Done - intended.
    pub e2e: LatencySummary,
    /// Sent - intended.
    pub schedule_lag: LatencySummary,
    /// Opening a connection: connected - dequeued of the requests that had to wait for one of their
    /// own.
    pub connecting: LatencySummary,
    /// How busy the client was.
    pub client: ClientSummary,
    /// Where the time went by the server's own counters, and how full it was; `None` where it says
    /// nothing of that.
    pub server: Option<ServerBreakdown>,
    /// What the GPUs spent; `None` where none was sampled, or none of them was the server's.
    pub gpu: Option<GpuSummary>,
    /// The server's counters over the window as they were read: the evidence for what limits it.
    pub counters: ServerCounters,
    /// The most that the server may do at once, by its settings.
    pub ceilings: Ceilings,
    /// Which start of the server it was, and what its prefix cache could hold.
    pub server_start: ServerStart,
    /// When the first requests of the point were due, warm-up included, from its start on, in order:
    /// 512 at most, by which one sequence of arrivals is known from another.
    pub first_arrivals: Vec<Duration>,
    /// The whole point over time, warm-up and drain included.
    pub timeline: Vec<TimelineSample>,
    /// What it was as a probe of a search; `None` at any other point.
    pub probe: Option<Probed>,
}

/// A point as a probe of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// What was asked of it, and by which search.
    pub record: ProbeRecord,
    /// From the end of the probe before it (or the search's start) to its own end.
    pub duration: Duration,
}

/// Requests due in the measure window, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose intended time lies in the window.
    pub due: u64,
    /// Of those: ended well.
    pub ok: u64,
    /// Of those: failed or shed.
    pub failed: u64,
    /// Of those: aborted by the end of the point.
    pub aborted: u64,
    /// Of those: sent a second time after a stale connection.
    pub resent: u64,
    /// Of those: sent on a new connection.
    pub new_connections: u64,
    /// Every outcome that occurred, with its count.
    pub by_outcome: BTreeMap<&'static str, u64>,
    /// Rows of the whole point.
    pub rows: u64,
}

impl Counts {
    /// The count of one outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.by_outcome.get(outcome.as_str()).copied().unwrap_or(0)
    }
}

/// Chunks of the requests that were due in the window and ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkCounts {
    /// Chunks that carried tokens.
    pub all: u64,
    /// Of those: chunks with the stamp of another chunk of their response.
    pub shared: u64,
    /// Responses with two chunks or more of which the server did not count every one, so that they
    /// are missing from `itl`.
    pub uncounted_responses: u64,
}

impl ChunkCounts {
    /// Shared chunks / all chunks; 0 without any.
    #[must_use]
    pub fn shared_share(&self) -> f64 {
        self.shared as f64 / self.all.max(1) as f64
    }
}

/// Requests due in the window that met every SLO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goodput {
    /// How many met every SLO; a failed one met none.
    pub good: u64,
    /// How many count: due in the window and not aborted by us.
    pub due: u64,
    /// good / due with its Wilson interval.
    pub share: Estimate,
    /// Standard error of the share with neighbours that fare alike, as in a queue they do: from batch
    /// means of (1 or 0) - share over the window, their half width / 1.96.
    pub share_error: f64,
    /// good / window length, requests per second.
    pub per_s: f64,
    /// Whether every SLO's own quantile is met (`ttft-p99` needs 99 % of the requests within it).
    pub met: bool,
}

/// Whether completions keep up with arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// Whether the drift is not distinguishable from 0.
    pub stable: bool,
    /// (arrivals - completions) / window, requests per second.
    pub drift_per_s: Estimate,
    /// Requests in flight at the window's start.
    pub in_flight_start: u64,
    /// Requests in flight at its end.
    pub in_flight_end: u64,
    /// Mean over the window.
    pub in_flight_mean: f64,
    /// Maximum over the window.
    pub in_flight_max: u64,
}

/// A latency's distribution over the requests (or gaps) of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LatencySummary {
    /// Samples.
    pub n: u64,
    /// Requests of the population without a value, because they failed or had too few tokens.
    pub missing: u64,
    /// Arithmetic mean; `None` for n = 0.
    pub mean: Option<Duration>,
    /// Lower end of the mean's 95 % interval by batch means over the requests in order of their due time,
    /// which looks through neighbours that are alike; `None` for fewer than two requests, and of gaps.
    pub mean_low: Option<Duration>,
    /// Upper end of it.
    pub mean_high: Option<Duration>,
    /// Smallest sample.
    pub min: Option<Duration>,
    /// Largest sample.
    pub max: Option<Duration>,
    /// Median.
    pub p50: Quantile,
    /// 90th percentile.
    pub p90: Quantile,
    /// 99th percentile.
    pub p99: Quantile,
}

/// One quantile with its interval from order statistics; all `None` when the samples are too few
/// for the interval to exist: the quantile is then not known, and is shown so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantile {
    /// Nearest rank: sorted[ceil(q n) - 1].
    pub value: Option<Duration>,
    /// Lower end of the 95 % interval.
    pub low: Option<Duration>,
    /// Upper end of the 95 % interval.
    pub high: Option<Duration>,
}

/// The state of a point during one bucket of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimelineSample {
    /// Start of the bucket.
    pub at: RunNanos,
    /// Length of the bucket.
    pub length: Duration,
    /// Requests in flight (intended, not done) at its end.
    pub in_flight: u64,
    /// Arrivals in it, by intended time.
    pub arrivals: u64,
    /// Requests that ended well in it.
    pub completions: u64,
    /// Output tokens delivered in it.
    pub output_tokens: u64,
    /// Median TTFT of the requests due in it.
    pub ttft_p50: Option<Duration>,
}
