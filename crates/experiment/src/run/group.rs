//! The points of one group: its preflight, its pilot, its ladder.

use std::time::Duration;

use plimsoll_analysis::AuditedPoint;
use plimsoll_records::{PointEnd, RunStatus, SelfTestTime, WorkloadRecord};
use plimsoll_units::Span;

use super::words::{line, point_id};
use super::{Run, workers};
use crate::circumstances::{Circumstances, IDLE_LIMIT};
use crate::error::RunError;
use crate::matrix::{GpuSampling, Matrix, WarmUp};
use crate::offered::PointLoad;
use crate::pilot::{Pilot, is_pilot, pilot_id};
use crate::plan::{GroupPlan, derive_seed};
use crate::point::{self, MeasuredPoint, PointPlan};
use crate::preflight::{Preflight, preflight};
use crate::progress::Event;
use crate::stamping::Grade;
use crate::target::Target;

/// Length of a pilot's window.
const PILOT_MEASURE: Duration = Duration::from_secs(3);

impl Run<'_> {
    /// Measures the points of `group` on `target`.
    pub(super) fn group(
        &mut self,
        prefix: &str,
        group: &GroupPlan,
        target: &mut Target,
    ) -> Result<RunStatus, RunError> {
        self.check_context(group, target)?;
        self.remark_on_stamps(&group.matrix);
        let found = preflight(
            target,
            &group.matrix.client,
            &group.workload,
            &self.runtime,
            self.interrupt,
        )?;
        for remark in &found.remarks {
            self.remark(remark.clone());
        }
        let loads = match &group.loads {
            Some(loads) => loads.clone(),
            None => match self.pilot(prefix, group, target, &found)? {
                Ok(loads) => loads,
                Err(status) => return Ok(status),
            },
        };
        if self.tester.is_none() {
            self.tester = self.tester(group, target, &loads)?;
            self.self_test(SelfTestTime::Before)?;
        }
        for repetition in 0..self.plan.matrix.experiment.repetitions {
            for load in &loads {
                if self.interrupt.is_raised() {
                    return Ok(RunStatus::Interrupted);
                }
                let id = point_id(prefix, *load, repetition, &self.plan.matrix);
                let point =
                    self.point(&id, group, &group.matrix, *load, repetition, target, &found)?;
                let ended = point.summary.ended;
                self.done.push(point);
                self.need_gpus()?;
                match ended {
                    PointEnd::Interrupted => return Ok(RunStatus::Interrupted),
                    PointEnd::TargetLost => return Ok(RunStatus::Failed),
                    // Its last requests had ended well before the server did.
                    _ if self.lost => return Ok(RunStatus::Failed),
                    _ => {}
                }
            }
        }
        Ok(RunStatus::Complete)
    }

    /// Measures one point, and says what became of it.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another thing that a point is made from"
    )]
    fn point(
        &mut self,
        id: &str,
        group: &GroupPlan,
        matrix: &Matrix,
        load: PointLoad,
        repetition: u32,
        target: &mut Target,
        found: &Preflight,
    ) -> Result<AuditedPoint, RunError> {
        let mut client = target.client(&self.plan.source, &matrix.client, self.clock)?;
        client.stamps = Grade::find(matrix.client.stamps).source;
        let after = self.time_left(&group.matrix);
        let plan = PointPlan {
            id,
            ordinal: self.ordinal,
            factors: &group.factors,
            repetition,
            matrix,
            load,
            seed: derive_seed(self.plan.seed, 16 + self.ordinal),
            clock: self.clock,
            client: &client,
            encoder: &found.encoder,
            workload: WorkloadRecord {
                shared_prefix: group.workload.shared_token_share(),
                exact_output: found.exact_output,
                exact_input: found.exact_input,
                mean_output_tokens: Some(group.workload.mean_output_tokens()),
            },
            replay: group.workload.replay(),
            workers: workers(matrix),
            after,
        };
        self.ordinal += 1;
        self.manifest.points.push(id.to_owned());
        self.folder.write_manifest(&self.manifest)?;
        self.progress.event(Event::PointStarted {
            id: id.to_owned(),
            number: self.ordinal as usize,
            of: self.expected_points(),
        });
        let dir = self.folder.point(id)?;
        let mut circumstances = Circumstances::of(self.clock, target, self.gpus.as_ref());
        circumstances.begin(&dir, &self.runtime)?;
        let MeasuredPoint { file, rows, remarks, lost, gpu_lost } =
            point::measure(&plan, &dir, &mut circumstances, self.interrupt, self.progress)?;
        let audited =
            AuditedPoint::of(&file, &rows, &group.slo).under(&self.plan.matrix.experiment.policy());
        self.progress.event(Event::PointEnded { id: id.to_owned(), line: line(&audited.summary) });
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
    fn need_gpus(&mut self) -> Result<(), RunError> {
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
        prefix: &str,
        group: &GroupPlan,
        target: &mut Target,
        found: &Preflight,
    ) -> Result<Result<Vec<PointLoad>, RunStatus>, RunError> {
        self.remark(
            "pilot: closed loops of 1, 2, 4, ... requests find where to lay the ladder".to_owned(),
        );
        let mut matrix = group.matrix.clone();
        matrix.load.window.warm_up = WarmUp::Auto;
        matrix.load.window.measure = Span::new(PILOT_MEASURE);
        let mut pilot = Pilot::default();
        while let Some(level) = pilot.next_level() {
            if self.interrupt.is_raised() {
                return Ok(Err(RunStatus::Interrupted));
            }
            let id = pilot_id(prefix, level);
            let load = PointLoad::Closed(level);
            let summary = self.point(&id, group, &matrix, load, 0, target, found)?.summary;
            self.need_gpus()?;
            match summary.ended {
                PointEnd::Interrupted => return Ok(Err(RunStatus::Interrupted)),
                PointEnd::TargetLost => return Ok(Err(RunStatus::Failed)),
                _ if self.lost => return Ok(Err(RunStatus::Failed)),
                _ => {}
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
