//! GPUs that are not the server's and were at work.

use plimsoll_records::{Finding, FindingCode, GpuWindow, Severity};

use super::super::{Evidence, finding};

/// Mean share of time, in percent, from which a device was at work.
const AT_WORK_PCT: f64 = 5.0;

/// Names the devices beyond the server's number of GPUs on which something ran.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let busy = |gpu: &GpuWindow| gpu.sm_utilisation_mean_pct.filter(|it| *it >= AT_WORK_PCT);
    let others: Vec<(u32, f64)> = evidence
        .point
        .gpus
        .iter()
        .filter(|gpu| gpu.used == Some(false))
        .filter_map(|gpu| Some((gpu.gpu, busy(gpu)?)))
        .collect();
    let (gpu, share) = *others.first()?;
    let own = evidence.point.gpus.iter().filter(|gpu| gpu.used == Some(true)).count();
    Some(finding(
        FindingCode::GpuShared,
        Severity::Warning,
        format!(
            "the server has {own} GPU{}, and GPU {gpu} beside {} was busy for {share:.0} % of the window: \
             a job of somebody else on the same machine",
            if own == 1 { "" } else { "s" },
            if own == 1 { "it" } else { "them" }
        ),
        &[("gpus_of_others", others.len() as f64), ("sm_utilisation_pct", share)],
        "repeat the point on a machine that nothing else uses",
    ))
}
