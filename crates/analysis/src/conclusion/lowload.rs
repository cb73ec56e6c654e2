//! What users wait for at a low load, by prompt profile and setting.

use crate::conclusion::{Case, CaseState, Waited};
use crate::{Factor, FactorialEffects, FactorialRun, Group, factorial_effects};

/// The factor that the loads are levels of, where there are several.
const LOAD: &str = "load";

/// A latency of a case, with its name.
type Latency = (&'static str, fn(&Case) -> &Waited);

/// The latencies that factors are held to move.
const LATENCIES: [Latency; 3] =
    [("TTFT", |case| &case.ttft), ("TPOT", |case| &case.tpot), ("E2E", |case| &case.e2e)];

/// What users wait for at a low load.
///
/// Nothing in it speaks of the server's capacity: what is served at a load that a server keeps up with is
/// the load's, so that neither a speed-up nor a serial share can be read off it.
#[derive(Clone, Debug, PartialEq)]
pub struct LowLoad {
    /// Each load on each group.
    pub cases: Vec<Case>,
    /// What each factor does to the mean of a latency: TTFT, TPOT and E2E, as far as they are known.
    pub effects: Vec<(&'static str, FactorialEffects)>,
    /// Why there are no effects, where there are none.
    pub no_effects: Option<String>,
}

impl LowLoad {
    /// What the groups of a run say.
    pub(crate) fn of(groups: &[Group]) -> Self {
        let cases = Case::all(groups);
        let (effects, no_effects) = match Design::of(&cases) {
            Ok(design) => {
                let known = LATENCIES
                    .into_iter()
                    .filter_map(|(name, of)| Some((name, design.effects(&cases, of)?)));
                (known.collect(), None)
            }
            Err(why) => (Vec::new(), Some(why)),
        };
        Self { cases, effects, no_effects }
    }
}

/// The full factorial that the cases are.
struct Design {
    factors: Vec<Factor>,
    /// The levels of each case.
    levels: Vec<Vec<usize>>,
    /// The repetitions that every case has.
    repetitions: Vec<u32>,
}

impl Design {
    /// The design of these cases, or why they are none.
    fn of(cases: &[Case]) -> Result<Self, String> {
        if cases.is_empty() {
            return Err("no point was measured".to_owned());
        }
        if let Some(case) = cases.iter().find(|case| case.state != CaseState::Known) {
            return Err(format!(
                "the combination {} has no latencies to be held against the others",
                label(case)
            ));
        }
        let mut names: Vec<&String> = cases.iter().flat_map(|case| case.factors.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let mut factors: Vec<Factor> =
            names.into_iter().map(|name| Factor { name: name.clone(), levels: vec![] }).collect();
        factors.push(Factor { name: LOAD.to_owned(), levels: vec![] });
        let mut levels: Vec<Vec<usize>> = Vec::new();
        for case in cases {
            let own = factors.iter_mut().map(|factor| {
                let value = case.factors.get(&factor.name).cloned().unwrap_or_default();
                let value = if factor.name == LOAD { load(case) } else { value };
                let known = factor.levels.iter().position(|level| *level == value);
                known.unwrap_or_else(|| {
                    factor.levels.push(value);
                    factor.levels.len() - 1
                })
            });
            levels.push(own.collect());
        }
        // What has one level is no factor.
        let varied: Vec<usize> =
            (0..factors.len()).filter(|&place| factors[place].levels.len() > 1).collect();
        let factors: Vec<Factor> = varied.iter().map(|&place| factors[place].clone()).collect();
        if factors.is_empty() {
            return Err("nothing was varied".to_owned());
        }
        let levels: Vec<Vec<usize>> =
            levels.iter().map(|own| varied.iter().map(|&place| own[place]).collect()).collect();
        let combinations: usize = factors.iter().map(|factor| factor.levels.len()).product();
        if combinations != cases.len() {
            return Err(format!(
                "{} of {combinations} combinations of the levels were measured, and effects need all",
                cases.len()
            ));
        }
        let has = |case: &Case, repetition: u32| {
            case.e2e.by_repetition.iter().any(|(number, _)| *number == repetition)
        };
        let repetitions: Vec<u32> = cases[0]
            .e2e
            .by_repetition
            .iter()
            .map(|(number, _)| *number)
            .filter(|number| cases.iter().all(|case| has(case, *number)))
            .collect();
        if repetitions.is_empty() {
            return Err("no repetition has a figure of every combination".to_owned());
        }
        Ok(Self { factors, levels, repetitions })
    }

    /// The effects on the mean of a latency; `None` where it is not known of every case.
    fn effects(&self, cases: &[Case], of: fn(&Case) -> &Waited) -> Option<FactorialEffects> {
        let mut runs = Vec::new();
        for (case, levels) in cases.iter().zip(&self.levels) {
            for (repetition, number) in self.repetitions.iter().enumerate() {
                let by_repetition = &of(case).by_repetition;
                let (_, mean) = by_repetition.iter().find(|(known, _)| known == number)?;
                runs.push(FactorialRun { levels: levels.clone(), repetition, figure: mean.value });
            }
        }
        factorial_effects(&self.factors, &runs).ok()
    }
}

/// The load of a case as a level.
fn load(case: &Case) -> String {
    match (case.concurrency(), case.load.rate_per_s()) {
        (Some(concurrency), _) => format!("{concurrency} in flight"),
        (None, rate) => format!("{} req/s", rate.unwrap_or_default()),
    }
}

/// A case by its factors and its load.
fn label(case: &Case) -> String {
    let mut words: Vec<String> =
        case.factors.iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.push(load(case));
    words.join(" ")
}

#[cfg(test)]
mod tests;
