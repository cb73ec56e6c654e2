//! The searches of a group: each asks for the next probe until it knows enough, or may not go on.

use std::time::Duration;

use plimsoll_analysis::{AuditedPoint, AuditedSearch, Found, Probe, SearchConfig, Step, Stopped};
use plimsoll_records::{ProbeRecord, RunStatus, SearchGoal, SearchRecord, SelfTestTime};
use plimsoll_units::{Clock as _, Rate, Span};

use super::Run;
use super::group::{Asked, Place};
use super::words::{found_line, probe_id};
use crate::error::RunError;
use crate::offered::PointLoad;
use crate::plan::{SearchPlan, rounded};

/// How a search went.
enum Searching {
    /// To its own end.
    Done(Found),
    /// The run ended with this status before it did.
    Cut(RunStatus),
}

impl Run<'_> {
    /// Makes the searches of one repetition: for the capacity, then for the SLO's if there is one.
    pub(super) fn searches(
        &mut self,
        place: &mut Place<'_>,
        plan: &SearchPlan,
        repetition: u32,
    ) -> Result<RunStatus, RunError> {
        let one_request = place.found.one_request.unwrap_or(Duration::from_secs(1));
        let record = self
            .kept_search(place, repetition, false)
            .unwrap_or_else(|| plan.capacity(one_request));
        let found = match self.search(place, &record, repetition)? {
            Searching::Cut(status) => return Ok(status),
            Searching::Done(found) => found,
        };
        if !plan.has_slo() {
            return Ok(RunStatus::Complete);
        }
        let begun = self.kept_search(place, repetition, true);
        let laid = || found.capacity_per_s.and_then(|capacity| plan.slo(&record, capacity));
        let Some(slo) = begun.or_else(laid) else {
            self.remark("no capacity was found, so the SLO's was not searched".to_owned());
            return Ok(RunStatus::Complete);
        };
        match self.search(place, &slo, repetition)? {
            Searching::Cut(status) => Ok(status),
            Searching::Done(_) => Ok(RunStatus::Complete),
        }
    }

    /// The search that an earlier process has begun here: it is gone on with as it was.
    fn kept_search(&self, place: &Place<'_>, repetition: u32, slo: bool) -> Option<SearchRecord> {
        self.kept
            .iter()
            .flatten()
            .filter(|file| file.factors == place.group.factors && file.repetition == repetition)
            .filter_map(|file| Some(&file.probe.as_ref()?.search))
            .find(|search| matches!(search.goal, SearchGoal::Slo { .. }) == slo)
            .cloned()
    }

    fn search(
        &mut self,
        place: &mut Place<'_>,
        record: &SearchRecord,
        repetition: u32,
    ) -> Result<Searching, RunError> {
        let mut search = AuditedSearch::new(SearchConfig::from(record))
            .map_err(|error| self.plan.source.error_at("load.search", error))?;
        let began = self.clock.now();
        let mut since = began;
        let (mut number, mut highest) = (0, 0.0_f64);
        loop {
            let probe = match search.step() {
                Step::Probe(probe) => probe,
                Step::Done(found) => {
                    self.test_for_search(place, highest)?;
                    self.remark(found_line(&found, record));
                    return Ok(Searching::Done(found));
                }
            };
            if self.interrupt.is_raised() {
                return Ok(Searching::Cut(RunStatus::Interrupted));
            }
            let rate = offered(&probe, record);
            if rate < highest {
                // The climb is over, and now it is known what load the run is about.
                since += self.test_for_search(place, highest)?;
            }
            highest = highest.max(rate);
            let asked = ProbeRecord {
                number,
                since_ns: since,
                window: Span::new(probe.window),
                warm_up_at_most: Span::new(probe.warm_up_at_most),
                end_when_overloaded: probe.end_when_overloaded,
                drain: probe.drain,
                search: record.clone(),
            };
            let point = self.probe(place, rate, repetition, asked)?;
            // The time between two processes is no part of a search.
            since = self.files.last().map_or(since, |file| file.phases.end_ns.max(began));
            search.tell(&point);
            let ended = point.summary.ended;
            self.done.push(point);
            self.need_gpus()?;
            if let Some(status) = self.cut_by(ended) {
                self.remark(found_line(&search.ended(Stopped::Interrupted), record));
                return Ok(Searching::Cut(status));
            }
            number += 1;
        }
    }

    /// Measures one probe.
    fn probe(
        &mut self,
        place: &mut Place<'_>,
        rate: f64,
        repetition: u32,
        probe: ProbeRecord,
    ) -> Result<AuditedPoint, RunError> {
        let rate =
            Rate::new(rate).map_err(|error| self.plan.source.error_at("load.search", error))?;
        let mut matrix = place.group.matrix.clone();
        let window = &mut matrix.load.window;
        window.measure = probe.window;
        if !probe.drain {
            window.drain_limit = Span::default();
        }
        let id = probe_id(place.prefix, &probe, rate, repetition, &self.plan.matrix);
        let load = PointLoad::Open(rate);
        self.point(place, Asked { id: &id, matrix: &matrix, load, repetition, probe: Some(probe) })
    }

    /// The self-test before the run, which waits until a search has climbed to the load that the run
    /// is about: it is made with the highest rate so far. Says how long it took, which is no time of the
    /// search's; nothing where it has been made, or is not wanted.
    fn test_for_search(&mut self, place: &Place<'_>, highest: f64) -> Result<Duration, RunError> {
        let (None, Ok(rate)) = (&self.tester, Rate::new(highest)) else {
            return Ok(Duration::ZERO);
        };
        let before = self.clock.now();
        self.tester = self.tester(place.group, place.target, &[PointLoad::Open(rate)])?;
        if self.tester.is_none() {
            return Ok(Duration::ZERO);
        }
        self.self_test(SelfTestTime::Before)?;
        Ok(self.clock.now() - before)
    }
}

/// The rate that is offered for a probe: with four digits, but the range's ends to the last.
fn offered(probe: &Probe, record: &SearchRecord) -> f64 {
    let SearchRecord { from_per_s, to_per_s, .. } = *record;
    let asked = probe.rate_per_s;
    if asked == from_per_s || asked == to_per_s {
        return asked;
    }
    rounded(asked).clamp(from_per_s, to_per_s)
}
