//! The points of one group: its preflight, its pilot, its ladder or its searches.

use std::time::Duration;

use plimsoll_analysis::AuditedPoint;
use plimsoll_records::{
    Finding, PointEnd, ProbeRecord, RunStatus, SelfTestTime, Severity, WorkloadRecord,
};
use plimsoll_units::Span;

use super::words::{line, point_id};
use super::{Run, workers};
use crate::circumstances::{Circumstances, IDLE_LIMIT};
use crate::error::RunError;
use crate::matrix::{GpuSampling, Kind, Matrix, WarmUp};
use crate::offered::PointLoad;
use crate::pilot::{Pilot, is_pilot, pilot_id};
use crate::plan::{GroupPlan, Loads, Turn, derive_seed};
use crate::point::{self, MeasuredPoint, PointPlan};
use crate::preflight::{Preflight, Wanted, preflight};
use crate::progress::Event;
use crate::resume::take;
use crate::stamping::Grade;
use crate::target::Target;

/// Length of a pilot's window.
const PILOT_MEASURE: Duration = Duration::from_secs(3);

/// Where the points of one group are measured.
pub(super) struct Place<'a> {
    /// What their ids begin with.
    pub(super) prefix: &'a str,
    pub(super) group: &'a GroupPlan,
    pub(super) target: &'a mut Target,
    pub(super) found: &'a Preflight,
}

/// One point to measure.
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) matrix: &'a Matrix,
    pub(super) load: PointLoad,
    pub(super) repetition: u32,
    /// What is asked of it as a probe of a search.
    pub(super) probe: Option<ProbeRecord>,
}

