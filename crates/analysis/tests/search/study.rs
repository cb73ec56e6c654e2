//! The study: searches on random servers, and what they come to.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use plimsoll_analysis::{Budget, Estimate, Found, Goal, Search, SearchConfig, Step, Stopped};

use crate::server::{Server, Way};

/// What kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Exponential,
    Constant,
    Steps,
    Thrash,
    SloQueue,
    SloSteps,
}

/// What one search came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) truth: f64,
    pub(crate) found: Estimate,
    pub(crate) stopped: Stopped,
    pub(crate) fall: Option<f64>,
    pub(crate) requests: u64,
    /// Requests of a sweep of ten rates up to 1.5 of the capacity, in windows as long as the
    /// longest of the search, its warm-ups and drains not counted.
    pub(crate) sweep: f64,
    pub(crate) probes: usize,
}

impl Outcome {
    fn error(&self) -> f64 {
        (self.found.value / self.truth - 1.0).abs()
    }
}

/// `each` searches on each of these servers.
pub(crate) fn run(servers: Range<u64>, each: u64) -> Vec<Outcome> {
    servers
        .flat_map(|server| (0..each).map(move |repetition| (server, repetition)))
        .map(|(server, repetition)| {
            let random = Server::random(server);
            outcome(random, random.capacity, Goal::Capacity, 1000 * server + 100 * repetition)
        })
        .collect()
}

/// The same for the rate at which 90 % of the requests meet their SLO.
pub(crate) fn run_slo(servers: impl Iterator<Item = u64>, each: u64) -> Vec<Outcome> {
    servers
        .flat_map(|server| {
            let (random, truth) = Server::with_slo(server);
            (0..each).map(move |repetition| {
                let seed = 1000 * server + 100 * repetition;
                outcome(random, truth, Goal::Slo { attainment: 0.9 }, seed)
            })
        })
        .collect()
}

/// Searches, probe by probe.
pub(crate) fn search(server: Server, config: SearchConfig, seed: u64) -> Found {
    let mut search = Search::new(config).expect("the range is legal");
    loop {
        match search.step() {
            Step::Done(found) => return found,
            Step::Probe(probe) => {
                let seed = seed + search.probes().len() as u64;
                search.tell(server.probe(probe, seed));
            }
        }
    }
}

