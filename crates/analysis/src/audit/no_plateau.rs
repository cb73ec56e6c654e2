//! `no-plateau`: the ladder ended before saturation, or hardly beyond it.
//!
//! **What.** The ladder ended before saturation, so the capacity is a lower bound; or its highest unstable
//! rate is within 5 % of the plateau. **Warning**, about the ladder as a whole.
//! **Why.** Without overload the highest rate offered is mistaken for the server's limit.
//! **Evidence.** The stable and unstable rates of the ladder.
//! **Remedy.** The finding names the rates to add.

use plimsoll_records::{Finding, FindingCode, OfferedLoad, Severity};

use crate::diagnosis::{rates_beyond, round_up};
use crate::{Estimate, Goal, Group, Stopped};

use super::finding;

const MORE_TIME: &str =
    "give the search more time (load.search.time), or begin nearer (load.search.from)";
const MORE_REQUESTS: &str =
    "give the search more requests (load.search.requests), or begin nearer (load.search.from)";
const MEND: &str = "mend what the errors name; a client on a machine of its own is late less often";

/// How far above the plateau the highest unstable rate must lie for the plateau to be one.
const ABOVE: f64 = 1.05;

/// Looks at what the group's ladder found: a capacity that is a lower bound, or a plateau that
/// rests on a rate within 5 % of it, which a weak test may have called unstable by chance. Of a
/// search only the former: what it takes for a plateau it has confirmed, or says that it has not.
pub(super) fn check(group: &Group) -> Option<Finding> {
    let saturation = &group.saturation;
    let capacity = saturation.capacity_per_s?;
    let label = group.label();
    let of_group = if label.is_empty() { String::new() } else { format!(" ({label})") };
    if !group.searches.is_empty() {
        return unbounded(group, capacity, &of_group);
    }
    let closed = group.points.iter().all(|point| matches!(point.load, OfferedLoad::Closed { .. }));
    if saturation.lower_bound {
        let remedy = if closed {
            let most = group.points.iter().filter_map(concurrency).max().unwrap_or(1);
            format!("add concurrencies {} and {}", most * 2, most * 4)
        } else {
            // Rates above the highest one that was kept up with.
            let [first, second, third] = rates_beyond(capacity.value);
            format!("add rates {first}, {second} and {third} per second")
        };
        return Some(finding(
            FindingCode::NoPlateau,
            Severity::Warning,
            format!(
                "the ladder{of_group} ended before the server was saturated: it sustains at \
                 least {:.2} req/s",
                capacity.value
            ),
            &[("highest_stable_per_s", capacity.value)],
            &remedy,
        ));
    }
    let plateau = saturation.plateau_per_s?;
    let highest = group
        .points
        .iter()
        .filter(|point| !saturation.voided.contains(&point.id) && !point.stability.stable)
        .filter_map(|point| point.load.rate_per_s())
        .fold(0.0, f64::max);
    if closed || highest >= ABOVE * plateau.value {
        return None;
    }
    Some(finding(
        FindingCode::NoPlateau,
        Severity::Warning,
        format!(
            "the plateau{of_group} rests on {highest:.2} req/s offered, hardly more than the \
             {:.2} got through",
            plateau.value
        ),
        &[("highest_unstable_per_s", highest), ("plateau_per_s", plateau.value)],
        &format!("add a rate of {} per second", round_up(plateau.value * 1.3)),
    ))
}

