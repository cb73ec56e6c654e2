//! The gaps between the chunks of a response, and between its tokens.

use plimsoll_records::RequestRow;

use crate::latency::{describe, describe_weighted};
use crate::{ChunkCounts, LatencySummary};

/// What the chunks of the requests due in a window say of their pace.
pub(crate) struct Gaps {
    /// The gap before each chunk but a response's first; n counts gaps.
    pub(crate) chunk_gap: LatencySummary,
    /// That gap / the chunk's tokens, once for each of them; n counts tokens.
    pub(crate) itl: LatencySummary,
    /// The chunks in number.
    pub(crate) chunks: ChunkCounts,
}

impl Gaps {
    /// Pools the gaps over the requests that ended well. One with fewer than two chunks, or that did
    /// not end well, counts as missing; from the ITL also one with a chunk whose tokens the server
    /// did not count.
    ///
    /// ITL: chunk k >= 1 of a response, at a_k with t_k tokens, gives t_k samples of
    /// (a_k - a_{k-1}) / t_k, rounded down to whole nanoseconds. The tokens of the first chunk have
    /// no gap: the wait for them is TTFT. Without a counted response it is empty.
    pub(crate) fn of<'a>(due: impl Iterator<Item = &'a RequestRow>) -> Self {
        let mut chunks = ChunkCounts::default();
        let mut missing = 0;
        // Each gap in nanoseconds, and the tokens behind it; 0 where the server counted none.
        let mut gaps: Vec<(u64, u32)> = Vec::new();
        for row in due {
            if !row.outcome.is_ok() {
                missing += 1;
                continue;
            }
            chunks.all += row.chunks.len() as u64;
            chunks.shared += row.chunks.iter().filter(|chunk| chunk.shared).count() as u64;
            if row.chunks.len() < 2 {
                missing += 1;
                continue;
            }
            let counted = row.chunks.iter().all(|chunk| chunk.counted);
            chunks.uncounted_responses += u64::from(!counted);
            gaps.extend(row.chunks.windows(2).map(|pair| {
                let gap = (pair[1].at - pair[0].at).as_nanos() as u64;
                (gap, if counted { pair[1].tokens.max(1) } else { 0 })
            }));
        }
        let chunk_gap = describe(gaps.iter().map(|&(gap, _)| gap).collect(), missing);
        let itl = if gaps.iter().all(|&(_, tokens)| tokens == 1) {
            // A token a chunk everywhere, which is the rule: the same numbers need no second sort.
            chunk_gap
        } else {
            let counted = gaps.into_iter().filter(|&(_, tokens)| tokens > 0);
            describe_weighted(
                counted.map(|(gap, tokens)| (gap / u64::from(tokens), tokens)).collect(),
                missing + chunks.uncounted_responses,
            )
        };
        Self { chunk_gap, itl, chunks }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plimsoll_records::Outcome;
    use plimsoll_units::RunNanos;
    use proptest::prelude::*;

    use super::*;
    use crate::audit::fixture::{MS, row};

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    /// A response with these chunks: (ms since the chunk before, tokens), all counted.
    fn response(chunks: &[(u64, u32)]) -> RequestRow {
        let mut row = row(0, RunNanos::ZERO, 0, 0, chunks.len() as u32);
        let mut at = 0;
        for (chunk, &(gap, tokens)) in row.chunks.iter_mut().zip(chunks) {
            at += gap * MS;
            chunk.at = RunNanos::from_nanos(at);
            chunk.tokens = tokens;
        }
        row
    }

    #[test]
    fn a_gap_is_divided_among_the_tokens_that_it_brought() {
        // Twelve tokens: the three of the first chunk have no gap.
        let rows = [response(&[(50, 3), (10, 1), (40, 8)])];
        let gaps = Gaps::of(rows.iter());
        assert_eq!((gaps.chunk_gap.n, gaps.chunk_gap.mean), (2, ms(25)));
        assert_eq!((gaps.itl.n, gaps.itl.missing), (9, 0));
        // (10 + 8 x 5) / 9, rounded down.
        assert_eq!(gaps.itl.mean, Some(Duration::from_nanos(50 * MS / 9)));
        assert_eq!((gaps.itl.min, gaps.itl.max), (ms(5), ms(10)));
        assert_eq!(gaps.chunks, ChunkCounts { all: 3, shared: 0, uncounted_responses: 0 });
    }

    #[test]
    fn a_token_a_chunk_makes_both_the_same() {
        let rows: Vec<RequestRow> =
            (1..=50).map(|k| response(&[(50, 1), (k, 1), (2 * k, 1)])).collect();
        let gaps = Gaps::of(rows.iter());
        assert_eq!(gaps.itl, gaps.chunk_gap);
        assert!(gaps.itl.p50.value.is_some());
    }

    #[test]
    fn what_the_server_did_not_count_has_gaps_and_no_itl() {
        let mut rows: Vec<RequestRow> = (0..40).map(|_| response(&[(50, 1), (10, 1)])).collect();
        for row in &mut rows {
            row.chunks[1].counted = false;
        }
        let gaps = Gaps::of(rows.iter());
        assert_eq!((gaps.chunk_gap.n, gaps.chunk_gap.missing), (40, 0));
        assert_eq!(gaps.itl, LatencySummary { missing: 40, ..LatencySummary::default() });
        assert_eq!(gaps.chunks.uncounted_responses, 40);
        // One counted response among them is one value and not the others'.
        rows[0] = response(&[(50, 1), (30, 3)]);
        let gaps = Gaps::of(rows.iter());
        assert_eq!((gaps.itl.n, gaps.itl.missing, gaps.itl.mean), (3, 39, ms(10)));
        assert_eq!(gaps.chunks.uncounted_responses, 39);
    }

    #[test]
    fn failures_and_single_chunks_are_missing_and_shared_ones_are_counted() {
        let mut rows =
            [response(&[(50, 1)]), response(&[(50, 1), (10, 1)]), response(&[(9, 1), (0, 1)])];
        rows[1].outcome = Outcome::Truncated;
        rows[2].chunks.iter_mut().for_each(|chunk| chunk.shared = true);
        let gaps = Gaps::of(rows.iter());
        assert_eq!((gaps.chunk_gap.n, gaps.chunk_gap.missing), (1, 2));
        assert_eq!((gaps.itl.n, gaps.itl.missing), (1, 2));
        assert_eq!(gaps.chunks, ChunkCounts { all: 3, shared: 2, uncounted_responses: 0 });
        assert_eq!(ChunkCounts::default().shared_share(), 0.0);
    }

    #[test]
    fn a_count_beyond_reason_costs_nothing() {
        let rows = [response(&[(5, 1), (10, u32::MAX), (10, u32::MAX)])];
        assert_eq!(Gaps::of(rows.iter()).itl.n, 2 * u64::from(u32::MAX));
    }

    proptest! {
        /// Writing every token's gap out by hand and describing the list gives the same mean,
        /// extremes and values of the quantiles, wherever both know them.
        #[test]
        fn itl_is_that_of_every_token_by_itself(
            chunks in prop::collection::vec((0_u64..100, 1_u32..5), 40..200),
        ) {
            let rows = [response(&chunks)];
            let found = Gaps::of(rows.iter()).itl;
            let by_hand: Vec<u64> = chunks
                .iter()
                .skip(1)
                .flat_map(|&(gap, tokens)| {
                    std::iter::repeat_n(gap * MS / u64::from(tokens), tokens as usize)
                })
                .collect();
            let plain = describe(by_hand, 0);
            prop_assert_eq!((found.n, found.mean), (plain.n, plain.mean));
            prop_assert_eq!((found.min, found.max), (plain.min, plain.max));
            for (mine, theirs) in [(found.p50, plain.p50), (found.p90, plain.p90)] {
                if let (Some(_), Some(value)) = (mine.value, theirs.value) {
                    prop_assert_eq!(mine.value, theirs.value);
                    prop_assert!(mine.low <= Some(value) && mine.high >= Some(value));
                }
            }
        }
    }
}
