//! The stated rate against the arrivals that the server logged.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::super::{Evidence, finding};
use super::record;
use crate::imported::arrivals;

/// How far the arrivals may be off the stated rate.
const APART: f64 = 0.01;

/// How many standard deviations of a random sending are beyond chance.
const BEYOND_CHANCE: f64 = 3.0;

/// Fires where the stated rate lies outside of what the log's whole seconds leave open. A random sending of n
/// requests has a rate of its own, with a relative standard deviation of cv / sqrt(n): up to three of them
/// it is a note, for the process may have been right; what was offered is another rate all the same.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let stated = evidence.point.load.rate_per_s()?;
    let log = record(evidence)?.log.as_ref()?;
    let found = arrivals(log)?;
    let off = found.value / stated - 1.0;
    if off.abs() <= APART || found.contains(stated) {
        return None;
    }
    let n = log.received.max(1) as f64;
    let chance = gap_cv(evidence) / n.sqrt();
    let severity =
        if off.abs() > BEYOND_CHANCE * chance { Severity::Warning } else { Severity::Note };
    Some(finding(
        FindingCode::RateMissed,
        severity,
        format!(
            "{stated} req/s are stated, {:.1} arrived by the server's log ({:.1} to {:.1}, its stamps \
             being whole seconds): {:+.1} %, where chance makes {:.1} %",
            found.value,
            found.low,
            found.high,
            100.0 * off,
            100.0 * chance
        ),
        &[
            ("stated_per_s", stated),
            ("arrived_per_s", found.value),
            ("arrived_low_per_s", found.low),
            ("arrived_high_per_s", found.high),
            ("chance_share", chance),
        ],
        "file the point under the rate that arrived; a client that sleeps after each send falls behind its \
         schedule",
    ))
}

fn gap_cv(evidence: &Evidence<'_>) -> f64 {
    match &evidence.point.load {
        plimsoll_records::OfferedLoad::Open { gap_cv, .. } => gap_cv.unwrap_or(1.0),
        plimsoll_records::OfferedLoad::Closed { .. } => 1.0,
    }
}
