//! Throughput that falls while the backlog of a point grows.

use std::time::Duration;

use plimsoll_records::RequestRow;
use plimsoll_units::RunNanos;

use crate::batch_means::FINE_BINS;
use crate::in_flight::InFlight;
use crate::summarise::binned;
use crate::{Estimate, Window, long_run, tokens};

/// Fewest fine bins on either side of a fall.
const FEWEST_BINS: usize = 6;

/// What makes a first fall certain: its t value, and the share of the throughput that is lost.
const CERTAIN: (f64, f64) = (5.0, 0.05);

/// The 97.5 % point of Student's t for 59 degrees of freedom.
const TWO: f64 = 2.0;

/// Lowest correlation of neighbouring bins that is believed: steps that give many tokens at once make
/// bins by turns too full and too empty, and their mean surer than their scatter says.
const REGULAR: f64 = -0.6;

/// Fewest requests that must have ended in a stretch that is looked at.
const FEWEST: usize = 100;

/// By how much the filling up of an empty server exceeds its longest request, as in
/// [`WarmUp`](crate::WarmUp).
const MARGIN: f64 = 1.25;

/// The throughput of a point that fell under its own backlog.
///
/// A server that is offered more than it sustains has ever more requests in flight. Where that makes
/// it slower (preemption, thrash), its throughput is highest between the moment when it is full and
/// the moment when the backlog is too much: that is the most it can do, and a window that lies
/// behind it does not show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fall {
    /// Output tokens per second from the moment when the server was full to the fall.
    pub before_tokens_per_s: Estimate,
    /// Time between the two.
    pub before: Duration,
    /// Output tokens per second from the fall to the window's end.
    pub after_tokens_per_s: f64,
    /// Requests in flight when it fell.
    pub in_flight: u64,
    /// Whether it is one beyond chance. Else the stretch before is the one whose throughput is surest
    /// to have been high, as it would be were there a fall.
    pub certain: bool,
}

impl Fall {
    /// The fall inside a point that was unstable, if there is one; warm-up included, for a server
    /// that starts empty does best there.
    ///
    /// The server counts as full once 1.25 of the longest request so far have gone by, with ten over.
    /// The time from then to the window's end, or the first half, quarter ... of it, is cut into 60
    /// bins; for each cut k of them t = (m_1 - m_2) / (s sqrt((1 / k + 1 / (60 - k)) (1 + r) / (1 -
    /// r))), with the means before and behind, the common standard deviation s, and the residuals'
    /// correlation r at lag 1 where it is positive. The largest t is a fall when it is above 5 and
    /// 5 % are lost. Its start is then looked for in the part before the cut, again and again, until
    /// no cut there has t > 3 and 1 % lost.
    pub(crate) fn of(
        start: RunNanos,
        window: Window,
        rows: &[RequestRow],
        in_flight: &InFlight,
    ) -> Option<Self> {
        let mut done: Vec<(RunNanos, Duration)> = rows
            .iter()
            .filter(|row| row.outcome.is_ok())
            .map(|row| (row.done, row.done - row.intended))
            .collect();
        done.sort_unstable();
        let full = full_from(start, &done).filter(|&full| full < window.end)?;
        let delivered: Vec<(RunNanos, f64)> = tokens::delivered(rows).collect();
        let bins = |to: RunNanos| -> [f64; FINE_BINS] {
            let window = Window { start: full, end: to };
            long_run::steady(&long_run::within(delivered.iter().copied(), window))
        };
        let ended = |to: RunNanos| {
            done.partition_point(|(at, _)| *at < to) - done.partition_point(|(at, _)| *at < full)
        };

        let part = |to: RunNanos, k: usize| full + (to - full).mul_f64(k as f64 / FINE_BINS as f64);
        let mut to = window.end;
        let fewest = |to: RunNanos| {
            (1..=FINE_BINS).find(|&k| k >= FEWEST_BINS && ended(part(to, k)) >= FEWEST)
        };
        let mut certain = None;
        while let (None, Some(from)) = (certain, fewest(to)) {
            certain = cut(&bins(to), from, CERTAIN).map(|k| part(to, k));
            to = full + (to - full) / 2;
        }
        let mut fell = certain.unwrap_or(window.end);
        fewest(fell)?;
        for _ in 0..3 {
            fell = part(fell, surest(&bins(fell), fewest(fell).unwrap_or(FINE_BINS)));
        }
        let before = fell - full;
        let seconds = before.as_secs_f64();
        let (mean, error) = level(&bins(fell));
        let per_second = FINE_BINS as f64 / seconds;
        let behind = binned(Window { start: fell, end: window.end }, delivered.iter().copied());
        Some(Self {
            before_tokens_per_s: Estimate::around(per_second * mean, TWO * per_second * error)
                .not_negative(),
            before,
            after_tokens_per_s: behind.iter().sum::<f64>()
                / (window.end - fell).as_secs_f64().max(1e-9),
            in_flight: in_flight.at(fell),
            certain: certain.is_some(),
        })
    }
}

