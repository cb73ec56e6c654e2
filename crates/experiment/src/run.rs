//! A plan becomes a results folder: targets, pilots, points in order, and the judgement at the end.

mod prologue;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_analysis::{AuditedPoint, Judgement, judge, judge_self_tests};
use plimsoll_records::{
    Manifest, PointEnd, PointFile, ResultsFolder, RunStatus, SelfTestTime, Tool, WorkloadRecord,
};
use plimsoll_units::{RunClock, Span};
use tokio::runtime::Runtime;

use crate::counters::{Counters, IDLE_LIMIT};
use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::limits::Limits;
use crate::machine::cores;
use crate::manifest::{folder_time, manifest};
use crate::matrix::{Matrix, WarmUp};
use crate::offered::PointLoad;
use crate::pilot::Pilot;
use crate::plan::{GroupPlan, Plan, derive_seed};
use crate::point::{self, MeasuredPoint, PointPlan};
use crate::preflight::{Preflight, preflight};
use crate::progress::{Event, Progress};
use crate::stamping::Grade;
use crate::summary_row::summary_row;
use crate::target::Target;
use prologue::Tester;
use words::{line, point_id};

/// Length of a pilot's window.
const PILOT_MEASURE: Duration = Duration::from_secs(3);

/// Where the results go, and who wrote them.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The folder that the run's own folder is made in.
    pub results: PathBuf,
    /// Who writes it.
    pub tool: Tool,
}

/// A run that left a results folder.
#[derive(Debug)]
pub struct RunResult {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The files of its points, in the order in which they were measured.
    pub points: Vec<PointFile>,
    /// What its points say.
    pub judgement: Judgement,
    /// What ended the run early, after some of its points had been measured.
    pub failure: Option<RunError>,
}

/// Carries out `plan`: measures its points, writes the results folder, judges.
///
/// An interrupted run, or one that failed half way, is a result too: of the points that were
/// measured. The manifest's status says so, and [`RunResult::failure`] why.
///
/// # Errors
/// When there is nothing to judge: the target cannot be had, or the folder cannot be written.
pub fn run(
    plan: &Plan,
    options: &RunOptions,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<RunResult, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::io("make a runtime"))?;
    let clock = RunClock::start();
    let limits = Limits::raised();
    let remarks = prologue::check_limits(plan, &limits)?;
    // The first target is opened before the folder is made: a server that is not there leaves nothing.
    let target = open_target(plan, &plan.groups[0], &runtime, interrupt)?;
    let manifest = manifest(plan, &options.tool, clock, &target, &limits);
    let name = format!("{}-{}", plan.name(), folder_time(clock));
    let folder = ResultsFolder::create(&options.results, &name)?;
    let mut run = Run {
        plan,
        folder,
        manifest,
        runtime,
        clock,
        interrupt,
        progress,
        done: Vec::new(),
        files: Vec::new(),
        ordinal: 0,
        limits,
        tester: None,
    };
    remarks.into_iter().for_each(|remark| run.remark(remark));
    run.folder.write_manifest(&run.manifest)?;
    match run.groups(target) {
        Ok(status) => run.finish(status, None),
        Err(error) => {
            let status = match error {
                RunError::Interrupted => RunStatus::Interrupted,
                _ => RunStatus::Failed,
            };
            run.finish(status, Some(error))
        }
    }
}

fn open_target(
    plan: &Plan,
    group: &GroupPlan,
    runtime: &Runtime,
    interrupt: &Interrupt,
) -> Result<Target, RunError> {
    let seed = derive_seed(plan.seed, 1);
    Target::open(&plan.source, &group.matrix.server, seed, runtime, interrupt)
}

struct Run<'a> {
    plan: &'a Plan,
    folder: ResultsFolder,
    manifest: Manifest,
    runtime: Runtime,
    clock: RunClock,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn Progress,
    done: Vec<AuditedPoint>,
    /// The files of all points begun so far, pilots included.
    files: Vec<PointFile>,
    /// Points begun so far, pilots included.
    ordinal: u64,
    limits: Limits,
    /// What the self-tests are made with, once the first has been made.
    tester: Option<Tester>,
}

