//! A point as `vllm bench serve` 0.32 would have recorded it: the arrays and the summary of its
//! result file.
//!
//! Source: `vllm/benchmarks/serve.py` and `vllm/benchmarks/lib/endpoint_request_func.py` of 0.32.0.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_records::{Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

use super::statistic::{Samples, millis};
use crate::{Slo, SloMetric};

/// One request in the arrays of vLLM's result file.
#[derive(Clone, Debug, PartialEq)]
pub struct VllmRequest {
    /// The row's id.
    pub id: u64,
    /// Whether vLLM counts it as completed: the HTTP exchange ended without an exception and at least
    /// one chunk with `choices` came. An answer that was cut off, or ended in an error object, after
    /// that is completed for vLLM. Its entry in `errors` is then empty.
    pub success: bool,
    /// `input_lens`: prompt tokens by usage, else as planned; 0 where nobody knows.
    pub prompt_tokens: u64,
    /// `output_lens`: output tokens by usage, else by the chunks (vLLM would count its own tokens of
    /// the text); 0 for a request that failed.
    pub output_tokens: u64,
    /// `start_times`: right before the POST, `dequeued` of our rows, so connecting is inside every
    /// latency.
    pub start: RunNanos,
    /// `queue_times`: start - intended.
    pub queue: Duration,
    /// `ttfts`: first chunk with `choices`, even an empty one that names the role, - start; zero where
    /// none came.
    pub ttft: Duration,
    /// `itls`: gaps between successive chunks with `choices`, the one after a role chunk included.
    pub itls: Vec<Duration>,
    /// `latencies`: last chunk with `choices` - start; zero where none came. Our rows have the last
    /// chunk that carried tokens: an empty one that only brings the finish reason is not in it.
    pub latency: Duration,
    /// `errors`: empty for a completed request, else what went wrong.
    pub error: String,
}

impl VllmRequest {
    /// The request of a row; `None` for one that was never handed to the client (`shed`) or that we
    /// aborted, of which vLLM would know nothing or something else.
    #[must_use]
    pub fn of(row: &RequestRow) -> Option<Self> {
        if matches!(row.outcome, Outcome::Shed | Outcome::Aborted) {
            return None;
        }
        let start = row.dequeued;
        let mut events = choices(row).into_iter();
        let first = events.next();
        let success = first.is_some()
            && matches!(row.outcome, Outcome::Ok | Outcome::Truncated | Outcome::StreamError);
        let (mut itls, mut last) = (Vec::new(), first.unwrap_or(start));
        for at in events {
            itls.push(at - last);
            last = at;
        }
        let error = match (&row.error, success) {
            (_, true) => String::new(),
            (Some(words), false) => words.clone(),
            (None, false) => row.outcome.to_string(),
        };
        Some(Self {
            id: row.id,
            success,
            prompt_tokens: row.prompt_tokens.or(row.prompt_tokens_planned).map_or(0, u64::from),
            output_tokens: if success { row.output_count().max(1) } else { 0 },
            start,
            queue: start - row.intended,
            ttft: first.map_or(Duration::ZERO, |first| first - start),
            itls,
            latency: last - start,
            error,
        })
    }

    /// `(latency - ttft) / (output_len - 1)` in seconds; `None` for a single token.
    #[must_use]
    pub fn tpot_s(&self) -> Option<f64> {
        let gaps = self.output_tokens.checked_sub(1).filter(|&gaps| gaps > 0)?;
        Some((self.latency.as_secs_f64() - self.ttft.as_secs_f64()) / gaps as f64)
    }
}

/// The chunks with `choices` that our rows know of: the role chunk and those that carried tokens.
fn choices(row: &RequestRow) -> Vec<RunNanos> {
    let mut events: Vec<RunNanos> = row.role_chunk.into_iter().collect();
    events.extend(row.chunks.iter().map(|chunk| chunk.at));
    // A point that was imported may have first and last token without the chunks between.
    if row.chunks.is_empty() {
        events.extend(row.first_token().into_iter().chain(row.last_token));
        events.dedup();
    }
    events
}

/// The summary of vLLM's result file, and the requests that it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct VllmRun {
    /// `duration` in seconds: from the start of the schedule to the end of the last request, failed
    /// ones included.
    pub duration_s: f64,
    /// `completed`.
    pub completed: u64,
    /// `failed`.
    pub failed: u64,
    /// `total_input_tokens`, of the completed.
    pub total_input_tokens: u64,
    /// `total_output_tokens`, of the completed.
    pub total_output_tokens: u64,
    /// `request_goodput`: completed requests that met every objective / duration, requests per second;
    /// `None` without objectives.
    pub request_goodput: Option<f64>,
    /// `max_output_tokens_per_s`: most chunks (not tokens) in one second, seconds counted from the
    /// first start.
    pub max_output_tokens_per_s: u64,
    /// `max_concurrent_requests`: most requests that touched one such second, which is more than were
    /// ever in flight together where requests are short.
    pub max_concurrent_requests: u64,
    /// The metric block, as key and value in milliseconds: `mean_ttft_ms`, `median_ttft_ms`,
    /// `std_ttft_ms`, `p99_ttft_ms`, then the same of tpot, itl and e2el. 0 where there is no sample,
    /// as vLLM prints it.
    pub metrics: Vec<(String, f64)>,
    /// The requests in the order of the schedule, failed ones included.
    pub requests: Vec<VllmRequest>,
}

