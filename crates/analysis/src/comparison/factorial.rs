//! Every combination of several factors: what each does by itself, and what two do to each other.

use serde::{Deserialize, Serialize};
use statrs::distribution::ContinuousCDF;

use super::log_ratio::{LogMean, student};
use super::{ALPHA, ComparisonError, holm, positive};
use crate::Estimate;

/// A setting that is varied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Its name, as in the matrix.
    pub name: String,
    /// Its levels, 2 or more, in the order of the matrix.
    pub levels: Vec<String>,
}

/// The figure of one combination of levels in one repetition.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorialRun {
    /// The index of each factor's level.
    pub levels: Vec<usize>,
    /// The repetition: one pass through all combinations, counted from 0.
    pub repetition: usize,
    /// The figure, in any unit, above 0.
    pub figure: f64,
}

/// One level of a factor against the levels before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contrast {
    /// The factor.
    pub factor: String,
    /// The level.
    pub level: String,
    /// The levels that it is held against, all those before it.
    pub against: Vec<String>,
}

/// What one contrast does to the figure, or what one contrast does to another's effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// One contrast for a main effect, two for an interaction.
    pub contrasts: Vec<Contrast>,
    /// Main effect: the geometric mean of the figure at the level / that at the levels before it,
    /// over all other factors. Interaction: that ratio at the second contrast's level / the same
    /// ratio at the levels before it; 1 where the two factors do not meddle.
    pub ratio: f64,
    /// The same with its 95 % interval; `None` with a single repetition.
    pub interval: Option<Estimate>,
    /// The two-sided p value of a ratio of 1, by Holm's method among all effects of the design.
    pub p_value: Option<f64>,
    /// Whether the effect may be claimed.
    pub claimed: bool,
}

/// How much a factor matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactorRank {
    /// The factor.
    pub factor: String,
    /// The level with the highest figure, geometric mean over all other factors.
    pub highest: String,
    /// The level with the lowest.
    pub lowest: String,
    /// The figure at the highest / at the lowest: 1 or more.
    pub ratio: f64,
    /// The same with an interval that holds for all pairs of the factor's levels at once with 95 %
    /// (Bonferroni), because the pair was picked by its figures; `None` with one repetition.
    pub interval: Option<Estimate>,
    /// The factor's share of all variation between combinations, 0 to 1.
    pub share: f64,
}

/// What a full factorial says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactorialEffects {
    /// Main effects, factor by factor.
    pub main: Vec<Effect>,
    /// Two-way interactions, pair by pair.
    pub interactions: Vec<Effect>,
    /// The factors, the one with the greatest effect first.
    pub ranking: Vec<FactorRank>,
    /// Repetitions of each combination.
    pub repetitions: usize,
}

