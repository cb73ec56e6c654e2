//! `same-arrivals`: points share one arrival sequence.
//!
//! **What.** Repetitions of one load have the same arrivals: **warning**; **note** where they replay a
//! trace, whose instants are chosen. Points at different loads replay one sequence at different speeds:
//! **note**.
//! **Why.** Chance is in the arrivals. Repetitions with one seed repeat the same bursts, so their
//! spread shows the server's own noise alone, and an interval made of it is too narrow; a ladder of
//! which every rung has the same bursts at the same place is smoother than it is sure. A published
//! study replayed one seed in all of its runs, and took their agreement for precision.
//! **Evidence.** The gaps between the first arrivals of two points (the same number of each, 30 to 511,
//! warm-up included, by when they were due): Spearman's rank correlation of 0.9 or more. Between
//! independent sequences it is 0 with a standard deviation of 1/sqrt(gaps - 1), so 0.9 is 4.8 of them
//! at 30 gaps; ranks, because a few long gaps alone would decide Pearson's. Points with fewer arrivals
//! are held together by their recorded seeds. Arrivals at equal gaps have no chance to share; closed
//! loops have no arrivals.
//! **Remedy.** Another seed for every point, as `saturation` itself does; of a trace, another part.

use std::time::Duration;

use plimsoll_records::{Finding, FindingCode, OfferedLoad, Severity};

use crate::{Group, PointSummary};

use super::finding;

/// Fewest gaps that are compared.
const GAPS: usize = 30;

/// Rank correlation from which two rows of gaps are one.
const ONE: f64 = 0.9;

/// Looks for repetitions of one load with the same arrivals.
pub(super) fn check_repetitions(group: &Group) -> Option<Finding> {
    shared(group, true)
}

/// Looks for points at different loads with the same arrivals at different speeds.
pub(super) fn check_loads(group: &Group) -> Option<Finding> {
    shared(group, false)
}

/// The finding that points of the group share their arrivals: repetitions of one load, or others.
fn shared(group: &Group, repetitions: bool) -> Option<Finding> {
    let mut pairs = pairs(group);
    pairs.retain(|pair| pair.is_repetition() == repetitions);
    let least = pairs.iter().min_by(|a, b| a.correlation.total_cmp(&b.correlation))?;
    let [a, b] = least.points;
    let which = format!("{} and {}: {}", a.id, b.id, least.in_words());
    let label = group.label();
    let of_group = if label.is_empty() { String::new() } else { format!(" ({label})") };
    let (severity, message) = match (repetitions, least.is_of_trace()) {
        (true, false) => (
            Severity::Warning,
            format!(
                "repetitions{of_group} share one arrival sequence ({which}): their spread is no \
                 measure of noise"
            ),
        ),
        (true, true) => (
            Severity::Note,
            format!(
                "repetitions{of_group} replay the same part of a trace ({which}): their spread is the \
                 server's alone"
            ),
        ),
        (false, _) => (
            Severity::Note,
            format!(
                "points at different rates{of_group} replay one arrival sequence ({which}): the ladder \
                 is smoother than it is sure"
            ),
        ),
    };
    Some(finding(
        FindingCode::SameArrivals,
        severity,
        message,
        &[
            ("pairs", pairs.len() as f64),
            ("rank_correlation", least.correlation),
            ("gaps", least.gaps as f64),
        ],
        "give every point arrivals of its own: a seed for each repetition, another part of a trace",
    ))
}

/// Two points with one arrival sequence.
struct Pair<'a> {
    points: [&'a PointSummary; 2],
    /// Of their gaps; 1 where their seeds say it.
    correlation: f64,
    /// Gaps compared; 0 where their seeds say it.
    gaps: usize,
}

impl Pair<'_> {
    fn is_repetition(&self) -> bool {
        let [a, b] = self.points;
        a.load.rate_per_s() == b.load.rate_per_s()
    }

    /// Whether they replay recorded instants, which are chosen and no chance.
    fn is_of_trace(&self) -> bool {
        let of = |point: &PointSummary| match &point.load {
            OfferedLoad::Open { arrivals, .. } => arrivals.starts_with("trace"),
            OfferedLoad::Closed { .. } => false,
        };
        self.points.iter().all(|point| of(point))
    }

    fn in_words(&self) -> String {
        if self.gaps == 0 {
            "one seed".to_owned()
        } else {
            format!("rank correlation of {} gaps {:.3}", self.gaps, self.correlation)
        }
    }
}

