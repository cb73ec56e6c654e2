//! One decode step of a full batch: what the engine adds to every 256 tokens.
//!
//! The control steps a fresh copy of the engine each time and must lose; if it does not, the
//! figures are void.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_sim::{Engine, ModelProfile, Request, Settings};
use plimsoll_units::{RunNanos, Tokens};

const SEQUENCES: u32 = 256;

/// An engine whose slots all decode, with so much left to do that no bench sees the end.
fn busy() -> Engine {
    let model = ModelProfile {
        max_model_len: 100_000_000,
        num_gpu_blocks: 10_000_000,
        ..ModelProfile::tiny()
    };
    let settings = Settings { max_num_seqs: SEQUENCES, ..Settings::default() };
    let mut engine = Engine::new(&model, &settings).expect("the settings fit the model");
    for seed in 0..SEQUENCES {
        let request = Request {
            prompt: vec![seed; 8],
            output_tokens: Tokens::new(90_000_000),
            seed: u64::from(seed),
        };
        engine.submit(request, RunNanos::ZERO).expect("the prompt is short");
    }
    engine.step(RunNanos::ZERO);
    engine
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(u64::from(SEQUENCES)));
    let mut engine = busy();
    group.bench_function("decode-256", |bencher| {
        bencher.iter(|| engine.step(RunNanos::ZERO).map(|step| step.tokens.len()));
    });
    let settings = Settings { max_num_seqs: SEQUENCES, ..Settings::default() };
    let mut small = Engine::new(&ModelProfile::tiny(), &settings).expect("the settings fit");
    for seed in 0..SEQUENCES {
        let request = Request { prompt: vec![seed; 8], output_tokens: Tokens::new(100), seed: 1 };
        small.submit(request, RunNanos::ZERO).expect("the prompt is short");
    }
    small.step(RunNanos::ZERO);
    group.bench_function("control-copy-and-decode-256", |bencher| {
        bencher.iter_batched(
            || (),
            |()| small.clone().step(RunNanos::ZERO).map(|step| step.tokens.len()),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
