//! The sentences of a scaling report.

use plimsoll_analysis::{Bound, Scaling};

use super::{ScalingReport, bounded, with_interval};
use crate::clean::clean;
use crate::numbers::{plain, three_digits};

/// How the table of laws is to be read.
pub(super) const LAWS: &str = "sigma is the share of the work that does not spread (Amdahl, Gustafson), or what \
    waits for its turn (USL); kappa what each adds for every other one (USL). AICc: less is better, and laws within \
    2 of each other are as good as each other. A misfit below 0.05 says that the intervals do not explain how far \
    the points lie off";

/// A chance below which the intervals do not explain how far the points lie off a law.
const MISFIT: f64 = 0.05;

/// The result in a sentence.
pub(super) fn headline(report: &ScalingReport<'_>) -> String {
    let scaling = report.scaling;
    let sizes = clean(report.sizes);
    let Some(gain) = scaling.speedups.last() else {
        return match report.points {
            [_] => {
                format!("One size of {sizes} was measured, so nothing is known of how it scales")
            }
            _ => "Nothing is known of how it scales: no two sizes of which one was saturated"
                .to_owned(),
        };
    };
    let base = plain(scaling.base);
    let speedup = match gain.bound {
        Bound::Measured => with_interval(&gain.speedup),
        Bound::AtLeast => bounded(&gain.speedup, gain.bound).replace('≥', "at least"),
        Bound::AtMost => bounded(&gain.speedup, gain.bound).replace('≤', "at most"),
    };
    let share = match gain.bound {
        Bound::Measured => gain.efficiency.value,
        Bound::AtLeast => gain.efficiency.low,
        Bound::AtMost => gain.efficiency.high,
    };
    let mut text = format!(
        "{} {sizes} do {speedup} times what {base} does, {} % of the ideal",
        plain(gain.n),
        three_digits(100.0 * share)
    );
    if gain.bound == Bound::Measured && gain.speedup.contains(1.0) {
        text.push_str("; the interval holds 1, so it may be no gain at all");
    }
    if let Some(fit) = report.chosen() {
        // The intervals do not explain how far the points lie off it: then they follow none of them.
        let off = fit.misfit.is_some_and(|chance| chance < MISFIT);
        let law = fit.law.name();
        text.push_str(&if off {
            format!("; no law holds within the intervals, {law} least badly")
        } else {
            format!("; the points follow {law}")
        });
        if let Some(sigma) = &fit.sigma {
            text.push_str(&format!(" with sigma {}", with_interval(sigma)));
        }
        if let Some(kappa) = &fit.kappa {
            text.push_str(&format!(" and kappa {}", with_interval(kappa)));
        }
    }
    if let Some(peak) = &scaling.peak {
        text.push_str(&format!(
            "; by it throughput is largest at {} {sizes}, {} {}",
            with_interval(&peak.n),
            with_interval(&peak.capacity),
            clean(report.unit)
        ));
    }
    text
}

/// What Karp and Flatt's share says when it is followed from size to size.
pub(super) fn karp_flatt(scaling: &Scaling) -> Vec<String> {
    let mut notes = vec![
        "(1/S - 1/m) / (1 - 1/m) of the speed-up S on m times the machines: a share that stays is a serial part, one \
         that grows with n is a cost of communication"
            .to_owned(),
    ];
    let measured: Vec<_> =
        scaling.speedups.iter().filter(|gain| gain.bound == Bound::Measured).collect();
    if let [first, .., last] = measured[..] {
        let (a, b) = (first.karp_flatt, last.karp_flatt);
        let trend = if a.high < b.low {
            "it grows beyond its intervals"
        } else if b.high < a.low {
            "it falls beyond its intervals"
        } else {
            "its intervals overlap: no trend is certain"
        };
        notes.push(format!("From n = {} to n = {} {trend}", plain(first.n), plain(last.n)));
    }
    notes
}
