//! What it costs to know oneself: a reading of the run's clock, an anchor of the wall clock to it, the
//! run-queue wait of all threads. Each group has a control that must lose.

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use plimsoll_benches::{Usage, run_queue_wait_ns};
use plimsoll_units::{Clock as _, RunClock};

fn short<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.sample_size(20);
    group
}

/// A stamp is taken for every read, so it must cost nanoseconds: the reading stays out of the kernel.
fn clock(c: &mut Criterion) {
    let clock = RunClock::start();
    let mut group = short(c, "a stamp");
    group.bench_function("run clock", |b| b.iter(|| black_box(clock.now())));
    group.bench_function("anchor: wall clock between two readings", |b| {
        b.iter(|| black_box(RunClock::start()));
    });
    group.bench_function("control: a system call (must lose)", |b| {
        b.iter(|| black_box(nix::unistd::getppid()));
    });
    group.finish();
}

/// Read a few times a second, beside the measured path.
fn accounts(c: &mut Criterion) {
    // Threads as a load generator has them.
    for _ in 0..8 {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
    }
    let mut group = short(c, "accounts of the process, 9 threads");
    group.bench_function("CPU time and memory", |b| b.iter(|| Usage::now().map(black_box)));
    group.bench_function("run-queue wait, one thread", |b| {
        b.iter(|| black_box(fs::read("/proc/thread-self/schedstat")));
    });
    group.bench_function("run-queue wait, all threads", |b| {
        b.iter(|| run_queue_wait_ns().map(black_box));
    });
    group.bench_function("control: a process that does nothing (must lose)", |b| {
        b.iter(|| black_box(Command::new("true").status()));
    });
    group.finish();
}

criterion_group!(benches, clock, accounts);
criterion_main!(benches);
