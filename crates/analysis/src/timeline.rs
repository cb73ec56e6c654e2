//! A point over time, for figures.

use std::time::Duration;

use plimsoll_records::{PointFile, RequestRow};
use plimsoll_units::RunNanos;

use crate::in_flight::InFlight;
use crate::latency::ttft;
use crate::quantile::median;
use crate::{TimelineSample, tokens};

/// Shortest bucket.
const SHORTEST: Duration = Duration::from_millis(250);

/// Most buckets a point.
const MOST: u128 = 240;

/// The whole point from its start to its end, warm-up and drain included, in equal buckets of
/// 250 ms or as much longer as 240 buckets need.
pub(crate) fn timeline(
    point: &PointFile,
    rows: &[RequestRow],
    in_flight: &InFlight,
) -> Vec<TimelineSample> {
    let start = point.phases.start_ns;
    let whole = point.phases.end_ns - start;
    let length = SHORTEST.max(Duration::from_nanos((whole.as_nanos() / MOST) as u64 + 1));
    let buckets = whole.as_nanos().div_ceil(length.as_nanos()) as usize;
    let index = |at: RunNanos| {
        (at >= start).then(|| ((at - start).as_nanos() / length.as_nanos()) as usize)
    };

    let mut tokens_in = vec![0.0; buckets];
    for (at, count) in tokens::delivered(rows) {
        if let Some(sum) = index(at).and_then(|i| tokens_in.get_mut(i)) {
            *sum += count;
        }
    }
    let mut completions = vec![0_u64; buckets];
    let mut arrivals = vec![0_u64; buckets];
    let mut ttfts = vec![Vec::new(); buckets];
    for row in rows {
        if let Some(i) = index(row.intended).filter(|&i| i < buckets) {
            arrivals[i] += 1;
            ttfts[i].extend(ttft(row).map(|ttft| ttft.as_nanos() as u64));
        }
        if let Some(count) = index(row.done).and_then(|i| completions.get_mut(i)) {
            *count += u64::from(row.outcome.is_ok());
        }
    }
    let mut at = start;
    (0..buckets)
        .map(|i| {
            let begin = at;
            at += length;
            TimelineSample {
                at: begin,
                length,
                in_flight: in_flight.at(at),
                arrivals: arrivals[i],
                completions: completions[i],
                output_tokens: tokens_in[i].round() as u64,
                ttft_p50: median(&mut ttfts[i]).map(Duration::from_nanos),
            }
        })
        .collect()
}
