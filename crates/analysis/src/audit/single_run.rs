//! `single-run`: a difference is shown, or claimed, that rests on one repetition.
//!
//! **What.** Groups of a run stand side by side, or a comparison or a scaling law is made, and each
//! setting was measured once. Of groups: **note**; **warning** where the intervals of two capacities lie
//! apart and the capacities by less than a tenth. Of a comparison: **warning**. Of scaling: **note**.
//! **Why.** The interval of one run holds what varies inside that run. What varies from start to start
//! (memory layout, placement, clocks, temperature, the order of compilation) is the same for all of it
//! and in no interval; only another start shows it (Kalibera and Jones, *Rigorous benchmarking in
//! reasonable time*, ISMM 2013). Such effects have moved results by up to a tenth where nobody expected
//! any (Mytkowicz and others, *Producing wrong data without doing anything obviously wrong!*, ASPLOS
//! 2009): a difference of that size may be the start's, a speed-up of 2.5 is not.
//! **Evidence.** The number of repetitions of each group; the capacities and whether their intervals
//! overlap; of a comparison its repetitions and its ratio.
//! **Remedy.** `experiment.repetitions` of 3 or more, interleaved.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::{Comparison, Group, ScalePoint};

use super::{Compared, finding};

/// A ratio of capacities from which it is more than a start can make.
const BEYOND_A_START: f64 = 1.1;

const REMEDY: &str = "repeat each setting three times or more (experiment.repetitions), interleaved, \
                      before a difference of this size is claimed";

/// Looks at the groups of a run together.
pub(super) fn check_groups(groups: &[Group]) -> Option<Finding> {
    let known: Vec<_> = groups
        .iter()
        .filter_map(|group| Some((group, group.saturation.capacity_per_s?)))
        .filter(|(group, _)| group.points.iter().all(|point| point.repetition == 0))
        .collect();
    if known.len() < 2 {
        return None;
    }
    // The two whose difference is most in doubt: apart by their intervals, and the least by size.
    let pairs =
        known.iter().enumerate().flat_map(|(n, a)| known[n + 1..].iter().map(move |b| (a, b)));
    let apart = pairs
        .filter(|((_, a), (_, b))| a.low > b.high || b.low > a.high)
        .map(|(a, b)| if a.1.value < b.1.value { (a, b) } else { (b, a) })
        .min_by(|x, y| (x.1.1.value / x.0.1.value).total_cmp(&(y.1.1.value / y.0.1.value)));
    let Some((low, high)) = apart else {
        return Some(finding(
            FindingCode::SingleRun,
            Severity::Note,
            format!("{} settings stand side by side, each measured once", known.len()),
            &[("settings", known.len() as f64), ("repetitions", 1.0)],
            REMEDY,
        ));
    };
    let ratio = high.1.value / low.1.value;
    let severity = if ratio < BEYOND_A_START { Severity::Warning } else { Severity::Note };
    Some(finding(
        FindingCode::SingleRun,
        severity,
        format!(
            "{} settings stand side by side, each measured once; the nearest two that differ are {} \
             ({:.2} req/s) and {} ({:.2} req/s)",
            known.len(),
            low.0.label(),
            low.1.value,
            high.0.label(),
            high.1.value
        ),
        &[("settings", known.len() as f64), ("repetitions", 1.0), ("ratio", ratio)],
        REMEDY,
    ))
}

/// Looks at a comparison.
pub(super) fn check_comparison(
    comparison: &Comparison,
    baseline: Compared<'_>,
    candidate: Compared<'_>,
) -> Option<Finding> {
    comparison.is_single_run().then(|| {
        finding(
            FindingCode::SingleRun,
            Severity::Warning,
            format!(
                "{} is {:.3} times {} in one repetition of each: nothing says how much another start \
                 would differ",
                candidate.label, comparison.ratio, baseline.label
            ),
            &[("repetitions", comparison.repetitions as f64), ("ratio", comparison.ratio)],
            REMEDY,
        )
    })
}

/// Looks at the points that a scaling law is made of.
pub(super) fn check_scaling(points: &[ScalePoint], repetitions: usize) -> Option<Finding> {
    (points.len() > 1 && repetitions < 2).then(|| {
        finding(
            FindingCode::SingleRun,
            Severity::Note,
            format!("{} sizes were measured once each", points.len()),
            &[("settings", points.len() as f64), ("repetitions", repetitions as f64)],
            REMEDY,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::group;
    use super::*;
    use crate::{Comparing, Estimate, compare};

    const SIDES: [Compared<'_>; 2] =
        [Compared { label: "a", lower_bound: false }, Compared { label: "b", lower_bound: false }];

    fn around(value: f64) -> Estimate {
        Estimate { value, low: value * 0.99, high: value * 1.01 }
    }

    #[test]
    fn a_small_difference_from_one_run_each_is_a_warning_and_a_large_one_a_note() {
        let groups = |b: f64| [group("1", 0, around(50.0)), group("2", 0, around(b))];
        let found = check_groups(&groups(53.0)).unwrap();
        assert_eq!((found.severity, found.numbers["ratio"]), (Severity::Warning, 1.06));
        assert_eq!(check_groups(&groups(90.0)).unwrap().severity, Severity::Note);
        // Intervals that overlap show no difference, and still nobody knows.
        let found = check_groups(&groups(50.2)).unwrap();
        assert_eq!(found.severity, Severity::Note);
        assert!(!found.numbers.contains_key("ratio"));
    }

    #[test]
    fn the_pair_that_is_most_in_doubt_decides() {
        let groups = [
            group("1", 0, around(50.0)),
            group("2", 0, around(100.0)),
            group("4", 0, around(105.0)),
        ];
        let found = check_groups(&groups).unwrap();
        assert_eq!((found.severity, found.numbers["ratio"]), (Severity::Warning, 1.05));
        assert!(
            found.message.contains("n=2 (100.00") && found.message.contains("n=4"),
            "{found:?}"
        );
    }

    #[test]
    fn repetitions_and_a_single_group_pass() {
        assert_eq!(check_groups(&[group("1", 0, around(50.0))]), None);
        assert_eq!(check_groups(&[group("1", 2, around(50.0)), group("2", 2, around(53.0))]), None);
        assert_eq!(check_groups(&[]), None);
    }

    #[test]
    fn a_comparison_is_held_against_its_repetitions() {
        let once = compare(&[around(50.0)], &[around(53.0)], Comparing::default()).unwrap();
        let found = check_comparison(&once, SIDES[0], SIDES[1]).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.message.starts_with("b is 1.060 times a"), "{}", found.message);
        let figures = [around(50.0), around(51.0), around(49.0)];
        let thrice = compare(&figures, &figures, Comparing::default()).unwrap();
        assert_eq!(check_comparison(&thrice, SIDES[0], SIDES[1]), None);
    }

    #[test]
    fn scaling_is_held_against_its_repetitions() {
        let point = |n| ScalePoint { n, capacity: around(10.0 * n), lower_bound: false };
        let points = [point(1.0), point(2.0)];
        assert_eq!(check_scaling(&points, 1).unwrap().severity, Severity::Note);
        assert_eq!(check_scaling(&points, 3), None);
        assert_eq!(check_scaling(&points[..1], 1), None);
    }
}