impl Run<'_> {
    /// Measures the points of a turn on `target`.
    pub(super) fn group(
        &mut self,
        prefix: &str,
        turn: &Turn,
        target: &mut Target,
    ) -> Result<RunStatus, RunError> {
        let group = &self.plan.groups[turn.group];
        // A case that does not fit into the context is an answer there: the server gives it.
        let too_long = self.plan.matrix.experiment.kind == Kind::Scenarios;
        if !too_long {
            self.check_context(group, target)?;
        }
        self.remark_on_stamps(&group.matrix);
        let found = preflight(
            target,
            &group.matrix.client,
            group,
            Wanted {
                one_request: matches!(&group.loads, Loads::Search(plan) if plan.needs_one_request()),
                too_long,
            },
            &self.runtime,
            self.interrupt,
        )?;
        for remark in &found.remarks {
            self.remark(remark.clone());
        }
        let mut place = Place { prefix, group, target, found: &found };
        let loads = match (&group.loads, self.laid.get(&turn.group)) {
            (Loads::Ladder(loads), _) => loads.clone(),
            (Loads::Pilot, Some(loads)) => loads.clone(),
            (Loads::Pilot, None) => match self.pilot(&mut place)? {
                Ok(loads) => {
                    self.laid.insert(turn.group, loads.clone());
                    loads
                }
                Err(status) => return Ok(status),
            },
            (Loads::Search(plan), _) => {
                return self
                    .repeat(turn, |run, repetition| run.searches(&mut place, plan, repetition));
            }
        };
        if self.tester.is_none() {
            self.tester = self.tester(group, place.target, &loads)?;
            self.self_test(SelfTestTime::Before)?;
        }
        self.repeat(turn, |run, repetition| run.ladder(&mut place, &loads, repetition))
    }

    /// Does something once for each repetition of a turn, as long as it is completed.
    fn repeat(
        &mut self,
        turn: &Turn,
        mut once: impl FnMut(&mut Self, u32) -> Result<RunStatus, RunError>,
    ) -> Result<RunStatus, RunError> {
        for repetition in turn.repetitions.clone() {
            let status = once(self, repetition)?;
            if status != RunStatus::Complete {
                return Ok(status);
            }
        }
        Ok(RunStatus::Complete)
    }

    /// Measures the points of a ladder.
    fn ladder(
        &mut self,
        place: &mut Place<'_>,
        loads: &[PointLoad],
        repetition: u32,
    ) -> Result<RunStatus, RunError> {
        for &load in loads {
            if self.interrupt.is_raised() {
                return Ok(RunStatus::Interrupted);
            }
            let id = point_id(place.prefix, load, repetition, &self.plan.matrix);
            let matrix = &place.group.matrix;
            let point =
                self.point(place, Asked { id: &id, matrix, load, repetition, probe: None })?;
            let ended = point.summary.ended;
            self.done.push(point);
            self.need_gpus()?;
            if let Some(status) = self.cut_by(ended) {
                return Ok(status);
            }
        }
        Ok(RunStatus::Complete)
    }

    /// How a run stands whose last point ended so; `None` where it goes on.
    pub(super) fn cut_by(&self, ended: PointEnd) -> Option<RunStatus> {
        match ended {
            PointEnd::Interrupted => Some(RunStatus::Interrupted),
            PointEnd::TargetLost => Some(RunStatus::Failed),
            // Its last requests had ended well before the server did.
            _ => self.lost.then_some(RunStatus::Failed),
        }
    }

    /// Measures one point, and says what became of it.
    pub(super) fn point(
        &mut self,
        place: &mut Place<'_>,
        asked: Asked<'_>,
    ) -> Result<AuditedPoint, RunError> {
        let Place { group, ref mut target, found, .. } = *place;
        let Asked { id, matrix, load, repetition, probe } = asked;
        let mut clients = target.clients(&self.plan.source, &matrix.client, self.clock)?;
        let stamps = Grade::find(matrix.client.stamps).source;
        clients.iter_mut().for_each(|client| client.stamps = stamps);
        // The points after a probe are likely to be as long as it; those after a pilot are not.
        let after = self.time_left(if probe.is_some() { matrix } else { &group.matrix });
        let plan = PointPlan {
            id,
            ordinal: self.ordinal,
            factors: &group.factors,
            repetition,
            matrix,
            load,
            seed: derive_seed(self.plan.seed, 16 + self.ordinal),
            clock: self.clock,
            clients: &clients,
            encoder: &found.encoder,
            workload: WorkloadRecord {
                shared_prefix: group.workload.shared_token_share(),
                exact_output: found.exact_output,
                exact_input: found.exact_input,
                mean_output_tokens: Some(group.workload.mean_output_tokens()),
            },
            replay: group.workload.replay(),
            turns: group.workload.has_sessions().then(|| group.workload.mean_turns()),
            workers: workers(matrix),
            probe,
            after,
        };
        self.ordinal += 1;
        if !self.manifest.points.iter().any(|known| known == id) {
            self.manifest.points.push(id.to_owned());
        }
        self.folder.write_manifest(&self.manifest)?;
        let dir = self.folder.point(id)?;
        if let Some(kept) = &self.kept
            && let Some((file, audited)) = take(kept, &dir, &group.slo, &self.policy())?
        {
            self.files.push(file);
            return Ok(audited);
        }
        self.progress.event(Event::PointStarted {
            id: id.to_owned(),
            number: self.ordinal as usize,
            of: self.expected_points(),
        });
        let mut circumstances = Circumstances::of(self.clock, target, self.gpus.as_ref());
        circumstances.begin(&dir, &self.runtime)?;
        let MeasuredPoint { file, rows, remarks, lost, gpu_lost } =
            point::measure(&plan, &dir, &mut circumstances, self.interrupt, self.progress)?;
        let audited =
            AuditedPoint::of(&file, &rows, &group.slo).under(&self.plan.matrix.experiment.policy());
        self.progress.event(Event::PointEnded { id: id.to_owned(), line: line(&audited.summary) });
        // A pilot's is no result, so nothing speaks against it.
        let against = |it: &&Finding| it.severity >= Severity::Warning && !is_pilot(id);
        for finding in audited.findings.iter().filter(against) {
            self.progress.event(Event::Found(finding.clone()));
        }
        let over =
            lost.is_some() || matches!(file.ended, PointEnd::Interrupted | PointEnd::TargetLost);
        let idle = over || circumstances.wait_until_idle(self.interrupt);
        self.files.push(file);
        remarks.into_iter().for_each(|remark| self.remark(remark));
        self.gpu_lost = gpu_lost;
        if let Some(lost) = lost {
            self.lost = true;
            self.remark(format!("{id}: {lost}"));
        }
        if !idle {
            self.remark(format!(
                "after {id} the server was still busy {} s later; the next point began on a busy server",
                IDLE_LIMIT.as_secs()
            ));
        }
        Ok(audited)
    }

    /// Whether the GPUs could be watched, if they must be.
    pub(super) fn need_gpus(&mut self) -> Result<(), RunError> {
        match self.gpu_lost.take() {
            Some(words) if self.plan.matrix.samplers.gpu == GpuSampling::Required => {
                Err(RunError::GpuLost(words))
            }
            _ => Ok(()),
        }
    }

    /// Lays the ladder of a group by short closed loops.
    fn pilot(
        &mut self,
        place: &mut Place<'_>,
    ) -> Result<Result<Vec<PointLoad>, RunStatus>, RunError> {
        self.remark(
            "pilot: closed loops of 1, 2, 4, ... requests find where to lay the ladder".to_owned(),
        );
        let mut matrix = place.group.matrix.clone();
        matrix.load.window.warm_up = WarmUp::Auto;
        matrix.load.window.measure = Span::new(PILOT_MEASURE);
        let mut pilot = Pilot::default();
        while let Some(level) = pilot.next_level() {
            if self.interrupt.is_raised() {
                return Ok(Err(RunStatus::Interrupted));
            }
            let id = pilot_id(place.prefix, level);
            let load = PointLoad::Closed(level);
            let asked = Asked { id: &id, matrix: &matrix, load, repetition: 0, probe: None };
            let summary = self.point(place, asked)?.summary;
            self.need_gpus()?;
            if let Some(status) = self.cut_by(summary.ended) {
                return Ok(Err(status));
            }
            // Tokens over the mean length: completions of so short a window come in waves.
            let mean = summary.mean_output_tokens.unwrap_or(1.0).max(1.0);
            pilot.saw(summary.output_tokens_per_s.value / mean);
        }
        let ladder = pilot.ladder();
        if ladder.is_empty() {
            return Err(RunError::Probe(
                "the pilot saw no request end well; look at points/*pilot*/".to_owned(),
            ));
        }
        self.remark(format!("pilot: up to about {:.3} req/s", pilot.best()));
        Ok(Ok(ladder))
    }

    /// How many points the run will have, as far as is known by now.
    fn expected_points(&self) -> usize {
        let ladders: usize = self.plan.groups.iter().map(GroupPlan::len).sum();
        let all = ladders * self.plan.matrix.experiment.repetitions as usize;
        let pilots = self.manifest.points.iter().filter(|id| is_pilot(id)).count();
        (all + pilots).max(self.ordinal as usize)
    }

    /// Time that the points after the present one will take, roughly.
    fn time_left(&self, matrix: &Matrix) -> Duration {
        let points = self.expected_points().saturating_sub(self.ordinal as usize + 1);
        let window = &matrix.load.window;
        (window.measure.get() * 5 / 4) * u32::try_from(points).unwrap_or(u32::MAX)
    }
}
