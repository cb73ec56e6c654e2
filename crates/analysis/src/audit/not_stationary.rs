//! `not-stationary`: a point taken as stable still drifts inside its window.
//!
//! **What.** A point taken as stable still drifts inside its window. **Warning.**
//! **Why.** The backlog of the point before, a server that still warms up, or a slow overload: its
//! latencies are those of a transition.
//! **Evidence.** The mean number in flight of one tenth of the window lies above that of another by more than 2.5
//! times the arrivals' noise. `settled_after_s`: since the point's start, from when on that number was steady
//! (MSER-5, docs/method.md), if it ever was.
//! **Remedy.** Lengthen warm-up and window; wait between points until the server is idle.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::WarmUpCut;
use crate::in_flight::InFlight;
use crate::stability::{Drift, gap_cv};

use super::{Evidence, finding};

/// Looks for a number in flight that moved more than arrivals' chance explains: a backlog of another
/// client or of the point before that drains, a server that still warms up, or a growth that the test
/// of stability was not sure of.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.is_stable() {
        return None;
    }
    let (point, window) = (evidence.point, evidence.window);
    let drift = Drift::of(window, &InFlight::of(evidence.rows), gap_cv(&point.load));
    if drift.is_stationary() {
        return None;
    }
    // How long the warm-up should have been, if the point settled at all.
    let cut = WarmUpCut::of(evidence.rows, point.phases.start_ns, window.end);
    let settled_after_s = cut.by_mser5.map_or(f64::NAN, |cut| cut.as_secs_f64());
    let Drift { noise, rise, tenths: (low, high), .. } = drift;
    Some(finding(
        FindingCode::NotStationary,
        Severity::Warning,
        format!(
            "the number in flight was {low:.0} on average in one tenth of the window and {high:.0} in \
             another, {:.1} times the noise of the arrivals apart",
            drift.moved() / noise
        ),
        &[
            ("least_requests", low),
            ("most_requests", high),
            ("rise_requests", rise),
            ("noise_requests", noise),
            ("settled_after_s", settled_after_s),
        ],
        "lengthen the warm-up and the window, and wait between points until the server is idle",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay, row};
    use super::*;
    use plimsoll_units::RunNanos;

    #[test]
    fn a_backlog_that_drains_is_found() {
        // The point before left 300 requests that end one after another over the window.
        let mut fixture = Fixture::clean();
        for k in 0..300 {
            let end = 3000 + 60 * k;
            fixture.rows.push(row(
                10_000 + k,
                RunNanos::from_nanos(1900 * MS),
                (end - 1900) * MS,
                0,
                10,
            ));
        }
        let found = fixture.find(FindingCode::NotStationary).unwrap();
        assert!(found.numbers["rise_requests"] < -100.0, "{found:?}");
        // It drains to the window's end: nothing is known of when it would have settled.
        assert!(!found.numbers.contains_key("settled_after_s"), "{found:?}");
    }

    #[test]
    fn it_says_from_when_on_the_point_was_steady() {
        // Whatever is due before 6 s takes 4 s longer: the number in flight falls until 10 s.
        let mut fixture = Fixture::with(3, 40.0, 20.0);
        for row in &mut fixture.rows {
            if row.intended.as_secs_f64() < 6.0 {
                delay(row, 4000 * MS);
            }
        }
        let found = fixture.find(FindingCode::NotStationary).unwrap();
        let settled = found.numbers["settled_after_s"];
        assert!((9.0..=11.0).contains(&settled), "{found:?}");
    }

    #[test]
    fn a_steady_point_passes() {
        for seed in 1..=50 {
            assert_eq!(Fixture::with(seed, 40.0, 20.0).find(FindingCode::NotStationary), None);
        }
    }
}
