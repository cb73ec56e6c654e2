//! How points are called, and the line that says what became of one.

use plimsoll_analysis::{Found, PointSummary};
use plimsoll_records::{OfferedLoad, ProbeRecord, SearchGoal, SearchRecord};
use plimsoll_units::Rate;

use crate::matrix::Matrix;
use crate::offered::PointLoad;

/// The id of a point, which names its folder.
pub(super) fn point_id(prefix: &str, load: PointLoad, repetition: u32, matrix: &Matrix) -> String {
    let load = match load {
        PointLoad::Open(rate) => format!("rate-{}", rate.per_second()),
        PointLoad::Closed(concurrency) => format!("concurrency-{concurrency:04}"),
    };
    if matrix.experiment.repetitions > 1 {
        format!("{prefix}{load}-rep{repetition}")
    } else {
        format!("{prefix}{load}")
    }
}

/// The id of a probe: ids of one run sort by the order of their probes.
pub(super) fn probe_id(
    prefix: &str,
    probe: &ProbeRecord,
    rate: Rate,
    repetition: u32,
    matrix: &Matrix,
) -> String {
    let repetition = repetition_prefix(repetition, matrix);
    // Behind `probe`, and so are its probes.
    let slo = if is_slo(&probe.search) { "slo-" } else { "" };
    format!("{prefix}{repetition}{slo}probe-{:03}-rate-{}", probe.number + 1, rate.per_second())
}

/// The folder of the log of a server's start, where the first probe is not known by then.
pub(super) fn start_id(prefix: &str, repetition: u32, matrix: &Matrix) -> String {
    format!("{prefix}{}probe-000-start", repetition_prefix(repetition, matrix))
}

/// What the id of a probe has of its repetition, where there are several.
fn repetition_prefix(repetition: u32, matrix: &Matrix) -> String {
    if matrix.experiment.repetitions > 1 { format!("rep{repetition}-") } else { String::new() }
}

fn is_slo(record: &SearchRecord) -> bool {
    matches!(record.goal, SearchGoal::Slo { .. })
}

/// One line about what a search has found.
pub(super) fn found_line(found: &Found, record: &SearchRecord) -> String {
    let what = if is_slo(record) { "SLO capacity" } else { "capacity" };
    let rate = match found.capacity_per_s {
        None => "not found".to_owned(),
        Some(capacity) if found.lower_bound => format!("at least {:.4} req/s", capacity.value),
        Some(capacity) => format!(
            "{:.4} req/s ({:.4} to {:.4} at {} %)",
            capacity.value,
            capacity.low,
            capacity.high,
            100.0 * record.confidence
        ),
    };
    format!(
        "search: {what} {rate}; {} probes, {} requests, {:.0} s; {}",
        found.probes.len(),
        found.requests,
        found.time.as_secs_f64(),
        found.stopped
    )
}

/// One line about a point that is over.
pub(super) fn line(summary: &PointSummary) -> String {
    let offered = match summary.load {
        OfferedLoad::Open { rate_per_s, .. } => format!("{rate_per_s} req/s"),
        OfferedLoad::Closed { concurrency } => format!("{concurrency} at a time"),
    };
    let state = match (summary.stability.stable, summary.ttft.p50.value) {
        (true, Some(ttft)) => format!("stable    TTFT p50 {:.0} ms", ttft.as_secs_f64() * 1e3),
        (true, None) => "stable".to_owned(),
        (false, _) => "unstable".to_owned(),
    };
    let failed = if summary.counts.failed > 0 {
        format!("  {} failed", summary.counts.failed)
    } else {
        String::new()
    };
    format!(
        "{:<22} {:>14} offered {:>8.2} req/s done  {state}{failed}",
        summary.id, offered, summary.throughput_per_s.value
    )
}
