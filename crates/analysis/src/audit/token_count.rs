//! `token-count`: the usage's token count and the chunks' disagree.
//!
//! **What.** Output tokens by usage and by the chunks' counts differ by more than 1 %. **Warning.**
//! **Why.** One of the two is wrong, and token throughput inside a window needs both: usage for the count,
//! chunks for the time.
//! **Evidence.** Both sums over the requests that have both, and how many had uncounted chunks.
//! **Remedy.** Ask for `continuous_usage_stats`; else read TPOT, which counts by usage.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// How far the sums may lie apart.
const APART: f64 = 0.01;

/// Compares, over the requests that have both, output tokens by usage with the sum of the chunks'
/// counts.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let (mut usage, mut chunks, mut uncounted, mut n) = (0.0, 0.0, 0_u64, 0_u64);
    for row in evidence.ok() {
        let Some(tokens) = row.output_tokens else { continue };
        n += 1;
        usage += f64::from(tokens);
        chunks += row.chunk_token_count() as f64;
        uncounted += u64::from(row.chunks.iter().any(|chunk| !chunk.counted));
    }
    if n == 0 || (usage - chunks).abs() <= APART * usage.max(1.0) {
        return None;
    }
    Some(finding(
        FindingCode::TokenCount,
        Severity::Warning,
        format!(
            "usage says {usage:.0} output tokens, the chunks add up to {chunks:.0} ({}); tokens \
             count by usage",
            if uncounted > 0 { "each taken as one token" } else { "by the server's own counts" }
        ),
        &[
            ("usage_tokens", usage),
            ("chunk_tokens", chunks),
            ("uncounted_requests", uncounted as f64),
        ],
        "ask for continuous_usage_stats where the server has it; else read TPOT, which counts by \
         usage",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn sums_that_differ_are_found_and_equal_ones_pass() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::TokenCount), None);
        for row in &mut fixture.rows {
            // Two tokens travelled in one chunk, uncounted.
            row.chunks.remove(4);
            row.chunks.iter_mut().for_each(|chunk| chunk.counted = false);
        }
        let found = fixture.find(FindingCode::TokenCount).unwrap();
        assert!((found.numbers["chunk_tokens"] / found.numbers["usage_tokens"] - 0.9).abs() < 1e-9);
    }

    #[test]
    fn without_usage_there_is_nothing_to_compare() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.output_tokens = None;
            row.chunks.pop();
        }
        assert_eq!(fixture.find(FindingCode::TokenCount), None);
    }
}
