//! Overload, recognised while it happens.

use std::time::Duration;

use crate::batch_means::{self, FINE_BINS};

/// Standard deviations of the arrivals' noise that the growth must exceed.
const CERTAIN: f64 = 4.5;

/// Fewest arrivals and completions, and shortest time, that a verdict may rest on.
const FEWEST_ARRIVALS: u64 = 30;
const FEWEST_COMPLETIONS: u64 = 10;
const SHORTEST: Duration = Duration::from_secs(2);

/// Shortest time, and fewest observations, that a throughput may rest on.
const SHORTEST_PLATEAU: Duration = Duration::from_secs(5);
const FEWEST_OBSERVATIONS: usize = 20;

/// The counters of a point at one moment, all counted from the same origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Time since that origin.
    pub elapsed: Duration,
    /// Requests due so far.
    pub arrivals: u64,
    /// Requests over so far, however they ended.
    pub completions: u64,
    /// Requests due and not over.
    pub in_flight: u64,
    /// Output tokens received so far.
    pub output_tokens: u64,
}

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverloadVerdict {
    /// Nothing is certain: the server keeps up, or it is too early to say.
    Unknown,
    /// The server certainly does not keep up.
    Overloaded,
}

/// Tells while a point runs whether its server is certainly overloaded.
///
/// Feed it the point's counters about each 250 ms from the end of the warm-up on; only differences
/// to the first observation matter. With A arrivals and C completions since then it says
/// `Overloaded` once, at an observation with at least 2 s, 30 arrivals and 10 completions behind
/// it, all hold:
///
/// - A - C > 4.5 cv sqrt(A), cv the coefficient of variation of the gaps between arrivals: a
///   growth beyond chance, at a level of 3.4 in a million a look, 2 in 10,000 for 60 looks;
/// - each third of the observations has more in flight on average than the one before, and the
///   third third's level lies above every level of the first: it grew all along, not in one burst;
/// - the second half brought at most 5 % more tokens than the first, and no more completions than
///   two standard deviations above it: the server is not merely filling up with long requests.
///
/// The verdict does not change back.
#[derive(Clone, Debug)]
pub struct OverloadDetector {
    gap_cv: f64,
    seen: Vec<Progress>,
    overloaded: bool,
}

impl OverloadDetector {
    /// A detector for arrivals whose gaps have the coefficient of variation `gap_cv` (0 constant, 1
    /// Poisson); `None` where it is not known, which counts as 1. Values below 0.5 count as 0.5.
    #[must_use]
    pub fn new(gap_cv: Option<f64>) -> Self {
        Self { gap_cv: gap_cv.unwrap_or(1.0).max(0.5), seen: Vec::new(), overloaded: false }
    }

    /// Takes the counters of this moment. Observations that go back in time are ignored.
    pub fn observe(&mut self, now: Progress) {
        if self.seen.last().is_some_and(|last| now.elapsed <= last.elapsed) {
            return;
        }
        self.seen.push(now);
        self.overloaded |= self.certain();
    }

    /// What is known so far.
    #[must_use]
    pub fn verdict(&self) -> OverloadVerdict {
        if self.overloaded { OverloadVerdict::Overloaded } else { OverloadVerdict::Unknown }
    }

    /// Whether the throughput in tokens is known to within `relative_half_width` (0.015 is 1.5 %)
    /// of itself, by the 95 % interval from batch means; never before 5 s and 20 observations.
    ///
    /// Of an overloaded point that throughput is the plateau: once it is known there is nothing
    /// more to learn from the point, and it may end.
    #[must_use]
    pub fn enough(&self, relative_half_width: f64) -> bool {
        let (Some(first), Some(last)) = (self.seen.first(), self.seen.last()) else {
            return false;
        };
        let length = last.elapsed - first.elapsed;
        if length < SHORTEST_PLATEAU || self.seen.len() < FEWEST_OBSERVATIONS {
            return false;
        }
        let seconds = length.as_secs_f64();
        batch_means::rate(&self.tokens(first.elapsed, seconds), seconds).relative_half_width()
            <= relative_half_width
    }

