//! Nanoseconds an arrival costs, for each process and for one shard of eight.
//!
//! The control must lose: it draws the same Poisson gaps from a generator seeded anew for every
//! arrival, which is what random access to a sequence would take.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_load::{ArrivalProcess, Schedule};
use plimsoll_units::Rate;

const ARRIVALS: usize = 10_000;

fn schedule(text: &str, seed: u64) -> Schedule {
    let process: ArrivalProcess = text.parse().expect("a process of the list below");
    Schedule::new(process, Rate::new(1_000.0).expect("above zero"), seed)
}

fn arrivals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arrivals");
    group.throughput(Throughput::Elements(ARRIVALS as u64));
    for text in ["constant", "poisson", "gamma(cv=2)", "gamma(cv=0.5)", "ramp(to=2000, over=1000h)"]
    {
        let mut schedule = schedule(text, 1);
        group.bench_function(text, |bencher| bencher.iter(|| schedule.nth(ARRIVALS - 1)));
    }
    let mut shard = schedule("poisson", 1).shard(3, 8).expect("3 is below 8");
    group.bench_function("poisson, shard 3 of 8", |bencher| {
        bencher.iter(|| shard.nth(ARRIVALS / 8 - 1));
    });
    group.bench_function("control: seeded for every arrival", |bencher| {
        bencher.iter(|| (0..ARRIVALS as u64).filter_map(first_offset).max());
    });
    group.finish();
}

fn first_offset(seed: u64) -> Option<std::time::Duration> {
    schedule("poisson", seed).next().map(|arrival| arrival.offset)
}

criterion_group!(benches, arrivals);
criterion_main!(benches);
