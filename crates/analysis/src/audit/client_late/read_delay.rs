//! Bytes lay in the kernel before the client read them, and the stamps are those of the reading.

use plimsoll_records::{Finding, FindingCode, StampSource};

use super::super::{Evidence, finding};
use super::{ALLOWED_MS, allowed_ms, severity};

/// The share of the median gap between chunks that is allowed: the same delay weighs more there
/// than in TTFT.
const ALLOWED_GAP_SHARE: f64 = 0.05;

/// With stamps of the clock, compares the p99 of the read delay with the median TTFT and with the
/// median gap between chunks: it is an error of both. Better stamps do not contain it.
pub(in crate::audit) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let stamps = &evidence.point.stamps;
    if stamps.source != StampSource::User || stamps.read_delay.count == 0 {
        return None;
    }
    let delay = stamps.read_delay;
    let ttft = evidence.median_ttft_ms();
    let gap = evidence.summary.chunk_gap.p50.value.map(|gap| gap.as_secs_f64() * 1e3);
    let of_gap = gap.map_or(f64::INFINITY, |gap| ALLOWED_GAP_SHARE * gap);
    let allowed = ALLOWED_MS.max(allowed_ms(ttft).min(of_gap));
    if delay.p99_ms <= allowed {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        severity(delay.p99_ms, ttft),
        format!(
            "1 % of what the client read had lain in the kernel for {:.2} ms or longer (at most \
             {:.1} ms), and the stamps are of the reading: TTFT and gaps contain that",
            delay.p99_ms, delay.max_ms
        ),
        &[
            ("read_delay_p99_ms", delay.p99_ms),
            ("read_delay_p50_ms", delay.p50_ms),
            ("read_delay_max_ms", delay.max_ms),
            ("allowed_ms", allowed),
            ("ttft_p50_ms", ttft.unwrap_or(f64::NAN)),
            ("chunk_gap_p50_ms", gap.unwrap_or(f64::NAN)),
        ],
        "let the kernel stamp what arrives (stamps of the socket or of packets), or free the \
         client's cores",
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{LagRecord, Severity};

    use super::super::super::fixture::Fixture;
    use super::*;

    /// A clean point (median TTFT 53 ms, gaps of 10 ms) with this read delay.
    fn delayed(source: StampSource, p99_ms: f64) -> Option<Finding> {
        let mut fixture = Fixture::clean();
        fixture.point.stamps.source = source;
        fixture.rows.iter_mut().for_each(|row| row.stamp_source = source);
        fixture.point.stamps.read_delay =
            LagRecord { count: 8000, p99_ms, max_ms: p99_ms, ..LagRecord::default() };
        fixture.find(FindingCode::ClientLate)
    }

    #[test]
    fn stamps_of_the_clock_contain_the_delay() {
        assert_eq!(delayed(StampSource::User, 0.9), None);
        assert_eq!(delayed(StampSource::User, 1.2).unwrap().severity, Severity::Warning);
        assert_eq!(delayed(StampSource::User, 12.0).unwrap().severity, Severity::Error);
    }

    #[test]
    fn stamps_of_the_kernel_do_not() {
        assert_eq!(delayed(StampSource::Socket, 12.0), None);
        assert_eq!(delayed(StampSource::Packet, 200.0), None);
    }

    #[test]
    fn what_a_slow_server_allows_in_its_ttft_is_too_much_between_its_chunks() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            super::super::super::fixture::delay(row, 1_000_000_000);
        }
        fixture.point.stamps.read_delay =
            LagRecord { count: 8000, p99_ms: 3.0, max_ms: 9.0, ..LagRecord::default() };
        // 1 % of a TTFT of 1053 ms is 10.5 ms, 5 % of a gap of 10 ms is half a millisecond.
        let found = fixture.find(FindingCode::ClientLate).unwrap();
        assert_eq!((found.severity, found.numbers["allowed_ms"]), (Severity::Warning, 1.0));
    }
}