/// When a server that started empty was full; `done` are the requests' ends and times, in order.
fn full_from(start: RunNanos, done: &[(RunNanos, Duration)]) -> Option<RunNanos> {
    let mut longest = Duration::ZERO;
    for (over, &(at, took)) in done.iter().enumerate() {
        // Between two ends nothing but the time changes: the rule may come true there.
        let due = start + longest.mul_f64(MARGIN);
        if over >= 10 && due <= at {
            return Some(due.max(done[over - 1].0));
        }
        longest = longest.max(took);
    }
    None
}

/// The cut before which there was certainly more than behind it: by this t, and this share.
fn cut(bins: &[f64; FINE_BINS], from: usize, (least_t, least_share): (f64, f64)) -> Option<usize> {
    let n = FINE_BINS as f64;
    let sum: f64 = bins.iter().sum();
    let mut best: Option<(f64, usize, f64)> = None;
    for k in from..=FINE_BINS - FEWEST_BINS {
        let (early, late) = bins.split_at(k);
        let before = early.iter().sum::<f64>() / k as f64;
        let behind = (sum - before * k as f64) / (n - k as f64);
        let residuals: Vec<f64> = early
            .iter()
            .map(|bin| bin - before)
            .chain(late.iter().map(|bin| bin - behind))
            .collect();
        let variance = variance(&residuals, n - 2.0, 0.0);
        let error = (variance * (1.0 / k as f64 + 1.0 / (n - k as f64))).sqrt();
        // Bins without any scatter leave no doubt of whatever lies between them.
        let t = (before - behind) / error.max(1e-9 * before);
        let lost = if before > 0.0 { 1.0 - behind / before } else { 0.0 };
        if best.is_none_or(|(most, _, _)| t > most) {
            best = Some((t, k, lost));
        }
    }
    best.filter(|&(t, _, lost)| t > least_t && lost > least_share).map(|(_, k, _)| k)
}

/// Share of the highest beginning by which another may lie lower and be as good.
const AS_GOOD: f64 = 0.001;

/// How many bins from the first on have the mean whose interval begins highest, the most of those that are
/// as good: more of them make it surer, until those come in which there was less.
fn surest(bins: &[f64; FINE_BINS], from: usize) -> usize {
    let begins = |k: usize| {
        let (mean, error) = level(&bins[..k]);
        mean - TWO * error
    };
    let highest = (from..=FINE_BINS).map(begins).fold(f64::NEG_INFINITY, f64::max);
    let good = highest - AS_GOOD * highest.abs();
    (from..=FINE_BINS).rev().find(|&k| begins(k) >= good).unwrap_or(FINE_BINS)
}

/// The mean of bins and its standard error.
fn level(bins: &[f64]) -> (f64, f64) {
    let k = bins.len() as f64;
    let mean = bins.iter().sum::<f64>() / k;
    let residuals: Vec<f64> = bins.iter().map(|bin| bin - mean).collect();
    (mean, (variance(&residuals, k - 1.0, REGULAR) / k).sqrt())
}

