//! `clock-step`: the system's clocks were set, or steered hard, while the point ran.
//!
//! **What.** The system's wall clock was set while the point ran, or the clocks were steered hard. Steps:
//! **note** when they are small (a mean size of at most max(1 ms, 1 % of the median TTFT)) or the stamps
//! are not the kernel's; else **warning**, and **error** when stamps were wrong for over 1 % of the point's
//! time. Slew: **note** beyond 200 parts per million, **warning** beyond 500.
//! **Why.** The run's clock is monotonic, so a step is in no duration between two readings of it. But the
//! kernel stamps what it receives with the wall clock, and what it stamped between a step and the next time
//! that the two clocks were compared (0.1 s at most) is off by the step. One step of half a second spoils a
//! tenth of a second: some latencies, no percentile. Only where steps come so often that a hundredth of the
//! time is spoiled can p99 be made of them, and the point is void. Steering moves both clocks alike and
//! bends every duration and every rate by its share: 500 parts per million are 0.05 %, which no result here
//! resolves; but that is all that the kernel's own steering does, so more of it means that somebody catches
//! up with something. Crystals are off by up to about 100 parts per million by themselves.
//! **Evidence.** The number and the sizes of the steps, the share of the time in which stamps were wrong;
//! the rate of the monotonic clock against the raw one.
//! **Remedy.** Let the time daemon steer, not set, the clock while measuring, and wait until it has caught
//! up.

// Durations are differences on a monotonic clock, so no step is in them where the client stamps
// with that clock. The kernel stamps with the wall clock, and what it stamped between a step and
// the moment that it was noticed is off by the step.

use plimsoll_records::{Finding, FindingCode, Severity, StampSource};

use super::{Evidence, finding};

/// How long a step goes unnoticed, s (`plimsoll_units::Wall::RENEWED_EVERY`).
const UNNOTICED_S: f64 = 0.1;

/// The size of a step that is always allowed, ms, and as a share of the median TTFT.
const ALLOWED_MS: f64 = 1.0;
const ALLOWED_SHARE: f64 = 0.01;

/// The share of the point's time with wrong stamps that voids it: then p99 may be made of them.
const VOIDS_SHARE: f64 = 0.01;

/// The rate of the monotonic clock against the raw one that is worth a note, and a warning, parts
/// per million. Crystals are off by up to about 100, and a clock that is kept right makes up for it;
/// beyond 500 no daemon steers one by the kernel's own means.
const STEERED_PPM: f64 = 200.0;
const WARPED_PPM: f64 = 500.0;

/// Weighs steps by their size and by the time that stamps were wrong; steering by its rate.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let clock = &evidence.point.clock;
    if clock.steps > 0 { steps(evidence) } else { slew(clock.slew_ppm?) }
}

fn steps(evidence: &Evidence<'_>) -> Option<Finding> {
    let clock = &evidence.point.clock;
    let phases = &evidence.point.phases;
    let seconds = (phases.end_ns - phases.start_ns).as_secs_f64();
    let steps = f64::from(clock.steps);
    let mean_ms = clock.stepped_ms.abs() / steps;
    let share = (steps * UNNOTICED_S / seconds.max(UNNOTICED_S)).min(1.0);
    let kernel = evidence.point.stamps.source != StampSource::User;
    let allowed = ALLOWED_MS.max(ALLOWED_SHARE * evidence.median_ttft_ms().unwrap_or(0.0));
    let severity = match kernel && mean_ms > allowed {
        true if share > VOIDS_SHARE => Severity::Error,
        true => Severity::Warning,
        false => Severity::Note,
    };
    let harm = if kernel {
        format!(
            "what the kernel stamped in up to {:.2} % of the time is off by that",
            100.0 * share
        )
    } else {
        "no stamp of this point comes from it".to_owned()
    };
    Some(finding(
        FindingCode::ClockStep,
        severity,
        format!(
            "the wall clock was set {} time{} while the point ran, by {:.1} ms in all: {harm}",
            clock.steps,
            if clock.steps == 1 { "" } else { "s" },
            clock.stepped_ms
        ),
        &[
            ("steps", steps),
            ("stepped_ms", clock.stepped_ms),
            ("wrong_share", if kernel { share } else { 0.0 }),
            ("slew_ppm", clock.slew_ppm.unwrap_or(f64::NAN)),
        ],
        "let the clock be steered, not set, while measuring (chrony without makestep; no ntpdate, \
         no suspended virtual machine)",
    ))
}

fn slew(ppm: f64) -> Option<Finding> {
    if ppm.abs() <= STEERED_PPM {
        return None;
    }
    Some(finding(
        FindingCode::ClockStep,
        if ppm.abs() > WARPED_PPM { Severity::Warning } else { Severity::Note },
        format!(
            "the monotonic clock ran at {ppm:+.0} parts per million of the hardware's: all durations \
             and rates of the point are bent by {:.2} %, unless it is the hardware's that is wrong",
            ppm.abs() / 1e4
        ),
        &[("slew_ppm", ppm)],
        "wait until the time daemon has caught up (chronyc tracking), then repeat the point",
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_records::ClockRecord;

    use super::super::fixture::Fixture;
    use super::*;

    /// A clean point of 24 s, median TTFT 53 ms, with this clock.
    fn found(source: StampSource, clock: ClockRecord) -> Option<Severity> {
        let mut fixture = Fixture::clean();
        fixture.point.stamps.source = source;
        fixture.rows.iter_mut().for_each(|row| row.stamp_source = source);
        fixture.point.clock = clock;
        fixture.find(FindingCode::ClockStep).map(|finding| finding.severity)
    }

    fn stepped(steps: u32, stepped_ms: f64) -> ClockRecord {
        ClockRecord { steps, stepped_ms, slew_ppm: Some(12.0) }
    }

    #[test]
    fn a_step_harms_stamps_of_the_kernel_by_size_and_number() {
        assert_eq!(found(StampSource::Socket, stepped(0, 0.0)), None);
        assert_eq!(found(StampSource::Socket, stepped(1, 0.4)), Some(Severity::Note));
        assert_eq!(found(StampSource::Socket, stepped(1, 300.0)), Some(Severity::Warning));
        assert_eq!(found(StampSource::Packet, stepped(20, 300.0)), Some(Severity::Error));
        assert_eq!(found(StampSource::User, stepped(20, 300.0)), Some(Severity::Note));
    }

    #[test]
    fn steering_bends_durations_whatever_the_stamps() {
        let slew = |ppm| {
            found(StampSource::User, ClockRecord { slew_ppm: Some(ppm), ..ClockRecord::default() })
        };
        assert_eq!((slew(-150.0), slew(250.0)), (None, Some(Severity::Note)));
        assert_eq!(slew(-800.0), Some(Severity::Warning));
        assert_eq!(found(StampSource::User, ClockRecord::default()), None);
    }
}
