//! `drain-bias`: N / makespan, as other tools count, is off the steady throughput.
//!
//! **What.** N / makespan, as other tools count, is off the steady throughput by more than 5 %. **Note.**
//! **Why.** Filling and draining are inside the makespan: at short runs it understates a server that keeps
//! up by half.
//! **Evidence.** `makespan_throughput_per_s` against `throughput_per_s` of stable points, and outside its
//! interval.
//! **Remedy.** Compare with other tools by the makespan column, with the capacity by the steady one.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// How far the two may lie apart.
const APART: f64 = 0.05;

/// Compares makespan throughput with the steady one at stable points, where both mean to say the
/// same. A note: the figure is shown for comparison and used for nothing. It must also lie outside
/// the steady throughput's interval, for it is of other requests.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let steady = evidence.summary.throughput_per_s;
    let makespan = evidence.summary.makespan_throughput_per_s?;
    if !evidence.is_stable() || steady.value <= 0.0 {
        return None;
    }
    let off = makespan / steady.value - 1.0;
    if off.abs() <= APART || steady.contains(makespan) {
        return None;
    }
    Some(finding(
        FindingCode::DrainBias,
        Severity::Note,
        format!(
            "N / makespan, as other tools count, gives {makespan:.2} req/s, {:+.1} % against the \
             steady {:.2}",
            100.0 * off,
            steady.value
        ),
        &[("makespan_per_s", makespan), ("steady_per_s", steady.value), ("off_share", off)],
        "compare with other tools by the makespan column, and with the server's capacity by the \
         steady one",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay};
    use super::*;

    #[test]
    fn a_long_drain_is_noted() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::DrainBias), None);
        // One straggler keeps the run open for another 20 s.
        delay(fixture.rows.last_mut().unwrap(), 20_000 * MS);
        let found = fixture.find(FindingCode::DrainBias).unwrap();
        assert_eq!(found.severity, Severity::Note);
        assert!(found.numbers["off_share"] < -0.3, "{found:?}");
    }
}
