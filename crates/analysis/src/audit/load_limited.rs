//! `load-limited`: a comparison or a scaling between points that were not saturated.
//!
//! **What.** Settings are held against each other, or a speed-up is computed, and of one of them or
//! more only the load that was offered is known to have got through. **Warning.**
//! **Why.** A server that keeps up delivers what it is offered, whatever it is made of: four GPUs at
//! 10 requests a second are as fast as one. A published study fitted Amdahl's law to runs that all had
//! the same 10 req/s, and reported a serial share of 0.98 for a system that had not been loaded.
//! **Evidence.** Which capacities are lower bounds, because the highest load was kept up with. What the
//! ratio is then bounded by: an unsaturated numerator makes it "at least", an unsaturated denominator
//! "at most", both make it nothing.
//! **Remedy.** Higher rates for the settings that the finding names, until each is saturated.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::{Comparison, Group, ScalePoint};

use super::{Compared, finding};

const REMEDY: &str = "offer the settings named here more, until each of them is saturated; until then \
                      its figure is the load's and not the server's";

/// Looks at the groups of a run together.
pub(super) fn check_groups(groups: &[Group]) -> Option<Finding> {
    let known = groups.iter().filter(|group| group.saturation.capacity_per_s.is_some());
    let sides: Vec<(String, bool)> =
        known.map(|group| (group.label(), group.saturation.lower_bound)).collect();
    claim("capacities stand side by side", &sides)
}

/// Looks at a comparison.
pub(super) fn check_comparison(
    comparison: &Comparison,
    baseline: Compared<'_>,
    candidate: Compared<'_>,
) -> Option<Finding> {
    let of = |side: Compared<'_>| (side.label.to_owned(), side.lower_bound);
    let bound = match (baseline.lower_bound, candidate.lower_bound) {
        (true, true) => "says nothing",
        (true, false) => "is an upper bound",
        (false, _) => "is a lower bound",
    };
    let what = format!(
        "the ratio {:.3} of {} to {} {bound}",
        comparison.ratio, candidate.label, baseline.label
    );
    claim(&what, &[of(baseline), of(candidate)])
}

/// Looks at the points that a scaling law is made of.
pub(super) fn check_scaling(points: &[ScalePoint]) -> Option<Finding> {
    let sides: Vec<(String, bool)> =
        points.iter().map(|point| (format!("n = {}", point.n), point.lower_bound)).collect();
    claim("a scaling is computed", &sides)
}

/// The finding about a claim between these sides, if one of them was not saturated.
fn claim(what: &str, sides: &[(String, bool)]) -> Option<Finding> {
    let limited: Vec<&str> =
        sides.iter().filter(|(_, limited)| *limited).map(|(label, _)| label.as_str()).collect();
    if limited.is_empty() || sides.len() < 2 {
        return None;
    }
    let so = if limited.len() == sides.len() {
        "none of them was saturated, so nothing is known of their differences".to_owned()
    } else {
        format!("not saturated, and therefore known from below only: {}", limited.join(", "))
    };
    Some(finding(
        FindingCode::LoadLimited,
        Severity::Warning,
        format!("{what}; {so}"),
        &[("settings", sides.len() as f64), ("not_saturated", limited.len() as f64)],
        REMEDY,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::group;
    use super::*;
    use crate::{Comparing, Estimate, compare};

    fn around(value: f64) -> Estimate {
        Estimate { value, low: value * 0.99, high: value * 1.01 }
    }

    fn limited(value: &str, capacity: f64) -> Group {
        let mut group = group(value, 0, around(capacity));
        group.saturation.lower_bound = true;
        group
    }

    #[test]
    fn groups_that_were_not_saturated_are_named() {
        let found = check_groups(&[group("1", 0, around(10.0)), limited("4", 30.0)]).unwrap();
        assert_eq!((found.severity, found.numbers["not_saturated"]), (Severity::Warning, 1.0));
        assert!(found.message.ends_with("from below only: n=4"), "{}", found.message);
        // The study's own case: every setting at the same 10 req/s.
        let found = check_groups(&[limited("1", 10.0), limited("4", 10.0)]).unwrap();
        assert!(found.message.contains("none of them was saturated"), "{}", found.message);
    }

    #[test]
    fn saturated_groups_and_one_alone_pass() {
        assert_eq!(check_groups(&[group("1", 0, around(10.0)), group("4", 0, around(30.0))]), None);
        assert_eq!(check_groups(&[limited("1", 10.0)]), None);
        let mut nothing = limited("4", 10.0);
        nothing.saturation.capacity_per_s = None;
        assert_eq!(check_groups(&[group("1", 0, around(10.0)), nothing]), None);
    }

    #[test]
    fn a_comparison_says_which_way_its_ratio_is_bounded() {
        let figures = [around(50.0), around(51.0)];
        let comparison = compare(&figures, &figures, Comparing::default()).unwrap();
        let side = |label, lower_bound| Compared { label, lower_bound };
        let found = |a, b| check_comparison(&comparison, side("a", a), side("b", b));
        assert_eq!(found(false, false), None);
        for (a, b, words) in [
            (false, true, "the ratio 1.000 of b to a is a lower bound; not saturated"),
            (true, false, "the ratio 1.000 of b to a is an upper bound; not saturated"),
            (true, true, "the ratio 1.000 of b to a says nothing; none of them"),
        ] {
            let message = found(a, b).unwrap().message;
            assert!(message.starts_with(words), "{message}");
        }
    }

    #[test]
    fn scaling_names_the_sizes() {
        let point = |n, lower_bound| ScalePoint { n, capacity: around(10.0), lower_bound };
        assert_eq!(check_scaling(&[point(1.0, false), point(4.0, false)]), None);
        let message = check_scaling(&[point(1.0, false), point(4.0, true)]).unwrap().message;
        assert!(message.contains("n = 4"), "{message}");
        assert_eq!(check_scaling(&[point(4.0, true)]), None);
    }
}