impl VllmRun {
    /// What vLLM would have recorded of the whole point: warm-up and drain are inside.
    ///
    /// Population: every request that was handed to the client and not aborted by us. A point without
    /// one gives zeros.
    #[must_use]
    pub fn of(point: &PointFile, rows: &[RequestRow], slo: &Slo) -> Self {
        let mut ordered: Vec<&RequestRow> = rows.iter().collect();
        ordered.sort_by_key(|row| (row.intended, row.id));
        let requests: Vec<VllmRequest> =
            ordered.iter().filter_map(|row| VllmRequest::of(row)).collect();
        let end = rows
            .iter()
            .filter(|row| !matches!(row.outcome, Outcome::Shed | Outcome::Aborted))
            .map(|row| row.done)
            .max();
        let duration_s = end.map_or(0.0, |end| (end - point.phases.start_ns).as_secs_f64());
        let done = || requests.iter().filter(|request| request.success);
        let completed = done().count() as u64;
        let good = done().filter(|request| is_good(request, slo)).count();
        let (max_output_tokens_per_s, max_concurrent_requests) = busiest_second(&requests);
        Self {
            duration_s,
            completed,
            failed: requests.len() as u64 - completed,
            total_input_tokens: done().map(|request| request.prompt_tokens).sum(),
            total_output_tokens: done().map(|request| request.output_tokens).sum(),
            request_goodput: (!slo.terms.is_empty()).then(|| per_s(good as f64, duration_s)),
            max_output_tokens_per_s,
            max_concurrent_requests,
            metrics: metrics(&requests),
            requests,
        }
    }

    /// `request_throughput`: completed / duration, requests per second; 0 without a duration.
    #[must_use]
    pub fn request_throughput(&self) -> f64 {
        per_s(self.completed as f64, self.duration_s)
    }

    /// `output_throughput`: output tokens of the completed / duration.
    #[must_use]
    pub fn output_throughput(&self) -> f64 {
        per_s(self.total_output_tokens as f64, self.duration_s)
    }

    /// `total_token_throughput`: input and output tokens of the completed / duration.
    #[must_use]
    pub fn total_token_throughput(&self) -> f64 {
        per_s((self.total_input_tokens + self.total_output_tokens) as f64, self.duration_s)
    }
}

fn per_s(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

/// Whether a completed request met every objective. A single token has a TPOT of 0.
fn is_good(request: &VllmRequest, slo: &Slo) -> bool {
    slo.terms.iter().all(|term| {
        let seconds = match term.metric {
            SloMetric::Ttft => request.ttft.as_secs_f64(),
            SloMetric::Tpot => request.tpot_s().unwrap_or(0.0),
            SloMetric::E2e => request.latency.as_secs_f64(),
        };
        seconds <= term.limit.as_secs_f64()
    })
}

/// The metric block.
fn metrics(requests: &[VllmRequest]) -> Vec<(String, f64)> {
    let done = || requests.iter().filter(|request| request.success);
    let seconds = |span: &Duration| span.as_secs_f64();
    let samples = [
        ("ttft", done().map(|request| seconds(&request.ttft)).collect::<Vec<_>>()),
        ("tpot", done().filter_map(VllmRequest::tpot_s).collect()),
        ("itl", done().flat_map(|request| request.itls.iter().map(seconds)).collect()),
        ("e2el", done().map(|request| seconds(&request.latency)).collect()),
    ];
    let mut metrics = Vec::with_capacity(16);
    for (name, values) in samples {
        let samples = Samples::of(values);
        let ms = |value: Option<f64>| millis(value.unwrap_or(0.0));
        metrics.push((format!("mean_{name}_ms"), ms(samples.mean())));
        metrics.push((format!("median_{name}_ms"), ms(samples.linear(0.5))));
        metrics.push((format!("std_{name}_ms"), ms(samples.deviation())));
        metrics.push((format!("p99_{name}_ms"), ms(samples.linear(0.99))));
    }
    metrics
}

/// Most chunks, and most requests that overlap it, in one second since the first completed request's
/// start.
fn busiest_second(requests: &[VllmRequest]) -> (u64, u64) {
    let done = || requests.iter().filter(|request| request.success);
    let Some(origin) = done().map(|request| request.start).min() else { return (0, 0) };
    let second = |at: RunNanos| (at - origin).as_secs();
    let mut chunks: BTreeMap<u64, u64> = BTreeMap::new();
    // Where the number of overlapping requests changes, and by how much.
    let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
    for request in done() {
        let mut at = request.start + request.ttft;
        *chunks.entry(second(at)).or_insert(0) += 1;
        for gap in &request.itls {
            at += *gap;
            *chunks.entry(second(at)).or_insert(0) += 1;
        }
        let (from, to) = (second(request.start), request.start + request.latency - origin);
        let to = to.as_secs() + u64::from(to.subsec_nanos() > 0);
        *changes.entry(from).or_insert(0) += 1;
        *changes.entry(to.max(from)).or_insert(0) -= 1;
    }
    let (mut now, mut most) = (0_i64, 0_i64);
    for change in changes.values() {
        now += change;
        most = most.max(now);
    }
    (chunks.values().copied().max().unwrap_or(0), most.unsigned_abs())
}

#[cfg(test)]
mod tests;
