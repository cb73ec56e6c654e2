//! A search driven by points that are measured and audited: what a void point is to it.

use std::time::Duration;

use plimsoll_records::{PointEnd, SearchGoal, SearchRecord};
use plimsoll_units::Span;

use super::{
    Budget, FEWEST_REQUESTS, Found, Goal, Probe, ProbeResult, Search, SearchConfig, SearchError,
    Step, Stopped, found,
};
use crate::AuditedPoint;

/// How often a probe that the audit voided is asked again before the search gives up.
const AGAIN: u32 = 2;

/// Where the search for an SLO's capacity begins, as a share of its range's end: it ends above what
/// the server sustains at all, and an SLO is seldom met above nine tenths of that or missed below a
/// third.
const SLO_START: f64 = 0.5;

/// A [`Search`] whose probes are audited points, live or read back from a results folder.
///
/// A point that an error of the audit voided is no evidence for or against its rate: its result is not
/// told. Its time and its requests are spent all the same, and the same question is asked again, twice
/// at most; then the search ends with [`Stopped::Void`]. A point that was interrupted or that lost its
/// target is no evidence either.
///
/// A search for an SLO's capacity begins in the middle of its range, which the capacity bounds, and
/// not with a climb: each of its rungs would need hundreds of requests at a rate that says little.
#[derive(Clone, Debug)]
pub struct AuditedSearch {
    search: Search,
    void_in_a_row: u32,
    void: u32,
    wasted: Duration,
    wasted_requests: u64,
}

impl AuditedSearch {
    /// A search that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// As [`Search::new`].
    pub fn new(config: SearchConfig) -> Result<Self, SearchError> {
        Ok(Self {
            search: Search::new(config)?,
            void_in_a_row: 0,
            void: 0,
            wasted: Duration::ZERO,
            wasted_requests: 0,
        })
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.void_in_a_row > AGAIN {
            return Step::Done(self.ended(Stopped::Void));
        }
        let config = &self.search.config;
        if config.goal != Goal::Capacity && self.search.probes.is_empty() {
            if let Some(stopped) = config.budget.spent(&[]) {
                return Step::Done(self.ended(stopped));
            }
            let rate_per_s = config.within(SLO_START * config.to);
            let window = self.search.window(rate_per_s, FEWEST_REQUESTS);
            return Step::Probe(Probe {
                rate_per_s,
                window: config.budget.clip(&[], rate_per_s, window),
                end_when_overloaded: Some(0.1),
                warm_up_at_most: window / 3,
                drain: true,
            });
        }
        match self.search.step() {
            Step::Done(found) => Step::Done(self.with_waste(found)),
            probe @ Step::Probe(_) => probe,
        }
    }

    /// Takes a point that was measured as the probe that [`step`](Self::step) asked for.
    pub fn tell(&mut self, point: &AuditedPoint) {
        let summary = &point.summary;
        let Some(probed) = &summary.probe else { return };
        if matches!(summary.ended, PointEnd::Interrupted | PointEnd::TargetLost) {
            return;
        }
        let Some(result) = ProbeResult::of(summary, probed.duration) else { return };
        if point.is_void() {
            self.void += 1;
            self.void_in_a_row += 1;
            self.wasted += result.duration;
            self.wasted_requests += result.requests;
            let budget = &mut self.search.config.budget;
            budget.time = budget.time.map(|left| left.saturating_sub(result.duration));
            budget.requests = budget.requests.map(|left| left.saturating_sub(result.requests));
        } else {
            self.void_in_a_row = 0;
            self.search.tell(result);
        }
    }

    /// What is found so far, of a search that ends here for this reason.
    #[must_use]
    pub fn ended(&self, stopped: Stopped) -> Found {
        let Search { config, probes } = &self.search;
        self.with_waste(found::of(config, probes, self.search.plateau(), stopped))
    }

    /// Probes that the audit voided.
    #[must_use]
    pub const fn void(&self) -> u32 {
        self.void
    }

    fn with_waste(&self, found: Found) -> Found {
        Found {
            requests: found.requests + self.wasted_requests,
            time: found.time + self.wasted,
            ..found
        }
    }
}

