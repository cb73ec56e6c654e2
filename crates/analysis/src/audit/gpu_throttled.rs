//! `gpu-throttled`: heat or power held a GPU's clocks down during the window.
//!
//! **What.** Heat or power held the clocks of a used GPU down. **Note** from 1 % of its samples, **warning**
//! from 5 %.
//! **Why.** The figure is then that of this card in this rack on this day: a cooler card of the same kind, or
//! one with a higher power limit, gives another. A card at its power limit is limited as truly as a hot one,
//! and the limit belongs beside the result.
//! **Evidence.** The driver's reasons for slower clocks in each sample: heat, power limit, power brake and
//! hardware slowdown count; an idle card and clocks that someone set do not. Of the used GPUs the worst
//! decides. Temperature, power and SM clock stand beside it where the card offers them.
//! **Remedy.** Cool the card or raise its limit; else state clocks and limit with the figure.

use std::collections::BTreeSet;

use plimsoll_records::{Finding, FindingCode, GpuWindow, Severity};

use super::{Evidence, finding};

/// Share of a GPU's samples that is worth a note, and the one that qualifies the point.
const NOTE: f64 = 0.01;
const WARNING: f64 = 0.05;

/// Looks at the used GPUs; the worst decides.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let held: Vec<(&GpuWindow, f64)> = GpuWindow::used(&evidence.point.gpus)
        .filter_map(|gpu| Some((gpu, gpu.throttled_share?)))
        .filter(|(_, share)| *share > NOTE)
        .collect();
    let (worst, share) = held.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let reasons: BTreeSet<&str> =
        held.iter().flat_map(|(gpu, _)| gpu.throttle_reasons.iter().map(String::as_str)).collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.into_iter().collect::<Vec<_>>().join(", "))
    };
    Some(finding(
        FindingCode::GpuThrottled,
        if *share > WARNING { Severity::Warning } else { Severity::Note },
        format!(
            "the clocks of {} held down{reasons}, at worst those of GPU {} in {:.0} % of the \
             samples",
            match held.len() {
                1 => "1 GPU were".to_owned(),
                n => format!("{n} GPUs were"),
            },
            worst.gpu,
            100.0 * share
        ),
        &[
            ("throttled_share", *share),
            ("throttled_gpus", held.len() as f64),
            ("temperature_max_c", worst.temperature_max_c.unwrap_or(f64::NAN)),
            ("power_mean_w", worst.power_mean_w.unwrap_or(f64::NAN)),
            ("sm_clock_mean_mhz", worst.sm_clock_mean_mhz.unwrap_or(f64::NAN)),
        ],
        "cool the card, or raise its power limit; else state the clocks and the limit beside the \
         figure, for another card of the kind may give another one",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, gpu};
    use super::*;

    /// A clean point on two GPUs, the second of which was throttled for this share.
    fn throttled(share: Option<f64>) -> Fixture {
        let mut fixture = Fixture::clean();
        fixture.point.gpus = vec![gpu(0), gpu(1)];
        fixture.point.gpus[1].throttled_share = share;
        fixture.point.gpus[1].throttle_reasons = vec!["hw-thermal-slowdown".to_owned()];
        fixture
    }

    #[test]
    fn the_worst_gpu_decides() {
        let some = throttled(Some(0.03)).find(FindingCode::GpuThrottled).unwrap();
        assert_eq!(some.severity, Severity::Note);
        let found = throttled(Some(0.34)).find(FindingCode::GpuThrottled).unwrap();
        assert_eq!((found.severity, found.numbers["throttled_share"]), (Severity::Warning, 0.34));
        assert_eq!(
            found.message,
            "the clocks of 1 GPU were held down (hw-thermal-slowdown), at worst those of GPU 1 in \
             34 % of the samples"
        );
    }

    #[test]
    fn free_clocks_unknown_ones_and_other_peoples_gpus_pass() {
        for share in [Some(0.0), Some(0.01), None] {
            assert_eq!(throttled(share).find(FindingCode::GpuThrottled), None);
        }
        let mut fixture = throttled(Some(0.34));
        fixture.point.gpus[1].used = Some(false);
        assert_eq!(fixture.find(FindingCode::GpuThrottled), None);
        assert_eq!(Fixture::clean().find(FindingCode::GpuThrottled), None);
    }
}
