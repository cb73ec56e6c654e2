//! From Arrow record batches to rows.
//!
//! Columns are found by name, so a file of a newer minor version, with columns of its own, reads
//! as well; one of an earlier minor version lacks columns, and [`Cells::has`] marks which of them.
//! Every value is checked: files come from disks, other tools and other versions.

mod sample;

use arrow::array::RecordBatch;
use plimsoll_units::RunNanos;

use crate::cell::{Cells, Count, LargeCount};
use crate::error::TableError;
use crate::row::{ChunkRow, RequestRow};
use crate::schema::{
    CHUNK_GAP, ITL, LATENCIES, STATISTICS, circumstance, latency_column, request, summary, token,
};
use crate::summary::{QuantilesMs, SummaryRow};

pub(crate) use sample::{decode_gpu, decode_server};

/// A request as the `requests` table has it: the row, its chunks still missing, and their number.
#[derive(Clone, Debug)]
pub(crate) struct BareRow {
    pub(crate) row: RequestRow,
    pub(crate) chunks: u64,
}

/// A row of `tokens`: the request's id and one of its chunks.
pub(crate) type TokenRow = (u64, ChunkRow);

/// The requests of a batch of `requests`.
pub(crate) fn decode_requests(batch: &RecordBatch) -> Result<Vec<BareRow>, TableError> {
    // Every field is overwritten or refused.
    let blank = BareRow { row: RequestRow::default(), chunks: 0 };
    let mut cells = Cells::new(batch, blank);
    cells.must(request::ID, |to, value| to.row.id = value)?;
    cells.may(request::SESSION, |to, value| to.row.session = value)?;
    cells.may(request::TURN, |to, value| to.row.turn = value)?;
    cells.must(request::WORKER, |to, value| to.row.worker = value)?;
    cells.must(request::INTENDED, |to, value| to.row.intended = value)?;
    cells.must(request::DEQUEUED, |to, value| to.row.dequeued = value)?;
    cells.may(request::CONNECTED, |to, value| to.row.connected = value)?;
    cells.may(request::CONNECTION, |to, value| to.row.connection = value)?;
    cells.may(request::SENT, |to, value| to.row.sent = value)?;
    cells.may(request::FIRST_BYTE, |to, value| to.row.first_byte = value)?;
    cells.may(request::ROLE_CHUNK, |to, value| to.row.role_chunk = value)?;
    cells.may(request::FIRST_REASONING, |to, value| to.row.first_reasoning = value)?;
    cells.may(request::FIRST_ANSWER, |to, value| to.row.first_answer = value)?;
    cells.may(request::LAST_TOKEN, |to, value| to.row.last_token = value)?;
    cells.may(request::USAGE, |to, value| to.row.usage = value)?;
    cells.must(request::DONE, |to, value| to.row.done = value)?;
    cells.must(request::RESENT, |to, value| to.row.resent = value)?;
    cells.must(request::OUTCOME, |to, value| to.row.outcome = value)?;
    cells.may(request::HTTP_STATUS, |to, value| to.row.http_status = value)?;
    cells.may(request::ERROR, |to, value| to.row.error = value)?;
    cells.may(request::FINISH_REASON, |to, value| to.row.finish_reason = value)?;
    cells.may(request::PROMPT_TOKENS_PLANNED, |to, value| {
        to.row.prompt_tokens_planned = value.map(Count::get);
    })?;
    cells.may(request::PROMPT_TOKENS, |to, value| to.row.prompt_tokens = value.map(Count::get))?;
    cells.must(request::OUTPUT_TOKENS_PLANNED, |to, Count(value)| {
        to.row.output_tokens_planned = value;
    })?;
    cells.may(request::OUTPUT_TOKENS, |to, value| to.row.output_tokens = value.map(Count::get))?;
    cells.may(request::CACHED_TOKENS, |to, value| to.row.cached_tokens = value.map(Count::get))?;
    cells.must(request::STAMP_SOURCE, |to, value| to.row.stamp_source = value)?;
    cells.must(request::CHUNKS, |to, LargeCount(value)| to.chunks = value)?;
    Ok(cells.rows())
}

/// The chunks of a batch of `tokens`.
pub(crate) fn decode_tokens(batch: &RecordBatch) -> Result<Vec<TokenRow>, TableError> {
    // Every field is overwritten or refused, but for those that format 1.0 lacks.
    let blank =
        ChunkRow { at: RunNanos::ZERO, tokens: 0, counted: false, reasoning: false, shared: false };
    let mut cells = Cells::new(batch, (0, blank));
    cells.must(token::REQUEST_ID, |to: &mut TokenRow, value| to.0 = value)?;
    cells.must(token::AT, |to, value| to.1.at = value)?;
    cells.must(token::TOKENS, |to, Count(value)| to.1.tokens = value)?;
    cells.must(token::COUNTED, |to, value| to.1.counted = value)?;
    cells.must(token::REASONING, |to, value| to.1.reasoning = value)?;
    if cells.has(token::SHARED) {
        cells.must(token::SHARED, |to, value| to.1.shared = value)?;
    }
    Ok(cells.rows())
}