/// One search, over a range that says nothing of the capacity.
fn outcome(server: Server, truth: f64, goal: Goal, seed: u64) -> Outcome {
    let shortest = Duration::from_secs(1);
    let budget = Budget { time: None, requests: Some(100_000) };
    let config = SearchConfig { shortest, budget, goal, ..SearchConfig::new(0.1, 20_000.0) };
    let found = search(server, config, seed);
    let longest = found.probes.iter().map(|probe| probe.window.as_secs_f64()).fold(0.0, f64::max);
    // Rungs far below the capacity have long windows of a few requests; the sweep is held against
    // the longest window of those that had most requests.
    let window = found
        .probes
        .iter()
        .filter(|probe| probe.rate_per_s > 0.5 * truth)
        .map(|probe| probe.window.as_secs_f64())
        .fold(0.0, f64::max)
        .min(longest);
    let estimate = found.capacity_per_s.unwrap_or(Estimate { value: 0.0, low: 0.0, high: 0.0 });
    Outcome {
        kind: match (server.way, server.thrash) {
            (Way::Queue { .. }, _) if server.allowed.is_some() => Kind::SloQueue,
            (Way::Steps { .. }, _) if server.allowed.is_some() => Kind::SloSteps,
            (_, Some(_)) => Kind::Thrash,
            (Way::Queue { exponential: true, .. }, _) => Kind::Exponential,
            (Way::Queue { .. }, _) => Kind::Constant,
            (Way::Steps { .. }, _) => Kind::Steps,
        },
        truth,
        found: estimate,
        stopped: found.stopped,
        fall: found.peak_and_fall.map(|fall| fall.share_lost()),
        requests: found.requests,
        sweep: (1..=10).map(|k| 0.15 * f64::from(k) * truth * window).sum(),
        probes: found.probes.len(),
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: &'static str,
    pub(crate) searches: usize,
    pub(crate) covered: usize,
    /// Searches that ended with the precision asked for.
    pub(crate) precise: usize,
    pub(crate) median_error: f64,
    pub(crate) worst_error: f64,
    /// The worst of those that ended with the precision asked for.
    pub(crate) worst_precise: f64,
    half_width: f64,
    /// Requests over those of the sweep, the median search.
    pub(crate) median_cost: f64,
    /// The same over all searches together.
    pub(crate) cost: f64,
    within_half: usize,
    falls: usize,
    probes: f64,
}

impl Row {
    pub(crate) fn of(name: &'static str, outcomes: &[Outcome]) -> Self {
        let n = outcomes.len();
        let count = |of: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|o| of(o)).count();
        let sorted = |of: &dyn Fn(&Outcome) -> f64| {
            let mut values: Vec<f64> = outcomes.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let errors = sorted(&Outcome::error);
        let costs = sorted(&|o| o.requests as f64 / o.sweep);
        Self {
            name,
            searches: n,
            covered: count(&|o| o.found.contains(o.truth)),
            precise: count(&|o| o.stopped == Stopped::Precision),
            median_error: errors[n / 2],
            worst_error: errors[n - 1],
            worst_precise: outcomes
                .iter()
                .filter(|o| o.stopped == Stopped::Precision)
                .map(Outcome::error)
                .fold(0.0, f64::max),
            half_width: outcomes.iter().map(|o| o.found.relative_half_width()).sum::<f64>()
                / n as f64,
            median_cost: costs[n / 2],
            cost: outcomes.iter().map(|o| o.requests as f64).sum::<f64>()
                / outcomes.iter().map(|o| o.sweep).sum::<f64>(),
            within_half: count(&|o| o.requests as f64 <= 0.5 * o.sweep),
            falls: count(&|o| o.fall.is_some()),
            probes: outcomes.iter().map(|o| o.probes as f64).sum::<f64>() / n as f64,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {:.1} % | {} | {:.2} % | {:.1} % | {:.1} % | {:.2} % | {:.2} | {:.2} | {} | {} | {:.1} |",
            self.name,
            self.searches,
            100.0 * self.covered as f64 / self.searches as f64,
            self.precise,
            100.0 * self.median_error,
            100.0 * self.worst_error,
            100.0 * self.worst_precise,
            100.0 * self.half_width,
            self.median_cost,
            self.cost,
            self.within_half,
            self.falls,
            self.probes
        )
    }
}

/// The table: each kind, and all.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let head = "| server | searches | covered | to precision | median error | worst | worst to precision | half width | \
         requests / sweep, median | in all | at most half | falls told | probes |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|";
    let kinds = [
        ("M/M/c", Kind::Exponential),
        ("M/D/c", Kind::Constant),
        ("shared steps", Kind::Steps),
        ("shared steps, thrash", Kind::Thrash),
    ];
    std::iter::once(head.to_owned())
        .chain(kinds.into_iter().filter_map(|(name, kind)| row(name, kind, outcomes)))
        .chain(std::iter::once(Row::of("all", outcomes).to_string()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The row of one kind, if there is any of it.
fn row(name: &'static str, kind: Kind, outcomes: &[Outcome]) -> Option<String> {
    let these: Vec<Outcome> = outcomes.iter().filter(|o| o.kind == kind).copied().collect();
    (!these.is_empty()).then(|| Row::of(name, &these).to_string())
}

/// The table of the searches for an SLO's capacity.
pub(crate) fn slo_table(outcomes: &[Outcome]) -> String {
    [("SLO, M/M/c", Kind::SloQueue), ("SLO, shared steps", Kind::SloSteps)]
        .into_iter()
        .filter_map(|(name, kind)| row(name, kind, outcomes))
        .collect::<Vec<_>>()
        .join("\n")
}
