//! Which server a group is measured on: the one before, or another; and the end of each.

use plimsoll_analysis::judge_settings;
use plimsoll_records::{FindingCode, LeftOut};

use super::Run;
use super::words::{point_id, start_id};
use crate::error::RunError;
use crate::matrix::Launch;
use crate::pilot::pilot_id;
use crate::plan::{GroupPlan, Loads, Turn, derive_seed, factor_text};
use crate::target::{Opening, Target};

/// The servers of a run: the one that is measured, and those that are somebody else's and wait for their
/// next turn.
#[derive(Default)]
pub(super) struct Targets {
    current: Option<Target>,
    attached: Vec<Target>,
}

impl Run<'_> {
    /// What the ids of a group's points begin with.
    pub(super) fn prefix(&self, number: usize) -> String {
        if self.plan.groups.len() > 1 { format!("g{number:02}-") } else { String::new() }
    }

    /// The server that a turn is measured on: the one before if it serves, else another in its place. One
    /// that the run started is ended then; one that it was only attached to is there again at its next turn.
    /// `None` when it does not run with the settings that the matrix declares: then the group is left
    /// out.
    pub(super) fn target_of<'t>(
        &mut self,
        turn: &Turn,
        prefix: &str,
        targets: &'t mut Targets,
    ) -> Result<Option<&'t mut Target>, RunError> {
        let group = &self.plan.groups[turn.group];
        let serves = |target: &Target| target.serves(&group.matrix.server);
        if !targets.current.as_ref().is_some_and(serves) {
            match targets.current.take() {
                Some(other) if other.is_attached() => targets.attached.push(other),
                other => self.close(other),
            }
            let waiting = targets.attached.iter().position(serves);
            targets.current = waiting.map(|place| targets.attached.swap_remove(place));
        }
        if targets.current.is_none() {
            let first = self.first_point(turn, prefix);
            let number = u32::try_from(self.manifest.targets.len()).unwrap_or(u32::MAX);
            let opening = Opening {
                source: &self.plan.source,
                table: &group.matrix.server,
                samplers: &self.plan.matrix.samplers,
                clock: self.clock,
                seed: derive_seed(self.plan.seed, 1),
                number,
                log: self.folder.point(&first)?.server_log(),
                runtime: &self.runtime,
                interrupt: self.interrupt,
            };
            let target = targets.current.insert(Target::open(&opening)?);
            let remarks = std::mem::take(&mut target.remarks);
            self.manifest.targets.push(target.record());
            self.manifest.target = self.manifest.targets[0].clone();
            remarks.into_iter().for_each(|remark| self.remark(remark));
            self.folder.write_manifest(&self.manifest)?;
        }
        let Some(target) = &mut targets.current else { return Ok(None) };
        let allowed = self.plan.matrix.experiment.policy().allows(FindingCode::SettingNotApplied);
        match judge_settings(&target.settings) {
            Some(finding) if !allowed => {
                self.remark(format!("{}: nothing is measured on this server", finding.message));
                let point = if group.factors.is_empty() {
                    "all points".to_owned()
                } else {
                    factor_text(&group.factors)
                };
                let left_out = LeftOut { point, reason: finding.message };
                // Another turn of the group may have said so before.
                if !self.manifest.left_out.contains(&left_out) {
                    self.manifest.left_out.push(left_out);
                }
                Ok(None)
            }
            _ => Ok(Some(target)),
        }
    }

    /// Ends or leaves every server.
    pub(super) fn close_all(&mut self, targets: Targets) {
        targets.current.into_iter().chain(targets.attached).for_each(|it| self.close(Some(it)));
    }

    /// Ends a server, if there is one, and says what is to be said of how it ended.
    fn close(&mut self, target: Option<Target>) {
        if let Some(remark) = target.and_then(Target::close) {
            self.remark(remark);
        }
    }

    /// Whether the folder holds the log of a server that the run started.
    pub(super) fn has_log(&self) -> bool {
        let started = |group: &GroupPlan| {
            matches!(group.matrix.server.launch, Launch::Process | Launch::Compose)
        };
        self.plan.groups.iter().any(started)
    }

    /// The folder of the first point of a turn, for the log of the server's start.
    fn first_point(&self, turn: &Turn, prefix: &str) -> String {
        let loads = &self.plan.groups[turn.group].loads;
        let laid = self.laid.get(&turn.group);
        match (loads, laid.and_then(|laid| laid.first()).or(loads.known().first())) {
            (_, Some(load)) => point_id(prefix, *load, turn.repetitions.start, &self.plan.matrix),
            (Loads::Search(_), None) => start_id(prefix, turn.repetitions.start, &self.plan.matrix),
            (_, None) => pilot_id(prefix, 1),
        }
    }
}
