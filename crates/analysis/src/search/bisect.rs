//! Bisection between rates that pass and rates that fail, where throughput says nothing of the capacity.

use std::time::Duration;

use super::{
    CLIMB, EDGE_REQUESTS, FEWEST_REQUESTS, Goal, MILD, Search, Step, Stopped, bracket, config,
};

impl Search {
    /// Bisection between the highest rate that passes and the lowest that fails above it.
    pub(super) fn bisect(&self) -> Step {
        let z = self.config.z();
        let rates = bracket::answers(&self.probes, self.config.goal, z);
        if let Some(doubtful) = rates.iter().find(|answer| answer.passes.is_none())
            && self.at(doubtful.rate_per_s).count() < 4
        {
            let window = self.longest(doubtful.rate_per_s) * 2;
            return self.probe(doubtful.rate_per_s, window, Some(0.05));
        }
        let bracket = bracket::of(&rates);
        // A single unstable answer that nothing made certain is asked again before it is believed.
        if let Some(high) = bracket.high
            && self.at(high).count() == 1
            && self.at(high).all(|probe| !probe.overloaded && !probe.stable)
            && self.config.goal == Goal::Capacity
        {
            return self.probe(high, self.longest(high).max(self.bisect_window(high)), Some(0.05));
        }
        match (bracket.low, bracket.high) {
            (None, Some(high)) if high <= self.config.from => self.done(Stopped::RangeEnd),
            (None, Some(high)) => {
                let rate = self.config.within(high / CLIMB);
                self.probe(rate, self.bisect_window(rate), Some(0.05))
            }
            (_, None) => self.climb(),
            (Some(low), Some(high)) => {
                if high - low <= self.config.precision * (high + low) {
                    return self.overload(high);
                }
                let rate = (low * high).sqrt();
                if self.probes.len() >= config::MOST_PROBES {
                    return self.done(Stopped::Undecided);
                }
                self.probe(rate, self.bisect_window(rate), Some(0.05))
            }
        }
    }

    /// After a bisection: what is left of the throughput under mild overload, if nobody looked.
    fn overload(&self, high: f64) -> Step {
        let rate = self.config.within(MILD * high);
        let looked = self.probes.iter().any(|probe| {
            probe.rate_per_s >= 1.1 * high && probe.completions as f64 >= 0.8 * FEWEST_REQUESTS
        });
        if looked || rate < 1.1 * high || self.config.goal != Goal::Capacity {
            return self.done(Stopped::Precision);
        }
        self.probe(rate, self.window(rate, EDGE_REQUESTS), None)
    }

    /// Window of a probe that a bisection asks for: as many arrivals as tell the bracket's
    /// precision from their own noise, 2 / precision^2 at most.
    fn bisect_window(&self, rate: f64) -> Duration {
        let requests = (1.5 / self.config.precision.powi(2)).clamp(EDGE_REQUESTS, 2000.0);
        self.window(rate, requests)
    }
}