/// Every two open-loop points of the group with one arrival sequence.
fn pairs(group: &Group) -> Vec<Pair<'_>> {
    let mut found = Vec::new();
    for (index, a) in group.points.iter().enumerate() {
        for b in &group.points[index + 1..] {
            let (OfferedLoad::Open { .. }, OfferedLoad::Open { .. }) = (&a.load, &b.load) else {
                continue;
            };
            let points = [a, b];
            let count = a.first_arrivals.len().min(b.first_arrivals.len());
            if count > GAPS {
                let correlation = rank_correlation(
                    &gaps(&a.first_arrivals[..count]),
                    &gaps(&b.first_arrivals[..count]),
                );
                if let Some(correlation) = correlation.filter(|r| *r >= ONE) {
                    found.push(Pair { points, correlation, gaps: count - 1 });
                }
            } else if one_seed(&a.load, &b.load) {
                found.push(Pair { points, correlation: 1.0, gaps: 0 });
            }
        }
    }
    found
}

/// Whether the seeds say that the arrivals are one sequence. A seed of 0 stands for none that is known.
fn one_seed(a: &OfferedLoad, b: &OfferedLoad) -> bool {
    let of = |load: &OfferedLoad| match load {
        OfferedLoad::Open { arrivals, gap_cv, seed, .. } if *seed != 0 && *gap_cv != Some(0.0) => {
            Some((arrivals.clone(), *seed))
        }
        _ => None,
    };
    of(a).is_some() && of(a) == of(b)
}

fn gaps(arrivals: &[Duration]) -> Vec<f64> {
    arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

/// Spearman's rank correlation: Pearson's of the ranks, of equal values the mean rank. `None` where
/// one side is all of one rank.
fn rank_correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    // Ranks are 1 to n on either side, so the means are equal and known.
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let (aa, bb) = (product(&a, &a), product(&b, &b));
    (aa > 0.0 && bb > 0.0).then(|| product(&a, &b) / (aa * bb).sqrt())
}

