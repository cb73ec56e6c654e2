use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::encode::{encode_requests, encode_summary, encode_tokens};
use crate::outcome::Outcome;
use crate::row::ConnectionUse;
use crate::row::StampSource;
use crate::schema::Table;

fn stamp() -> impl Strategy<Value = RunNanos> {
    prop_oneof![0..=i64::MAX as u64, 0..1_000_u64].prop_map(RunNanos::from_nanos)
}

fn chunk() -> impl Strategy<Value = ChunkRow> {
    (stamp(), any::<u32>(), any::<[bool; 3]>()).prop_map(
        |(at, tokens, [counted, reasoning, shared])| ChunkRow {
            at,
            tokens,
            counted,
            reasoning,
            shared,
        },
    )
}

prop_compose! {
    /// Any row that the type can hold, whether it makes sense or not.
    fn row()(
        (id, session, turn, worker) in any::<(u64, Option<u64>, Option<u32>, u32)>(),
        (intended, dequeued, done) in (stamp(), stamp(), stamp()),
        (connected, sent, first_byte, role_chunk) in
            (of(stamp()), of(stamp()), of(stamp()), of(stamp())),
        (first_reasoning, first_answer, last_token, usage) in
            (of(stamp()), of(stamp()), of(stamp()), of(stamp())),
        connection in of(prop_oneof![
            Just(ConnectionUse::New), Just(ConnectionUse::Prewarmed), Just(ConnectionUse::Reused)
        ]),
        (resent, http_status) in any::<(bool, Option<u16>)>(),
        outcome in prop::sample::select(&Outcome::ALL[..]),
        (error, finish_reason) in (of("\\PC{0,40}"), of("\\PC{0,8}")),
        (prompt_tokens_planned, output_tokens_planned) in any::<(Option<u32>, u32)>(),
        (prompt_tokens, output_tokens, cached_tokens) in
            any::<(Option<u32>, Option<u32>, Option<u32>)>(),
        stamp_source in prop_oneof![
            Just(StampSource::User), Just(StampSource::Socket), Just(StampSource::Packet)
        ],
        chunks in vec(chunk(), 0..6),
    ) -> RequestRow {
        RequestRow {
            id, session, turn, worker, intended, dequeued, connected, connection, sent, first_byte,
            role_chunk, first_reasoning, first_answer, last_token, usage, done, resent, outcome,
            http_status, error, finish_reason, prompt_tokens_planned, prompt_tokens,
            output_tokens_planned, output_tokens, cached_tokens, stamp_source, chunks,
        }
    }
}

fn quantiles() -> impl Strategy<Value = QuantilesMs> {
    (of(-1e9..1e9), of(-1e9..1e9), of(-1e9..1e9), of(-1e9..1e9))
        .prop_map(|(mean, p50, p90, p99)| QuantilesMs { mean, p50, p90, p99 })
}

prop_compose! {
    fn summary_row()(
        (point, group, repetition) in ("\\PC{0,8}", "\\PC{0,8}", any::<u32>()),
        (rate_per_s, concurrency) in (of(0.0..1e6), any::<Option<u32>>()),
        [achieved_rate_per_s, window_s, throughput_per_s, drift_per_s, in_flight_mean] in
            prop::array::uniform5(-1e9..1e9),
        (output_tokens_per_s, input_tokens_per_s) in (0.0..1e9, of(0.0..1e9)),
        [due, ok, failed, aborted, resent] in prop::array::uniform5(0..i64::MAX as u64),
        [throughput_low_per_s, throughput_high_per_s] in prop::array::uniform2(of(0.0..1e9)),
        [makespan_throughput_per_s, goodput_per_s, goodput_share] in
            prop::array::uniform3(of(0.0..1e9)),
        stable in any::<bool>(),
        [ttft, service_ttft, tpot, itl, chunk_gap, e2e, schedule_lag] in
            prop::array::uniform7(quantiles()),
        [
            queue_time_mean_ms, prefill_time_mean_ms, decode_time_mean_ms, ttft_rest_mean_ms,
            prefix_hit_share, preemptions, running_mean, waiting_mean,
        ] in prop::array::uniform8(of(-1e9..1e9)),
        [
            kv_cache_usage_max, gpu_sm_utilisation_mean_pct, gpu_power_mean_w,
            energy_j_per_output_token, energy_j_per_request, output_tokens_per_s_per_w,
            gpu_throttled_share,
        ] in prop::array::uniform7(of(-1e9..1e9)),
        [gpus, probe] in prop::array::uniform2(any::<Option<u32>>()),
    ) -> SummaryRow {
        SummaryRow {
            point, group, repetition, rate_per_s, concurrency, achieved_rate_per_s, window_s, due,
            ok, failed, aborted, resent, throughput_per_s, throughput_low_per_s,
            throughput_high_per_s, output_tokens_per_s, input_tokens_per_s,
            makespan_throughput_per_s, goodput_per_s, goodput_share, stable, drift_per_s,
            in_flight_mean, ttft, service_ttft, tpot, itl, chunk_gap, e2e, schedule_lag,
            queue_time_mean_ms, prefill_time_mean_ms, decode_time_mean_ms, ttft_rest_mean_ms,
            prefix_hit_share, preemptions, running_mean, waiting_mean, kv_cache_usage_max, gpus,
            gpu_sm_utilisation_mean_pct, gpu_power_mean_w, energy_j_per_output_token,
            energy_j_per_request, output_tokens_per_s_per_w, gpu_throttled_share, probe,
        }
    }
}

