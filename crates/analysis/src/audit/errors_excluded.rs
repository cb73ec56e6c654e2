//! `errors-excluded`: requests failed, and latency is that of the survivors.
//!
//! **What.** Over 0.1 % of the requests failed (**warning**), over 5 % (**error**).
//! **Why.** Latency is that of the survivors, and a server that refuses half of its requests keeps up with
//! any load.
//! **Evidence.** Requests due in the window by outcome; aborted and shed ones do not count here.
//! **Remedy.** Read the errors in `requests.parquet` and the server's log.

use plimsoll_records::{Finding, FindingCode, Outcome, Severity};

use super::{Evidence, finding};

/// Share of failed requests that qualifies a point.
const QUALIFIES: f64 = 0.001;

/// Share that voids it: what the survivors saw is then no longer what users would see, and a server
/// that refuses keeps up with any load.
const VOIDS: f64 = 0.05;

/// Counts requests due in the window that failed, against those that ended by themselves. Shed ones
/// are `concurrency-capped`; aborted ones were cut off by us.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let counts = &evidence.summary.counts;
    let failed = counts.failed - counts.of(Outcome::Shed).min(counts.failed);
    let ended = counts.ok + failed;
    let share = failed as f64 / ended.max(1) as f64;
    if share <= QUALIFIES {
        return None;
    }
    let kinds = counts
        .by_outcome
        .iter()
        .filter(|(name, _)| {
            ![Outcome::Ok, Outcome::Aborted, Outcome::Shed].iter().any(|o| o.as_str() == **name)
        })
        .map(|(name, count)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(finding(
        FindingCode::ErrorsExcluded,
        if share > VOIDS { Severity::Error } else { Severity::Warning },
        format!(
            "{failed} of {ended} requests failed ({:.2} %: {kinds}); latency is that of the others",
            100.0 * share
        ),
        &[
            ("failed_requests", failed as f64),
            ("ended_requests", ended as f64),
            ("failed_share", share),
        ],
        "read the error column of requests.parquet and the server's log, and repair the cause; \
         goodput counts the failed ones",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, fail};
    use super::*;

    /// A clean point in which every `nth` request failed.
    fn failing(nth: usize) -> Fixture {
        let mut fixture = Fixture::clean();
        for row in fixture.rows.iter_mut().step_by(nth) {
            fail(row, Outcome::HttpStatus);
        }
        fixture
    }

    #[test]
    fn failures_qualify_and_many_void() {
        assert_eq!(Fixture::clean().find(FindingCode::ErrorsExcluded), None);
        let some = failing(100).find(FindingCode::ErrorsExcluded).unwrap();
        assert_eq!(some.severity, Severity::Warning);
        assert!(some.message.contains("http-status"), "{}", some.message);
        assert_eq!(
            failing(10).find(FindingCode::ErrorsExcluded).unwrap().severity,
            Severity::Error
        );
    }

    #[test]
    fn aborted_and_shed_requests_are_no_failures_of_the_server() {
        let mut fixture = Fixture::clean();
        for (i, row) in fixture.rows.iter_mut().enumerate().step_by(10) {
            fail(row, if i % 20 == 0 { Outcome::Aborted } else { Outcome::Shed });
        }
        assert_eq!(fixture.find(FindingCode::ErrorsExcluded), None);
    }
}
