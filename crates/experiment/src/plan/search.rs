//! A search as it is planned: checked before anything is started, completed when the server is there.

use std::time::Duration;

use plimsoll_analysis::{Estimate, Search, SearchConfig, SearchError, Slo};
use plimsoll_records::{SearchGoal, SearchRecord};
use plimsoll_units::{Rate, Span};

use crate::matrix::{MatrixError, MatrixSource, SearchFor, SearchTable};

/// Shortest measure window of a probe: what recognising overload takes.
const SHORTEST: Duration = Duration::from_secs(2);
/// Highest rate where the matrix names none: more than one client of this kind can offer.
const HIGHEST: f64 = 10_000.0;
/// By how much the end of a range exceeds its beginning at least, where one of them is not given.
const RANGE: f64 = 10.0;
/// Where the range of the search for an SLO's capacity ends, over the capacity: at an overload that
/// certainly shows.
const SLO_END: f64 = 1.25;
/// Probes that a search usually takes.
const USUAL_PROBES: usize = 10;
/// Shortest time that a search can do anything in.
const LEAST_TIME: Duration = Duration::from_secs(5);

/// The searches of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchPlan {
    table: SearchTable,
    /// The share of requests that must meet the SLO, where its capacity is searched, too.
    attainment: Option<f64>,
}

impl SearchPlan {
    /// What `load.search` and `[slo]` ask for.
    pub(super) fn new(
        source: &MatrixSource,
        table: &SearchTable,
        slo: &Slo,
    ) -> Result<Self, MatrixError> {
        let wrong = |key: &str, message: String| {
            Err(source.error_at(&format!("load.search.{key}"), message))
        };
        if *table.time < LEAST_TIME {
            let least = Span::new(LEAST_TIME);
            return wrong(
                "time",
                format!("{} is too short for a search; give it {least} or more", table.time),
            );
        }
        if table.requests.is_some_and(|requests| requests < 100) {
            return wrong(
                "requests",
                format!(
                    "{} requests tell nothing of a capacity; allow 100 or more, or remove it",
                    table.requests.unwrap_or_default()
                ),
            );
        }
        if table.goal == Some(SearchFor::Slo) && slo.terms.is_empty() {
            return wrong("goal", "`slo` needs objectives, and there is no [slo] table".to_owned());
        }
        // The highest quantile of all objectives is asked of all of them at once: what is found then
        // meets each.
        let attainment = slo.terms.iter().map(|term| term.quantile).max_by(f64::total_cmp);
        let plan = Self {
            table: table.clone(),
            attainment: attainment.filter(|_| table.goal != Some(SearchFor::Capacity)),
        };
        // Where the range begins may not be known yet; whatever it is, it is a legal one.
        match Search::new(SearchConfig::from(&plan.capacity(Duration::from_secs(1)))) {
            Ok(_) => Ok(plan),
            Err(error @ SearchError::Precision(_)) => wrong("precision", error.to_string()),
            Err(error @ SearchError::Confidence(_)) => wrong("confidence", error.to_string()),
            Err(error) => wrong("from", error.to_string()),
        }
    }

    /// Whether it must be known how long one request takes.
    pub(crate) const fn needs_one_request(&self) -> bool {
        self.table.from.is_none()
    }

    /// The search for the capacity of a server on which one request alone takes `one_request`.
    ///
    /// It begins at what one stream sustains, 1 / that time, or a tenth of the range's end if that is
    /// less.
    pub(crate) fn capacity(&self, one_request: Duration) -> SearchRecord {
        let given = |rate: Option<Rate>| rate.map(Rate::per_second);
        let to = given(self.table.to);
        let from = given(self.table.from).unwrap_or_else(|| {
            let alone = 1.0 / one_request.as_secs_f64().max(1e-6);
            rounded(alone.min(to.unwrap_or(HIGHEST) / RANGE))
        });
        self.record(SearchGoal::Capacity, from, to.unwrap_or_else(|| HIGHEST.max(RANGE * from)))
    }

    /// The search for the SLO's capacity once `first` has found the capacity; `None` where none is
    /// wanted.
    pub(crate) fn slo(&self, first: &SearchRecord, capacity: Estimate) -> Option<SearchRecord> {
        let goal = SearchGoal::Slo { attainment: self.attainment? };
        let to = rounded(SLO_END * capacity.high).min(first.to_per_s);
        Some(self.record(goal, first.from_per_s.min(to / RANGE), to))
    }

    /// Whether the SLO's capacity is searched, too.
    pub(crate) const fn has_slo(&self) -> bool {
        self.attainment.is_some()
    }

    /// Points of one repetition, as a rule.
    pub(super) const fn usual_probes(&self) -> usize {
        if self.has_slo() { 2 * USUAL_PROBES } else { USUAL_PROBES }
    }

