//! What passes and what fails, rate by rate.

use super::{Goal, ProbeResult, probe::same_rate, verdict};

/// The answer of one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) rate_per_s: f64,
    /// Whether it passes; `None` while in doubt, and no longer after four probes.
    pub(super) passes: Option<bool>,
}

/// The two rates that the capacity lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bracket {
    /// The highest rate that passes below the lowest that fails.
    pub(super) low: Option<f64>,
    /// The lowest rate that fails.
    pub(super) high: Option<f64>,
}

/// Every rate's answer by what was seen there, without any doubt, by rising rate.
pub(super) fn seen(probes: &[ProbeResult], goal: Goal) -> Vec<Answer> {
    rates(probes)
        .map(|rate_per_s| {
            let passes = Some(verdict::seen(verdict::at(probes, rate_per_s), goal));
            Answer { rate_per_s, passes }
        })
        .collect()
}

/// The rates that were asked, by rising rate.
fn rates(probes: &[ProbeResult]) -> impl Iterator<Item = f64> {
    let mut rates: Vec<f64> = probes.iter().map(|probe| probe.rate_per_s).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup_by(|a, b| same_rate(*a, *b));
    rates.into_iter()
}

/// Every rate's answer, by rising rate.
pub(super) fn answers(probes: &[ProbeResult], goal: Goal, z: f64) -> Vec<Answer> {
    rates(probes)
        .map(|rate_per_s| {
            let at = verdict::at(probes, rate_per_s);
            let decided = verdict::of(at.clone(), goal, z);
            let asked = at.clone().count() >= 4;
            let passes = decided.or_else(|| asked.then(|| verdict::seen(at.clone(), goal)));
            Answer { rate_per_s, passes }
        })
        .collect()
}

/// The bracket with the fewest contradictions: the cut below which the most rates pass and above
/// which the most fail (the lowest such cut).
///
/// A rate that passes above one that fails is an answer that chance gave. With rates r_1 < ... <
/// r_n the cut k minimises the fails among r_1..r_k plus the passes among the others; that is the
/// least-squares monotone fit of yes/no answers.
pub(super) fn of(answers: &[Answer]) -> Bracket {
    let known: Vec<(f64, bool)> =
        answers.iter().filter_map(|answer| Some((answer.rate_per_s, answer.passes?))).collect();
    let wrong = |cut: usize| {
        known[..cut].iter().filter(|(_, passes)| !passes).count()
            + known[cut..].iter().filter(|(_, passes)| *passes).count()
    };
    let cut = (0..=known.len()).min_by_key(|&cut| wrong(cut)).unwrap_or(0);
    Bracket {
        low: cut.checked_sub(1).map(|below| known[below].0),
        high: known.get(cut).map(|(rate, _)| *rate),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bracket(answers: &[(f64, bool)]) -> Bracket {
        let answers: Vec<Answer> = answers
            .iter()
            .map(|&(rate_per_s, passes)| Answer { rate_per_s, passes: Some(passes) })
            .collect();
        of(&answers)
    }

    #[test]
    fn one_wrong_answer_does_not_move_the_bracket() {
        let found = bracket(&[(1.0, true), (2.0, false), (3.0, true), (4.0, true), (5.0, false)]);
        assert_eq!(found, Bracket { low: Some(4.0), high: Some(5.0) });
        assert_eq!(bracket(&[(2.0, false)]), Bracket { low: None, high: Some(2.0) });
        assert_eq!(bracket(&[(2.0, true)]), Bracket { low: Some(2.0), high: None });
        assert_eq!(bracket(&[]), Bracket { low: None, high: None });
    }

    proptest! {
        /// Answers without contradiction are bracketed exactly, whatever the threshold.
        #[test]
        fn a_threshold_is_bracketed(n in 1_usize..12, at in 0_usize..12) {
            let at = at.min(n);
            let answers: Vec<(f64, bool)> = (0..n).map(|i| (1.0 + i as f64, i < at)).collect();
            let found = bracket(&answers);
            prop_assert_eq!(found.low, at.checked_sub(1).map(|i| 1.0 + i as f64));
            prop_assert_eq!(found.high, (at < n).then_some(1.0 + at as f64));
        }
    }
}
