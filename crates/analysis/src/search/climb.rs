//! The climb: up by threes until a rate is too much.

use std::ops::Range;
use std::time::Duration;

use super::{CLIMB, FEWEST_REQUESTS, Goal, Search, Step, Stopped};

/// Arrivals that a rung of the climb needs: at three times the capacity, 15 of them leave ten
/// requests too many, two and a half times the noise of their number.
const RUNG_REQUESTS: f64 = 15.0;

/// Growth of the number in flight, in units of the arrivals' noise, that is neither chance nor certainty.
const DOUBT: Range<f64> = 1.2..3.0;

impl Search {
    /// The next rung, or the end of the range.
    pub(super) fn climb(&self) -> Step {
        let requests = match self.config.goal {
            Goal::Capacity => RUNG_REQUESTS,
            Goal::Slo { .. } => FEWEST_REQUESTS,
        };
        let highest = self.probes.iter().map(|probe| probe.rate_per_s).max_by(f64::total_cmp);
        let Some(highest) = highest else {
            // Little is lost with a server that sustains no more than the range's lower end: a rung
            // takes no longer than any other.
            let first = self.config.within(CLIMB * CLIMB * self.config.from);
            return self.probe(first, self.window(first, requests), Some(0.1));
        };
        // A window in which hardly anything ended says nothing of the rate.
        let blind = self.at(highest).all(|probe| probe.completions < 3);
        if blind && self.at(highest).count() < 6 {
            return self.probe(highest, self.longest(highest) * 3, Some(0.1));
        }
        if let Some(window) = self.hardly_known(highest) {
            return self.probe(highest, window, Some(0.1));
        }
        if highest >= self.config.to {
            return self.done(Stopped::RangeEnd);
        }
        let rate = (highest * CLIMB).min(self.config.to);
        self.probe(rate, self.window(rate, requests), Some(0.1))
    }

    /// How long to ask a rung again that was asked once and says neither: a server that is still filling
    /// up looks as if it kept up, and a short burst as if it did not. Going on from either is dear: the
    /// next rung is three times as high, and a plateau that is none is climbed out of slowly.
    pub(super) fn hardly_known(&self, rate: f64) -> Option<Duration> {
        let longest = self.longest(rate);
        let [only] = self.at(rate).collect::<Vec<_>>()[..] else { return None };
        let arrivals = only.achieved_rate_per_s * longest.as_secs_f64();
        let grew = arrivals - only.completions as f64;
        let doubtful = DOUBT.contains(&(grew / arrivals.max(1.0).sqrt()));
        let enough = self.window(rate, FEWEST_REQUESTS).min(3 * longest);
        (doubtful && !only.overloaded && 2 * longest < enough).then_some(enough)
    }

    /// How long to ask an unstable rate again: a server that is still filling up with long requests
    /// looks as if it did not keep up.
    pub(super) fn in_doubt(&self, rate: f64) -> Option<Duration> {
        let mut tries = self.at(rate);
        if tries.any(|probe| probe.overloaded || probe.tells(self.slowest())) {
            let higher = self.probes.iter().any(|probe| !probe.stable && probe.rate_per_s > rate);
            return if higher { None } else { self.hardly_known(rate) };
        }
        let count = self.at(rate).count();
        (count < 6).then(|| self.longest(rate) * 3)
    }
}