/// The variance of the bins that have these residuals, as far as it goes into a mean: s^2 (1 + r) / (1 -
/// r), r the residuals' correlation at lag 1, at least `least` and at most 0.9. That is the variance of
/// the mean of a first-order autoregression, times n.
fn variance(residuals: &[f64], degrees: f64, least: f64) -> f64 {
    let squares: f64 = residuals.iter().map(|e| e * e).sum();
    let alike: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let r = if squares > 0.0 { (alike / squares).clamp(least, 0.9) } else { 0.0 };
    squares / degrees * (1.0 + r) / (1.0 - r)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::audit::fixture::{MS, row};

    /// One server, 100 requests a second as long as fewer than `crowd` are there, else 70; they come at
    /// 125 a second for 40 s.
    fn rows(crowd: usize, seed: u64) -> Vec<RequestRow> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut at, mut free) = (0.0_f64, 0.0_f64);
        let mut rows = Vec::new();
        while at < 40.0 {
            at += -(1.0 - rng.random::<f64>()).ln() / 125.0;
            let begun = free.max(at);
            // Those who came while it waited wait behind it.
            let waiting = ((begun - at) * 125.0) as usize;
            free = begun + if waiting < crowd { 0.010 } else { 1.0 / 70.0 };
            let took = ((free - at) * 1e3 * MS as f64) as u64;
            rows.push(row(rows.len() as u64, RunNanos::from_secs_f64(at), took, 0, 1));
        }
        rows
    }

    fn fall(rows: &[RequestRow]) -> Option<Fall> {
        let window =
            Window { start: RunNanos::from_secs_f64(8.0), end: RunNanos::from_secs_f64(40.0) };
        Fall::of(RunNanos::ZERO, window, rows, &InFlight::of(rows))
    }

    #[test]
    fn the_throughput_before_a_fall_is_found_wherever_the_window_lies() {
        for seed in 0..20 {
            let found = fall(&rows(200, seed)).expect("it was overloaded");
            assert!(found.certain, "seed {seed}: {found:?}");
            let before = found.before_tokens_per_s;
            assert!((before.value - 100.0).abs() < 2.0, "seed {seed}: {found:?}");
            assert!((found.after_tokens_per_s - 70.0).abs() < 5.0, "seed {seed}: {found:?}");
            // 200 more than came in its time, less what was cut off to be sure.
            assert!((50..=300).contains(&found.in_flight), "seed {seed}: {found:?}");
        }
    }

    #[test]
    fn a_steady_throughput_is_no_fall() {
        for seed in 0..20 {
            let found = fall(&rows(usize::MAX, seed)).expect("it was overloaded");
            assert!(!found.certain, "seed {seed}: {found:?}");
            assert!((found.before_tokens_per_s.value - 100.0).abs() < 2.0, "{found:?}");
        }
    }

    #[test]
    fn too_few_requests_say_nothing() {
        assert_eq!(fall(&[]), None);
        assert_eq!(fall(&rows(200, 1)[..80]), None);
    }

    #[test]
    fn chance_alone_makes_no_fall() {
        // Bins of independent counts around 20: of 500 windows none is called a fall.
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let falls = (0..500)
            .filter(|_| {
                let bins = std::array::from_fn(|_| {
                    (0..40).map(|_| f64::from(u8::from(rng.random::<bool>()))).sum()
                });
                cut(&bins, FEWEST_BINS, CERTAIN).is_some()
            })
            .count();
        assert_eq!(falls, 0);
    }

    #[test]
    fn a_step_is_cut_where_it_is() {
        for step in [10, 30, 50] {
            let bins = std::array::from_fn(|i| {
                let noise = if i % 2 == 0 { 1.0 } else { -1.0 };
                (if i < step { 20.0 } else { 15.0 }) + noise
            });
            // The bin beside it may be the better cut, for it is 2 higher or lower by turns.
            let near = step - 1..=step + 1;
            assert!(cut(&bins, FEWEST_BINS, CERTAIN).is_some_and(|k| near.contains(&k)), "{step}");
            assert!(near.contains(&surest(&bins, FEWEST_BINS)), "{step}");
        }
    }

    #[test]
    fn the_error_of_a_mean_is_the_textbooks() {
        // 1, 2, 3, 4: mean 2.5, s^2 = 5/3, products of neighbours 0.75 - 0.25 + 0.75 over 5: r = 0.25.
        let (mean, error) = level(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(mean, 2.5);
        assert!((error - (5.0 / 3.0 * 1.25 / 0.75 / 4.0_f64).sqrt()).abs() < 1e-12, "{error}");
    }
}