    fn record(&self, goal: SearchGoal, from_per_s: f64, to_per_s: f64) -> SearchRecord {
        let SearchTable { precision, confidence, time, requests, .. } = self.table;
        SearchRecord {
            goal,
            from_per_s,
            to_per_s,
            precision,
            confidence,
            shortest_window: Span::new(SHORTEST),
            time: Some(time),
            requests,
        }
    }
}

/// A rate with four digits: people read it, and files are named after it.
pub(crate) fn rounded(rate: f64) -> f64 {
    // Through text, which gives the decimal that is nearest.
    format!("{rate:.3e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(table: SearchTable, slo: &[&str]) -> Result<SearchPlan, String> {
        let source = MatrixSource::new(std::path::Path::new("m.toml"), String::new());
        let limit = Span::new(Duration::from_secs(1));
        let lines = slo.iter().map(|name| ((*name).to_owned(), limit)).collect();
        SearchPlan::new(&source, &table, &crate::plan::read_slo(&lines).unwrap())
            .map_err(|error| error.to_string())
    }

    fn rate(per_second: f64) -> Option<Rate> {
        Some(Rate::new(per_second).unwrap())
    }

    #[test]
    fn a_range_that_is_not_given_begins_at_what_one_stream_sustains() {
        let of = |from, to, seconds| {
            let table = SearchTable { from, to, ..SearchTable::default() };
            let plan = plan(table, &[]).unwrap();
            assert_eq!(plan.needs_one_request(), from.is_none());
            let record = plan.capacity(Duration::from_secs_f64(seconds));
            (record.from_per_s, record.to_per_s)
        };
        assert_eq!(of(None, None, 0.2), (5.0, 10_000.0));
        assert_eq!(of(None, None, 0.000_3), (1000.0, 10_000.0));
        assert_eq!(of(None, rate(20.0), 0.1), (2.0, 20.0));
        assert_eq!(of(rate(2.5), None, 9.9), (2.5, 10_000.0));
        assert_eq!(of(rate(3000.0), None, 9.9), (3000.0, 30_000.0));
        assert_eq!(of(rate(3.0), rate(4.0), 9.9), (3.0, 4.0));
    }

    #[test]
    fn the_slos_search_ends_above_the_capacity_and_asks_the_highest_quantile() {
        let plan = plan(SearchTable::default(), &["ttft-p99", "tpot-p50", "e2e-p99.9"]).unwrap();
        let first = plan.capacity(Duration::from_millis(200));
        let slo = plan.slo(&first, Estimate { value: 50.0, low: 49.0, high: 51.0 }).unwrap();
        assert_eq!((slo.from_per_s, slo.to_per_s), (5.0, 63.75));
        let SearchGoal::Slo { attainment } = slo.goal else { panic!("{slo:?}") };
        assert!((attainment - 0.999).abs() < 1e-12);
        // A server with room for one stream alone still has a range.
        let slo = plan.slo(&first, Estimate::exact(5.0)).unwrap();
        assert!(slo.from_per_s < slo.to_per_s, "{slo:?}");
    }

    #[test]
    fn a_goal_can_leave_the_slo_out_and_cannot_make_one_up() {
        let goal = |goal| SearchTable { goal, ..SearchTable::default() };
        let has = |table, slo: &[&str]| plan(table, slo).unwrap().has_slo();
        assert!(has(goal(None), &["ttft-p99"]) && has(goal(Some(SearchFor::Slo)), &["ttft-p99"]));
        assert!(!has(goal(Some(SearchFor::Capacity)), &["ttft-p99"]) && !has(goal(None), &[]));
        let error = plan(goal(Some(SearchFor::Slo)), &[]).unwrap_err();
        assert!(error.contains("load.search.goal") && error.contains("no [slo]"), "{error}");
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_its_key_and_value() {
        let with = |change: fn(&mut SearchTable)| {
            let mut table = SearchTable::default();
            change(&mut table);
            plan(table, &[]).unwrap_err()
        };
        for (error, parts) in [
            (with(|t| t.precision = 3.0), ["load.search.precision", "precision 3 "]),
            (with(|t| t.confidence = 1.0), ["load.search.confidence", "confidence 1 "]),
            (
                with(|t| {
                    (t.from, t.to) = (rate(9.0), rate(4.0));
                }),
                ["load.search.from", "9 to 4"],
            ),
            (with(|t| t.time = Span::new(Duration::from_secs(1))), ["load.search.time", "1s is"]),
            (with(|t| t.requests = Some(20)), ["load.search.requests", "20 requests"]),
        ] {
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn rates_have_four_digits_at_any_size() {
        for (rate, expected) in [(47.482_31, 47.48), (0.012_345_6, 0.012_35), (1234.56, 1235.0)] {
            assert_eq!(rounded(rate), expected);
        }
    }
}