/// The rank of each value from 1 on; of values within 1 ns of each other, the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let first = values[order[from]];
        let equal = order[from..].iter().take_while(|&&at| values[at] - first <= 1.5e-9).count();
        let rank = from as f64 + (equal as f64 + 1.0) / 2.0;
        for &at in &order[from..from + equal] {
            ranks[at] = rank;
        }
        from += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::{Fixture, MS};
    use crate::{AuditedPoint, Slo, judge};
    use plimsoll_units::RunNanos;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, Gamma};

    /// What is found in one group of these points.
    fn found(points: &[Fixture]) -> Vec<Finding> {
        let audited = points.iter().enumerate().map(|(n, fixture)| {
            let mut point = fixture.point.clone();
            point.id = format!("p{n}");
            AuditedPoint::of(&point, &fixture.rows, &Slo::default())
        });
        let all = judge(audited.collect()).findings;
        all.into_iter().filter(|finding| finding.code == FindingCode::SameArrivals).collect()
    }

    fn repetition(seed: u64, repetition: u32) -> Fixture {
        let mut fixture = Fixture::with(seed, 20.0, 20.0);
        fixture.point.repetition = repetition;
        fixture
    }

    #[test]
    fn repetitions_with_one_sequence_are_found_once_for_the_group() {
        let found = found(&[repetition(5, 0), repetition(5, 1), repetition(5, 2)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].severity, &found[0].point), (Severity::Warning, &None));
        assert_eq!((found[0].numbers["pairs"], found[0].numbers["rank_correlation"]), (3.0, 1.0));
    }

    #[test]
    fn a_client_that_sends_a_little_late_hides_nothing() {
        let mut second = repetition(5, 1);
        for (n, row) in second.rows.iter_mut().enumerate() {
            // 0 to 2 ms, in no order, where gaps are 50 ms on average.
            let late = (n as u64 * 7919 % 21) * MS / 10;
            row.intended = RunNanos::from_nanos(row.intended.as_nanos() + late);
        }
        assert_eq!(found(&[repetition(5, 0), second]).len(), 1);
    }

    #[test]
    fn one_sequence_at_different_speeds_is_a_note() {
        let slow = repetition(5, 0);
        let mut fast = slow.clone();
        for row in &mut fast.rows {
            row.intended = RunNanos::from_nanos(row.intended.as_nanos() / 2);
        }
        if let OfferedLoad::Open { rate_per_s, .. } = &mut fast.point.load {
            *rate_per_s = 40.0;
        }
        let found = found(&[slow, fast]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Note);
        assert!(found[0].message.contains("different rates"), "{}", found[0].message);
    }

    #[test]
    fn a_trace_that_is_replayed_again_is_a_note() {
        let mut points = [repetition(5, 0), repetition(5, 1)];
        for point in &mut points {
            if let OfferedLoad::Open { arrivals, gap_cv, .. } = &mut point.point.load {
                (*arrivals, *gap_cv) = ("trace".to_owned(), None);
            }
        }
        let found = found(&points);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert!(found[0].message.contains("the server's alone"), "{}", found[0].message);
    }

    #[test]
    fn repetitions_with_arrivals_of_their_own_pass() {
        let points: Vec<Fixture> = (0..8).map(|n| repetition(100 + u64::from(n), n)).collect();
        assert_eq!(found(&points), []);
    }

    #[test]
    fn few_arrivals_are_known_by_their_seeds() {
        let mut short = [repetition(5, 0), repetition(5, 1)];
        short.iter_mut().for_each(|point| point.rows.truncate(GAPS));
        let seeds = found(&short);
        assert_eq!((seeds.len(), seeds[0].numbers["gaps"]), (1, 0.0));
        for point in &mut short {
            if let OfferedLoad::Open { seed, .. } = &mut point.point.load {
                *seed = 0;
            }
        }
        assert_eq!(found(&short), [], "0 is a seed that nobody knows");
    }

    #[test]
    fn equal_gaps_and_closed_loops_share_no_chance() {
        let even = |n| {
            let mut fixture = repetition(5, n);
            for (n, row) in fixture.rows.iter_mut().enumerate() {
                row.intended = RunNanos::from_nanos(50 * MS * n as u64);
            }
            if let OfferedLoad::Open { gap_cv, .. } = &mut fixture.point.load {
                *gap_cv = Some(0.0);
            }
            fixture
        };
        assert_eq!(found(&[even(0), even(1)]), []);
        let closed = |n| {
            let mut fixture = repetition(5, n);
            fixture.point.load = OfferedLoad::Closed { concurrency: 4 };
            fixture
        };
        assert_eq!(found(&[closed(0), closed(1)]), []);
    }

    /// The fewest gaps that are compared, of a Poisson process and of one whose few long gaps hold nearly
    /// all of the time: 20,000 pairs, and none near to one.
    #[test]
    fn independent_sequences_are_never_one() {
        const SEED: u64 = 20_261_130;
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        // A gamma process of mean 1 and coefficient of variation cv has the shape 1 / cv^2.
        for cv in [1.0, 5.0] {
            let gap = Gamma::new(1.0 / (cv * cv), cv * cv).unwrap();
            let mut highest = f64::MIN;
            for _ in 0..10_000 {
                let [a, b] = [(); 2]
                    .map(|()| -> Vec<f64> { (0..GAPS).map(|_| gap.sample(&mut rng)).collect() });
                highest = highest.max(rank_correlation(&a, &b).unwrap_or(0.0));
            }
            assert!(highest < ONE, "seed {SEED}, cv {cv}: {highest}");
        }
    }

    #[test]
    fn ranks_agree_with_a_table() {
        // Values 10, 30, 20, 20 have the ranks 1, 4, 2.5, 2.5.
        assert_eq!(ranks(&[10.0, 30.0, 20.0, 20.0]), [1.0, 4.0, 2.5, 2.5]);
        // Without ties: 1 - 6 sum d^2 / (n (n^2 - 1)), here d = 2, 0, 2, 1, 1 and n = 5.
        let r = rank_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 2.0, 1.0, 5.0, 4.0]).unwrap();
        assert!((r - (1.0 - 6.0 * 10.0 / 120.0)).abs() < 1e-12, "{r}");
        assert_eq!(rank_correlation(&[1.0, 2.0], &[7.0, 7.0]), None);
    }
}
