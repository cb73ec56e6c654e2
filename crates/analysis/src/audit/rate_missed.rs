//! `rate-missed`: the arrivals were not those that the point claims to have offered.
//!
//! **What.** The arrivals were not those that the point claims to have offered. **Error.**
//! **Why.** A client that sleeps after each send, stalls, or shares one random seed among its workers
//! offers another load than it prints; every figure is then filed under the wrong rate.
//! **Evidence.** Requests sent inside the window against the schedule's (over 1 % and over 3 requests off);
//! against the offered rate (over 1 %, and beyond 6 standard deviations of a random count); counts in equal
//! parts of the window by chi-square on their index of dispersion; gaps by Kolmogorov-Smirnov against their
//! own distribution; beside them the p99 of the worst worker thread's wake-ups. The two tests fire at a
//! level of 1 in 10^9 and only when the departure is material (dispersion off by a factor of 1.3, distance
//! above 0.05).
//! **Remedy.** Give the client more cores or workers, or offer less.

use plimsoll_records::{Finding, FindingCode, OfferedLoad, Severity};
use plimsoll_units::RunNanos;
use statrs::distribution::{ChiSquared, ContinuousCDF, Exp, Gamma};

use super::{Evidence, finding};

/// How far the achieved rate may be off the offered one.
const OFF: f64 = 0.01;

/// How many standard deviations of a random count it may be off all the same.
const NOISE: f64 = 6.0;

/// The level of each test of the process: one clean point in a thousand million fails it. An error
/// voids the point, and a seed whose arrivals merely look unlikely is still an honest draw; faults
/// of real clients lie far beyond this level.
const LEVEL: f64 = 1e-9;

/// Stephens' modified Kolmogorov-Smirnov statistic at that level: 2 exp(-2 x^2) = 1e-9. Source:
/// Stephens, Journal of the Royal Statistical Society B 32 (1970), 115-122.
const KS_CRITICAL: f64 = 3.2727;

/// How far the gaps' distribution must be off, whatever the test says: with many arrivals a test
/// sees microseconds of lag that no server does.
const KS_MATERIAL: f64 = 0.05;

/// The same for the ratio of the index of dispersion to its expectation.
const DISPERSION_MATERIAL: f64 = 1.3;

/// Fewest arrivals that a test of their process needs.
const FEWEST: usize = 50;

const REMEDY: &str = "give the client more cores or worker threads, or offer less; a point whose \
                      arrivals were not the ones it claims says nothing about its rate";

/// Compares what was sent inside the window with what was offered: in number with the schedule and
/// with the nominal rate (6 standard deviations of a random count are allowed), and in kind with
/// the arrival process (index of dispersion of counts against chi-square, gaps against their own
/// distribution by Kolmogorov-Smirnov, each at a level of 1 in 10^9 and only when the departure
/// is material).
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let OfferedLoad::Open { rate_per_s: offered, gap_cv, .. } = evidence.point.load else {
        return None;
    };
    let seconds = evidence.window.length().as_secs_f64();
    let due = evidence.due().count();
    let mut sent: Vec<RunNanos> = evidence
        .rows
        .iter()
        .filter_map(|row| row.sent)
        .filter(|&sent| evidence.window.contains(sent))
        .collect();
    sent.sort_unstable();
    let expected = offered * seconds;
    if expected < 1.0 {
        return None;
    }
    let achieved = sent.len() as f64 / seconds;
    let found = |message: String, extra: [(&str, f64); 2]| {
        let numbers = [
            ("offered_per_s", offered),
            ("achieved_per_s", achieved),
            ("scheduled_per_s", due as f64 / seconds),
            ("wake_up_p99_ms", evidence.wake_up_p99_ms().unwrap_or(f64::NAN)),
            extra[0],
            extra[1],
        ];
        Some(finding(FindingCode::RateMissed, Severity::Error, message, &numbers, REMEDY))
    };

    let off_schedule = sent.len() as f64 - due as f64;
    // Three requests may straddle the ends of a window without anything being wrong.
    if off_schedule.abs() > (OFF * due as f64).max(3.0) {
        return found(
            format!(
                "{} requests left inside the window, the schedule had {due}: {:+.1} %",
                sent.len(),
                100.0 * off_schedule / due.max(1) as f64
            ),
            [("due_requests", due as f64), ("sent_requests", sent.len() as f64)],
        );
    }
    // A trace or a ramp has no nominal rate inside one window, and no process to test.
    let cv = gap_cv?;
    let off = sent.len() as f64 / expected - 1.0;
    if off.abs() > OFF && (sent.len() as f64 - expected).abs() > NOISE * cv * expected.sqrt() + 3.0
    {
        return found(
            format!("achieved {achieved:.2} req/s of {offered:.2} offered: {:+.1} %", 100.0 * off),
            [("off_share", off), ("expected_requests", expected)],
        );
    }
    if sent.len() < FEWEST {
        return None;
    }
    let dispersion = dispersion(&sent, evidence, cv);
    if dispersion.fails {
        return found(
            format!(
                "the counts of arrivals scatter {:.2} times as much as those of their process",
                dispersion.ratio
            ),
            [("dispersion_ratio", dispersion.ratio), ("dispersion_p", dispersion.p)],
        );
    }
    let distance = gap_distance(&sent, cv, offered)?;
    let root = (sent.len() as f64 - 1.0).sqrt();
    let statistic = (root + 0.12 + 0.11 / root) * distance;
    if distance > KS_MATERIAL && statistic > KS_CRITICAL {
        return found(
            format!(
                "the gaps between arrivals are not those of their process: their distribution is \
                 off by {distance:.3}"
            ),
            [("ks_distance", distance), ("ks_statistic", statistic)],
        );
    }
    None
}

