//! What encoding a body costs, at 512 prompt tokens.
//!
//! `value` is the control: it makes the same kind of body the usual way, a `serde_json::Value` for
//! each request. It must be slower than `encoder`; if it is not, the numbers are void.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_workload::{BodyTemplate, Calibration, LengthConfig, Workload, WorkloadConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

fn encode(criterion: &mut Criterion) {
    let config = WorkloadConfig {
        input_tokens: Some(LengthConfig::Constant(512)),
        output_tokens: Some(LengthConfig::Constant(128)),
        ..WorkloadConfig::default()
    };
    let workload = Workload::new(&config, Path::new("."), 1).expect("the numbers are in range");
    let calibration = Calibration::assumed(10);
    let encoder = workload
        .encoder(Some(&calibration), &BodyTemplate::default())
        .expect("the prompts are longer than the template");
    let body = encoder.encode(0).body;
    let text = String::from_utf8(body.to_vec()).expect("JSON is text");
    let words: Vec<&str> = text.split(' ').skip(1).take(256).collect();

    let mut group = criterion.benchmark_group("encode-512-tokens");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encoder", |bencher| {
        let mut index = 0;
        bencher.iter(|| {
            index += 1;
            black_box(encoder.encode(index))
        });
    });
    group.bench_function("value", |bencher| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        bencher.iter(|| {
            let chosen: Vec<&str> =
                (0..502).map(|_| words[(rng.next_u32() % 256) as usize]).collect();
            let body = json!({
                "model": "m",
                "messages": [{"role": "user", "content": chosen.join(" ")}],
                "max_tokens": 128,
                "stream": true,
                "stream_options": {"include_usage": true, "continuous_usage_stats": true},
                "ignore_eos": true,
            });
            black_box(body.to_string())
        });
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
