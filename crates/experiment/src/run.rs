//! A plan becomes a results folder: targets, pilots, points in order, and the judgement at the end.

mod group;
mod prologue;
mod search;
mod targets;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use plimsoll_analysis::{AuditedPoint, Judgement};
use plimsoll_gpu::{GpuConfig, GpuSampler};
use plimsoll_records::{
    AuditPolicy, FolderLock, Machine, Manifest, PointFile, ResultsFolder, RunStatus, SelfTestTime,
    SummaryRow, Tool,
};
use plimsoll_units::RunClock;
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::judged::judgement;
use crate::limits::Limits;
use crate::machine::{add_gpus, cores, machine};
use crate::manifest::{folder_time, manifest};
use crate::matrix::{GpuSampling, Launch, Matrix};
use crate::next::write_next;
use crate::offered::PointLoad;
use crate::pilot::is_pilot;
use crate::plan::{Plan, turns};
use crate::progress::{Event, Progress};
use crate::resume::{Unfinished, take};
use crate::summary_row::summary_row;
use crate::target::Target;
use prologue::Tester;
use targets::Targets;

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
    let clock = RunClock::start();
    carry_out(plan, clock, None, interrupt, progress, |machine| {
        let manifest = manifest(plan, &options.tool, clock, machine);
        let name = format!("{}-{}", plan.name(), folder_time(clock));
        let fresh = !options.results.exists();
        let folder = ResultsFolder::create(&options.results, &name)?;
        let lock = folder.lock()?;
        let made_for_it = fresh.then(|| options.results.clone());
        Ok(Place { folder, lock, manifest, made_for_it })
    })
}

/// Goes on with a run that ended before its plan did: in its folder, on its clock, with its seeds. Points
/// that were measured to their end are kept, the others are measured.
///
/// # Errors
/// As [`run`].
pub fn resume(
    unfinished: Unfinished,
    tool: &Tool,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<RunResult, RunError> {
    let Unfinished { folder, lock, mut manifest, plan, clock, kept } = unfinished;
    let ids: Vec<String> = kept.iter().map(|file| file.id.clone()).collect();
    carry_out(&plan, clock, Some(kept), interrupt, progress, |machine| {
        let mut remark = format!("resumed: {} points were there already", ids.len());
        if manifest.tool != *tool {
            let Tool { name, version, .. } = tool;
            remark.push_str(&format!(", written by another build than this {name} {version}"));
        }
        if (&manifest.machine.cpu, manifest.machine.cores) != (&machine.cpu, machine.cores) {
            remark.push_str(", measured from another machine");
        }
        manifest.remarks.push(remark);
        manifest.status = RunStatus::Running;
        // What was left out may be measured now, and what was begun in vain is begun again.
        manifest.left_out.clone_from(&plan.left_out);
        manifest.points = ids;
        Ok(Place { folder, lock, manifest, made_for_it: None })
    })
}

/// Where a run leaves its files.
struct Place {
    folder: ResultsFolder,
    lock: FolderLock,
    /// What it begins with.
    manifest: Manifest,
    /// The folder of all results, if it was made for the run.
    made_for_it: Option<PathBuf>,
}

fn carry_out(
    plan: &Plan,
    clock: RunClock,
    kept: Option<Vec<PointFile>>,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
    place: impl FnOnce(Machine) -> Result<Place, RunError>,
) -> Result<RunResult, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::io("make a runtime"))?;
    let limits = Limits::raised();
    let remarks = prologue::check_limits(plan, &limits)?;
    let gpus = gpus(plan, clock)?;
    let mut machine = machine(&limits);
    add_gpus(&mut machine, &gpus);
    let Place { folder, lock, manifest, made_for_it } = place(machine)?;
    let mut run = Run {
        plan,
        folder,
        _lock: lock,
        manifest,
        runtime,
        clock,
        interrupt,
        progress,
        done: Vec::new(),
        files: Vec::new(),
        ordinal: 0,
        laid: BTreeMap::new(),
        limits,
        tester: None,
        gpus: gpus.ok(),
        made_for_it,
        is_fresh: kept.is_none(),
        kept,
        lost: false,
        gpu_lost: None,
    };
    remarks.into_iter().for_each(|remark| run.remark(remark));
    run.folder.write_manifest(&run.manifest)?;
    match run.groups() {
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

/// Who watches the GPUs of this machine, or why nobody does.
///
/// # Errors
/// When the matrix requires it and it cannot be had.
fn gpus(plan: &Plan, clock: RunClock) -> Result<Result<GpuSampler, String>, RunError> {
    let samplers = &plan.matrix.samplers;
    let servers = || plan.groups.iter().map(|group| &group.matrix.server);
    let start = || {
        let period = samplers.gpu_period.get();
        GpuSampler::start(GpuConfig { period, ..GpuConfig::new(clock) })
    };
    let unwatched = |why: &str| Ok(Err(why.to_owned()));
    match samplers.gpu {
        GpuSampling::Required => start().map(Ok).map_err(RunError::Gpu),
        GpuSampling::Off => unwatched("samplers.gpu = \"off\""),
        GpuSampling::Auto if servers().all(|server| server.launch == Launch::Sim) => {
            unwatched("the simulator uses no GPU")
        }
        GpuSampling::Auto if !servers().any(Target::is_local) => {
            unwatched("the server is on another machine")
        }
        GpuSampling::Auto => Ok(start().map_err(|error| error.to_string())),
    }
}

struct Run<'a> {
    plan: &'a Plan,
    folder: ResultsFolder,
    /// Nobody else writes there while the run does.
    _lock: FolderLock,
    manifest: Manifest,
    runtime: Runtime,
    clock: RunClock,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn Progress,
    done: Vec<AuditedPoint>,
    /// The files of all points begun so far, pilots included.
    files: Vec<PointFile>,
    /// Whether no earlier process has begun it.
    is_fresh: bool,
    /// The points that an earlier process has measured to their end; `None` where there was none.
    kept: Option<Vec<PointFile>>,
    /// Points begun so far, pilots included.
    ordinal: u64,
    /// The ladders that pilots have laid, by the group's place in the plan.
    laid: BTreeMap<usize, Vec<PointLoad>>,
    limits: Limits,
    /// What the self-tests are made with, once the first has been made.
    tester: Option<Tester>,
    gpus: Option<GpuSampler>,
    /// The folder of all results, if this run made it.
    made_for_it: Option<PathBuf>,
    /// Whether the server ended by itself.
    lost: bool,
    /// Which GPU could not be watched at the last point.
    gpu_lost: Option<String>,
}