/// Main effects, two-way interactions and the ranking of factors of a full factorial.
///
/// On logarithms, with C combinations in R repetitions, each a randomised block: the mean of each
/// combination, and s^2 = sum (y_cr - y_c - y_r + y)^2 / ((C - 1) (R - 1)), so that what a whole
/// repetition has in common is no noise. An effect is sum w_c y_c with orthogonal weights (a level
/// against the mean of those before it; products of two for interactions), its standard error s
/// sqrt(sum w_c^2 / R), its t has (C - 1) (R - 1) degrees of freedom. Source: Montgomery, *Design
/// and Analysis of Experiments*, 8th ed., chapters 4 and 5. One repetition gives ratios without
/// intervals, and nothing is claimed.
///
/// # Errors
/// A combination without exactly one figure in each repetition, a level that does not exist, a
/// factor with fewer than two levels, a figure that is not above 0.
pub fn factorial_effects(
    factors: &[Factor],
    runs: &[FactorialRun],
) -> Result<FactorialEffects, ComparisonError> {
    let table = Table::of(factors, runs)?;
    let all: Vec<(Vec<Contrast>, Vec<f64>)> = table.main_contrasts(factors);
    let mut pairs = Vec::new();
    for (i, (first, one)) in all.iter().enumerate() {
        for (second, other) in &all[i + 1..] {
            if first[0].factor != second[0].factor {
                // Both are differences of two means over C cells: the product's scale is undone.
                let cells = table.means.len() as f64;
                let weights = one.iter().zip(other).map(|(a, b)| a * b * cells).collect();
                pairs.push((vec![first[0].clone(), second[0].clone()], weights));
            }
        }
    }
    let mains = all.len();
    let effects: Vec<(Vec<Contrast>, LogMean)> = all
        .into_iter()
        .chain(pairs)
        .map(|(contrasts, weights)| (contrasts, table.effect(&weights)))
        .collect();
    let repeated = table.repetitions > 1;
    let p_values = holm(&effects.iter().map(|(_, mean)| mean.p_different()).collect::<Vec<_>>());
    let mut main: Vec<Effect> = effects
        .into_iter()
        .zip(p_values)
        .map(|((contrasts, mean), p_value)| Effect {
            contrasts,
            ratio: mean.mean.exp(),
            interval: repeated.then(|| mean.ratio(ALPHA)),
            p_value: repeated.then_some(p_value),
            claimed: repeated && p_value <= ALPHA,
        })
        .collect();
    let interactions = main.split_off(mains);
    let mut ranking: Vec<FactorRank> =
        factors.iter().enumerate().map(|(index, factor)| table.rank(index, factor)).collect();
    ranking.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    Ok(FactorialEffects { main, interactions, ranking, repetitions: table.repetitions })
}

/// The combinations' means of logarithms.
struct Table {
    /// The levels of each combination.
    cells: Vec<Vec<usize>>,
    means: Vec<f64>,
    repetitions: usize,
    /// The variance of one figure's logarithm, 0 with one repetition.
    variance: f64,
}

impl Table {
    fn of(factors: &[Factor], runs: &[FactorialRun]) -> Result<Self, ComparisonError> {
        let sizes: Vec<usize> = factors.iter().map(|factor| factor.levels.len()).collect();
        let repetitions = runs.iter().map(|run| run.repetition + 1).max().unwrap_or(1);
        let unknown = |levels: &[usize]| ComparisonError::UnknownLevel {
            levels: levels.to_vec(),
            allowed: sizes.clone(),
        };
        if factors.is_empty() || sizes.iter().any(|&size| size < 2) {
            return Err(unknown(&[]));
        }
        let count: usize = sizes.iter().product();
        // A gap in the numbers of repetitions is reported before it can ask for memory.
        if repetitions > runs.len().max(1) {
            let levels = vec![0; sizes.len()];
            return Err(ComparisonError::NotFactorial { levels, repetition: 0, times: 0 });
        }
        let mut figures = vec![vec![Vec::new(); repetitions]; count.min(runs.len() + 1)];
        for run in runs {
            positive(run.figure)?;
            let fits = run.levels.len() == sizes.len()
                && run.levels.iter().zip(&sizes).all(|(level, size)| level < size);
            if !fits {
                return Err(unknown(&run.levels));
            }
            let index =
                run.levels.iter().zip(&sizes).fold(0, |at, (level, size)| at * size + level);
            if let Some(cell) = figures.get_mut(index) {
                cell[run.repetition].push(run.figure.ln());
            }
        }
        let cells: Vec<Vec<usize>> = (0..figures.len())
            .map(|mut index| {
                let mut levels = vec![0; sizes.len()];
                for (level, size) in levels.iter_mut().zip(&sizes).rev() {
                    (*level, index) = (index % size, index / size);
                }
                levels
            })
            .collect();
        let mut logs = Vec::with_capacity(figures.len());
        for (levels, cell) in cells.iter().zip(&figures) {
            for (repetition, found) in cell.iter().enumerate() {
                if found.len() != 1 {
                    let (levels, times) = (levels.clone(), found.len());
                    return Err(ComparisonError::NotFactorial { levels, repetition, times });
                }
            }
            logs.push(cell.iter().flatten().copied().collect::<Vec<f64>>());
        }
        let rows: Vec<f64> = logs.iter().map(|row| mean(row.iter().copied())).collect();
        let passes: Vec<f64> =
            (0..repetitions).map(|pass| mean(logs.iter().map(|row| row[pass]))).collect();
        let whole = mean(rows.iter().copied());
        let squares: f64 = logs
            .iter()
            .zip(&rows)
            .flat_map(|(row, m)| row.iter().zip(&passes).map(move |(y, p)| y - m - p + whole))
            .map(|rest| rest * rest)
            .sum();
        let degrees = ((rows.len() - 1) * (repetitions - 1)).max(1) as f64;
        Ok(Self { cells, means: rows, repetitions, variance: squares / degrees })
    }

