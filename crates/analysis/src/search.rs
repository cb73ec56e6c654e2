//! The search for a capacity: which rate to offer next, for how long, and what was found.

mod attainment;
mod audited;
mod bisect;
mod bracket;
mod climb;
mod close_in;
mod config;
mod found;
mod plateau;
mod probe;
mod slo;
mod verdict;

use std::time::Duration;

pub use audited::AuditedSearch;
pub use config::{Budget, Goal, SearchConfig, SearchError};
pub use found::{Found, PeakAndFall, Stopped};
pub use probe::ProbeResult;

use plateau::Plateau;

/// By how much a rung of the climb exceeds the one before.
const CLIMB: f64 = 3.0;

/// Load of the probes that the plateau is taken from, as a share of it: enough for a queue that
/// never runs empty, and little enough that a server which suffers under overload suffers little.
const MILD: f64 = 1.25;

/// Requests (at the plateau's rate) of a first plateau probe at most, and of any one at least. The
/// first tells how much the rate varies, and so how long the next must be.
const PLATEAU_REQUESTS: f64 = 400.0;
const FEWEST_REQUESTS: f64 = 300.0;

/// Requests of a first probe near an edge that is looked for without a plateau.
const EDGE_REQUESTS: f64 = 600.0;

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
/// Way: (1) a geometric climb by threes, from nine times the range's lower end, until a probe is
/// unstable; (2) the plateau, the throughput
/// at 1.17 to 1.25 of it, in a window as long as the scatter of the first such probe says is needed;
/// (3) where a probe's throughput fell under its own backlog ([`Fall`](crate::Fall)), the plateau is
/// what was got through before, at an overload small enough for it to last; (4) confirmation by a
/// stable probe just below the plateau's interval and one just above it. Where a server gets more
/// through at a rate that it keeps up with, the plateau is looked for above that; and where there is
/// none, the edge is bisected between stable and unstable rates, each doubtful answer asked again.
/// An SLO has no plateau: its edge is where a line through the odds of meeting it, at rates to either
/// side, comes down to the attainment.
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
        if let Goal::Slo { attainment } = self.config.goal {
            return self.slo_step(attainment);
        }
        let Some(unstable) = verdict::lowest_failing(&self.probes, self.config.goal) else {
            return self.climb();
        };
        if let Some(doubt) = self.in_doubt(unstable) {
            return self.probe(unstable, doubt, Some(0.1));
        }
        // Where nothing came through at all, lower rates tell more.
        self.plateau().map_or_else(|| self.bisect(), |plateau| self.close_in(&plateau))
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

    /// How long a request takes where nothing makes it wait: the shortest mean among stable probes,
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
            .max(self.slowest() * 3)
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
            warm_up_at_most: long.max(self.config.shortest / 2).max(self.slowest() * 2),
            drain: self.config.goal != Goal::Capacity,
        })
    }

    fn done(&self, stopped: Stopped) -> Step {
        Step::Done(found::of(&self.config, &self.probes, self.plateau(), stopped))
    }
}

#[cfg(test)]
mod tests;