/// The points of a batch of `summary`.
pub(crate) fn decode_summary(batch: &RecordBatch) -> Result<Vec<SummaryRow>, TableError> {
    let mut cells = Cells::new(batch, SummaryRow::default());
    cells.must(summary::POINT, |to, value| to.point = value)?;
    cells.must(summary::GROUP, |to, value| to.group = value)?;
    cells.must(summary::REPETITION, |to, value| to.repetition = value)?;
    cells.may(summary::RATE, |to, value| to.rate_per_s = value)?;
    cells.may(summary::CONCURRENCY, |to, value| to.concurrency = value)?;
    cells.must(summary::ACHIEVED_RATE, |to, value| to.achieved_rate_per_s = value)?;
    cells.must(summary::WINDOW, |to, value| to.window_s = value)?;
    cells.must(summary::DUE, |to, LargeCount(value)| to.due = value)?;
    cells.must(summary::OK, |to, LargeCount(value)| to.ok = value)?;
    cells.must(summary::FAILED, |to, LargeCount(value)| to.failed = value)?;
    cells.must(summary::ABORTED, |to, LargeCount(value)| to.aborted = value)?;
    cells.must(summary::RESENT, |to, LargeCount(value)| to.resent = value)?;
    cells.must(summary::THROUGHPUT, |to, value| to.throughput_per_s = value)?;
    cells.may(summary::THROUGHPUT_LOW, |to, value| to.throughput_low_per_s = value)?;
    cells.may(summary::THROUGHPUT_HIGH, |to, value| to.throughput_high_per_s = value)?;
    cells.must(summary::OUTPUT_TOKENS, |to, value| to.output_tokens_per_s = value)?;
    cells.may(summary::INPUT_TOKENS, |to, value| to.input_tokens_per_s = value)?;
    cells.may(summary::MAKESPAN_THROUGHPUT, |to, value| to.makespan_throughput_per_s = value)?;
    cells.may(summary::GOODPUT, |to, value| to.goodput_per_s = value)?;
    cells.may(summary::GOODPUT_SHARE, |to, value| to.goodput_share = value)?;
    cells.must(summary::STABLE, |to, value| to.stable = value)?;
    cells.must(summary::DRIFT, |to, value| to.drift_per_s = value)?;
    cells.must(summary::IN_FLIGHT_MEAN, |to, value| to.in_flight_mean = value)?;
    // Format 1.0 knew no gaps per token: what it called `itl` are gaps between chunks.
    let gaps_of_chunks = cells.has(&latency_column(CHUNK_GAP, STATISTICS[0]));
    for (latency, quantiles) in LATENCIES.into_iter().zip(QUANTILES_OF) {
        let quantiles: fn(&mut SummaryRow) -> &mut QuantilesMs = match latency {
            CHUNK_GAP if !gaps_of_chunks => continue,
            ITL if !gaps_of_chunks => |row| &mut row.chunk_gap,
            _ => quantiles,
        };
        for (statistic, pick) in STATISTICS.into_iter().zip(STATISTIC_OF) {
            cells.may(&latency_column(latency, statistic), |to, value| {
                *pick(quantiles(to)) = value;
            })?;
        }
    }
    // Formats before 1.3 knew no searches, those before 1.2 nothing of the circumstances.
    if cells.has(summary::PROBE) {
        cells.may(summary::PROBE, |to, value| to.probe = value)?;
    }
    if cells.has(circumstance::QUEUE_TIME) {
        circumstances(&mut cells)?;
    }
    Ok(cells.rows())
}

/// The columns of `summary` that came with format 1.2.
fn circumstances(cells: &mut Cells<'_, SummaryRow>) -> Result<(), TableError> {
    cells.may(circumstance::QUEUE_TIME, |to, value| to.queue_time_mean_ms = value)?;
    cells.may(circumstance::PREFILL_TIME, |to, value| to.prefill_time_mean_ms = value)?;
    cells.may(circumstance::DECODE_TIME, |to, value| to.decode_time_mean_ms = value)?;
    cells.may(circumstance::TTFT_REST, |to, value| to.ttft_rest_mean_ms = value)?;
    cells.may(circumstance::PREFIX_HIT_SHARE, |to, value| to.prefix_hit_share = value)?;
    cells.may(circumstance::PREEMPTIONS, |to, value| to.preemptions = value)?;
    cells.may(circumstance::RUNNING_MEAN, |to, value| to.running_mean = value)?;
    cells.may(circumstance::WAITING_MEAN, |to, value| to.waiting_mean = value)?;
    cells.may(circumstance::KV_CACHE_USAGE_MAX, |to, value| to.kv_cache_usage_max = value)?;
    cells.may(circumstance::GPUS, |to, value| to.gpus = value)?;
    cells.may(circumstance::GPU_SM_UTILISATION, |to, value| {
        to.gpu_sm_utilisation_mean_pct = value;
    })?;
    cells.may(circumstance::GPU_POWER, |to, value| to.gpu_power_mean_w = value)?;
    cells.may(circumstance::ENERGY_PER_TOKEN, |to, value| to.energy_j_per_output_token = value)?;
    cells.may(circumstance::ENERGY_PER_REQUEST, |to, value| to.energy_j_per_request = value)?;
    cells.may(circumstance::TOKENS_PER_W, |to, value| to.output_tokens_per_s_per_w = value)?;
    cells.may(circumstance::GPU_THROTTLED_SHARE, |to, value| to.gpu_throttled_share = value)
}

/// The latencies of a summary row in the order of [`LATENCIES`].
const QUANTILES_OF: [fn(&mut SummaryRow) -> &mut QuantilesMs; 7] = [
    |row| &mut row.ttft,
    |row| &mut row.service_ttft,
    |row| &mut row.tpot,
    |row| &mut row.itl,
    |row| &mut row.chunk_gap,
    |row| &mut row.e2e,
    |row| &mut row.schedule_lag,
];

/// The statistics of a latency in the order of [`STATISTICS`].
const STATISTIC_OF: [fn(&mut QuantilesMs) -> &mut Option<f64>; 4] =
    [|of| &mut of.mean, |of| &mut of.p50, |of| &mut of.p90, |of| &mut of.p99];

#[cfg(test)]
mod tests;
