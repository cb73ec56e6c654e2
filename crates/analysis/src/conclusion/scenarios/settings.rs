//! What the settings of a server that were varied do to single requests.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_records::Manifest;
use serde_json::Value;

use super::ScenarioCase;
use crate::conclusion::{CaseState, Waited};
use crate::{Better, Comparing, Comparison, ComparisonVerdict, Estimate, Group, compare, holm};

/// A latency of a case, with its name.
type Latency = (&'static str, fn(&ScenarioCase) -> &Waited);

/// The latencies by which settings are held against each other.
const LATENCIES: [Latency; 3] = [
    ("TTFT", |case| &case.case.ttft),
    ("TPOT", |case| &case.case.tpot),
    ("E2E", |case| &case.case.e2e),
];

/// The chance of a wrong claim among all of one conclusion.
const ALPHA: f64 = 0.05;

/// One level of a setting held against the first, everything else being the same.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingEffect {
    /// The setting.
    pub setting: String,
    /// The level that it is held against: the first of the matrix.
    pub baseline: String,
    /// The level.
    pub level: String,
    /// Each case that was measured with both.
    pub cases: Vec<CaseEffect>,
    /// TTFT, TPOT and E2E over all those cases: of each repetition the geometric mean of the cases' means. p
    /// values are adjusted for all such comparisons of the conclusion together (Holm), and the verdicts
    /// with them.
    pub overall: Vec<(&'static str, Comparison)>,
}

/// A case measured with both levels of a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseEffect {
    /// Place of the case with the first level among the conclusion's cases.
    pub baseline: usize,
    /// Place of the one with the other level.
    pub level: usize,
    /// TTFT, TPOT and E2E of this case alone, each judged by itself: level / baseline.
    pub compared: Vec<(&'static str, Comparison)>,
}

impl SettingEffect {
    /// The comparison of one latency over all cases.
    #[must_use]
    pub fn of(&self, latency: &str) -> Option<&Comparison> {
        self.overall.iter().find(|(name, _)| *name == latency).map(|(_, found)| found)
    }
}

/// What a setting is called that is not declared.
pub(super) fn not_set() -> String {
    "not set".to_owned()
}

/// The settings that were declared for the server of a group, and what else of `[server]` is a factor.
pub(super) fn of_server(manifest: &Manifest, group: &Group) -> BTreeMap<String, String> {
    let number = group.points.first().map_or(0, |point| point.server_start.number as usize);
    let target = manifest.targets.get(number).unwrap_or(&manifest.target);
    let declared = target.settings_declared.iter();
    let mut settings: BTreeMap<String, String> =
        declared.map(|(name, value)| (name.clone(), text(value))).collect();
    settings.insert("model".to_owned(), target.model.clone());
    let own = group.factors.iter().filter(|(name, _)| {
        name.strip_prefix("server.").is_some_and(|key| !key.starts_with("settings."))
    });
    settings.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    settings
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The names of the settings that are not the same everywhere.
pub(super) fn varied(servers: &[BTreeMap<String, String>]) -> Vec<String> {
    let names: BTreeSet<&String> = servers.iter().flat_map(BTreeMap::keys).collect();
    let differs = |name: &&String| {
        let mut values = servers.iter().map(|server| server.get(*name));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    names.into_iter().filter(differs).cloned().collect()
}

/// The values of a group's factors that are no settings of its server.
pub(super) fn name_of_case(manifest: &Manifest, group: &Group) -> String {
    let values = group.factors.iter().filter(|(name, _)| !is_of_server(manifest, name));
    values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether a factor is a key of `[server]`, or a bundle of nothing but such keys.
fn is_of_server(manifest: &Manifest, factor: &str) -> bool {
    if factor.contains('.') {
        return factor.starts_with("server.");
    }
    let bundles = manifest.matrix_resolved.get("factors").and_then(|all| all.get(factor));
    let Some(bundles) = bundles.and_then(Value::as_array) else { return false };
    bundles
        .iter()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::keys)
        .all(|key| key == "name" || key == "server" || key.starts_with("server."))
}

/// What every level of every varied setting does.
pub(super) fn effects(varied: &[String], cases: &[ScenarioCase]) -> Vec<SettingEffect> {
    let mut effects = Vec::new();
    for setting in varied {
        let mut levels: Vec<&String> = Vec::new();
        for level in cases.iter().filter_map(|case| case.settings.get(setting)) {
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        let Some((baseline, others)) = levels.split_first() else { continue };
        for level in others {
            let pairs = pairs(setting, baseline, level, cases);
            if pairs.is_empty() {
                continue;
            }
            let compared = |pairs: &[(usize, usize)]| -> Vec<(&'static str, Comparison)> {
                let of = LATENCIES.into_iter();
                of.filter_map(|(name, of)| Some((name, held(cases, pairs, of)?))).collect()
            };
            effects.push(SettingEffect {
                setting: setting.clone(),
                baseline: (*baseline).clone(),
                level: (*level).clone(),
                overall: compared(&pairs),
                cases: pairs
                    .iter()
                    .map(|&(baseline, level)| CaseEffect {
                        baseline,
                        level,
                        compared: compared(&[(baseline, level)]),
                    })
                    .collect(),
            });
        }
    }
    adjust(&mut effects);
    effects
}

/// The places of the cases that differ in nothing but this setting, having these levels of it.
fn pairs(
    setting: &str,
    baseline: &str,
    level: &str,
    cases: &[ScenarioCase],
) -> Vec<(usize, usize)> {
    let has = |case: &ScenarioCase, level: &str| {
        case.case.state == CaseState::Known
            && case.settings.get(setting).is_some_and(|own| own == level)
    };
    let same = |a: &ScenarioCase, b: &ScenarioCase| {
        let others = |case: &ScenarioCase| {
            let mut others = case.settings.clone();
            others.remove(setting);
            others
        };
        a.name == b.name
            && a.case.concurrency() == b.case.concurrency()
            && a.case.load.rate_per_s() == b.case.load.rate_per_s()
            && others(a) == others(b)
    };
    let places = || cases.iter().enumerate();
    places()
        .filter(|(_, case)| has(case, baseline))
        .filter_map(|(place, case)| {
            let mut found = places().filter(|(_, other)| has(other, level) && same(case, other));
            Some((place, found.next()?.0))
        })
        .collect()
}

/// The pairs held against each other, by the repetitions that all of them have; `None` where there is none.
fn held(
    cases: &[ScenarioCase],
    pairs: &[(usize, usize)],
    of: fn(&ScenarioCase) -> &Waited,
) -> Option<Comparison> {
    let side = |place: fn(&(usize, usize)) -> usize| -> Vec<&Waited> {
        pairs.iter().map(|pair| of(&cases[place(pair)])).collect()
    };
    let (baseline, level) = (side(|pair| pair.0), side(|pair| pair.1));
    let at = |waited: &Waited, repetition: u32| {
        let found = waited.by_repetition.iter().find(|(number, _)| *number == repetition);
        found.map(|(_, mean)| *mean).filter(|mean| mean.value > 0.0)
    };
    let all = |side: &[&Waited], repetition: u32| -> Option<Estimate> {
        let means: Option<Vec<Estimate>> =
            side.iter().map(|waited| at(waited, repetition)).collect();
        geometric_mean(&means?)
    };
    let numbers = baseline.first()?.by_repetition.iter().map(|(number, _)| *number);
    let paired: Vec<(Estimate, Estimate)> = numbers
        .filter_map(|number| Some((all(&baseline, number)?, all(&level, number)?)))
        .collect();
    let (a, b): (Vec<_>, Vec<_>) = paired.into_iter().unzip();
    compare(&a, &b, Comparing { better: Better::Lower, ..Comparing::default() }).ok()
}

/// exp(mean(ln v_i)) with the relative half widths h_i as sqrt(sum(h_i^2)) / n.
fn geometric_mean(values: &[Estimate]) -> Option<Estimate> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = (values.iter().map(|value| value.value.ln()).sum::<f64>() / n).exp();
    let squares: f64 = values.iter().map(|value| value.relative_half_width().powi(2)).sum();
    Some(Estimate::around(mean, mean * squares.sqrt() / n).not_negative())
}

/// Adjusts the p values of the comparisons over all cases for each other, and their verdicts.
fn adjust(effects: &mut [SettingEffect]) {
    let mut all: Vec<&mut Comparison> = effects
        .iter_mut()
        .flat_map(|effect| effect.overall.iter_mut().map(|(_, found)| found))
        .filter(|found| found.p_different.is_some())
        .collect();
    let raw: Vec<f64> = all.iter().filter_map(|found| found.p_different).collect();
    for (found, p) in all.iter_mut().zip(holm(&raw)) {
        found.p_different = Some(p);
        let claims = matches!(found.verdict, ComparisonVerdict::Better | ComparisonVerdict::Worse);
        if claims && p > ALPHA {
            found.verdict = ComparisonVerdict::Undecided { repetitions_that_would_decide: None };
        }
    }
}
