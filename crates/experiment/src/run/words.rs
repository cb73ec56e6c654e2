//! How points are called, and the line that says what became of one.

use plimsoll_analysis::PointSummary;
use plimsoll_records::OfferedLoad;

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