    /// Each level against the mean of those before it, for all factors: weights that add up to 0,
    /// are orthogonal, and give a difference of two means.
    fn main_contrasts(&self, factors: &[Factor]) -> Vec<(Vec<Contrast>, Vec<f64>)> {
        let mut contrasts = Vec::new();
        for (index, factor) in factors.iter().enumerate() {
            let share = factor.levels.len() as f64 / self.cells.len() as f64;
            for level in 1..factor.levels.len() {
                let weight = |cell: &Vec<usize>| match cell[index].cmp(&level) {
                    std::cmp::Ordering::Less => -share / level as f64,
                    std::cmp::Ordering::Equal => share,
                    std::cmp::Ordering::Greater => 0.0,
                };
                let contrast = Contrast {
                    factor: factor.name.clone(),
                    level: factor.levels[level].clone(),
                    against: factor.levels[..level].to_vec(),
                };
                contrasts.push((vec![contrast], self.cells.iter().map(weight).collect()));
            }
        }
        contrasts
    }

    /// The weighted sum of the combinations' means with its error.
    fn effect(&self, weights: &[f64]) -> LogMean {
        let sum = weights.iter().zip(&self.means).map(|(w, y)| w * y).sum();
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        LogMean {
            mean: sum,
            error: (self.variance * squares / self.repetitions as f64).sqrt(),
            degrees: self.degrees(),
        }
    }

    fn degrees(&self) -> f64 {
        ((self.cells.len() - 1) * (self.repetitions - 1)).max(1) as f64
    }

    fn rank(&self, index: usize, factor: &Factor) -> FactorRank {
        let levels = factor.levels.len();
        let level = |level: usize| {
            mean(
                self.cells
                    .iter()
                    .zip(&self.means)
                    .filter(|(cell, _)| cell[index] == level)
                    .map(|(_, y)| *y),
            )
        };
        let means: Vec<f64> = (0..levels).map(level).collect();
        let whole = mean(self.means.iter().copied());
        let (mut highest, mut lowest) = (0, 0);
        for level in 1..levels {
            if means[level] > means[highest] {
                highest = level;
            }
            if means[level] < means[lowest] {
                lowest = level;
            }
        }
        let log = means[highest] - means[lowest];
        let a_level = (self.cells.len() / levels * self.repetitions) as f64;
        let pairs = (levels * (levels - 1) / 2) as f64;
        let t = student(self.degrees()).inverse_cdf(1.0 - ALPHA / pairs / 2.0);
        let half = t * (2.0 * self.variance / a_level).sqrt();
        let squares = |values: &[f64]| mean(values.iter().map(|y| (y - whole).powi(2)));
        let between = squares(&self.means);
        FactorRank {
            factor: factor.name.clone(),
            highest: factor.levels[highest].clone(),
            lowest: factor.levels[lowest].clone(),
            ratio: log.exp(),
            interval: (self.repetitions > 1).then(|| Estimate {
                value: log.exp(),
                low: (log - half).exp(),
                high: (log + half).exp(),
            }),
            share: if between > 0.0 { squares(&means) / between } else { 0.0 },
        }
    }
}

/// The arithmetic mean of one value or more.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

#[cfg(test)]
mod tests;
