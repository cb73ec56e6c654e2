//! Quantiles of latency in time: neighbours wait in the same queue, so blocks of time are redrawn.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::ComparisonError;
use super::block_length::block_length;
use super::log_ratio::student;
use crate::Estimate;
use crate::quantile::{interval_ranks, rank};

/// Steps that a window is cut into; blocks are whole numbers of them.
const STEPS: usize = 200;

/// Windows that are redrawn: 25 of them then lie outside either end of a 95 % interval.
const DRAWS: usize = 999;

/// One request: when it was due in its window, and its latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedLatency {
    /// When it was due, since the window's start.
    pub at: Duration,
    /// The latency, of any kind.
    pub latency: Duration,
}

/// The latencies of one window in their order of time.
#[derive(Clone, Debug)]
pub struct LatencySeries {
    length: Duration,
    /// Nanoseconds, by the step in which the request was due.
    latencies: Vec<u64>,
    /// Where each step begins in `latencies`; one more than there are steps.
    begins: Vec<usize>,
}

impl LatencySeries {
    /// The requests that were due in a window of that length, in any order.
    ///
    /// # Errors
    /// A request due at or after the window's end.
    pub fn new(
        length: Duration,
        requests: impl IntoIterator<Item = TimedLatency>,
    ) -> Result<Self, ComparisonError> {
        let mut requests: Vec<TimedLatency> = requests.into_iter().collect();
        requests.sort_by_key(|request| request.at);
        if let Some(last) = requests.last().filter(|last| last.at >= length) {
            let (at_s, length_s) = (last.at.as_secs_f64(), length.as_secs_f64());
            return Err(ComparisonError::OutsideWindow { at_s, length_s });
        }
        let step = |request: &TimedLatency| {
            request.at.as_nanos() * STEPS as u128 / length.as_nanos().max(1)
        };
        let begins = (0..=STEPS as u128)
            .map(|index| requests.partition_point(|request| step(request) < index))
            .collect();
        let nanos =
            |request: &TimedLatency| u64::try_from(request.latency.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { length, latencies: requests.iter().map(nanos).collect(), begins })
    }

    /// The requests of each step at or below `limit`, less those expected: what the quantile's
    /// error is a sum of.
    fn excess(&self, limit: u64, q: f64) -> Vec<f64> {
        let steps = self.begins.windows(2).map(|ends| &self.latencies[ends[0]..ends[1]]);
        steps.map(|step| step.iter().map(|&x| f64::from(u8::from(x <= limit)) - q).sum()).collect()
    }

    /// Adds one redrawn window: blocks of `block` steps from anywhere, round the end, until it is
    /// as long as this one.
    fn redraw(&self, block: usize, rng: &mut ChaCha8Rng, into: &mut Vec<u64>) {
        let mut left = STEPS;
        while left > 0 {
            let from = ((u128::from(rng.next_u64()) * STEPS as u128) >> 64) as usize;
            let to = from + block.min(left);
            let range = |from: usize, to: usize| self.begins[from]..self.begins[to];
            into.extend_from_slice(&self.latencies[range(from, to.min(STEPS))]);
            if to > STEPS {
                into.extend_from_slice(&self.latencies[range(0, to - STEPS)]);
            }
            left -= block.min(left);
        }
    }
}

/// The ratio of a latency quantile between two settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantileRatio {
    /// The candidate's quantile / the baseline's, with its 95 % interval.
    pub ratio: Estimate,
    /// Length of the redrawn blocks of the baseline, s.
    pub baseline_block_s: f64,
    /// Length of the redrawn blocks of the candidate, s.
    pub candidate_block_s: f64,
    /// Whether the latencies depend on each other for longer than blocks of this window can hold:
    /// the interval is then a lower bound on the uncertainty.
    pub window_too_short: bool,
}

/// The ratio of the `q` quantile of the pooled latencies, by bootstrap over blocks of time.
///
/// Each window is redrawn 999 times from circular blocks of itself, twice as long as the rule of
/// Politis and White has them; the quantile of what the windows of a setting hold together, by
/// nearest rank, is taken each time, and the interval is the symmetric one of the ratio's logarithm,
/// expanded for the finite number of blocks (docs/method.md#comparison). It knows nothing of what differs
/// between one repetition and the next; [`compare`](crate::compare) of each repetition's
/// [`latency_quantile`] does. Range: 0 < q < 1; `None` when a setting has too few requests for the
/// quantile (the median needs 6, p90 36, p99 368) or a latency of 0 there. The same seed gives the
/// same answer. Requests that failed have no latency and are left out by whoever makes the series.
///
/// # Errors
/// A `q` outside its range.
pub fn quantile_ratio(
    baseline: &[LatencySeries],
    candidate: &[LatencySeries],
    q: f64,
    seed: u64,
) -> Result<Option<QuantileRatio>, ComparisonError> {
    let q = check(q)?;
    // The two settings are redrawn independently.
    let other = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let Some(a) = q.drawn(baseline, seed, DRAWS) else { return Ok(None) };
    let Some(b) = q.drawn(candidate, other, DRAWS) else { return Ok(None) };
    Ok(Some(a.ratio(&b)))
}

