//! When output tokens were delivered.

use plimsoll_records::RequestRow;
use plimsoll_units::RunNanos;

/// The output tokens of a point as (moment, tokens), in no order.
///
/// Every chunk counts at its own stamp, whatever became of its request: the server did that work.
/// Where the server's usage says how many tokens the answer had, its chunks are scaled to that sum
/// (a chunk may carry several tokens uncounted). A request without usage (it was aborted or failed)
/// is scaled by the ratio of usage to chunks over all requests that have both, unless the server
/// counted its chunks itself.
pub(crate) fn delivered(rows: &[RequestRow]) -> impl Iterator<Item = (RunNanos, f64)> + '_ {
    let pooled = pooled_ratio(rows);
    rows.iter().flat_map(move |row| {
        let scale = match ratio(row) {
            Some((usage, chunks)) => usage / chunks,
            None if row.chunks.iter().all(|chunk| chunk.counted) => 1.0,
            None => pooled,
        };
        row.chunks.iter().map(move |chunk| (chunk.at, f64::from(chunk.tokens) * scale))
    })
}

/// Usage and chunk count of a request that has both.
fn ratio(row: &RequestRow) -> Option<(f64, f64)> {
    let usage = row.output_tokens.filter(|&usage| usage > 0)?;
    let chunks = row.chunk_token_count();
    (chunks > 0).then(|| (f64::from(usage), chunks as f64))
}

/// Tokens by usage over tokens by chunks, over the requests that have both; 1 where none has.
pub(crate) fn pooled_ratio(rows: &[RequestRow]) -> f64 {
    let (usage, chunks) = rows
        .iter()
        .filter_map(ratio)
        .fold((0.0, 0.0), |sums, (usage, chunks)| (sums.0 + usage, sums.1 + chunks));
    if chunks > 0.0 { usage / chunks } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::row;

    fn sum(rows: &[RequestRow]) -> f64 {
        delivered(rows).map(|(_, tokens)| tokens).sum()
    }

    #[test]
    fn chunks_are_scaled_to_usage_and_unfinished_ones_by_the_others() {
        let mut rows: Vec<RequestRow> = (0..3).map(|k| row(k, RunNanos::ZERO, 10, 10, 4)).collect();
        for row in &mut rows {
            row.chunks.iter_mut().for_each(|chunk| chunk.counted = false);
        }
        rows[0].output_tokens = Some(8);
        rows[1].output_tokens = Some(6);
        rows[2].output_tokens = None;
        rows[2].chunks.truncate(2);
        // 14 tokens in 8 chunks, so the two chunks without usage stand for 3.5.
        assert_eq!(pooled_ratio(&rows), 1.75);
        assert!((sum(&rows) - 17.5).abs() < 1e-12);
        rows[2].chunks.iter_mut().for_each(|chunk| chunk.counted = true);
        assert!((sum(&rows) - 16.0).abs() < 1e-12);
    }

    #[test]
    fn without_any_usage_a_chunk_is_what_it_says() {
        let mut rows = [row(0, RunNanos::ZERO, 10, 10, 4)];
        rows[0].output_tokens = None;
        assert_eq!(sum(&rows), 4.0);
        assert_eq!(sum(&[]), 0.0);
    }
}
