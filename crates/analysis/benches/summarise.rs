//! Rows per second that a point is summarised and audited at, on 15 virtual seconds of a batch
//! server: about 500 requests with 24 chunks each. The control computes less, with the obvious
//! algorithms, and must lose against `summarise`; if it does not, these numbers mean nothing.

#[path = "../tests/virtual_time/server.rs"]
mod server;

#[path = "../tests/virtual_time/study.rs"]
#[expect(dead_code, reason = "only one of its cases is used here")]
mod study;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_analysis::{Slo, audit_point, summarise};
use plimsoll_records::RequestRow;

/// The gaps sorted anew for each quantile, and all rows scanned for each of 240 moments.
fn control(rows: &[RequestRow], end: f64) -> (Vec<u64>, usize) {
    let quantiles = [0.5, 0.9, 0.99].map(|q: f64| {
        let mut gaps: Vec<u64> = rows
            .iter()
            .flat_map(|row| row.chunks.windows(2))
            .map(|pair| (pair[1].at - pair[0].at).as_nanos() as u64)
            .collect();
        gaps.sort();
        gaps[(q * gaps.len() as f64) as usize]
    });
    let most = (0..240)
        .map(|moment| {
            let at = end * f64::from(moment) / 240.0;
            let there = |row: &&RequestRow| {
                row.intended.as_secs_f64() < at
                    && row.chunks.iter().filter(|chunk| chunk.at.as_secs_f64() < at).count()
                        < row.chunks.len()
            };
            rows.iter().filter(there).count()
        })
        .max();
    (quantiles.to_vec(), most.unwrap_or(0))
}

fn bench(criterion: &mut Criterion) {
    let case = study::SMALL;
    let plan = server::Plan { measure: 15.0, may_end_early: false, declared_mean: Some(24.0) };
    let (point, rows) = server::measure(case.server, case.lengths, 25.0, plan, 1);
    let summary = summarise(&point, &rows, &Slo::default());
    let end = point.phases.end_ns.as_secs_f64();

    let mut group = criterion.benchmark_group("point");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("summarise", |b| {
        b.iter(|| summarise(black_box(&point), black_box(&rows), &Slo::default()));
    });
    group.bench_function("audit", |b| {
        b.iter(|| audit_point(black_box(&point), black_box(&rows), &summary));
    });
    group.bench_function("control that must lose", |b| {
        b.iter(|| control(black_box(&rows), end));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
