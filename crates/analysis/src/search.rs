//! The search for a capacity: which rate to offer next, for how long, and what was found.

mod audited;
mod bracket;
mod config;
mod found;
mod plateau;
mod probe;
mod verdict;

use std::time::Duration;

pub use audited::AuditedSearch;
pub use config::{Budget, Goal, SearchConfig, SearchError};
pub use found::{Found, PeakAndFall, Stopped};
pub use probe::ProbeResult;

use plateau::Plateau;

/// By how much a rung of the climb exceeds the one before.
const CLIMB: f64 = 3.0;

/// Arrivals that a rung of the climb needs: at three times the capacity, 15 of them leave ten
/// requests too many, two and a half times the noise of their number.
const RUNG_REQUESTS: f64 = 15.0;

/// Load of the probes that the plateau is taken from, as a share of it: enough for a queue that
/// never runs empty, and little enough that a server which suffers under overload suffers little.
const MILD: f64 = 1.25;

/// Requests (at the plateau's rate) of a first plateau probe at most, and of any one at least. The
/// first tells how much the rate varies, and so how long the next must be.
const FIRST_REQUESTS: f64 = 600.0;
const FEWEST_REQUESTS: f64 = 300.0;

/// Requests of a confirming probe at least.
const CONFIRM_REQUESTS: f64 = 80.0;

/// Shares of the plateau's ends that the confirming probes are offered.
const BELOW: f64 = 0.95;
const ABOVE: f64 = 1.1;

/// Lengths of the confirming probes, as shares of the time that the plateau was measured for.
const BELOW_SHARE: f64 = 0.2;
const ABOVE_SHARE: f64 = 0.35;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Offer this rate, and [`Search::tell`] what came of it.
    Probe(Probe),
    /// There is nothing more to do.
    Done(Found),
}

/// One probe to make: open-loop arrivals at a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Requests per second; inside the search's range.
    pub rate_per_s: f64,
    /// Length of the measure window, after the warm-up; above 0.
    pub window: Duration,
    /// `Some(share)`: the window may end as soon as overload is certain and the throughput known to
    /// this share of itself ([`OverloadDetector::enough`](crate::OverloadDetector::enough)).
    /// `None`: the plateau is taken from it, and a window that ends when its interval happens to be
    /// narrow makes intervals that are too narrow.
    pub end_when_overloaded: Option<f64>,
    /// Longest warm-up; under overload the automatic rule uses all of it.
    pub warm_up_at_most: Duration,
    /// Whether the latencies of the requests due in the window matter. `false`: arrivals may stop
    /// at the window's end and whatever is left be aborted, for a plateau needs none of it.
    pub drain: bool,
}

/// A search for the highest rate that a server sustains (or sustains within its SLO).
///
/// It does no input or output and has no clock: ask [`step`](Self::step) what to do, do it on a
/// live server, on a simulator or in virtual time, [`tell`](Self::tell) the result, and ask again.
/// `step` depends on nothing but the configuration and the results told, in their order; so a
/// search that was interrupted goes on from its results.
///
/// Way: (1) a geometric climb by threes until a probe is unstable; (2) the plateau, the throughput
/// at about 1.25 of it, in a window as long as the scatter of the first such probe says is needed;
/// (3) confirmation by a stable probe just below the plateau's interval and one just above it that
/// does not get more through; (4) where it does, the throughput falls under overload and the peak
/// is bracketed by bisection between stable and unstable rates, each doubtful answer asked again.
/// An SLO has no plateau, so its capacity is bisected from (1) on.
///
/// ```
/// use plimsoll_analysis::{Estimate, ProbeResult, Search, SearchConfig, Step, Stopped};
///
/// // A server that gets 40 requests a second through, seen without any noise.
/// let mut search = Search::new(SearchConfig::new(1.0, 1000.0)).expect("a legal range");
/// let found = loop {
///     match search.step() {
///         Step::Done(found) => break found,
///         Step::Probe(probe) => {
///             let through = probe.rate_per_s.min(40.0);
///             search.tell(ProbeResult {
///                 stable: probe.rate_per_s <= 40.0,
///                 throughput_per_s: Estimate::exact(through),
///                 completions: (through * probe.window.as_secs_f64()) as u64,
///                 ..ProbeResult::nothing(probe.rate_per_s, probe.window)
///             });
///         }
///     }
/// };
/// assert_eq!(found.stopped, Stopped::Precision);
/// assert!(found.capacity_per_s.is_some_and(|capacity| capacity.contains(40.0)));
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    config: SearchConfig,
    probes: Vec<ProbeResult>,
}

impl Search {
    /// A search that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// When the range, the precision or the confidence is not a legal one.
    pub fn new(config: SearchConfig) -> Result<Self, SearchError> {
        config.check()?;
        Ok(Self { config, probes: Vec::new() })
    }

    /// Takes the result of a probe, asked for or not.
    pub fn tell(&mut self, result: ProbeResult) {
        self.probes.push(result);
    }