    /// Whether the three conditions hold for what was seen.
    fn certain(&self) -> bool {
        let (Some(first), Some(now)) = (self.seen.first(), self.seen.last()) else {
            return false;
        };
        let arrivals = now.arrivals.saturating_sub(first.arrivals);
        let completions = now.completions.saturating_sub(first.completions);
        if arrivals < FEWEST_ARRIVALS
            || completions < FEWEST_COMPLETIONS
            || now.elapsed - first.elapsed < SHORTEST
        {
            return false;
        }
        let growth = arrivals as f64 - completions as f64;
        growth > CERTAIN * self.gap_cv * (arrivals as f64).sqrt()
            && self.grew_all_along()
            && self.is_saturated(first, now)
    }

    /// Whether each third had more in flight than the one before, beyond every level of the first.
    fn grew_all_along(&self) -> bool {
        let third = self.seen.len() / 3;
        if third == 0 {
            return false;
        }
        let mean = |part: &[Progress]| {
            part.iter().map(|seen| seen.in_flight as f64).sum::<f64>() / part.len() as f64
        };
        let (early, rest) = self.seen.split_at(third);
        let (middle, late) = rest.split_at(rest.len() - third);
        let highest_early = early.iter().map(|seen| seen.in_flight).max().unwrap_or(0);
        mean(early) < mean(middle) && mean(middle) < mean(late) && mean(late) > highest_early as f64
    }

    /// Whether the second half of the time brought no more than the first.
    fn is_saturated(&self, first: &Progress, now: &Progress) -> bool {
        let half_time = first.elapsed + (now.elapsed - first.elapsed) / 2;
        let middle = self.seen.partition_point(|seen| seen.elapsed < half_time);
        let Some(half) = self.seen.get(middle) else { return false };
        // The middle observation need not lie at half time: rates, not counts, are compared.
        let early = (half.elapsed - first.elapsed).as_secs_f64();
        let late = (now.elapsed - half.elapsed).as_secs_f64();
        if early <= 0.0 || late <= 0.0 {
            return false;
        }
        let between = |from: u64, to: u64| to.saturating_sub(from) as f64;
        let tokens_early = between(first.output_tokens, half.output_tokens) / early;
        let tokens_late = between(half.output_tokens, now.output_tokens) / late;
        let (done_early, done_late) = (
            between(first.completions, half.completions),
            between(half.completions, now.completions),
        );
        let noise = (done_early / early.powi(2) + done_late / late.powi(2)).sqrt();
        tokens_late <= 1.05 * tokens_early && done_late / late <= done_early / early + 2.0 * noise
    }

