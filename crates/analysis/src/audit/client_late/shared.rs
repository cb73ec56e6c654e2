//! Chunks share a stamp that the server sent apart, because the client read them late.
//!
//! The kernel keeps one receive time for all segments that wait in a socket: that of the last. A
//! client that reads within the gap between two chunks has both times; one that reads later has one
//! stamp for both, and the earlier chunk's is too late by up to the delay. Servers share stamps, too:
//! they send several events in one write, and that is no error. The two are told apart by the
//! client's own delay. It takes one of about a gap to join two chunks. But the kernel's time being
//! that of the last arrival, the delay that is seen of a long one is what passed since then: anything
//! between 0 and a gap where a response goes on through it, all of it where a response began or
//! ended in it. So the delay needed is less than a gap: half of one for the longest, a quarter of
//! one for the 99th percentile where over 2 % of the reads joined chunks. (If n reads of a stall see
//! delays spread evenly over a gap, the longest is under half of it with a chance of 2^-n.)

use plimsoll_records::{Finding, FindingCode, RequestRow, Severity, StampSource};

use super::super::{Evidence, finding, p99};
use super::ALLOWED_MS;
use crate::quantile::median;

/// The share of the chunks from which on it is worth a note, and a warning. p99 looks at the highest
/// hundredth of the gaps, and half of that is close to it.
const NOTE_SHARE: f64 = 0.001;
const WARNING_SHARE: f64 = 0.005;

/// The share of the reads from which on the delay's 99th percentile must show them.
const FREQUENT_SHARE: f64 = 0.02;

/// The delay that could have joined chunks, as shares of the median gap between stamps.
const LONGEST_PER_GAP: f64 = 0.5;
const P99_PER_GAP: f64 = 0.25;

/// Counts the chunks that lie in larger groups of one stamp than the server's usual ones, and asks
/// whether the client was ever late enough to have joined them, by its read delay and by its
/// wake-ups for requests. Rows with packet stamps are left out: each of their chunks has its own
/// time, and those with the same one travelled together.
pub(in crate::audit) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let piles = Piles::of(evidence);
    let share = piles.joined as f64 / evidence.summary.chunks.all.max(1) as f64;
    if share < NOTE_SHARE {
        return None;
    }
    let read = evidence.point.stamps.read_delay;
    let late: Vec<f64> =
        evidence.due().map(|row| (row.dequeued - row.intended).as_secs_f64() * 1e3).collect();
    let longest = late.iter().copied().fold(read.max_ms, f64::max);
    let usual = p99(late).map_or(read.p99_ms, |late| late.max(read.p99_ms));
    let frequent = piles.count as f64 > FREQUENT_SHARE * piles.groups as f64;
    let (delay, per_gap) = if frequent { (usual, P99_PER_GAP) } else { (longest, LONGEST_PER_GAP) };
    if delay < ALLOWED_MS.max(per_gap * piles.gap_ms) {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        if share < WARNING_SHARE { Severity::Note } else { Severity::Warning },
        format!(
            "{} chunks ({:.2} %) have the stamp of another of their response, and the client was up \
             to {longest:.1} ms late, where {:.1} ms lie between chunks: it may have joined what the \
             server sent apart ({} first tokens among them)",
            piles.joined,
            100.0 * share,
            piles.gap_ms,
            piles.first_tokens
        ),
        &[
            ("shared_chunks", piles.joined as f64),
            ("shared_share", share),
            ("shared_first_tokens", piles.first_tokens as f64),
            ("stamp_gap_p50_ms", piles.gap_ms),
            ("delay_max_ms", longest),
            ("delay_p99_ms", usual),
            ("read_delay_max_ms", read.max_ms),
            ("read_delay_p99_ms", read.p99_ms),
        ],
        "capture packets, which have a time for each (CAP_NET_RAW), or give the client's threads \
         cores of their own; TPOT and throughput suffer least, gaps most",
    ))
}

/// Chunks that share a stamp, over the responses due in the window that ended well.
struct Piles {
    /// Groups of chunks with one stamp, of any size.
    groups: u64,
    /// Of those: larger ones than the median group.
    count: u64,
    /// Chunks in the larger ones.
    joined: u64,
    /// Larger ones that hold the first token of their response.
    first_tokens: u64,
    /// The median time between successive groups of a response, ms; 0 without any.
    gap_ms: f64,
}

impl Piles {
    fn of(evidence: &Evidence<'_>) -> Self {
        let rows = || evidence.ok().filter(|row| row.stamp_source != StampSource::Packet);
        let mut sizes: Vec<u64> = rows().flat_map(groups).map(|(_, size)| size).collect();
        let mut gaps: Vec<u64> = rows()
            .flat_map(|row| row.chunks.windows(2))
            .map(|pair| (pair[1].at - pair[0].at).as_nanos() as u64)
            .filter(|&gap| gap > 0)
            .collect();
        let gap_ms = median(&mut gaps).unwrap_or(0) as f64 / 1e6;
        let usual = median(&mut sizes).unwrap_or(1);
        let groups_in_all = sizes.len() as u64;
        let mut piles =
            Self { groups: groups_in_all, count: 0, joined: 0, first_tokens: 0, gap_ms };
        for (place, size) in rows().flat_map(groups).filter(|&(_, size)| size > usual) {
            piles.count += 1;
            piles.joined += size;
            piles.first_tokens += u64::from(place == 0);
        }
        piles
    }
}