/// A search that ended before the server was saturated.
fn unbounded(group: &Group, capacity: Estimate, of_group: &str) -> Option<Finding> {
    let search = group.searches.iter().find(|it| it.config.goal == Goal::Capacity)?;
    if !group.saturation.lower_bound {
        return None;
    }
    let to = search.config.to;
    let (why, remedy) = match search.found.stopped {
        Stopped::RangeEnd => (
            format!("its range ends at {to} req/s"),
            format!("search further: load.search.to = {}", round_up(3.0 * to)),
        ),
        Stopped::Time => ("its time was spent".to_owned(), MORE_TIME.to_owned()),
        Stopped::Requests => ("its requests were spent".to_owned(), MORE_REQUESTS.to_owned()),
        Stopped::Void => ("the audit voided its probes".to_owned(), MEND.to_owned()),
        _ => ("it was cut off".to_owned(), "run it to its end".to_owned()),
    };
    Some(finding(
        FindingCode::NoPlateau,
        Severity::Warning,
        format!(
            "the search{of_group} ended before the server was saturated, for {why}: it sustains at \
             least {:.2} req/s",
            capacity.value
        ),
        &[("highest_stable_per_s", capacity.value), ("to_per_s", to)],
        &remedy,
    ))
}

/// The concurrency of a closed loop's point.
fn concurrency(point: &crate::PointSummary) -> Option<u32> {
    match point.load {
        OfferedLoad::Closed { concurrency } => Some(concurrency),
        OfferedLoad::Open { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::{Fixture, MS, delay, probe_record};
    use crate::{AuditedPoint, Slo, judge};

    /// What is found for a ladder of rates, of which those from `overloaded_from` on build a queue.
    fn ladder(rates: &[f64], overloaded_from: f64) -> Option<Finding> {
        let points = rates.iter().map(|&rate| {
            let mut fixture = Fixture::with(3, rate, 20.0);
            if rate >= overloaded_from {
                for row in &mut fixture.rows {
                    delay(row, (300.0 * row.intended.as_secs_f64()) as u64 * MS);
                }
            }
            AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default())
        });
        judge(points.collect()).findings.into_iter().find(|f| f.code == FindingCode::NoPlateau)
    }

    #[test]
    fn a_ladder_without_saturation_is_found_with_the_next_rates() {
        let found = ladder(&[20.0, 40.0, 60.0], f64::MAX).unwrap();
        assert_eq!((found.severity, found.point), (Severity::Warning, None));
        assert!(
            found.remedy.starts_with("add rates 7") || found.remedy.starts_with("add rates 8"),
            "{}",
            found.remedy
        );
    }

    #[test]
    fn a_ladder_that_saturates_passes() {
        assert_eq!(ladder(&[20.0, 40.0, 60.0], 60.0), None);
    }

    /// What is found of a search whose probes at these rates met a server that keeps up below
    /// `overloaded_from`.
    fn search(rates: &[f64], overloaded_from: f64) -> Option<Finding> {
        let points = rates.iter().zip(0..).map(|(&rate, number)| {
            let mut fixture = Fixture::with(3, rate, 20.0);
            fixture.point.probe = Some(probe_record(number));
            if rate >= overloaded_from {
                for row in &mut fixture.rows {
                    delay(row, (300.0 * row.intended.as_secs_f64()) as u64 * MS);
                }
            }
            AuditedPoint::of(&fixture.point, &fixture.rows, &Slo::default())
        });
        judge(points.collect()).findings.into_iter().find(|f| f.code == FindingCode::NoPlateau)
    }

    #[test]
    fn a_search_that_met_no_saturation_says_why_and_another_passes() {
        let cut = search(&[20.0, 60.0], f64::MAX).unwrap();
        assert!(
            cut.message.contains("it was cut off") && cut.message.contains("least 59.80"),
            "{cut:?}"
        );
        let whole = search(&[20.0, 60.0, 180.0, 540.0, 1000.0], f64::MAX).unwrap();
        assert!(whole.message.contains("its range ends at 1000"), "{whole:?}");
        assert_eq!(whole.remedy, "search further: load.search.to = 3000");
        // The unstable rate lies within 5 % of what it got through: of a search that is no matter.
        assert_eq!(search(&[20.0, 40.0, 60.0], 60.0), None);
    }

    #[test]
    fn rates_are_rounded_up_to_two_digits() {
        for (rate, rounded) in
            [(17.3, 18.0), (171.0, 180.0), (0.0312, 0.032), (9.99, 10.0), (40.0, 40.0)]
        {
            assert_eq!(round_up(rate), rounded);
        }
    }
}
