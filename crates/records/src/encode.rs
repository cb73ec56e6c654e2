//! From rows to Arrow record batches.

mod sample;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::SchemaRef;
use plimsoll_units::RunNanos;

use crate::row::{ChunkRow, ConnectionUse, RequestRow, StampSource};
use crate::schema::{
    LATENCIES, STATISTICS, Table, circumstance, latency_column, request, summary, token,
};
use crate::summary::{QuantilesMs, SummaryRow};

pub(crate) use sample::{encode_gpu, encode_server};

/// The batch of `requests` that holds `rows`, in their order. Chunks are counted, not stored:
/// [`encode_tokens`] stores them.
///
/// Stamps beyond `i64::MAX` ns (292 years) become `i64::MAX`.
///
/// # Panics
/// When the texts of one column exceed 2 GiB; the contract's limit of 1,000 characters an error
/// allows half a million rows.
#[must_use]
pub fn encode_requests(rows: &[RequestRow]) -> RecordBatch {
    let must = |f: fn(&RequestRow) -> RunNanos| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| stamp(f(row)))))
    };
    let may = |f: fn(&RequestRow) -> Option<RunNanos>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| f(row).map(stamp))))
    };
    let count = |f: fn(&RequestRow) -> u32| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| i64::from(f(row)))))
    };
    let counted = |f: fn(&RequestRow) -> Option<u32>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| f(row).map(i64::from))))
    };
    let text = |f: fn(&RequestRow) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(f)))
    };
    Columns::new(Table::Requests)
        .put(request::ID, Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.id))))
        .put(request::SESSION, Arc::new(UInt64Array::from_iter(rows.iter().map(|row| row.session))))
        .put(request::TURN, Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.turn))))
        .put(
            request::WORKER,
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.worker))),
        )
        .put(request::INTENDED, must(|row| row.intended))
        .put(request::DEQUEUED, must(|row| row.dequeued))
        .put(request::CONNECTED, may(|row| row.connected))
        .put(request::CONNECTION, text(|row| row.connection.map(connection_text)))
        .put(request::SENT, may(|row| row.sent))
        .put(request::FIRST_BYTE, may(|row| row.first_byte))
        .put(request::ROLE_CHUNK, may(|row| row.role_chunk))
        .put(request::FIRST_REASONING, may(|row| row.first_reasoning))
        .put(request::FIRST_ANSWER, may(|row| row.first_answer))
        .put(request::LAST_TOKEN, may(|row| row.last_token))
        .put(request::USAGE, may(|row| row.usage))
        .put(request::DONE, must(|row| row.done))
        .put(request::RESENT, flags(rows.iter().map(|row| row.resent)))
        .put(request::OUTCOME, text(|row| Some(row.outcome.as_str())))
        .put(
            request::HTTP_STATUS,
            Arc::new(UInt16Array::from_iter(rows.iter().map(|row| row.http_status))),
        )
        .put(request::ERROR, text(|row| row.error.as_deref()))
        .put(request::FINISH_REASON, text(|row| row.finish_reason.as_deref()))
        .put(request::PROMPT_TOKENS_PLANNED, counted(|row| row.prompt_tokens_planned))
        .put(request::PROMPT_TOKENS, counted(|row| row.prompt_tokens))
        .put(request::OUTPUT_TOKENS_PLANNED, count(|row| row.output_tokens_planned))
        .put(request::OUTPUT_TOKENS, counted(|row| row.output_tokens))
        .put(request::CACHED_TOKENS, counted(|row| row.cached_tokens))
        .put(request::STAMP_SOURCE, text(|row| Some(stamp_source_text(row.stamp_source))))
        .put(request::CHUNKS, int64s(rows.iter().map(|row| row.chunks.len() as u64)))
        .put(
            request::CHUNKS_SHARED,
            int64s(
                rows.iter()
                    .map(|row| row.chunks.iter().filter(|chunk| chunk.shared).count() as u64),
            ),
        )
        .batch()
}

