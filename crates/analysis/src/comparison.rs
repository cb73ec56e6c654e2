//! Two or more settings held against each other: what differs, by how much, and what may be said.
//!
//! In order of use: [`interleaving()`] lays out the turns; each turn leaves one figure a setting
//! and repetition (a capacity, a throughput, a quantile from [`latency_quantile`]), as an
//! [`Estimate`] in any unit; [`compare`] judges a candidate against a baseline, [`compare_all`] and
//! [`compare_pairs`] several candidates at once, [`factorial_effects`] every combination of several factors.
//! [`quantile_ratio()`] shows the ratio of two latency quantiles of pooled requests. Everything is
//! computed on logarithms, so that a ratio and its inverse are judged alike.

mod block_length;
mod factorial;
mod holm;
mod interleaving;
mod log_ratio;
mod power;
mod quantile_ratio;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Estimate;
use log_ratio::LogMean;
use power::{Aim, Spread};

pub use factorial::{
    Contrast, Effect, Factor, FactorRank, FactorialEffects, FactorialRun, factorial_effects,
};
pub use holm::holm;
pub use interleaving::{Turn, interleaving};
pub use quantile_ratio::{
    LatencySeries, QuantileRatio, TimedLatency, latency_quantile, quantile_ratio,
};

/// The chance of a wrong claim that is allowed to a comparison.
pub(crate) const ALPHA: f64 = 0.05;

/// Which way a figure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Throughput, capacity, goodput.
    Higher,
    /// Latency, energy, cost.
    Lower,
}

/// How a comparison is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparing {
    /// Which way the figure gets better.
    pub better: Better,
    /// The difference that does not matter, as a share: 0.05 calls 1 / 1.05 to 1.05 equivalent.
    /// Above 0, at most 1.
    pub margin: f64,
    /// The chance of a decision that recommended repetitions are to have; above 0.05, below 1.
    pub power: f64,
    /// How often this comparison is judged while its repetitions grow, 1 or more: each look may
    /// claim at 5 % / looks, so that all of them together are wrong in 5 % at most.
    pub looks: u32,
}

impl Default for Comparing {
    /// Higher is better; 5 %, because smaller differences are rarely worth a setting; 95 %; once.
    fn default() -> Self {
        Self { better: Better::Higher, margin: 0.05, power: 0.95, looks: 1 }
    }
}

/// What a candidate is against its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComparisonVerdict {
    /// Certainly better, and not known to be equivalent.
    Better,
    /// Certainly worse, and not known to be equivalent.
    Worse,
    /// The difference, if there is one, is certainly within the margin.
    Equivalent,
    /// Neither is certain.
    Undecided {
        /// Repetitions of each setting, all told, that would probably decide it: an even number.
        /// `None` where nothing is known of the spread, or where over 10,000 would be needed.
        repetitions_that_would_decide: Option<usize>,
    },
}

/// A candidate held against its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Repetitions of each setting.
    pub repetitions: usize,
    /// The candidate's figure / the baseline's: geometric mean over the repetitions.
    pub ratio: f64,
    /// The same with its 95 % interval; `None` with a single repetition.
    pub interval: Option<Estimate>,
    /// The two-sided p value of "no difference", adjusted for its fellows and looks; `None` with a
    /// single repetition.
    pub p_different: Option<f64>,
    /// The p value of "a difference of the margin or more", adjusted likewise.
    pub p_equivalent: Option<f64>,
    /// What may be said.
    pub verdict: ComparisonVerdict,
}

impl Comparison {
    /// Whether a difference claimed from this would rest on one repetition alone.
    #[must_use]
    pub const fn is_single_run(&self) -> bool {
        self.repetitions < 2
    }
}

