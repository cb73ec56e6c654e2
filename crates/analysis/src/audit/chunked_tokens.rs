//! `chunked-tokens`: chunks carry several tokens, so the gap between chunks is not that between
//! tokens.
//!
//! **What.** A chunk carries more than 1.02 tokens on average, so the chunk gap is not the gap between
//! tokens. **Note** where the server counts its chunks' tokens, for ITL then divides each gap by them;
//! **warning** where each chunk had to be taken for one token, and ITL is not known.
//! **Why.** Speculative decoding, stream intervals or a busy machine join tokens; the gap between chunks
//! then depends on how, not on speed.
//! **Evidence.** Output tokens / chunks of the requests that ended well.
//! **Remedy.** Compare by TPOT, which counts tokens by usage.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Mean tokens a chunk from which on the gap between chunks is no longer a token's.
const SEVERAL: f64 = 1.02;

/// Divides tokens (by usage, else by the chunks' counts) by chunks. A note where the server counts
/// its chunks' tokens, for ITL then divides each gap by them; a warning where each chunk had to be
/// taken for one token.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let (mut tokens, mut chunks, mut uncounted) = (0.0, 0.0, false);
    for row in evidence.ok().filter(|row| !row.chunks.is_empty()) {
        tokens += row.output_count() as f64;
        chunks += row.chunks.len() as f64;
        uncounted |= row.chunks.iter().any(|chunk| !chunk.counted);
    }
    let mean = if chunks > 0.0 { tokens / chunks } else { 1.0 };
    if mean <= SEVERAL {
        return None;
    }
    Some(finding(
        FindingCode::ChunkedTokens,
        if uncounted { Severity::Warning } else { Severity::Note },
        format!(
            "a chunk carries {mean:.2} tokens on average, so the gap between chunks is not that \
             between tokens: {}",
            if uncounted {
                "the server does not count them, and ITL is not known"
            } else {
                "ITL divides each gap by the tokens that the server counted in it"
            }
        ),
        &[("tokens_per_chunk", mean)],
        "compare servers by TPOT; chunks join when the server sends several tokens at once \
         (speculation, stream intervals) or when either side is too busy to keep them apart",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// A clean point whose answers of ten tokens come in five chunks.
    fn in_pairs(counted: bool) -> Fixture {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            row.chunks.truncate(5);
            for chunk in &mut row.chunks {
                chunk.counted = counted;
                chunk.tokens = if counted { 2 } else { 1 };
            }
        }
        fixture
    }

    #[test]
    fn several_tokens_a_chunk_are_a_note_when_counted_and_a_warning_when_not() {
        for (counted, severity) in [(true, Severity::Note), (false, Severity::Warning)] {
            let found = in_pairs(counted).find(FindingCode::ChunkedTokens).unwrap();
            assert_eq!((found.severity, found.numbers["tokens_per_chunk"]), (severity, 2.0));
            assert_eq!(found.message.contains("not known"), !counted, "{}", found.message);
        }
        assert_eq!(Fixture::clean().find(FindingCode::ChunkedTokens), None);
    }
}
