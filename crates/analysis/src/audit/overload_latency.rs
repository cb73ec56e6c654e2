//! `overload-latency`: latency of an unstable point grows with the run's length.
//!
//! **What.** The point is unstable: its latency grows with the run's length. **Note.**
//! **Why.** The mean TTFT of an overloaded server is a property of how long one looked.
//! **Evidence.** The drift, and the number in flight at both ends of the window.
//! **Remedy.** Read latency below the capacity. The figures are shown for what they are and summarised
//! nowhere.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Says so at every unstable point. A note: the latency is shown as what it is, and enters no
/// figure of the server.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.is_stable() {
        return None;
    }
    let stability = &evidence.summary.stability;
    let drift = stability.drift_per_s.value;
    Some(finding(
        FindingCode::OverloadLatency,
        Severity::Note,
        format!(
            "the server does not keep up: {drift:+.2} requests a second more arrive than leave ({} \
             in flight at the window's start, {} at its end), so latency grows with the window and \
             is not the server's",
            stability.in_flight_start, stability.in_flight_end
        ),
        &[
            ("drift_per_s", drift),
            ("in_flight_start", stability.in_flight_start as f64),
            ("in_flight_end", stability.in_flight_end as f64),
        ],
        "read latency at rates below the capacity",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay};
    use super::*;

    #[test]
    fn a_growing_queue_is_noted_and_a_steady_one_is_not() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::OverloadLatency), None);
        for row in &mut fixture.rows {
            // The server does 40 / 1.3 a second: a request waits 0.3 s for each second before it.
            delay(row, (300.0 * row.intended.as_secs_f64()) as u64 * MS);
        }
        let found = fixture.find(FindingCode::OverloadLatency).unwrap();
        assert_eq!(found.severity, Severity::Note);
        assert!(found.numbers["drift_per_s"] > 5.0, "{found:?}");
    }

    #[test]
    fn a_point_that_was_ended_for_overload_is_unstable_by_definition() {
        let mut fixture = Fixture::clean();
        fixture.point.ended = plimsoll_records::PointEnd::Overloaded;
        assert!(fixture.find(FindingCode::OverloadLatency).is_some());
    }
}