/// Why figures cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// One setting has more repetitions than another.
    #[error(
        "the baseline has {baseline} repetitions and the candidate {candidate}: both need the same \
         number, 1 or more; leave out the pass that is not complete"
    )]
    Unpaired {
        /// Repetitions of the baseline.
        baseline: usize,
        /// Repetitions of the candidate.
        candidate: usize,
    },
    /// A figure that has no logarithm.
    #[error("a figure of {value} has no ratio: figures must be finite and above 0")]
    NotPositive {
        /// The figure.
        value: f64,
    },
    /// A parameter outside its range.
    #[error("{name} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Which parameter.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// A combination of levels that was not run, or not as often as the others.
    #[error(
        "repetition {repetition} of levels {levels:?} was measured {times} times: each combination \
         of levels needs exactly one figure in every repetition"
    )]
    NotFactorial {
        /// The index of each factor's level.
        levels: Vec<usize>,
        /// The repetition.
        repetition: usize,
        /// How many figures there are.
        times: usize,
    },
    /// A run whose levels are none of the factors'.
    #[error("a run with levels {levels:?} does not fit the factors' numbers of levels {allowed:?}")]
    UnknownLevel {
        /// The run's levels.
        levels: Vec<usize>,
        /// The factors' numbers of levels; each must be 2 or more.
        allowed: Vec<usize>,
    },
    /// A request due outside of its window.
    #[error("a request was due {at_s} s into a window of {length_s} s: leave out what is outside")]
    OutsideWindow {
        /// When, s.
        at_s: f64,
        /// The window's length, s.
        length_s: f64,
    },
}

/// The verdict on `candidate` against `baseline`, whose i-th figures are of the same repetition.
///
/// ratio = exp(mean of ln(candidate_i / baseline_i)); interval and tests by Student's t with n - 1
/// degrees of freedom over the n repetitions, with the own intervals of the figures as a lower
/// bound on the uncertainty (docs/method.md#comparison). Equivalent when both one-sided tests hold
/// at 5 % / looks, else better or worse when the two-sided test does, else undecided. Unit: none.
/// One repetition has a ratio and neither interval nor claim.
///
/// # Errors
/// Figures that are not paired or not above 0, and settings outside their ranges.
pub fn compare(
    baseline: &[Estimate],
    candidate: &[Estimate],
    comparing: Comparing,
) -> Result<Comparison, ComparisonError> {
    Ok(compare_all(baseline, &[candidate], comparing)?.remove(0))
}

/// The same for several candidates against one baseline, in their order: the p values of a kind
/// are adjusted by Holm's method, so that among all claims of a difference one is wrong in at most
/// 5 %, and among all claims of equivalence likewise. The intervals are those of each by itself.
///
/// # Errors
/// As [`compare`].
pub fn compare_all<C: AsRef<[Estimate]>>(
    baseline: &[Estimate],
    candidates: &[C],
    comparing: Comparing,
) -> Result<Vec<Comparison>, ComparisonError> {
    let pair = |candidate: &C| (baseline.to_vec(), candidate.as_ref().to_vec());
    compare_pairs(&candidates.iter().map(pair).collect::<Vec<_>>(), comparing)
}