impl Run<'_> {
    /// Measures every group, the first one on the target that is already there.
    fn groups(&mut self, first: Target) -> Result<RunStatus, RunError> {
        let mut first = Some(first);
        for (number, group) in self.plan.groups.iter().enumerate() {
            let target = match first.take() {
                Some(target) => target,
                None => open_target(self.plan, group, &self.runtime, self.interrupt)?,
            };
            let status = self.group(number, group, &target)?;
            if status != RunStatus::Complete {
                return Ok(status);
            }
        }
        self.self_test(SelfTestTime::After)?;
        Ok(RunStatus::Complete)
    }

    fn group(
        &mut self,
        number: usize,
        group: &GroupPlan,
        target: &Target,
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
        let prefix =
            if self.plan.groups.len() > 1 { format!("g{number:02}-") } else { String::new() };
        let loads = match &group.loads {
            Some(loads) => loads.clone(),
            None => match self.pilot(&prefix, group, target, &found)? {
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
                let id = point_id(&prefix, *load, repetition, &self.plan.matrix);
                let point =
                    self.point(&id, group, &group.matrix, *load, repetition, target, &found)?;
                let ended = point.summary.ended;
                self.done.push(point);
                match ended {
                    PointEnd::Interrupted => return Ok(RunStatus::Interrupted),
                    PointEnd::TargetLost => return Ok(RunStatus::Failed),
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
        target: &Target,
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
        let mut counters = Counters::new(&self.runtime, &target.metrics);
        let dir = self.folder.point(id)?;
        let MeasuredPoint { file, rows, remarks } =
            point::measure(&plan, &dir, &mut counters, self.interrupt, self.progress)?;
        let audited = AuditedPoint::of(&file, &rows, &group.slo);
        self.progress.event(Event::PointEnded { id: id.to_owned(), line: line(&audited.summary) });
        let over = matches!(file.ended, PointEnd::Interrupted | PointEnd::TargetLost);
        let idle = over || counters.wait_until_idle(self.clock, self.interrupt);
        self.files.push(file);
        remarks.into_iter().for_each(|remark| self.remark(remark));
        if !idle {
            self.remark(format!(
                "after {id} the server was still busy {} s later; the next point began on a busy server",
                IDLE_LIMIT.as_secs()
            ));
        }
        Ok(audited)
    }

    /// Lays the ladder of a group by short closed loops.
    fn pilot(
        &mut self,
        prefix: &str,
        group: &GroupPlan,
        target: &Target,
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
            let id = format!("{prefix}pilot-{level:04}");
            let load = PointLoad::Closed(level);
            let summary = self.point(&id, group, &matrix, load, 0, target, found)?.summary;
            match summary.ended {
                PointEnd::Interrupted => return Ok(Err(RunStatus::Interrupted)),
                PointEnd::TargetLost => return Ok(Err(RunStatus::Failed)),
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

    fn remark(&mut self, text: String) {
        self.manifest.remarks.push(text.clone());
        self.progress.event(Event::Remark(text));
    }

    /// How many points the run will have, as far as is known by now.
    fn expected_points(&self) -> usize {
        let ladders: usize = self.plan.groups.iter().map(GroupPlan::len).sum();
        let all = ladders * self.plan.matrix.experiment.repetitions as usize;
        let pilots = self.manifest.points.iter().filter(|id| id.contains("pilot-")).count();
        (all + pilots).max(self.ordinal as usize)
    }

    /// Time that the points after the present one will take, roughly.
    fn time_left(&self, matrix: &Matrix) -> Duration {
        let points = self.expected_points().saturating_sub(self.ordinal as usize + 1);
        let window = &matrix.load.window;
        (window.measure.get() * 5 / 4) * u32::try_from(points).unwrap_or(u32::MAX)
    }

    /// Judges what was measured, and writes what the folder still lacks.
    fn finish(
        mut self,
        status: RunStatus,
        failure: Option<RunError>,
    ) -> Result<RunResult, RunError> {
        self.manifest.status = status;
        self.progress.event(Event::Finished);
        let failure = match failure {
            Some(failure) if self.done.is_empty() => {
                // What can go wrong with the folder now is the lesser trouble of the two.
                let _ = match self.ordinal {
                    // Not one request of a point was sent: the folder would say nothing.
                    0 => std::fs::remove_dir_all(self.folder.path()).is_ok(),
                    _ => self.folder.write_manifest(&self.manifest).is_ok(),
                };
                return Err(failure);
            }
            failure => failure,
        };
        let rows: Vec<_> = self.done.iter().map(|point| summary_row(&point.summary)).collect();
        let judgement = judge(std::mem::take(&mut self.done))
            .with_findings(judge_self_tests(&self.manifest.self_tests));
        // What was in effect, where a wish is all that was known before.
        let best = self.files.iter().map(|file| file.stamps.source).max();
        self.manifest.stamps = best.unwrap_or(self.manifest.stamps);
        self.folder.write_summary(&rows)?;
        self.folder.write_findings(&judgement.findings)?;
        self.folder.write_manifest(&self.manifest)?;
        let folder = self.folder.path().to_owned();
        Ok(RunResult { folder, manifest: self.manifest, points: self.files, judgement, failure })
    }
}

/// Worker threads of a point: as asked, or one less than the cores; never more than requests that
/// may be in flight.
fn workers(matrix: &Matrix) -> u32 {
    let wanted = matrix.client.workers.unwrap_or_else(|| cores().saturating_sub(1).max(1));
    matrix.load.max_in_flight.map_or(wanted, |cap| wanted.min(cap))
}
