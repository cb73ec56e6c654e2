//! Shows how to make a report: a manifest and a judgement, here made by hand, become text and files.
#![expect(clippy::print_stdout, reason = "an example shows its result")]
use std::error::Error;
use std::time::Duration;

use plimsoll_analysis::{
    Estimate, Group, Judgement, PointSummary, Quantile, Saturation, Slo, summarise,
};
use plimsoll_records::Verdict;
use plimsoll_report::{ReportInput, terminal, write_all};
use serde_json::{from_value, json};

fn about(value: f64) -> Estimate {
    Estimate { value, low: value * 0.98, high: value * 1.02 }
}

/// A point on a server that sustains 37 requests per second. A real one has rows to summarise.
fn point(rate: f64) -> Result<PointSummary, Box<dyn Error>> {
    let file = from_value(json!({
        "id": format!("r{rate}"), "factors": {}, "repetition": 0, "ended": "complete",
        "load": {"kind": "open", "arrivals": "poisson", "rate_per_s": rate, "gap_cv": 1.0, "seed": 1},
        "phases": {"start_ns": 0, "measure_start_ns": 5e9 as u64, "measure_end_ns": 25e9 as u64,
                   "arrivals_end_ns": 26e9 as u64, "end_ns": 26e9 as u64},
        "workers": [], "server": {}, "workload": {"exact_output": true, "exact_input": true}
    }))?;
    let mut point = summarise(&file, &[], &Slo::default());
    let known = |ms: f64| Quantile {
        value: Some(Duration::from_secs_f64(ms / 1e3)),
        ..Quantile::default()
    };
    point.stability.stable = rate < 37.0;
    point.throughput_per_s = about(rate.min(37.0));
    point.ttft.p50 = known(40.0 / (1.0 - rate / 70.0));
    point.ttft.p99 = known(90.0 / (1.0 - rate / 70.0));
    Ok(point)
}

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = from_value(json!({
        "format": "1.0", "tool": {"name": "example", "version": "0.1.0"}, "experiment": "saturation",
        "clock": {"origin_monotonic_ns": 0, "origin_unix_ns": 0}, "started": "2026-01-01T00:00:00Z",
        "status": "complete", "seed": 1, "matrix_written": "", "overrides": [], "matrix_resolved": {},
        "machine": {"cpu": "8-core", "cores": 8, "memory_bytes": 1, "os": "Linux", "kernel": "6.1"},
        "target": {"launch": "attach", "url": "http://127.0.0.1:8000", "model": "qwen3-14b",
                   "settings_declared": {}},
        "points": [], "left_out": [], "stamps": "user", "remarks": []
    }))?;
    let points = [10.0, 20.0, 30.0, 40.0, 50.0].into_iter().map(point).collect::<Result<_, _>>()?;
    let saturation = Saturation { capacity_per_s: Some(about(37.0)), ..Saturation::default() };
    let (factors, searches, diagnosis) = (Default::default(), vec![], Default::default());
    let groups = vec![Group { factors, points, saturation, searches, diagnosis }];
    let judgement = Judgement::new(Verdict::Valid, groups, vec![]);
    let dir = std::env::temp_dir().join("plimsoll-example-report");
    let input = ReportInput::new(&manifest, &judgement, &dir);
    write_all(&input, &dir)?;
    println!("{}", terminal(&input, 100, false));
    Ok(())
}
// Prints the table, the verdict, and the path of report.html in the folder for temporary files.
