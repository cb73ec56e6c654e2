//! The knee: the load where latency starts to climb faster than throughput.

use crate::PointSummary;

/// The offered rate with the largest power, of stable points in order of rate.
///
/// Power = throughput / mean E2E, in requests per second^2. The mean of E2E, not of TTFT, because a
/// batch server pays for load in both waiting and slower tokens. The rate is one of the ladder's:
/// between its rungs nothing was measured. `None` with fewer than three rates that have a mean E2E,
/// for a maximum among two says nothing. Source: Kleinrock, Power and deterministic rules of thumb
/// for probabilistic problems in computer communications, ICC 1979, 43.1.1-43.1.10.
pub(crate) fn knee(stable: &[(f64, &PointSummary)]) -> Option<f64> {
    let powers: Vec<(f64, f64)> = stable
        .iter()
        .filter_map(|(rate, point)| {
            let latency = point.e2e.mean.filter(|mean| !mean.is_zero())?.as_secs_f64();
            Some((*rate, point.throughput_per_s.value / latency))
        })
        .collect();
    let mut rates: Vec<f64> = powers.iter().map(|(rate, _)| *rate).collect();
    rates.dedup();
    if rates.len() < 3 {
        return None;
    }
    powers.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(rate, _)| rate)
}
