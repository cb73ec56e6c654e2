//! From the bytes of a stream to what its chunks say: events a second and bytes a second.
//!
//! Two questions, each with a control that must lose:
//! - `events`: cutting a stream into events, for pieces of several sizes, against a decoder that
//!   gathers text and splits it at blank lines;
//! - `chunk`: reading the JSON of one event, against a generic tree of it.
//!
//! The stream is fixed: 1,000 chunks as vLLM sends them, about 220 bytes each.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_client::SseDecoder;

// The parser is private; it is measured as it is, rather than made public for this.
#[path = "../src/chunk.rs"]
#[expect(dead_code, reason = "the client uses more of it than this bench")]
mod chunk;
#[path = "../src/problem.rs"]
#[expect(dead_code, reason = "the client uses more of it than this bench")]
#[cfg_attr(test, expect(unused_imports, reason = "its tests do not run here"))]
mod problem;

const EVENTS: usize = 1000;

fn data(number: usize) -> String {
    format!(
        "{{\"id\":\"chatcmpl-93a76c756ecbee6d\",\"object\":\"chat.completion.chunk\",\
         \"created\":1795294345,\"model\":\"tiny\",\"choices\":[{{\"index\":0,\"delta\":\
         {{\"content\":\" word{number}\"}},\"logprobs\":null,\"finish_reason\":null,\
         \"token_ids\":null}}]}}"
    )
}

fn stream() -> Vec<u8> {
    (0..EVENTS).flat_map(|number| format!("data: {}\n\n", data(number)).into_bytes()).collect()
}

/// The control: text is gathered, split at blank lines and copied.
fn naive(pieces: &[&[u8]], mut sink: impl FnMut(&str)) {
    let mut text = String::new();
    for piece in pieces {
        text.push_str(&String::from_utf8_lossy(piece));
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(data) = event.strip_prefix("data: ") {
                sink(data);
            }
            text = rest.to_owned();
        }
    }
}

fn events(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("events");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for size in [64, 220, 1460, 16_384] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        group.bench_with_input(BenchmarkId::new("decoder", size), &pieces, |b, pieces| {
            let mut decoder = SseDecoder::new(1 << 20);
            b.iter(|| {
                let mut bytes = 0;
                for piece in pieces {
                    let fed = decoder.feed(piece, |event| bytes += event.data.len());
                    assert!(fed.is_ok());
                }
                black_box(bytes)
            });
        });
        group.bench_with_input(BenchmarkId::new("control", size), &pieces, |b, pieces| {
            b.iter(|| {
                let mut bytes = 0;
                naive(pieces, |data| bytes += data.len());
                black_box(bytes)
            });
        });
    }
    group.finish();
}

fn chunk(c: &mut Criterion) {
    let data = data(7);
    let mut group = c.benchmark_group("chunk");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parser", |b| {
        b.iter(|| {
            let chunk: chunk::Chunk<'_> =
                serde_json::from_slice(black_box(data.as_bytes())).expect("it is a chunk");
            black_box(chunk.choices.map(|choices| choices.answer))
        });
    });
    group.bench_function("control", |b| {
        b.iter(|| {
            let tree: serde_json::Value =
                serde_json::from_slice(black_box(data.as_bytes())).expect("it is JSON");
            black_box(tree["choices"][0]["delta"]["content"].as_str().map(str::len))
        });
    });
    group.finish();
}

criterion_group!(benches, events, chunk);
criterion_main!(benches);
