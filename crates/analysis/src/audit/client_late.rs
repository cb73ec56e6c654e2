//! `client-late`: requests left later than the schedule meant.

use plimsoll_records::{ConnectionUse, Finding, FindingCode, RequestRow, Severity};

use crate::latency::ttft;
use crate::quantile::{median, rank};

use super::{Evidence, finding};

/// The lag that is always allowed, ms: below it no server of this kind notices.
const ALLOWED_MS: f64 = 1.0;

/// The share of the median TTFT that is allowed.
const ALLOWED_SHARE: f64 = 0.01;

/// The share of the median TTFT that voids the point, with the lag that is needed for it, ms. TTFT
/// counts from the intended time: from here on it is the client's as much as the server's. Under 10
/// ms a lag bends the arrivals too little to touch throughput, so the warning says enough.
const VOIDS_SHARE: f64 = 0.10;
const VOIDS_MS: f64 = 10.0;

/// Compares the p99 of sent - intended (nearest rank, however few the samples) with the median
/// TTFT.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let p99 = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| values[rank(values.len(), 0.99)])
    };
    let lag = p99(evidence
        .due()
        .filter_map(RequestRow::schedule_lag)
        .map(|lag| lag.as_secs_f64() * 1e3)
        .collect())?;
    let mut ttfts: Vec<u64> =
        evidence.ok().filter_map(ttft).map(|ttft| ttft.as_nanos() as u64).collect();
    let median = median(&mut ttfts).map(|nanos| nanos as f64 / 1e6);
    let median_ms = median.unwrap_or(0.0);
    if lag <= ALLOWED_MS.max(ALLOWED_SHARE * median_ms) {
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
    let voids = lag > VOIDS_MS.max(VOIDS_SHARE * median_ms);
    Some(finding(
        FindingCode::ClientLate,
        if voids { Severity::Error } else { Severity::Warning },
        format!(
            "1 % of the requests left {lag:.2} ms late or later ({dequeue:.2} ms \
             before the client got to them), {against}"
        ),
        &[
            ("lag_p99_ms", lag),
            ("dequeue_lag_p99_ms", dequeue),
            ("ttft_p50_ms", median_ms),
            ("new_connections", fresh as f64),
        ],
        "free the client's cores or give it more of them; where most of the lag comes after the \
         client got to the request, opening connections is slow: let the server keep them",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS};
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
        // Ten ms are more than a tenth of a TTFT of 55 ms.
        assert_eq!(late(20, 12).unwrap().severity, Severity::Error);
    }

    #[test]
    fn lag_of_less_than_one_request_in_a_hundred_is_let_pass() {
        assert_eq!(late(200, 5), None);
    }
}
