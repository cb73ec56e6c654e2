//! N / duration against what the steady part shows, and the most that it could show.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::super::{Evidence, finding};
use super::record;
use crate::imported::{answer_s, arrivals};

/// How far the figure may be off.
const APART: f64 = 0.02;

/// Says by how much N / duration understates, and what it would have shown of a server that kept up: the
/// sending of n requests takes n / rate, the last answer another while, so no server of whatever speed shows
/// more than n / (n / rate + answer).
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let record = record(evidence)?;
    let stated = record.throughput_per_s?;
    let rate = evidence.point.load.rate_per_s()?;
    let n = record.requests? as f64;
    let length = evidence.point.workload.mean_output_tokens;
    let answer = answer_s(record, length)?;
    let log = record.log.as_ref();
    // What arrived, where that is known; a stable server gets through what arrives.
    let arrived = log.and_then(arrivals).map_or(rate, |it| it.value);
    let most = n / (n / rate + answer);
    let steady =
        if evidence.is_stable() { arrived } else { evidence.summary.throughput_per_s.value };
    let off = stated / steady - 1.0;
    let ceiling = most / rate - 1.0;
    if off.abs() <= APART && ceiling.abs() <= APART || steady <= 0.0 {
        return None;
    }
    let what = match (evidence.is_stable(), log.and_then(arrivals)) {
        (true, Some(_)) => "that arrived and were answered",
        (true, None) => "that were offered and answered",
        (false, _) => "of the steady part",
    };
    Some(finding(
        FindingCode::DrainBias,
        Severity::Warning,
        format!(
            "N / duration states {stated:.2} req/s, {:+.1} % against the {steady:.2} {what}; at {rate} \
             req/s it shows {most:.1} at most ({:+.0} %), for {n} requests are sent in {:.1} s and the last \
             answer takes another {answer:.1} s",
            100.0 * off,
            100.0 * ceiling,
            n / rate
        ),
        &[
            ("stated_per_s", stated),
            ("steady_per_s", steady),
            ("off_share", off),
            ("most_per_s", most),
            ("most_share", ceiling),
        ],
        "compare rates inside a window in which the load was on, or send for many times an answer's length",
    ))
}