    /// Every result told so far, in order.
    #[must_use]
    pub fn probes(&self) -> &[ProbeResult] {
        &self.probes
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> Step {
        if let Some(stopped) = self.config.budget.spent(&self.probes) {
            return self.done(stopped);
        }
        let Some(unstable) = verdict::lowest_failing(&self.probes, self.config.goal) else {
            return self.climb();
        };
        if let Some(doubt) = self.in_doubt(unstable) {
            return self.probe(unstable, doubt, Some(0.1));
        }
        match (self.config.goal, self.plateau()) {
            (Goal::Capacity, Some(plateau)) => self.close_in(&plateau),
            // Nothing came through at all: lower rates tell more.
            (Goal::Capacity, None) | (Goal::Slo { .. }, _) => self.bisect(),
        }
    }

    /// The next rung, or the end of the range.
    fn climb(&self) -> Step {
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
        if self.config.goal != Goal::Capacity
            && verdict::of(verdict::at(&self.probes, highest), self.config.goal, self.config.z())
                .is_none()
            && self.at(highest).count() < 4
        {
            return self.probe(highest, self.longest(highest) * 2, Some(0.1));
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
    fn in_doubt(&self, rate: f64) -> Option<Duration> {
        let mut tries = self.at(rate);
        if tries.any(|probe| probe.overloaded || probe.tells(self.slowest())) {
            return None;
        }
        let count = self.at(rate).count();
        (count < 6).then(|| self.longest(rate) * 3)
    }

    /// Plateau, confirmation, and bisection where they do not agree.
    fn close_in(&self, plateau: &Plateau) -> Step {
        let Plateau { rate, .. } = *plateau;
        if self.probes.iter().any(|probe| probe.contradicts(rate)) {
            return self.bisect();
        }
        let narrow = rate.relative_half_width() <= self.config.precision;
        if !narrow || !plateau.mild {
            // A probe that tested as stable at the mild rate was in fact too low for it.
            let tested = self
                .probes
                .iter()
                .filter(|probe| probe.stable && probe.completions >= 100)
                .filter(|probe| probe.rate_per_s > rate.value)
                .map(|probe| probe.rate_per_s)
                .fold(rate.value, f64::max);
            let mild = (MILD * tested).max(ABOVE * rate.high.min(1.5 * rate.value));
            if !plateau.mild && self.config.within(mild) < 1.05 * rate.value {
                // The range ends below the plateau's mild overload: nothing more can be asked.
                return self.done(Stopped::RangeEnd);
            }
            return self.probe(self.config.within(mild), self.plateau_window(plateau), None);
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

    /// How long the next plateau probe must be for the pooled interval to be narrow enough.
    fn plateau_window(&self, plateau: &Plateau) -> Duration {
        let rate = plateau.rate.value.max(f64::MIN_POSITIVE);
        let least = self.window(rate, FEWEST_REQUESTS).max(self.config.shortest * 3);
        if !plateau.mild {
            // The pilot's own scatter is a guess: 300 requests where it is sharp, 600 where not.
            let sharp = plateau.rate.relative_half_width() <= self.config.precision;
            let requests = if sharp { FEWEST_REQUESTS } else { FIRST_REQUESTS };
            return least.max(self.window(rate, requests));
        }
        let aim = plateau.rate.relative_half_width() / (0.9 * self.config.precision);
        let total = plateau.seconds * aim * aim;
        let more = (total - plateau.seconds).clamp(0.25 * plateau.seconds, 20.0 * plateau.seconds);
        Duration::from_secs_f64(more).max(least)
    }

    /// Bisection between the highest rate that passes and the lowest that fails above it.
    fn bisect(&self) -> Step {
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
        self.probe(rate, self.window(rate, FIRST_REQUESTS), None)
    }

    /// Window of a probe that a bisection asks for: as many arrivals as tell the bracket's
    /// precision from their own noise, 2 / precision^2 at most.
    fn bisect_window(&self, rate: f64) -> Duration {
        let requests = (1.5 / self.config.precision.powi(2)).clamp(FIRST_REQUESTS, 2000.0);
        self.window(rate, requests)
    }

    fn plateau(&self) -> Option<Plateau> {
        plateau::of(&self.probes, self.slowest(), self.config.z())
    }

    /// Probes at this very rate.
    fn at(&self, rate: f64) -> impl Iterator<Item = &ProbeResult> {
        self.probes.iter().filter(move |probe| probe::same_rate(probe.rate_per_s, rate))
    }

    /// The longest window that this rate was given.
    fn longest(&self, rate: f64) -> Duration {
        self.at(rate).map(|probe| probe.window).max().unwrap_or(self.config.shortest)
    }

    /// How long a request takes where nothing makes it wait: the longest mean among stable probes,
    /// else the shortest request of the others.
    fn slowest(&self) -> Duration {
        let stable =
            self.probes.iter().filter(|probe| probe.stable).filter_map(|probe| probe.mean_e2e);
        let any = || self.probes.iter().filter_map(|probe| probe.min_e2e).min();
        stable.min().or_else(any).unwrap_or_default()
    }

    /// A window for so many requests at a rate, never less than the shortest, nor than a few
    /// requests take.
    fn window(&self, rate: f64, requests: f64) -> Duration {
        Duration::from_secs_f64((requests / rate).min(1e9))
            .max(self.config.shortest)
            .max(self.slowest() * 4)
    }

    fn probe(&self, rate_per_s: f64, window: Duration, end: Option<f64>) -> Step {
        if self.probes.len() >= config::MOST_PROBES {
            return self.done(Stopped::Undecided);
        }
        let window = self.config.budget.clip(&self.probes, rate_per_s, window);
        let long = if end.is_some() { window / 3 } else { window / 5 };
        Step::Probe(Probe {
            rate_per_s,
            window,
            end_when_overloaded: end,
            warm_up_at_most: long.max(self.config.shortest / 2).max(self.slowest() * 4),
            drain: end.is_some(),
        })
    }

    fn done(&self, stopped: Stopped) -> Step {
        Step::Done(found::of(&self.config, &self.probes, self.plateau(), stopped))
    }
}

#[cfg(test)]
mod tests;
