//! Responses whose stamps are poorer than the point's.

use plimsoll_records::{Finding, FindingCode, Severity, StampSource};

use super::super::{Evidence, finding};

/// The share of the responses from which on it is worth a note, and a warning: then p99 may be made
/// of them.
const NOTE_SHARE: f64 = 0.001;
const WARNING_SHARE: f64 = 0.01;

/// Counts the responses that ended well and have a stamp from a poorer source than the best in
/// effect.
pub(in crate::audit) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let stamps = &evidence.point.stamps;
    let (mut all, mut poorer, mut clock) = (0_u64, 0_u64, 0_u64);
    for row in evidence.ok() {
        all += 1;
        poorer += u64::from(row.stamp_source < stamps.source);
        clock += u64::from(row.stamp_source < stamps.source.min(StampSource::Socket));
    }
    let share = poorer as f64 / all.max(1) as f64;
    if share <= NOTE_SHARE {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        if share > WARNING_SHARE { Severity::Warning } else { Severity::Note },
        format!(
            "{poorer} of {all} responses ({:.2} %) have stamps from a poorer source than the point \
             ({clock} from the clock after a read): the client's own delay may be in them",
            100.0 * share
        ),
        &[
            ("poorer_responses", poorer as f64),
            ("poorer_share", share),
            ("clock_responses", clock as f64),
            ("packet_fallbacks", stamps.packet_fallbacks as f64),
            ("socket_fallbacks", stamps.socket_fallbacks as f64),
            ("packets_dropped", stamps.packets_dropped.map_or(f64::NAN, |count| count as f64)),
        ],
        "where the capture lost packets its ring was full: free the client's cores, or offer less \
         at once; where the clock was used the kernel gave no time",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::{Fixture, fail};
    use super::*;

    /// A clean point with packet stamps but for every `nth` response.
    fn fallen_back(nth: usize) -> Fixture {
        let mut fixture = Fixture::clean();
        fixture.point.stamps.source = StampSource::Packet;
        fixture.point.stamps.packets_dropped = Some(17);
        for (i, row) in fixture.rows.iter_mut().enumerate() {
            row.stamp_source = if i % nth == 0 { StampSource::Socket } else { StampSource::Packet };
        }
        fixture
    }

    #[test]
    fn a_few_are_a_note_and_more_a_warning() {
        let severity = |nth| fallen_back(nth).find(FindingCode::ClientLate).map(|f| f.severity);
        assert_eq!(severity(10_000), None);
        assert_eq!(severity(250), Some(Severity::Note));
        assert_eq!(severity(50), Some(Severity::Warning));
        let found = fallen_back(50).find(FindingCode::ClientLate).unwrap();
        assert_eq!(
            (found.numbers["packets_dropped"], found.numbers["clock_responses"]),
            (17.0, 0.0)
        );
    }

    #[test]
    fn a_request_without_a_response_has_no_stamps_to_be_poor() {
        let mut fixture = fallen_back(10_000);
        for row in fixture.rows.iter_mut().skip(1).step_by(100) {
            fail(row, plimsoll_records::Outcome::Refused);
            row.stamp_source = StampSource::User;
        }
        assert_eq!(fixture.find(FindingCode::ClientLate), None);
    }
}