/// The index of dispersion of counts against its expectation.
struct Dispersion {
    ratio: f64,
    p: f64,
    fails: bool,
}

/// Counts in k equal parts of the window: (k - 1) * (variance / mean) / cv^2 is chi-square with k -
/// 1 degrees of freedom for a renewal process, as soon as a part holds many gaps (exactly cv = 1:
/// Poisson). Regular arrivals (cv below 0.1) have counts that differ by one at most: there the
/// variance must stay below half the mean.
fn dispersion(sent: &[RunNanos], evidence: &Evidence<'_>, cv: f64) -> Dispersion {
    // A count of a renewal process has its limiting variance after many gaps only.
    let per_part = if (cv - 1.0).abs() < 1e-9 { 5 } else { 25 };
    let parts = (sent.len() / per_part).clamp(2, 200);
    let mut counts = vec![0.0_f64; parts];
    let length = evidence.window.length().as_nanos();
    for &at in sent {
        let into = (at - evidence.window.start).as_nanos();
        counts[(into * parts as u128 / length) as usize] += 1.0;
    }
    let mean = sent.len() as f64 / parts as f64;
    let freedom = parts as f64 - 1.0;
    let index = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / freedom / mean;
    if cv < 0.1 {
        return Dispersion { ratio: index, p: f64::NAN, fails: index > 0.5 };
    }
    let ratio = index / (cv * cv);
    let Ok(chi) = ChiSquared::new(freedom) else {
        return Dispersion { ratio, p: f64::NAN, fails: false };
    };
    let p = 2.0 * chi.cdf(freedom * ratio).min(chi.sf(freedom * ratio));
    let material = !(1.0 / DISPERSION_MATERIAL..=DISPERSION_MATERIAL).contains(&ratio);
    Dispersion { ratio, p, fails: p < LEVEL && material }
}