impl Run<'_> {
    /// Measures every group, and ends the last server whatever happens.
    fn groups(&mut self) -> Result<RunStatus, RunError> {
        let mut targets = Targets::default();
        let status = self.each_group(&mut targets);
        self.take_the_rest()?;
        // Ending a server takes its time: what was measured is kept before.
        self.folder.write_summary(&self.summary())?;
        self.folder.write_manifest(&self.manifest)?;
        self.close_all(targets);
        if matches!(status, Ok(RunStatus::Complete)) {
            self.self_test(SelfTestTime::After)?;
        }
        status
    }

    fn each_group(&mut self, targets: &mut Targets) -> Result<RunStatus, RunError> {
        let experiment = &self.plan.matrix.experiment;
        for turn in turns(experiment.order(), self.plan.groups.len(), experiment.repetitions) {
            let prefix = self.prefix(turn.group);
            let Some(target) = self.target_of(&turn, &prefix, targets)? else { continue };
            let status = self.group(&prefix, &turn, target)?;
            if status != RunStatus::Complete {
                return Ok(status);
            }
        }
        Ok(RunStatus::Complete)
    }

    /// The points of an earlier process that this one did not get to: they are the run's all the same.
    fn take_the_rest(&mut self) -> Result<(), RunError> {
        let there: BTreeSet<String> = self.files.iter().map(|file| file.id.clone()).collect();
        let kept = self.kept.take().unwrap_or_default();
        for file in kept.iter().filter(|file| !there.contains(&file.id)) {
            let group = self.plan.groups.iter().find(|group| group.factors == file.factors);
            let dir = self.folder.point(&file.id)?;
            if let Some(group) = group
                && let Some((file, audited)) = take(&kept, &dir, &group.slo, &self.policy())?
            {
                if !is_pilot(&file.id) {
                    self.done.push(audited);
                }
                self.files.push(file);
            }
        }
        Ok(())
    }

    /// What is allowed and denied of findings.
    fn policy(&self) -> AuditPolicy {
        self.plan.matrix.experiment.policy()
    }

    fn remark(&mut self, text: String) {
        self.manifest.remarks.push(text.clone());
        self.progress.event(Event::Remark(text));
    }

    /// The rows of the points so far.
    fn summary(&self) -> Vec<SummaryRow> {
        self.done.iter().map(|point| summary_row(&point.summary)).collect()
    }

    /// Removes the folder of a run of which not one request was sent: it would say nothing.
    fn leave_nothing(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path());
        if let Some(results) = &self.made_for_it {
            // Refused, and rightly, if another run has put something there.
            let _ = std::fs::remove_dir(results);
        }
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
                if self.ordinal == 0 && self.is_fresh && !self.has_log() {
                    self.leave_nothing();
                } else {
                    let _ = self.folder.write_manifest(&self.manifest);
                }
                return Err(failure);
            }
            failure => failure,
        };
        let rows = self.summary();
        let policy = self.policy();
        let points = std::mem::take(&mut self.done);
        let judgement = judgement(&self.manifest, &self.files, points, &policy);
        // What was in effect, where a wish is all that was known before.
        let best = self.files.iter().map(|file| file.stamps.source).max();
        self.manifest.stamps = best.unwrap_or(self.manifest.stamps);
        self.folder.write_summary(&rows)?;
        self.folder.write_findings(&judgement.findings)?;
        write_next(&self.folder, &self.manifest, &judgement, self.plan.source.folder())?;
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
