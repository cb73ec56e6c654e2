//! What the writer's thread does with its rows: rows a second into Arrow batches, against the
//! control that must lose, one JSON text a row; and whole points, from the sender to Parquet.
//!
//! Whole points with chunks are counted in tokens, those without in rows. The thread that sends does
//! next to nothing meanwhile, so the figures are those of one core.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_records::{
    PointDir, PointWriter, RequestRow, ResultsFolder, encode_requests, encode_tokens,
};
use plimsoll_units::RunNanos;
use serde_json::{Value, json};
use traffic::Answers;

#[path = "../tests/files/traffic.rs"]
#[expect(dead_code, reason = "the tests of sizes use more of it")]
mod traffic;

/// Rows of a batch, as the writer makes them.
const ROWS: u64 = 1024;

/// `count` rows with `chunks` chunks of a token each.
fn rows(count: u64, chunks: u64) -> Vec<RequestRow> {
    traffic::rows(0, count, Answers { from: chunks, to: chunks, gap: 1e7 })
}

/// The row as JSON, with the fields that the tables have.
fn to_json(row: &RequestRow) -> Value {
    let may = |stamp: Option<RunNanos>| stamp.map(RunNanos::as_nanos);
    json!({
        "id": row.id, "session": row.session, "turn": row.turn, "worker": row.worker,
        "intended_ns": row.intended.as_nanos(), "dequeued_ns": row.dequeued.as_nanos(),
        "connected_ns": may(row.connected), "connection": row.connection,
        "sent_ns": may(row.sent), "first_byte_ns": may(row.first_byte),
        "role_chunk_ns": may(row.role_chunk), "first_reasoning_ns": may(row.first_reasoning),
        "first_answer_ns": may(row.first_answer), "last_token_ns": may(row.last_token),
        "usage_ns": may(row.usage), "done_ns": row.done.as_nanos(), "resent": row.resent,
        "outcome": row.outcome, "http_status": row.http_status, "error": row.error,
        "finish_reason": row.finish_reason, "prompt_tokens_planned": row.prompt_tokens_planned,
        "prompt_tokens": row.prompt_tokens, "output_tokens_planned": row.output_tokens_planned,
        "output_tokens": row.output_tokens, "cached_tokens": row.cached_tokens,
        "stamp_source": row.stamp_source,
        "chunks": row.chunks.iter().map(|chunk| json!({
            "at_ns": chunk.at, "tokens": chunk.tokens, "counted": chunk.counted,
            "reasoning": chunk.reasoning, "shared": chunk.shared,
        })).collect::<Vec<_>>(),
    })
}

fn into_batches(criterion: &mut Criterion) {
    for chunks in [0, 128] {
        let rows = rows(ROWS, chunks);
        let mut group = criterion.benchmark_group(format!("rows_of_{chunks}_chunks"));
        group.throughput(Throughput::Elements(ROWS));
        group.bench_function("arrow_batches", |bencher| {
            bencher.iter(|| (encode_tokens(black_box(&rows)), encode_requests(black_box(&rows))));
        });
        group.bench_function("control_json_text", |bencher| {
            bencher.iter(|| {
                let mut text = Vec::new();
                for row in black_box(&rows) {
                    serde_json::to_writer(&mut text, &to_json(row)).expect("a Vec takes all");
                    text.push(b'\n');
                }
                text
            });
        });
        group.finish();
    }
}

/// Sends `rows` and lets them reach the streams, which stay; with `to_the_end`, the Parquet files.
fn write(point: &PointDir, rows: Vec<RequestRow>, to_the_end: bool) {
    let writer = PointWriter::create(point, |_row| {}).expect("it is empty");
    let mut sender = writer.sender();
    rows.into_iter().for_each(|row| sender.send(row));
    sender.close();
    if to_the_end {
        writer.finish().expect("the disk takes a few MB");
    }
}

fn whole_points(criterion: &mut Criterion) {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = ResultsFolder::create(root.path(), "bench").expect("it is empty");
    let point = folder.point("p").expect("a plain name");
    for (name, count, chunks, elements) in [
        ("points_without_chunks_in_rows", 128 * ROWS, 0, 128 * ROWS),
        ("points_of_128_chunks_a_row_in_tokens", 8 * ROWS, 128, 8 * 128 * ROWS),
    ] {
        let rows = rows(count, chunks);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(elements)).sample_size(10);
        for (name, to_the_end) in [("sent_to_streams", false), ("sent_to_parquet", true)] {
            group.bench_function(name, |bencher| {
                let fresh = || {
                    point.remove_rows().expect("the rows are ours");
                    rows.clone()
                };
                let write = |rows| write(&point, rows, to_the_end);
                bencher.iter_batched(fresh, write, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = into_batches, whole_points
}
criterion_main!(benches);