proptest! {
    /// Encoding and decoding changes no field of any row, and no chunk.
    #[test]
    fn rows_round_trip(rows in vec(row(), 0..8)) {
        let bare = decode_requests(&encode_requests(&rows)).unwrap();
        let tokens = decode_tokens(&encode_tokens(&rows)).unwrap();

        let counts: Vec<_> = rows.iter().map(|row| row.chunks.len() as u64).collect();
        prop_assert_eq!(bare.iter().map(|bare| bare.chunks).collect::<Vec<_>>(), counts);
        let chunkless = rows.iter().map(|row| RequestRow { chunks: Vec::new(), ..row.clone() });
        prop_assert!(bare.into_iter().map(|bare| bare.row).eq(chunkless));
        let chunks = rows.iter().flat_map(|row| row.chunks.iter().map(|chunk| (row.id, *chunk)));
        prop_assert!(tokens.into_iter().eq(chunks));
    }

    /// `chunks_shared` is the number of the request's chunks that are marked as shared.
    #[test]
    fn shared_chunks_are_counted(rows in vec(row(), 0..8)) {
        let batch = encode_requests(&rows);
        let column = batch.column_by_name("chunks_shared").unwrap();
        let column: &Int64Array = column.as_any().downcast_ref().unwrap();
        for (row, found) in rows.iter().zip(column.values()) {
            let mut expected = 0;
            for chunk in &row.chunks {
                expected += i64::from(chunk.shared);
            }
            prop_assert_eq!(*found, expected);
        }
    }

    /// Encoding and decoding changes no field of the summary.
    #[test]
    fn summaries_round_trip(rows in vec(summary_row(), 0..8)) {
        prop_assert_eq!(decode_summary(&encode_summary(&rows)).unwrap(), rows);
    }
}

