//! 32 streams flat out, each token written by itself: the whole client beside the null client, each
//! on this thread, against the ground-truth server on a thread of its own.
//!
//! The ratio of the two is what the client adds; the target is at most 1.5. The control is the null
//! client with a mistake that is easily made: each event looks through the whole answer so far. It
//! must be slower than the null client alone.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_benches::{
    Bodies, BodyShape, Load, NullClient, Pace, Pulse, PulseSettings, Run, Stamps, drive,
    raise_file_limit,
};

const STREAMS: u32 = 32;
const TOKENS: u32 = 128;

/// An event as the server writes it.
const EVENT: &str = "data: {\"id\":\"chatcmpl-93a76c756ecbee6d\",\"object\":\"chat.completion.chunk\",\
    \"created\":1795294345,\"model\":\"pulse\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
    \"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}]}\n\n";

/// CPU time of this process a token, but for the server's: that of the calling thread.
fn thread_cpu() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has one");
    Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32)
}

fn load() -> Load {
    let flat_out =
        PulseSettings { ttft: Duration::ZERO, itl: Duration::ZERO, ..Default::default() };
    let shape = BodyShape { tokens: TOKENS, bytes: 1_000, counted: false };
    Load {
        address: Pulse::spawn(flat_out).expect("the loopback address has free ports"),
        bodies: Bodies::new(shape, 2 * STREAMS as usize),
        pace: Pace::Closed(STREAMS),
        length: Duration::from_millis(300),
        prewarm: STREAMS,
        keep: 0,
    }
}

/// CPU time of this thread for `iters` tokens, from as many loads as that takes.
fn for_tokens(iters: u64, mut one: impl FnMut() -> Run) -> Duration {
    let (mut tokens, mut spent) = (0, Duration::ZERO);
    while tokens < iters {
        let before = thread_cpu();
        let run = one();
        spent += thread_cpu() - before;
        assert_eq!(run.failed, 0, "{:?}", run.first_failure);
        assert!(run.tokens > 0);
        tokens += run.tokens;
    }
    spent.mul_f64(iters as f64 / tokens as f64)
}

fn paced(c: &mut Criterion) {
    raise_file_limit().expect("a process may use what it is allowed");
    let load = load();
    let mut group = c.benchmark_group("CPU a token, 32 streams flat out, one write a token");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let null = || {
        let client = NullClient::new(&load).expect("descriptors are left");
        client.run().expect("the server is there")
    };
    group.bench_function("null client (floor)", |b| {
        b.iter_custom(|iters| for_tokens(iters, null));
    });
    for stamps in [Stamps::User, Stamps::Socket] {
        let name = format!("{stamps:?} stamps").to_lowercase();
        group.bench_function(BenchmarkId::new("plimsoll client", name), |b| {
            b.iter_custom(|iters| {
                for_tokens(iters, || {
                    drive(&load, stamps, Duration::ZERO).expect("the server is there")
                })
            });
        });
    }
    let answer = EVENT.repeat(TOKENS as usize);
    group.bench_function("control: null client that rereads each answer (must lose)", |b| {
        b.iter_custom(|iters| {
            for_tokens(iters, || {
                let run = null();
                for token in 0..run.tokens as usize {
                    let so_far = &answer[..EVENT.len() * (token % TOKENS as usize + 1)];
                    black_box(black_box(so_far).lines().filter(|line| !line.is_empty()).count());
                }
                run
            })
        });
    });
    group.finish();
}

criterion_group!(benches, paced);
criterion_main!(benches);
