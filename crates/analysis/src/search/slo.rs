//! The search for the rate at which an SLO is just met.

use super::{
    CLIMB, EDGE_REQUESTS, FEWEST_REQUESTS, Goal, ProbeResult, Search, Step, Stopped, attainment,
    bracket,
};

/// Ratio of a rate that fails to one that passes from which the shares around them are fitted.
const NARROW: f64 = 1.35;

/// How far from the edge the probes lie that the fit is made of, to either side.
const SPREAD: f64 = 0.07;

/// Probes around the edge without a fall of the share before it is bisected instead.
const WITHOUT_FALL: usize = 6;

/// Requests of a probe around the edge at least.
const LONG_REQUESTS: f64 = 4000.0;

/// Most requests of one probe.
const MOST_REQUESTS: f64 = 25_000.0;

impl Search {
    /// Climb, bracket, then probes to either side of the edge until its interval is narrow.
    pub(super) fn slo_step(&self, attainment: f64) -> Step {
        let answers = bracket::seen(&self.probes, Goal::Slo { attainment });
        let bracket = bracket::of(&answers);
        if let Some(high) = bracket.high
            && let Some(window) = self.hardly_known(high)
        {
            return self.probe(high, window, Some(0.1));
        }
        let (low, high) = match (bracket.low, bracket.high) {
            (_, None) => return self.climb(),
            (None, Some(high)) if high <= self.config.from => {
                // A handful of requests is no proof that even the lowest rate is too much.
                let asked: u64 = self.at(high).map(|probe| probe.requests).sum();
                if asked as f64 <= LONG_REQUESTS {
                    return self.probe(high, self.longest(high) * 3, Some(0.1));
                }
                return self.done(Stopped::RangeEnd);
            }
            (None, Some(high)) => {
                let rate = self.config.within(high / CLIMB);
                return self.probe(rate, self.window(rate, FEWEST_REQUESTS), Some(0.1));
            }
            (Some(low), Some(high)) => (low, high),
        };
        let about = (low * high).sqrt();
        if high > NARROW * low {
            return self.probe(about, self.window(about, EDGE_REQUESTS), Some(0.1));
        }
        // Those long enough for the queue to have forgotten how it began.
        let near: Vec<&ProbeResult> = self
            .probes
            .iter()
            .filter(|probe| (0.8..1.25).contains(&(probe.rate_per_s / about)))
            .filter(|probe| probe.window.as_secs_f64() * probe.rate_per_s >= 0.9 * LONG_REQUESTS)
            .collect();
        let requests: f64 = near.iter().map(|probe| probe.requests as f64).sum();
        // To either side for the slope, and where the edge seems to be, for the line may be none.
        let side = match near.len() % 3 {
            0 => 1.0 - SPREAD,
            1 => 1.0 + SPREAD,
            _ => 1.0,
        };
        let Some(edge) = attainment::of(&self.probes, attainment, self.config.z()) else {
            if near.len() >= WITHOUT_FALL {
                return self.bisect();
            }
            let rate = self.config.within(about * side);
            let requests = requests.clamp(LONG_REQUESTS, MOST_REQUESTS);
            return self.probe(rate, self.window(rate, requests), None);
        };
        let below = near.iter().filter(|probe| probe.rate_per_s < edge.value).count();
        let both_sides = below > 0 && below < near.len() && near.len() > 2;
        if edge.relative_half_width() <= self.config.precision && both_sides {
            return self.done(Stopped::Precision);
        }
        let rate = self.config.within(edge.value * side);
        let aim = edge.relative_half_width() / (0.9 * self.config.precision);
        let more = (requests * (aim * aim - 1.0)).clamp(LONG_REQUESTS, MOST_REQUESTS);
        self.probe(rate, self.window(rate, more), None)
    }
}