/// The batch of one plain row, with the column `name` replaced by `array`.
fn with_column(name: &str, nullable: bool, array: ArrayRef) -> RecordBatch {
    let batch = encode_requests(&[RequestRow::default()]);
    let schema = batch.schema();
    let place = schema.index_of(name).unwrap();
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[place] = Field::new(name, array.data_type().clone(), nullable);
    let mut columns = batch.columns().to_vec();
    columns[place] = array;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[test]
fn what_no_row_can_hold_is_refused_with_its_place() {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
    let nothing: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    for (column, array, message) in [
        ("done_ns", number(-1), "`done_ns` holds `-1` in row 0; allowed is 0 or more ns"),
        ("sent_ns", number(-1), "`sent_ns` holds `-1`"),
        ("done_ns", nothing, "`done_ns` has no value in row 0"),
        ("output_tokens", number(1 << 32), "allowed is 0 to 4294967295"),
        ("outcome", text("fine"), "`outcome` holds `fine` in row 0; allowed is ok, http-status"),
        ("connection", text("old"), "allowed is new, prewarmed, reused"),
        ("stamp_source", text("guess"), "allowed is user, socket, packet"),
        ("id", text("7"), "`id` is of type Utf8, not UInt64"),
    ] {
        let error = decode_requests(&with_column(column, true, array)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_missing_column_is_named_and_one_more_is_ignored() {
    let batch = encode_requests(&[RequestRow::default()]);
    let keep: Vec<_> = (0..batch.num_columns()).filter(|place| *place != 3).collect();
    let error = decode_requests(&batch.project(&keep).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "column `worker` is missing");

    let schema = batch.schema();
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.insert(0, Field::new("of_a_later_minor", DataType::Utf8, false));
    let mut columns = batch.columns().to_vec();
    columns.insert(0, Arc::new(StringArray::from(vec!["new"])));
    let wider = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(decode_requests(&wider).unwrap()[0].row, RequestRow::default());
}

/// The batch without the columns whose names `gone` picks.
fn without(batch: &RecordBatch, gone: impl Fn(&str) -> bool) -> RecordBatch {
    let schema = batch.schema();
    let keep: Vec<_> =
        (0..batch.num_columns()).filter(|place| !gone(schema.field(*place).name())).collect();
    batch.project(&keep).unwrap()
}

#[test]
fn tables_of_format_1_0_lack_columns_and_read_all_the_same() {
    let chunk = ChunkRow {
        at: RunNanos::from_nanos(3),
        tokens: 2,
        counted: true,
        reasoning: true,
        shared: true,
    };
    let row = RequestRow { chunks: vec![chunk], ..RequestRow::default() };
    let requests =
        without(&encode_requests(std::slice::from_ref(&row)), |name| name == "chunks_shared");
    assert_eq!(decode_requests(&requests).unwrap()[0].chunks, 1);
    let tokens = without(&encode_tokens(&[row]), |name| name == "shared");
    assert_eq!(decode_tokens(&tokens).unwrap(), [(0, ChunkRow { shared: false, ..chunk })]);
}

#[test]
fn what_format_1_0_called_itl_is_read_as_chunk_gap() {
    let gaps = QuantilesMs { mean: Some(11.0), p50: Some(10.0), p90: None, p99: None };
    let row = SummaryRow { itl: gaps, ..SummaryRow::default() };
    let batch = encode_summary(std::slice::from_ref(&row));
    let old = without(&batch, |name| name.starts_with("chunk_gap_"));
    let expected = SummaryRow { chunk_gap: gaps, itl: QuantilesMs::default(), ..row };
    assert_eq!(decode_summary(&old).unwrap(), [expected]);

    // A table of 1.1 or later that lost one of the columns is no table of 1.0.
    let broken = without(&batch, |name| name == "chunk_gap_p90_ms");
    let error = decode_summary(&broken).unwrap_err().to_string();
    assert_eq!(error, "column `chunk_gap_p90_ms` is missing");
}

#[test]
fn a_summary_of_format_1_1_knows_nothing_of_the_circumstances() {
    let row = SummaryRow { due: 7, ..SummaryRow::default() };
    let batch = encode_summary(&[SummaryRow { gpus: Some(4), ..row.clone() }]);
    let schema = batch.schema();
    let since = schema.index_of("queue_time_mean_ms").unwrap();
    let keep: Vec<_> = (0..since).collect();
    assert_eq!(decode_summary(&batch.project(&keep).unwrap()).unwrap(), [row]);

    let error = decode_summary(&without(&batch, |name| name == "gpus")).unwrap_err().to_string();
    assert_eq!(error, "column `gpus` is missing");
}

#[test]
fn stamps_beyond_the_files_range_become_its_largest() {
    let row = RequestRow { done: RunNanos::MAX, ..RequestRow::default() };
    let read = decode_requests(&encode_requests(&[row])).unwrap();
    assert_eq!(read[0].row.done.as_nanos(), i64::MAX as u64);
}

#[test]
fn no_rows_are_a_batch_too() {
    let none = encode_requests(&[]);
    assert_eq!(none.schema(), Table::Requests.schema());
    let twice = concat_batches(&none.schema(), [&none, &encode_requests(&[RequestRow::default()])])
        .unwrap();
    assert_eq!(decode_requests(&twice).unwrap().len(), 1);
}
