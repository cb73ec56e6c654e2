//! The climb: up by threes until a rate is too much.

use std::time::Duration;

use super::{CLIMB, FEWEST_REQUESTS, Goal, Search, Step, Stopped};

/// Arrivals that a rung of the climb needs: at three times the capacity, 15 of them leave ten
/// requests too many, two and a half times the noise of their number.
const RUNG_REQUESTS: f64 = 15.0;

impl Search {
    /// The next rung, or the end of the range.
    pub(super) fn climb(&self) -> Step {
        let highest = self.probes.iter().map(|probe| probe.rate_per_s).max_by(f64::total_cmp);
        let Some(highest) = highest else {
            return self.probe(
                self.config.from,
                self.window(self.config.from, RUNG_REQUESTS),
                Some(0.1),
            );
        };
        // A window in which hardly anything ended says nothing of the rate.
        let blind = self.at(highest).all(|probe| probe.completions < 3);
        if blind && self.at(highest).count() < 6 {
            return self.probe(highest, self.longest(highest) * 3, Some(0.1));
        }
        if highest >= self.config.to {
            return self.done(Stopped::RangeEnd);
        }
        let rate = (highest * CLIMB).min(self.config.to);
        let requests = match self.config.goal {
            Goal::Capacity => RUNG_REQUESTS,
            Goal::Slo { .. } => FEWEST_REQUESTS,
        };
        self.probe(rate, self.window(rate, requests), Some(0.1))
    }

    /// How long to ask an unstable rate again: a server that is still filling up with long requests
    /// looks as if it did not keep up.
    pub(super) fn in_doubt(&self, rate: f64) -> Option<Duration> {
        let mut tries = self.at(rate);
        if tries.any(|probe| probe.overloaded || probe.tells(self.slowest())) {
            return None;
        }
        let count = self.at(rate).count();
        (count < 6).then(|| self.longest(rate) * 3)
    }
}