/// The same where not every candidate has a figure in every repetition: each stands beside the baseline's
/// figures of its own repetitions.
///
/// # Errors
/// As [`compare`].
pub fn compare_pairs(
    pairs: &[(Vec<Estimate>, Vec<Estimate>)],
    comparing: Comparing,
) -> Result<Vec<Comparison>, ComparisonError> {
    check(comparing)?;
    for (baseline, candidate) in pairs {
        if baseline.is_empty() || baseline.len() != candidate.len() {
            let (baseline, candidate) = (baseline.len(), candidate.len());
            return Err(ComparisonError::Unpaired { baseline, candidate });
        }
        for figure in baseline.iter().chain(candidate) {
            positive(figure.value)?;
        }
    }
    let looks = f64::from(comparing.looks);
    let margin = comparing.margin.ln_1p();
    let means: Vec<Option<LogMean>> = pairs.iter().map(|(a, b)| LogMean::of_pairs(a, b)).collect();
    let different = adjusted(&means, looks, LogMean::p_different);
    let equivalent = adjusted(&means, looks, |mean| mean.p_equivalent(margin));
    let aim = Aim { margin, power: comparing.power, alpha: ALPHA / looks / means.len() as f64 };
    let judged = pairs.iter().zip(&means).zip(different.into_iter().zip(equivalent));
    Ok(judged
        .map(|(((baseline, candidate), mean), (p_different, p_equivalent))| {
            let claimed = |p: Option<f64>| p.is_some_and(|p| p <= ALPHA);
            let up = mean.is_some_and(|mean| mean.mean > 0.0);
            let verdict = if claimed(p_equivalent) {
                ComparisonVerdict::Equivalent
            } else if !claimed(p_different) {
                ComparisonVerdict::Undecided {
                    repetitions_that_would_decide: would_decide(baseline, candidate, *mean, aim),
                }
            } else if up == (comparing.better == Better::Higher) {
                ComparisonVerdict::Better
            } else {
                ComparisonVerdict::Worse
            };
            let logs: f64 =
                baseline.iter().zip(candidate).map(|(a, b)| (b.value / a.value).ln()).sum();
            Comparison {
                repetitions: baseline.len(),
                ratio: (logs / baseline.len() as f64).exp(),
                interval: mean.map(|mean| mean.ratio(ALPHA)),
                p_different,
                p_equivalent,
                verdict,
            }
        })
        .collect())
}

/// The p values of all that have one, by Holm's method among each other and times the number of looks.
fn adjusted(
    means: &[Option<LogMean>],
    looks: f64,
    p: impl Fn(&LogMean) -> f64,
) -> Vec<Option<f64>> {
    let raw: Vec<f64> = means.iter().flatten().map(p).collect();
    let mut adjusted = holm(&raw).into_iter().map(|p| (p * looks).min(1.0));
    means.iter().map(|mean| mean.and_then(|_| adjusted.next())).collect()
}

/// The repetitions that decide where the truth is nothing or the margin; where there are as many
/// already, the truth is probably between, and it is those that decide where it is as observed.
fn would_decide(
    baseline: &[Estimate],
    candidate: &[Estimate],
    mean: Option<LogMean>,
    aim: Aim,
) -> Option<usize> {
    let Some(mean) = mean else {
        let deviation = log_ratio::own_variance(baseline, candidate).sqrt();
        let known = deviation > 0.0 && deviation.is_finite();
        return known
            .then(|| power::repetitions(aim, Spread { deviation, degrees: None }))
            .flatten()
            .map(|n| n.max(4));
    };
    let spread = Spread { deviation: mean.deviation(), degrees: Some(mean.degrees) };
    let planned = power::repetitions(aim, spread)?;
    if planned > baseline.len() {
        return Some(planned);
    }
    let more = (baseline.len() / 2 + 1) * 2;
    power::repetitions_at(aim, spread, mean.mean).map(|n| n.max(more))
}

/// Refuses settings outside their ranges.
fn check(comparing: Comparing) -> Result<(), ComparisonError> {
    let refuse = |name, value, allowed| Err(ComparisonError::OutOfRange { name, value, allowed });
    if !(comparing.margin > 0.0 && comparing.margin <= 1.0) {
        return refuse("the margin", comparing.margin, "above 0 and at most 1 (0.05 is 5 %)");
    }
    if !(comparing.power > ALPHA && comparing.power < 1.0) {
        return refuse("the power", comparing.power, "above 0.05 and below 1");
    }
    if comparing.looks == 0 {
        return refuse("the number of looks", 0.0, "1 or more");
    }
    Ok(())
}

/// Refuses what has no logarithm.
fn positive(value: f64) -> Result<(), ComparisonError> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(ComparisonError::NotPositive { value })
    }
}
