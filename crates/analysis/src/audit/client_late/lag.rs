//! Requests left later than the schedule meant.

use plimsoll_records::{ConnectionUse, Finding, FindingCode, RequestRow};

use super::super::{Evidence, finding, p99};
use super::{allowed_ms, severity};

/// Compares the p99 of sent - intended (nearest rank, however few the samples) with the median
/// TTFT: lag is in every TTFT, whatever the stamps.
pub(in crate::audit) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let lag = p99(evidence
        .due()
        .filter_map(RequestRow::schedule_lag)
        .map(|lag| lag.as_secs_f64() * 1e3)
        .collect())?;
    let median = evidence.median_ttft_ms();
    if lag <= allowed_ms(median) {
        return None;
    }
    // Which part of the lag passed before the driver even got to the request, the rest being spent
    // on the connection and on writing.
    let dequeue =
        p99(evidence.due().map(|row| (row.dequeued - row.intended).as_secs_f64() * 1e3).collect())?;
    let fresh = evidence.due().filter(|row| row.connection == Some(ConnectionUse::New)).count();
    let against = median.map_or_else(
        || "none had its first token".to_owned(),
        |median| format!("median TTFT {median:.1} ms"),
    );
    Some(finding(
        FindingCode::ClientLate,
        severity(lag, median),
        format!(
            "1 % of the requests left {lag:.2} ms late or later ({dequeue:.2} ms \
             before the client got to them), {against}"
        ),
        &[
            ("lag_p99_ms", lag),
            ("dequeue_lag_p99_ms", dequeue),
            ("wake_up_p99_ms", evidence.wake_up_p99_ms().unwrap_or(f64::NAN)),
            ("ttft_p50_ms", median.unwrap_or(0.0)),
            ("new_connections", fresh as f64),
        ],
        "free the client's cores or give it more of them; where most of the lag comes after the \
         client got to the request, opening connections is slow: let the server keep them, or open \
         more of them ahead",
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{LagRecord, Severity};

    use super::super::super::fixture::{Fixture, MS};
    use super::*;

    /// A clean point in which every `nth` request left `lag_ms` late.
    fn late(nth: usize, lag_ms: u64) -> Option<Finding> {
        let mut fixture = Fixture::clean();
        for row in fixture.rows.iter_mut().step_by(nth) {
            row.sent = row
                .sent
                .map(|sent| plimsoll_units::RunNanos::from_nanos(sent.as_nanos() + lag_ms * MS));
        }
        fixture.find(FindingCode::ClientLate)
    }

    #[test]
    fn lag_warns_over_a_millisecond_and_voids_over_ten() {
        assert_eq!(late(1, 0), None);
        let some = late(20, 3).unwrap();
        assert_eq!(some.severity, Severity::Warning);
        assert!((some.numbers["lag_p99_ms"] - 3.05).abs() < 0.01, "{some:?}");
        assert!(!some.numbers.contains_key("wake_up_p99_ms"), "nothing was recorded");
        // Ten ms are more than a tenth of a TTFT of 55 ms.
        assert_eq!(late(20, 12).unwrap().severity, Severity::Error);
    }

    #[test]
    fn lag_of_less_than_one_request_in_a_hundred_is_let_pass() {
        assert_eq!(late(200, 5), None);
    }

    #[test]
    fn the_worst_threads_wake_ups_are_evidence() {
        let mut fixture = Fixture::clean();
        let mut second = fixture.point.workers[0];
        second.wake_up = LagRecord { count: 100, p99_ms: 2.9, ..LagRecord::default() };
        fixture.point.workers.push(second);
        for row in &mut fixture.rows {
            row.sent = row.sent.map(|sent| sent + std::time::Duration::from_millis(3));
        }
        let found = fixture.find(FindingCode::ClientLate).unwrap();
        assert_eq!(found.numbers["wake_up_p99_ms"], 2.9);
    }
}