/// The Kolmogorov-Smirnov distance between the gaps and the distribution that the process gives
/// them at the offered rate: gamma with shape 1 / cv^2, exponential for cv = 1. `None` for regular
/// arrivals, whose gaps have no spread to test.
fn gap_distance(sent: &[RunNanos], cv: f64, rate: f64) -> Option<f64> {
    if cv < 0.1 {
        return None;
    }
    let shape = 1.0 / (cv * cv);
    let gamma = Gamma::new(shape, shape * rate).ok()?;
    let exponential = Exp::new(rate).ok()?;
    let poisson = (cv - 1.0).abs() < 1e-9;
    let cdf = |gap: f64| if poisson { exponential.cdf(gap) } else { gamma.cdf(gap) };
    let mut gaps: Vec<f64> =
        sent.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let distance = gaps
        .iter()
        .enumerate()
        .map(|(i, &gap)| {
            let f = cdf(gap);
            (f - i as f64 / n).max((i as f64 + 1.0) / n - f)
        })
        .fold(0.0, f64::max);
    Some(distance)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    /// Keeps or moves the stamps of sending, as a client that misses its rate does.
    fn resend(fixture: &mut Fixture, sent: impl Fn(usize, RunNanos) -> Option<RunNanos>) {
        for (i, row) in fixture.rows.iter_mut().enumerate() {
            row.sent = sent(i, row.intended);
        }
    }

    #[test]
    fn clean_arrivals_pass_at_any_rate() {
        for seed in 1..=100 {
            let rate = [5.0, 40.0, 90.0][seed as usize % 3];
            let found = Fixture::with(seed, rate, 20.0).find(FindingCode::RateMissed);
            assert_eq!(found, None, "seed {seed}");
        }
    }

    #[test]
    fn a_client_that_sleeps_after_each_send_is_found() {
        // 60 a second asked for, 52 sent: each send comes a little later than the one before.
        let mut fixture = Fixture::with(3, 60.0, 20.0);
        resend(&mut fixture, |_, at| Some(RunNanos::from_secs_f64(at.as_secs_f64() * 60.0 / 52.0)));
        fixture.point.workers[0].wake_up =
            plimsoll_records::LagRecord { count: 9, p99_ms: 2.5, ..Default::default() };
        let found = fixture.find(FindingCode::RateMissed).unwrap();
        assert_eq!((found.severity, found.numbers["wake_up_p99_ms"]), (Severity::Error, 2.5));
        assert!(found.numbers["achieved_per_s"] < 54.0, "{found:?}");
    }

    #[test]
    fn a_schedule_of_another_rate_is_found() {
        let mut fixture = Fixture::with(4, 60.0, 30.0);
        if let OfferedLoad::Open { rate_per_s, .. } = &mut fixture.point.load {
            *rate_per_s = 75.0;
        }
        let found = fixture.find(FindingCode::RateMissed).unwrap();
        assert!(found.message.contains("of 75.00 offered"), "{}", found.message);
    }

    #[test]
    fn clumped_arrivals_are_found_although_their_number_is_right() {
        // Ten processes that share one seed use every gap ten times.
        let mut fixture = Fixture::with(5, 200.0, 20.0);
        let gaps: Vec<u64> = fixture.rows.iter().map(|row| row.intended.as_nanos() * 10).collect();
        for (i, row) in fixture.rows.iter_mut().enumerate() {
            row.intended = RunNanos::from_nanos(gaps[i / 10] + (i % 10) as u64 * 1000);
            row.sent = Some(row.intended);
        }
        let found = fixture.find(FindingCode::RateMissed).unwrap();
        assert!(found.numbers["dispersion_ratio"] > 3.0, "{found:?}");
    }

    #[test]
    fn even_arrivals_are_no_poisson_process_and_the_other_way_round() {
        let mut fixture = Fixture::with(6, 50.0, 20.0);
        for (i, row) in fixture.rows.iter_mut().enumerate() {
            row.intended = RunNanos::from_secs_f64(i as f64 / 50.0);
            row.sent = Some(row.intended);
        }
        assert!(fixture.find(FindingCode::RateMissed).unwrap().message.contains("scatter"));
        let constant = |fixture: &mut Fixture| {
            if let OfferedLoad::Open { gap_cv, .. } = &mut fixture.point.load {
                *gap_cv = Some(0.0);
            }
        };
        constant(&mut fixture);
        assert_eq!(fixture.find(FindingCode::RateMissed), None);
        let mut poisson = Fixture::with(7, 50.0, 20.0);
        constant(&mut poisson);
        assert!(poisson.find(FindingCode::RateMissed).is_some());
    }

    #[test]
    fn sends_on_a_coarse_timer_are_found_by_their_gaps() {
        let mut fixture = Fixture::with(8, 200.0, 20.0);
        // Rounded up to 10 ms: the counts are as they were, the gaps are 0 or 10 ms.
        resend(&mut fixture, |_, at| {
            Some(RunNanos::from_nanos(at.as_nanos().div_ceil(10_000_000) * 10_000_000))
        });
        let found = fixture.find(FindingCode::RateMissed).unwrap();
        assert!(found.numbers.contains_key("ks_distance"), "{found:?}");
    }
}