/// The `q` quantile of one window's latencies in seconds, as a figure for
/// [`compare`](crate::compare): the nearest rank, with an interval by bootstrap over blocks of time
/// that knows that neighbours are alike. What a window reached only a few times, such as the p99 of a short
/// one, has a greater error than any window of that length can show (docs/measurements/statistics.md):
/// repetitions tell. Range, blocks and `None` as for [`quantile_ratio`].
///
/// # Errors
/// A `q` outside its range.
pub fn latency_quantile(
    window: &LatencySeries,
    q: f64,
    seed: u64,
) -> Result<Option<Estimate>, ComparisonError> {
    let drawn = check(q)?.drawn(std::slice::from_ref(window), seed, DRAWS);
    Ok(drawn.map(|drawn| {
        let Drawn { value, blocks, quantiles, .. } = drawn;
        symmetric(value, quantiles, blocks).scaled(1e-9)
    }))
}

/// A legal quantile.
#[derive(Clone, Copy, Debug)]
struct Quantile(f64);

/// The quantile, if it is one.
fn check(q: f64) -> Result<Quantile, ComparisonError> {
    if q > 0.0 && q < 1.0 {
        Ok(Quantile(q))
    } else {
        let (name, allowed) = ("the quantile", "above 0 and below 1");
        Err(ComparisonError::OutOfRange { name, value: q, allowed })
    }
}

/// A setting's quantile, and what it is in redrawn windows, ns.
struct Drawn {
    value: f64,
    quantiles: Vec<f64>,
    /// Length of a block, s, and how many there are in all windows.
    block_s: f64,
    blocks: f64,
    cut: bool,
}

impl Quantile {
    fn of(self, latencies: &mut [u64]) -> u64 {
        let at = rank(latencies.len(), self.0);
        *latencies.select_nth_unstable(at).1
    }

    fn drawn(self, windows: &[LatencySeries], seed: u64, draws: usize) -> Option<Drawn> {
        let mut pooled: Vec<u64> =
            windows.iter().flat_map(|window| window.latencies.iter().copied()).collect();
        interval_ranks(pooled.len(), self.0)?;
        let value = self.of(&mut pooled);
        if value == 0 {
            return None;
        }
        let excess: Vec<Vec<f64>> =
            windows.iter().map(|window| window.excess(value, self.0)).collect();
        let (block, cut) = block_length(&excess);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut quantiles = Vec::with_capacity(draws);
        // A window that is nearly empty can be redrawn without any request; it says nothing.
        for _ in 0..2 * draws {
            pooled.clear();
            for window in windows {
                window.redraw(block, &mut rng, &mut pooled);
            }
            if !pooled.is_empty() {
                quantiles.push((self.of(&mut pooled) as f64).max(1.0));
            }
            if quantiles.len() == draws {
                break;
            }
        }
        let seconds = windows.iter().map(|window| window.length.as_secs_f64()).sum::<f64>();
        let blocks = (STEPS * windows.len()) as f64 / block as f64;
        (quantiles.len() == draws).then_some(Drawn {
            value: value as f64,
            quantiles,
            block_s: seconds / blocks,
            blocks,
            cut,
        })
    }
}

impl Drawn {
    fn ratio(&self, candidate: &Self) -> QuantileRatio {
        let ratios = self.quantiles.iter().zip(&candidate.quantiles).map(|(a, b)| b / a).collect();
        let blocks = self.blocks.min(candidate.blocks);
        QuantileRatio {
            ratio: symmetric(candidate.value / self.value, ratios, blocks),
            baseline_block_s: self.block_s,
            candidate_block_s: candidate.block_s,
            window_too_short: self.cut || candidate.cut,
        }
    }
}

/// The interval that is symmetric about the logarithm of `value` and holds 95 % of what was drawn, expanded for
/// `n` blocks: instead of 5 % it leaves out 2 Phi(-sqrt(n / (n - 1)) t(0.975, n - 1)).
///
/// Percentiles alone would not do: no redrawn window has a latency above the longest that was measured, so
/// the upper end of a high quantile would be far too low. Sources: Hall, *J. Royal Statistical Society* B 50,
/// 1988, 35-45 (symmetric intervals); Hesterberg, *The American Statistician* 69, 2015, 371-386, section 5.3
/// (the expansion).
fn symmetric(value: f64, drawn: Vec<f64>, n: f64) -> Estimate {
    let n = n.max(2.0);
    let t = student(n - 1.0).inverse_cdf(0.975);
    let out = 2.0 * Normal::standard().cdf(-(n / (n - 1.0)).sqrt() * t);
    let mut apart: Vec<f64> = drawn.into_iter().map(|one| (one / value).ln().abs()).collect();
    apart.sort_by(f64::total_cmp);
    let factor = apart[rank(apart.len(), 1.0 - out)].exp();
    Estimate { value, low: value / factor, high: value * factor }
}

#[cfg(test)]
mod tests;
