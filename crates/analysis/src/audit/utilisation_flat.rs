//! `utilisation-flat`: GPU utilisation is as high at a low load as at saturation.
//!
//! **What.** At half of the capacity or less the GPUs' utilisation is within 10 points of that at
//! saturation. **Note**: the figures are right, and the reading is tempting.
//! **Why.** The driver's utilisation is the share of time in which at least one kernel ran, however
//! little of the GPU it used (NVML, `nvmlUtilization_t`). A server that batches runs a kernel whenever
//! one request is in flight, so it is "90 % busy" at a tenth of its capacity and at all of it. Who reads
//! the rest to 100 % as head room finds a tenth of it where nine tenths are free.
//! **Evidence.** The mean utilisation of the used GPUs at the lowest stable load that is at most half of
//! the capacity, and at the unstable points. Ten points, because a utilisation that measured load would
//! be half as high at half of the capacity: 50 points lower where saturation is near 100 %. Nothing is
//! said where that at saturation is below 20 %: then something else is the bottleneck, and the GPUs idle.
//! **Remedy.** Read head room from the capacity; of the GPU's own readings power, and tokens per watt,
//! follow the load.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::{Group, PointSummary};

use super::finding;

/// Share of the capacity up to which a load is low.
const LOW_LOAD: f64 = 0.5;

/// Points of percent within which two utilisations are alike.
const ALIKE_PCT: f64 = 10.0;

/// Utilisation at saturation from which the GPUs are at work, percent.
const AT_WORK_PCT: f64 = 20.0;

/// Compares the utilisation at the lowest load with that at saturation.
pub(super) fn check(group: &Group) -> Option<Finding> {
    let saturation = &group.saturation;
    let capacity = saturation.capacity_per_s.filter(|_| !saturation.lower_bound)?.value;
    let counted = || group.points.iter().filter(|point| !saturation.voided.contains(&point.id));
    let low = counted().filter(|point| point.stability.stable).find_map(|point| {
        let share = point.achieved_rate_per_s / capacity;
        Some((point, share, utilisation(point)?)).filter(|(_, share, _)| *share <= LOW_LOAD)
    });
    let (point, share, low_pct) = low?;
    let saturated: Vec<f64> =
        counted().filter(|point| !point.stability.stable).filter_map(utilisation).collect();
    let full_pct = saturated.iter().sum::<f64>() / saturated.len() as f64;
    // NaN without a saturated point, which no comparison holds for.
    if !(full_pct >= AT_WORK_PCT && full_pct - low_pct <= ALIKE_PCT) {
        return None;
    }
    let label = group.label();
    let of_group = if label.is_empty() { String::new() } else { format!(" ({label})") };
    Some(finding(
        FindingCode::UtilisationFlat,
        Severity::Note,
        format!(
            "GPU utilisation{of_group} is {low_pct:.0} % at {:.0} % of the capacity ({}) and \
             {full_pct:.0} % at saturation: it says nothing of head room",
            100.0 * share,
            point.id
        ),
        &[
            ("load_share", share),
            ("utilisation_low_pct", low_pct),
            ("utilisation_saturated_pct", full_pct),
        ],
        "read head room from the capacity; of the GPU's own readings, power follows the load",
    ))
}

fn utilisation(point: &PointSummary) -> Option<f64> {
    point.gpu.as_ref()?.sm_utilisation_mean_pct
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::{Fixture, MS, delay, gpu};
    use crate::{AuditedPoint, Slo, judge};

    /// What is found for a ladder of 10, 40 and 80 req/s, the last overloaded (at 61.5), whose GPUs were
    /// used like this.
    fn ladder(utilisation: [Option<f64>; 3]) -> Option<Finding> {
        let rates = [10.0, 40.0, 80.0].into_iter().zip(utilisation);
        let points = rates.map(|(rate, utilisation)| {
            let mut fixture = Fixture::with(11, rate, 20.0);
            fixture.point.id = format!("r{rate}");
            if rate > 60.0 {
                for row in &mut fixture.rows {
                    delay(row, (300.0 * row.intended.as_secs_f64()) as u64 * MS);
                }
            }
            let mut gpu = gpu(0);
            gpu.sm_utilisation_mean_pct = utilisation;
            fixture.point.gpus = vec![gpu];
            AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default())
        });
        let findings = judge(points.collect()).findings;
        findings.into_iter().find(|found| found.code == FindingCode::UtilisationFlat)
    }

    #[test]
    fn the_studys_ninety_percent_are_found() {
        let found = ladder([Some(89.0), Some(92.0), Some(93.0)]).unwrap();
        assert_eq!((found.severity, &found.point), (Severity::Note, &None));
        assert_eq!(found.numbers["utilisation_low_pct"], 89.0);
        assert_eq!(found.numbers["utilisation_saturated_pct"], 93.0);
        assert!(found.numbers["load_share"] < 0.2, "{found:?}");
        assert!(found.message.contains("(r10)"), "{}", found.message);
    }

    #[test]
    fn a_utilisation_that_follows_the_load_passes() {
        assert_eq!(ladder([Some(20.0), Some(65.0), Some(93.0)]), None);
    }

    #[test]
    fn idle_gpus_and_unknown_utilisations_pass() {
        assert_eq!(ladder([Some(5.0), Some(6.0), Some(7.0)]), None);
        assert_eq!(ladder([None, None, None]), None);
        assert_eq!(ladder([Some(90.0), Some(90.0), None]), None);
        // 40 req/s are two thirds of the capacity: that is no low load.
        assert_eq!(ladder([None, Some(92.0), Some(93.0)]), None);
    }
}