/// The batch of `tokens` that holds the chunks of `rows`: requests in their order, the chunks of
/// each in order of arrival.
///
/// # Panics
/// When a request has more than `u32::MAX` chunks.
#[must_use]
pub fn encode_tokens(rows: &[RequestRow]) -> RecordBatch {
    let total = rows.iter().map(|row| row.chunks.len()).sum();
    let (mut ids, mut places) = (Vec::with_capacity(total), Vec::with_capacity(total));
    for row in rows {
        let chunks = u32::try_from(row.chunks.len()).expect("fewer than 2^32 chunks a request");
        ids.extend(std::iter::repeat_n(row.id, row.chunks.len()));
        places.extend(0..chunks);
    }
    let each = || rows.iter().flat_map(|row| &row.chunks);
    let numbers = |f: fn(&ChunkRow) -> i64| -> ArrayRef {
        let mut values = Vec::with_capacity(total);
        values.extend(each().map(f));
        Arc::new(Int64Array::from(values))
    };
    Columns::new(Table::Tokens)
        .put(token::REQUEST_ID, Arc::new(UInt64Array::from(ids)))
        .put(token::CHUNK, Arc::new(UInt32Array::from(places)))
        .put(token::AT, numbers(|chunk| stamp(chunk.at)))
        .put(token::TOKENS, numbers(|chunk| i64::from(chunk.tokens)))
        .put(token::COUNTED, flags(each().map(|chunk| chunk.counted)))
        .put(token::REASONING, flags(each().map(|chunk| chunk.reasoning)))
        .put(token::SHARED, flags(each().map(|chunk| chunk.shared)))
        .batch()
}

/// The batch of `summary` that holds `rows`.
pub(crate) fn encode_summary(rows: &[SummaryRow]) -> RecordBatch {
    let must = |f: fn(&SummaryRow) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.iter().map(f)))
    };
    let may = |f: fn(&SummaryRow) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(rows.iter().map(f)))
    };
    let text = |f: fn(&SummaryRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(f)))
    };
    let mut columns = Columns::new(Table::Summary)
        .put(summary::POINT, text(|row| &row.point))
        .put(summary::GROUP, text(|row| &row.group))
        .put(
            summary::REPETITION,
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.repetition))),
        )
        .put(summary::RATE, may(|row| row.rate_per_s))
        .put(
            summary::CONCURRENCY,
            Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.concurrency))),
        )
        .put(summary::ACHIEVED_RATE, must(|row| row.achieved_rate_per_s))
        .put(summary::WINDOW, must(|row| row.window_s))
        .put(summary::DUE, int64s(rows.iter().map(|row| row.due)))
        .put(summary::OK, int64s(rows.iter().map(|row| row.ok)))
        .put(summary::FAILED, int64s(rows.iter().map(|row| row.failed)))
        .put(summary::ABORTED, int64s(rows.iter().map(|row| row.aborted)))
        .put(summary::RESENT, int64s(rows.iter().map(|row| row.resent)))
        .put(summary::THROUGHPUT, must(|row| row.throughput_per_s))
        .put(summary::THROUGHPUT_LOW, may(|row| row.throughput_low_per_s))
        .put(summary::THROUGHPUT_HIGH, may(|row| row.throughput_high_per_s))
        .put(summary::OUTPUT_TOKENS, must(|row| row.output_tokens_per_s))
        .put(summary::INPUT_TOKENS, may(|row| row.input_tokens_per_s))
        .put(summary::MAKESPAN_THROUGHPUT, may(|row| row.makespan_throughput_per_s))
        .put(summary::GOODPUT, may(|row| row.goodput_per_s))
        .put(summary::GOODPUT_SHARE, may(|row| row.goodput_share))
        .put(summary::STABLE, flags(rows.iter().map(|row| row.stable)))
        .put(summary::DRIFT, must(|row| row.drift_per_s))
        .put(summary::IN_FLIGHT_MEAN, must(|row| row.in_flight_mean));
    for (place, latency) in LATENCIES.into_iter().enumerate() {
        for (statistic, pick) in STATISTICS.into_iter().zip(STATISTIC_OF) {
            let values = rows.iter().map(|row| pick(latencies(row)[place]));
            columns = columns.put(
                &latency_column(latency, statistic),
                Arc::new(Float64Array::from_iter(values)),
            );
        }
    }
    columns
        .put(circumstance::QUEUE_TIME, may(|row| row.queue_time_mean_ms))
        .put(circumstance::PREFILL_TIME, may(|row| row.prefill_time_mean_ms))
        .put(circumstance::DECODE_TIME, may(|row| row.decode_time_mean_ms))
        .put(circumstance::TTFT_REST, may(|row| row.ttft_rest_mean_ms))
        .put(circumstance::PREFIX_HIT_SHARE, may(|row| row.prefix_hit_share))
        .put(circumstance::PREEMPTIONS, may(|row| row.preemptions))
        .put(summary::PROBE, Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.probe))))
        .put(circumstance::RUNNING_MEAN, may(|row| row.running_mean))
        .put(circumstance::WAITING_MEAN, may(|row| row.waiting_mean))
        .put(circumstance::KV_CACHE_USAGE_MAX, may(|row| row.kv_cache_usage_max))
        .put(circumstance::GPUS, Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.gpus))))
        .put(circumstance::GPU_SM_UTILISATION, may(|row| row.gpu_sm_utilisation_mean_pct))
        .put(circumstance::GPU_POWER, may(|row| row.gpu_power_mean_w))
        .put(circumstance::ENERGY_PER_TOKEN, may(|row| row.energy_j_per_output_token))
        .put(circumstance::ENERGY_PER_REQUEST, may(|row| row.energy_j_per_request))
        .put(circumstance::TOKENS_PER_W, may(|row| row.output_tokens_per_s_per_w))
        .put(circumstance::GPU_THROTTLED_SHARE, may(|row| row.gpu_throttled_share))
        .batch()
}

