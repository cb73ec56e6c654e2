//! The manifest of a run at its beginning, and the time in its folder's name.

use plimsoll_records::{FormatVersion, Machine, Manifest, RunStatus, TargetRecord, Tool};
use plimsoll_units::RunClock;

use crate::plan::Plan;
use crate::stamping::Grade;

/// The manifest of a run that begins.
pub(crate) fn manifest(plan: &Plan, tool: &Tool, clock: RunClock, machine: Machine) -> Manifest {
    let grade = Grade::find(plan.matrix.client.stamps);
    Manifest {
        format: FormatVersion::CURRENT,
        tool: tool.clone(),
        experiment: plan.matrix.experiment.kind.as_str().to_owned(),
        clock,
        started: timestamp(clock).to_string(),
        status: RunStatus::Running,
        seed: plan.seed,
        matrix_written: plan.source.text().to_owned(),
        matrix_file: plan.source.is_file().then(|| plan.source.file().display().to_string()),
        overrides: plan.source.overrides().to_vec(),
        matrix_resolved: plan.resolved(),
        machine,
        target: TargetRecord::default(),
        targets: Vec::new(),
        points: Vec::new(),
        left_out: plan.left_out.clone(),
        stamps: grade.source,
        stamps_remark: grade.why_not_better,
        self_tests: Vec::new(),
        remarks: Vec::new(),
        claims: Vec::new(),
    }
}

fn timestamp(clock: RunClock) -> jiff::Timestamp {
    let seconds = i64::try_from(clock.wall_anchor().as_secs()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// The time in a folder's name: `20261121-230512`, UTC.
pub(crate) fn folder_time(clock: RunClock) -> String {
    timestamp(clock).strftime("%Y%m%d-%H%M%S").to_string()
}
