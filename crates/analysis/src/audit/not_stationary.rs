//! `not-stationary`: a point taken as stable still drifts inside its window.
//!
//! **What.** A point taken as stable still drifts inside its window. **Warning.**
//! **Why.** The backlog of the point before, a server that still warms up, or a slow overload: its
//! latencies are those of a transition.
//! **Evidence.** The line through the number in flight rises or falls by more than 2.5 times the arrivals'
//! noise, with a Newey-West t above 6.
//! **Remedy.** Lengthen warm-up and window; wait between points until the server is idle.

use plimsoll_records::{Finding, FindingCode, Severity};

use crate::in_flight::InFlight;
use crate::stability::Drift;

use super::{Evidence, finding};

/// How far the number in flight must rise or fall over the window, in units of the arrivals' noise.
const LEVEL: f64 = 2.5;

/// The t value that its slope must exceed.
const SLOPE: f64 = 6.0;

/// Looks for a rise or a fall of the number in flight that arrivals' chance does not explain: a
/// backlog of the point before that still drains, a server that still warms up, or a growth that
/// the test of stability was not sure of.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.is_stable() {
        return None;
    }
    let in_flight = InFlight::of(evidence.rows);
    let drift = Drift::of(evidence.point, evidence.window, &in_flight);
    let Drift { rise, noise, slope_t, .. } = drift;
    if rise.abs() <= LEVEL * noise || slope_t.abs() <= SLOPE {
        return None;
    }
    Some(finding(
        FindingCode::NotStationary,
        Severity::Warning,
        format!(
            "the number in flight {} by {:.0} over the window, {:.1} times the noise of the \
             arrivals",
            if rise > 0.0 { "rose" } else { "fell" },
            rise.abs(),
            rise.abs() / noise
        ),
        &[("rise_requests", rise), ("noise_requests", noise), ("slope_t", slope_t)],
        "lengthen the warm-up and the window, and wait between points until the server is idle",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, row};
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
    }

    #[test]
    fn a_steady_point_passes() {
        for seed in 1..=50 {
            assert_eq!(Fixture::with(seed, 40.0, 20.0).find(FindingCode::NotStationary), None);
        }
    }
}
