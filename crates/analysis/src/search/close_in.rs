//! The plateau and its confirmation.

use std::time::Duration;

use super::{
    FEWEST_REQUESTS, MILD, PLATEAU_REQUESTS, ProbeResult, Search, Step, Stopped, plateau::Plateau,
};
use crate::Estimate;

/// Least overload, as a share of the plateau, of a probe that is to see the throughput before its fall.
const LEAST_OVER: f64 = 0.06;

/// Requests of a confirming probe at least.
const CONFIRM_REQUESTS: f64 = 80.0;

/// Shares of the plateau's ends that the confirming probes are offered.
const BELOW: f64 = 0.95;
const ABOVE: f64 = 1.07;

/// Lengths of the confirming probes, as shares of the time that the plateau was measured for.
const BELOW_SHARE: f64 = 0.2;
const ABOVE_SHARE: f64 = 0.35;

/// Load of a long plateau probe, of so many requests or of the time of so many, as a share of the
/// plateau: it has the time to fill the server with less, and is near enough to confirm that this
/// much is too much.
const LONG_MILD: f64 = 1.17;
const LONG_REQUESTS: f64 = 800.0;
const LONG_TIMES: u32 = 40;

/// How much longer the next plateau probe may be than those before it, together: what a short one says
/// of its scatter is no more than a guess.
const LONGER: f64 = 6.0;

impl Search {
    /// Plateau, confirmation, and bisection where they do not agree.
    pub(super) fn close_in(&self, plateau: &Plateau) -> Step {
        let Plateau { rate, .. } = *plateau;
        if let Some(better) = self.got_more(rate) {
            // The plateau is not the most that the server can do: nearer to that rate there is more to
            // see, and if there is not, the edge alone is left to look for.
            let mild = self.config.within(MILD * better);
            let beyond = |probe: &ProbeResult| {
                let near = better * 1.01..=better * 1.35;
                !probe.stable && near.contains(&probe.rate_per_s) && probe.tells(self.slowest())
            };
            return if self.probes.iter().any(beyond) {
                self.bisect()
            } else if mild <= better {
                self.done(Stopped::RangeEnd)
            } else {
                let window = self.window(better, PLATEAU_REQUESTS).max(self.config.shortest * 3);
                self.probe(mild, window, None)
            };
        }
        let narrow = rate.relative_half_width() <= self.config.precision;
        let least = self.window(rate.value, FEWEST_REQUESTS).max(self.config.shortest * 3);
        // What lies before a fall is short, however long the window.
        let long = plateau.backlog.is_some() || plateau.seconds >= 0.99 * least.as_secs_f64();
        if !narrow || !plateau.mild || !long {
            let (mild, window) = self.plateau_probe(plateau, least);
            if !plateau.mild && mild < 1.05 * rate.value {
                // The range ends below the plateau's mild overload: nothing more can be asked.
                return self.done(Stopped::RangeEnd);
            }
            return self.probe(mild, window, None);
        }
        let below = self.config.within(BELOW * rate.low);
        let above = self.config.within(ABOVE * rate.high);
        let near_below = |at: f64| at >= 0.85 * rate.low && at <= rate.low.max(self.config.from);
        let near_above = |at: f64| at > rate.high && at <= 1.18 * rate.high;
        let seen = |near: &dyn Fn(f64) -> bool| -> Vec<&ProbeResult> {
            self.probes
                .iter()
                .filter(|probe| near(probe.rate_per_s) && probe.tells(self.slowest()))
                .collect()
        };
        let (unders, overs) = (seen(&near_below), seen(&near_above));
        let share = |part: f64| Duration::from_secs_f64(plateau.seconds * part);
        if below <= rate.low && !unders.iter().any(|probe| probe.stable) {
            if unders.len() < 3 {
                let window = share(BELOW_SHARE).max(self.window(below, CONFIRM_REQUESTS));
                return self.probe(below, window, Some(0.05));
            }
            return self.bisect();
        }
        if above > rate.high && overs.is_empty() {
            let window = share(ABOVE_SHARE).max(self.window(above, CONFIRM_REQUESTS));
            return self.probe(above, window, Some(0.01));
        }
        self.done(Stopped::Precision)
    }

    /// The highest rate that the server kept up with and got certainly more through at than the
    /// plateau.
    fn got_more(&self, plateau: Estimate) -> Option<f64> {
        self.probes
            .iter()
            .filter(|probe| probe.stable && probe.contradicts(plateau))
            .map(|probe| probe.rate_per_s)
            .max_by(f64::total_cmp)
    }

    /// Rate and window of the next plateau probe, as long as the pooled interval needs to be narrow
    /// enough.
    fn plateau_probe(&self, plateau: &Plateau, least: Duration) -> (f64, Duration) {
        let rate = plateau.rate;
        // A probe that tested as stable at the mild rate was in fact too low for it.
        let tested = self
            .probes
            .iter()
            .filter(|probe| probe.stable && probe.completions as f64 >= 0.9 * FEWEST_REQUESTS)
            .map(|probe| probe.rate_per_s)
            .fold(plateau.about, f64::max);
        let [mild, less_mild] = [MILD, LONG_MILD].map(|load| self.config.within(load * tested));
        let aim = rate.relative_half_width() / (0.9 * self.config.precision);
        let more = plateau.seconds * (aim * aim - 1.0).clamp(0.5, LONGER);
        if let Some(backlog) = plateau.backlog.filter(|_| plateau.mild) {
            // With an overload of b / n the backlog b is reached after n requests.
            let requests = (more * rate.value).max(FEWEST_REQUESTS);
            let over = (0.9 * backlog as f64 / requests).clamp(LEAST_OVER, MILD - 1.0);
            let reached = backlog as f64 / (over * rate.value);
            let offered = self.config.within((1.0 + over) * rate.high.min(1.05 * rate.value));
            return (offered, Duration::from_secs_f64(reached).max(self.config.shortest));
        }
        if !plateau.mild || plateau.seconds < 0.99 * least.as_secs_f64() {
            // The pilot's own scatter is a guess: 300 requests where it is sharp, 400 where not.
            let sharp = rate.relative_half_width() <= self.config.precision;
            let requests = if sharp { FEWEST_REQUESTS } else { PLATEAU_REQUESTS };
            let window = least.max(self.window(rate.value, requests));
            let slowest = self.slowest();
            let long = !slowest.is_zero() && window >= slowest * LONG_TIMES;
            return (if long { less_mild } else { mild }, window);
        }
        let long = more * rate.value >= LONG_REQUESTS;
        (if long { less_mild } else { mild }, Duration::from_secs_f64(more).max(least))
    }
}
