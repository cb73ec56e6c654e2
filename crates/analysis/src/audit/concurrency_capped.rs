//! `concurrency-capped`: a cap on requests in flight turned the open loop into a closed one.
//!
//! **What.** Requests were due and never sent, because the cap on requests in flight was reached.
//! **Error.**
//! **Why.** The open loop became a closed one: the server was spared the very load that the point claims.
//! **Evidence.** Requests due in the window with outcome `shed`.
//! **Remedy.** Raise the cap, or offer less.

use plimsoll_records::{Finding, FindingCode, Outcome, Severity};

use super::{Evidence, finding};

/// Fires on a single request that was due in the window and shed: from then on the server no longer
/// saw the arrivals that the schedule meant, but as many as the cap let through.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let shed = evidence.summary.counts.of(Outcome::Shed);
    if shed == 0 {
        return None;
    }
    let due = evidence.summary.counts.due;
    Some(finding(
        FindingCode::ConcurrencyCapped,
        Severity::Error,
        format!(
            "{shed} of {due} due requests were never sent, for the cap on requests in flight was \
             reached"
        ),
        &[("shed_requests", shed as f64), ("due_requests", due as f64)],
        "raise max-in-flight, or offer less: what the cap holds back is not the rate this point \
         claims",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, fail};
    use super::*;

    #[test]
    fn one_shed_request_of_the_window_voids_the_point() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::ConcurrencyCapped), None);
        fail(&mut fixture.rows[400], Outcome::Shed);
        let found = fixture.find(FindingCode::ConcurrencyCapped).unwrap();
        assert_eq!((found.severity, found.numbers["shed_requests"]), (Severity::Error, 1.0));
    }
}