/// The latencies of a summary row in the order of [`LATENCIES`].
fn latencies(row: &SummaryRow) -> [&QuantilesMs; 7] {
    [&row.ttft, &row.service_ttft, &row.tpot, &row.itl, &row.chunk_gap, &row.e2e, &row.schedule_lag]
}

/// The statistics of a latency in the order of [`STATISTICS`].
const STATISTIC_OF: [fn(&QuantilesMs) -> Option<f64>; 4] =
    [|of| of.mean, |of| of.p50, |of| of.p90, |of| of.p99];

/// A stamp as the files hold it.
fn stamp(stamp: RunNanos) -> i64 {
    i64::try_from(stamp.as_nanos()).unwrap_or(i64::MAX)
}

/// Counts as the files hold them; none comes near `i64::MAX`.
fn int64s(counts: impl Iterator<Item = u64>) -> ArrayRef {
    let values = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}

fn flags(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

/// How a connection's use is written.
pub(crate) const fn connection_text(connection: ConnectionUse) -> &'static str {
    match connection {
        ConnectionUse::New => "new",
        ConnectionUse::Prewarmed => "prewarmed",
        ConnectionUse::Reused => "reused",
    }
}

/// How the source of stamps is written.
pub(crate) const fn stamp_source_text(source: StampSource) -> &'static str {
    match source {
        StampSource::User => "user",
        StampSource::Socket => "socket",
        StampSource::Packet => "packet",
    }
}

/// A batch being filled, column by column, by name.
struct Columns {
    schema: SchemaRef,
    arrays: Vec<Option<ArrayRef>>,
}

impl Columns {
    fn new(table: Table) -> Self {
        let schema = table.schema();
        Self { arrays: vec![None; schema.fields().len()], schema }
    }

    fn put(mut self, name: &str, array: ArrayRef) -> Self {
        let place = self.schema.index_of(name).expect("the schema names every column");
        self.arrays[place] = Some(array);
        self
    }

    fn batch(self) -> RecordBatch {
        let arrays = self.arrays.into_iter().flatten().collect();
        RecordBatch::try_new(self.schema, arrays)
            .expect("each column of the schema was put, with its type and the same length")
    }
}
