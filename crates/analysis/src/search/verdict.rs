//! Whether a rate passes, from all probes at it.

use super::{Goal, ProbeResult, probe::same_rate};

/// Whether the probes of one rate say that it passes; `None` when they are in doubt.
///
/// Capacity: a probe that ended for certain overload decides; else the majority, a tie being
/// doubt. SLO: unstable fails; else the requests of all probes are pooled, and the rate passes when
/// Wilson's interval for the share that met the SLO lies at or above the attainment, fails when it
/// lies below, and is in doubt between.
pub(super) fn of<'a>(
    probes: impl Iterator<Item = &'a ProbeResult>,
    goal: Goal,
    z: f64,
) -> Option<bool> {
    let (mut stable, mut unstable, mut certain) = (0, 0, false);
    let (mut good, mut due) = (0, 0);
    for probe in probes {
        certain |= probe.overloaded;
        if probe.stable {
            stable += 1;
        } else {
            unstable += 1;
        }
        let counts = probe.goodput.unwrap_or((0, 0));
        (good, due) = (good + counts.0, due + counts.1);
    }
    if certain || unstable > stable {
        return Some(false);
    }
    match goal {
        Goal::Capacity => (stable > unstable).then_some(true),
        Goal::Slo { attainment } => {
            let (low, high) = wilson(good, due, z)?;
            if low >= attainment {
                (stable > unstable).then_some(true)
            } else {
                (high < attainment).then_some(false)
            }
        }
    }
}

/// The point verdict, where no more can be asked: the share that was seen.
pub(super) fn seen<'a>(probes: impl Iterator<Item = &'a ProbeResult>, goal: Goal) -> bool {
    let (mut stable, mut all, mut good, mut due) = (0, 0, 0, 0);
    for probe in probes {
        all += 1;
        stable += u32::from(probe.stable);
        let counts = probe.goodput.unwrap_or((0, 0));
        (good, due) = (good + counts.0, due + counts.1);
    }
    let kept_up = 2 * stable >= all;
    match goal {
        Goal::Capacity => kept_up,
        Goal::Slo { attainment } => kept_up && good as f64 >= attainment * due as f64 && due > 0,
    }
}

/// The probes at a rate that count: a window of less than half the longest one there was asked again
/// because it said too little, and its answer is void.
pub(super) fn at(probes: &[ProbeResult], rate: f64) -> impl Iterator<Item = &ProbeResult> + Clone {
    let same = move |probe: &&ProbeResult| same_rate(probe.rate_per_s, rate);
    let longest = probes.iter().filter(same).map(|probe| probe.window).max().unwrap_or_default();
    probes.iter().filter(same).filter(move |probe| probe.overloaded || probe.window * 2 >= longest)
}

/// The lowest rate that certainly fails, if any: what ends the climb.
pub(super) fn lowest_failing(probes: &[ProbeResult], goal: Goal) -> Option<f64> {
    probes
        .iter()
        .map(|probe| probe.rate_per_s)
        .filter(|&rate| {
            let at = at(probes, rate);
            of(at.clone(), goal, 1.96)
                .map_or_else(|| at.clone().count() >= 4 && !seen(at.clone(), goal), |ok| !ok)
        })
        .min_by(f64::total_cmp)
}

/// Wilson's interval for the share `good / due`; `None` without any.
///
/// With p = good / n: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n). Source:
/// Wilson, JASA 22 (1927), 209-212.
fn wilson(good: u64, due: u64, z: f64) -> Option<(f64, f64)> {
    if due == 0 {
        return None;
    }
    let n = due as f64;
    let p = good as f64 / n;
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let shrink = 1.0 + z * z / n;
    Some(((centre - half) / shrink, (centre + half) / shrink))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn probe(stable: bool, goodput: Option<(u64, u64)>) -> ProbeResult {
        ProbeResult { stable, goodput, ..ProbeResult::nothing(1.0, Duration::from_secs(1)) }
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe, Statistics in Medicine 17 (1998), 857-872, table I: 81 of 263, 15 of 148, 0 of
        // 20, 1 of 29 by method 3.
        for (good, due, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = wilson(good, due, 1.96).expect("there are some");
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{good} of {due}: {l} {h}");
        }
    }

    #[test]
    fn a_tie_is_doubt_and_certain_overload_is_none() {
        let verdict = |probes: &[ProbeResult]| of(probes.iter(), Goal::Capacity, 1.96);
        assert_eq!(verdict(&[probe(true, None)]), Some(true));
        assert_eq!(verdict(&[probe(true, None), probe(false, None)]), None);
        let certain = ProbeResult { overloaded: true, ..probe(false, None) };
        assert_eq!(verdict(&[probe(true, None), certain]), Some(false));
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn attainment_is_decided_by_the_interval_and_not_by_the_share() {
        let goal = Goal::Slo { attainment: 0.9 };
        let verdict = |good, due| of([probe(true, Some((good, due)))].iter(), goal, 1.96);
        assert_eq!(verdict(92, 100), None, "92 % of 100 is no proof of 90 %");
        assert_eq!(verdict(920, 1000), Some(true));
        assert_eq!(verdict(850, 1000), Some(false));
        assert_eq!(of([probe(false, Some((999, 1000)))].iter(), goal, 1.96), Some(false));
        // Two probes' requests count together.
        let two = [probe(true, Some((460, 500))), probe(true, Some((460, 500)))];
        assert_eq!(of(two[..1].iter(), goal, 1.96), None);
        assert_eq!(of(two.iter(), goal, 1.96), Some(true));
    }
}