/// The groups of chunks with one stamp of a response: (its place in the response, its size).
fn groups(row: &RequestRow) -> impl Iterator<Item = (usize, u64)> + use<'_> {
    row.chunks
        .chunk_by(|one, next| one.at == next.at)
        .enumerate()
        .map(|(place, group)| (place, group.len() as u64))
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{LagRecord, OfferedLoad};
    use plimsoll_units::RunNanos;

    use super::super::super::fixture::{Fixture, MS, row};
    use super::*;

    /// Where the client's thread stands still: from 8 s on.
    const STALL: u64 = 8000 * MS;

    /// 20 requests a second with 50 tokens 10 ms apart, for 14 s; the client stands still for
    /// `stall_ms` once, and what arrives then has the stamp of the last arrival in it.
    fn stalled(source: StampSource, stall_ms: u64) -> Fixture {
        let mut fixture = Fixture::with(21, 20.0, 10.0);
        if let OfferedLoad::Open { gap_cv, .. } = &mut fixture.point.load {
            *gap_cv = None;
        }
        let end = STALL + stall_ms * MS;
        let mut delays = vec![0.08];
        for request in &mut fixture.rows {
            *request = row(request.id, request.intended, 50 * MS, 10 * MS, 50);
            request.stamp_source = source;
            let late: Vec<usize> = (0..50)
                .filter(|&k| (STALL..end).contains(&request.chunks[k].at.as_nanos()))
                .collect();
            let Some(&last) = late.last() else { continue };
            let at = request.chunks[last].at;
            delays.push((end - at.as_nanos()) as f64 / 1e6);
            if source == StampSource::Socket {
                for &k in &late {
                    request.chunks[k].at = at;
                    request.chunks[k].shared = late.len() > 1;
                }
                request.first_answer = Some(request.chunks[0].at);
            }
        }
        fixture.point.workload.mean_output_tokens = Some(50.0);
        fixture.point.stamps.source = source;
        fixture.point.stamps.read_delay = LagRecord {
            count: 10_000,
            mean_ms: 0.06,
            p50_ms: 0.05,
            p99_ms: 0.3,
            max_ms: delays.into_iter().fold(0.0, f64::max),
        };
        fixture
    }

    #[test]
    fn one_stall_of_200_ms_is_found_and_one_of_5_ms_is_none() {
        let found = stalled(StampSource::Socket, 200).find(FindingCode::ClientLate).unwrap();
        assert_eq!(found.severity, Severity::Warning, "{found:?}");
        assert!((found.numbers["stamp_gap_p50_ms"] - 10.0).abs() < 1e-6);
        // About ten streams with up to twenty chunks each.
        let shared = found.numbers["shared_chunks"];
        assert!((100.0..400.0).contains(&shared), "{found:?}");
        assert_eq!(stalled(StampSource::Socket, 5).find(FindingCode::ClientLate), None);
    }

    #[test]
    fn a_stall_is_found_where_no_response_begins_or_ends_in_it() {
        // What is then seen of the delay is less than a gap.
        let mut fixture = stalled(StampSource::Socket, 200);
        fixture.point.stamps.read_delay.max_ms = 7.0;
        assert!(fixture.find(FindingCode::ClientLate).is_some());
    }

    #[test]
    fn packet_stamps_forgive_a_stall() {
        assert_eq!(stalled(StampSource::Packet, 200).find(FindingCode::ClientLate), None);
        // Even where chunks share a time: they travelled together.
        let mut fixture = stalled(StampSource::Socket, 200);
        fixture.rows.iter_mut().for_each(|row| row.stamp_source = StampSource::Packet);
        assert_eq!(fixture.find(FindingCode::ClientLate), None);
    }

    #[test]
    fn events_that_the_server_sent_together_are_none_of_the_clients() {
        let mut fixture = stalled(StampSource::Socket, 0);
        // Every seventh chunk goes out with the one before it.
        for row in &mut fixture.rows {
            for k in (7..row.chunks.len()).step_by(7) {
                row.chunks[k].at = row.chunks[k - 1].at;
                row.chunks[k].shared = true;
                row.chunks[k - 1].shared = true;
            }
        }
        assert_eq!(fixture.find(FindingCode::ClientLate), None);
        // One long delay does not explain what happens all the time.
        fixture.point.stamps.read_delay.max_ms = 20.0;
        assert_eq!(fixture.find(FindingCode::ClientLate), None);
        // Delays that are as frequent do.
        fixture.point.stamps.read_delay.p99_ms = 9.0;
        assert!(fixture.find(FindingCode::ClientLate).is_some());
    }

    #[test]
    fn pairs_are_the_servers_and_a_stall_among_them_the_clients() {
        let pairs = |mut fixture: Fixture| {
            for row in &mut fixture.rows {
                for k in (1..row.chunks.len()).step_by(2) {
                    let at = row.chunks[k].at.max(row.chunks[k - 1].at);
                    row.chunks[k].at = at;
                    row.chunks[k - 1].at = at;
                    row.chunks[k].shared = true;
                    row.chunks[k - 1].shared = true;
                }
            }
            fixture
        };
        assert_eq!(pairs(stalled(StampSource::Socket, 0)).find(FindingCode::ClientLate), None);
        let found = pairs(stalled(StampSource::Socket, 200)).find(FindingCode::ClientLate).unwrap();
        assert!(found.numbers["shared_share"] < 0.1, "the pairs do not count: {found:?}");
    }

    #[test]
    fn a_late_wake_up_is_evidence_of_its_own() {
        let mut fixture = stalled(StampSource::Socket, 200);
        fixture.point.stamps.read_delay = LagRecord::default();
        assert_eq!(fixture.find(FindingCode::ClientLate), None);
        let late = fixture.rows.iter_mut().find(|row| row.intended.as_nanos() >= STALL).unwrap();
        late.dequeued = RunNanos::from_nanos(late.intended.as_nanos() + 190 * MS);
        assert!(fixture.find(FindingCode::ClientLate).is_some());
    }
}
