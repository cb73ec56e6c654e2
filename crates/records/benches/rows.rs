//! What the writer's thread does with its rows: rows a second into Arrow batches, against the
//! control that must lose, one JSON text a row; and whole points, from the sender to Parquet.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_records::{
    ChunkRow, ConnectionUse, Outcome, PointWriter, RequestRow, ResultsFolder, StampSource,
    encode_requests, encode_tokens,
};
use plimsoll_units::RunNanos;
use serde_json::{Value, json};

/// Rows of a batch, as the writer makes them.
const ROWS: u64 = 1024;

/// A request with `chunks` chunks of a token each.
fn row(id: u64, chunks: u64) -> RequestRow {
    let at = |ms: u64| RunNanos::from_nanos((id * 7 + ms) * 1_000_000);
    RequestRow {
        id,
        session: None,
        turn: None,
        worker: 0,
        intended: at(0),
        dequeued: at(0),
        connected: Some(at(0)),
        connection: Some(ConnectionUse::Reused),
        sent: Some(at(0)),
        first_byte: Some(at(50)),
        role_chunk: Some(at(50)),
        first_reasoning: None,
        first_answer: Some(at(50)),
        last_token: Some(at(50 + chunks)),
        usage: Some(at(50 + chunks)),
        done: at(51 + chunks),
        resent: false,
        outcome: Outcome::Ok,
        http_status: Some(200),
        error: None,
        finish_reason: Some("length".to_owned()),
        prompt_tokens_planned: Some(512),
        prompt_tokens: Some(512),
        output_tokens_planned: 128,
        output_tokens: Some(128),
        cached_tokens: Some(0),
        stamp_source: StampSource::User,
        chunks: (0..chunks)
            .map(|place| ChunkRow {
                at: at(50 + place),
                tokens: 1,
                counted: true,
                reasoning: false,
            })
            .collect(),
    }
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
            "reasoning": chunk.reasoning,
        })).collect::<Vec<_>>(),
    })
}

fn into_batches(criterion: &mut Criterion) {
    let rows: Vec<_> = (0..ROWS).map(|id| row(id, 128)).collect();
    let mut group = criterion.benchmark_group("rows_of_128_chunks");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("arrow_batches", |bencher| {
        bencher.iter(|| (encode_tokens(black_box(&rows)), encode_requests(black_box(&rows))));
    });
    group.bench_function("control_json_text", |bencher| {
        bencher.iter(|| {
            let mut text = Vec::new();
            for row in black_box(&rows) {
                serde_json::to_writer(&mut text, &to_json(row)).expect("a Vec takes every byte");
                text.push(b'\n');
            }
            text
        });
    });
    group.finish();
}

fn whole_points(criterion: &mut Criterion) {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = ResultsFolder::create(root.path(), "bench").expect("it is empty");
    let point = folder.point("p").expect("a plain name");
    let rows: Vec<_> = (0..8 * ROWS).map(|id| row(id, 16)).collect();
    let mut group = criterion.benchmark_group("points_of_16_chunks_a_row");
    group.throughput(Throughput::Elements(8 * ROWS)).sample_size(10);
    group.bench_function("sent_to_parquet", |bencher| {
        let fresh = || {
            point.remove_rows().expect("the rows are ours");
            rows.clone()
        };
        let write = |rows: Vec<RequestRow>| {
            let writer = PointWriter::create(&point, |_row| {}).expect("it is empty");
            let mut sender = writer.sender();
            rows.into_iter().for_each(|row| sender.send(row));
            sender.close();
            writer.finish().expect("the disk takes a few MB")
        };
        bencher.iter_batched(fresh, write, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = into_batches, whole_points
}
criterion_main!(benches);