    /// Tokens in each fine bin of the time seen, the counter taken as linear between observations.
    fn tokens(&self, origin: Duration, seconds: f64) -> [f64; FINE_BINS] {
        let at = |bin: usize| {
            let time = seconds * bin as f64 / FINE_BINS as f64;
            let offset = |seen: &Progress| (seen.elapsed - origin).as_secs_f64();
            let next = self.seen.partition_point(|seen| offset(seen) < time);
            let Some(after) = self.seen.get(next) else {
                return self.seen.last().map_or(0.0, |last| last.output_tokens as f64);
            };
            let Some(before) = next.checked_sub(1).map(|i| &self.seen[i]) else {
                return after.output_tokens as f64;
            };
            let share = (time - offset(before)) / (offset(after) - offset(before));
            before.output_tokens as f64
                + share * (after.output_tokens as f64 - before.output_tokens as f64)
        };
        let mut bins = [0.0; FINE_BINS];
        for (i, bin) in bins.iter_mut().enumerate() {
            *bin = at(i + 1) - at(i);
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a detector each 250 ms with counters that are functions of time in seconds: arrivals,
    /// completions and tokens; says when it was sure.
    fn watch(
        seconds: f64,
        arrivals: impl Fn(f64) -> f64,
        completions: impl Fn(f64) -> f64,
        tokens: impl Fn(f64) -> f64,
    ) -> (Option<f64>, OverloadDetector) {
        let mut detector = OverloadDetector::new(Some(1.0));
        let mut when = None;
        for tick in 0..=(seconds * 4.0) as u32 {
            let t = f64::from(tick) / 4.0;
            let (a, c) = (arrivals(t) as u64, completions(t) as u64);
            detector.observe(Progress {
                elapsed: Duration::from_secs_f64(10.0 + t),
                arrivals: 500 + a,
                completions: 400 + c,
                in_flight: (100 + a).saturating_sub(c),
                output_tokens: 40_000 + tokens(t) as u64,
            });
            if when.is_none() && detector.verdict() == OverloadVerdict::Overloaded {
                when = Some(t);
            }
        }
        (when, detector)
    }

    #[test]
    fn a_server_at_half_the_offered_rate_is_found_when_the_noise_allows_it() {
        let (when, detector) = watch(20.0, |t| 40.0 * t, |t| 20.0 * t, |t| 2000.0 * t);
        // 20 t > 4.5 sqrt(40 t) from t = 2.03 on.
        assert_eq!(when, Some(2.25));
        assert!(detector.enough(0.015));
    }

    #[test]
    fn a_server_that_keeps_up_is_never_called_overloaded() {
        let (when, _) = watch(60.0, |t| 40.0 * t, |t| 39.7 * t, |t| 4000.0 * t);
        assert_eq!(when, None);
    }

    #[test]
    fn a_server_that_fills_up_with_long_requests_is_not_overloaded() {
        // Infinitely many servers, exponential times of 20 s, 200 a second, watched from 5 s on:
        // in flight 4000 (1 - exp(-t / 20)), tokens in proportion to it.
        let in_flight = |t: f64| 4000.0 * (1.0 - (-t / 20.0).exp());
        let tokens = |t: f64| 10.0 * 4000.0 * (t + 20.0 * (-t / 20.0).exp());
        let (when, _) = watch(
            20.0,
            |t| 200.0 * t,
            |t| 200.0 * t - (in_flight(t + 5.0) - in_flight(5.0)),
            |t| tokens(t + 5.0) - tokens(5.0),
        );
        assert_eq!(when, None);
    }

    #[test]
    fn one_burst_is_not_growth_all_along() {
        let burst = |t: f64| if t > 10.0 { 300.0 } else { 0.0 };
        let (when, _) = watch(14.0, |t| 40.0 * t + burst(t), |t| 40.0 * t, |t| 4000.0 * t);
        assert_eq!(when, None);
    }

    #[test]
    fn enough_wants_time_and_a_steady_flow() {
        let steady = |t: f64| 2000.0 * t;
        assert!(!watch(4.0, |t| 40.0 * t, |t| 20.0 * t, steady).1.enough(0.015));
        assert!(watch(6.0, |t| 40.0 * t, |t| 20.0 * t, steady).1.enough(0.015));
        let rough = |t: f64| 2000.0 * (t / 2.0).floor() * 2.0;
        assert!(!watch(12.0, |t| 40.0 * t, |t| 20.0 * t, rough).1.enough(0.015));
        assert!(!OverloadDetector::new(None).enough(0.5));
    }

    #[test]
    fn bursty_arrivals_need_more_evidence() {
        let watch = |cv: f64| {
            let mut detector = OverloadDetector::new(Some(cv));
            (0..=40_u64).find(|&tick| {
                detector.observe(Progress {
                    elapsed: Duration::from_millis(250 * tick),
                    arrivals: 10 * tick,
                    completions: 5 * tick,
                    in_flight: 5 * tick,
                    output_tokens: 500 * tick,
                });
                detector.verdict() == OverloadVerdict::Overloaded
            })
        };
        assert!(watch(0.0) < watch(1.0) && watch(1.0).is_some());
        assert!(watch(3.0).is_none());
    }
}