impl From<&SearchRecord> for SearchConfig {
    fn from(record: &SearchRecord) -> Self {
        Self {
            from: record.from_per_s,
            to: record.to_per_s,
            precision: record.precision,
            confidence: record.confidence,
            shortest: record.shortest_window.get(),
            budget: Budget { time: record.time.map(Span::get), requests: record.requests },
            goal: match record.goal {
                SearchGoal::Capacity => Goal::Capacity,
                SearchGoal::Slo { attainment } => Goal::Slo { attainment },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{Finding, FindingCode, Severity};

    use super::*;
    use crate::audit::fixture::{Fixture, probe_record};
    use crate::{AuditedPoint, Slo};

    /// A probe at `rate` of a server that keeps up with everything.
    fn point(rate: f64, number: u32, void: bool) -> AuditedPoint {
        let mut fixture = Fixture::with(u64::from(number) + 1, rate, 4.0);
        fixture.point.probe = Some(probe_record(number));
        let mut audited = AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default());
        audited.findings = Vec::new();
        if void {
            audited.findings.push(Finding {
                code: FindingCode::ClientLate,
                severity: Severity::Error,
                point: None,
                message: String::new(),
                numbers: Default::default(),
                remedy: String::new(),
                was: None,
            });
        }
        audited
    }

    fn asked(search: &AuditedSearch) -> f64 {
        match search.step() {
            Step::Probe(probe) => probe.rate_per_s,
            Step::Done(found) => panic!("it is over: {found:?}"),
        }
    }

    #[test]
    fn a_void_probe_is_asked_again_twice_and_its_cost_counts() {
        let mut search = AuditedSearch::new(SearchConfig::new(20.0, 1000.0)).expect("legal");
        search.tell(&point(20.0, 0, false));
        assert_eq!(asked(&search), 60.0);
        let before = search.ended(Stopped::Interrupted);
        for number in 1..=2 {
            search.tell(&point(60.0, number, true));
            assert_eq!(asked(&search), 60.0, "the same question again");
        }
        // An answer in between makes it start to count anew.
        search.tell(&point(60.0, 3, false));
        for number in 4..=6 {
            assert_eq!(asked(&search), 180.0);
            search.tell(&point(180.0, number, true));
        }
        let Step::Done(found) = search.step() else { panic!("three in a row end it") };
        assert_eq!((found.stopped, search.void()), (Stopped::Void, 5));
        assert!(found.lower_bound && found.capacity_per_s.is_some(), "{found:?}");
        assert!(found.requests > before.requests + 3 * 180 * 4, "{found:?}");
    }

    #[test]
    fn a_void_probe_spends_the_budget() {
        let budget = Budget { time: None, requests: Some(1000) };
        let config = SearchConfig { budget, ..SearchConfig::new(180.0, 1000.0) };
        let mut search = AuditedSearch::new(config).expect("legal");
        search.tell(&point(180.0, 0, true));
        let Step::Done(found) = search.step() else { panic!("the requests are spent") };
        assert_eq!((found.stopped, found.capacity_per_s), (Stopped::Requests, None));
    }

    #[test]
    fn what_was_cut_off_is_no_evidence() {
        let mut search = AuditedSearch::new(SearchConfig::new(20.0, 1000.0)).expect("legal");
        for ended in [PointEnd::Interrupted, PointEnd::TargetLost] {
            let mut cut = point(20.0, 0, false);
            cut.summary.ended = ended;
            search.tell(&cut);
        }
        let mut no_probe = point(20.0, 0, false);
        no_probe.summary.probe = None;
        search.tell(&no_probe);
        assert_eq!(asked(&search), 180.0, "the first rung");
        assert_eq!(search.ended(Stopped::Interrupted).probes, []);
    }

    #[test]
    fn an_slo_is_searched_from_the_middle() {
        let goal = Goal::Slo { attainment: 0.99 };
        let config = SearchConfig { goal, ..SearchConfig::new(1.0, 60.0) };
        let search = AuditedSearch::new(config).expect("legal");
        let Step::Probe(probe) = search.step() else { panic!("nothing was asked yet") };
        assert_eq!((probe.rate_per_s, probe.drain), (30.0, true));
        assert_eq!(probe.window, Duration::from_secs(10));
    }
}
