//! What single requests and small closed loops of given lengths cost.

mod model;
mod settings;

use std::collections::BTreeMap;

use plimsoll_records::{Manifest, TargetRecord};

use crate::conclusion::{Case, CaseState};
use crate::{Estimate, Group};

pub use model::ModelSize;
pub use settings::{CaseEffect, SettingEffect};

/// What single requests and small closed loops of given lengths cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenarios {
    /// Each load on each group.
    pub cases: Vec<ScenarioCase>,
    /// What each setting of the server that was varied does, level by level.
    pub effects: Vec<SettingEffect>,
    /// What a further token of a prompt costs.
    pub prefill: Option<MarginalPrefill>,
    /// How large the model is, by its name.
    pub model: Option<ModelSize>,
    /// Memory of a GPU of the server's machine, the largest, bytes; `None` where it is not known.
    pub vram_bytes: Option<u64>,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioCase {
    /// The values of those factors that are no settings of the server; empty where there is none.
    pub name: String,
    /// The settings of its server that differ between the cases, by name.
    pub settings: BTreeMap<String, String>,
    /// Its numbers.
    pub case: Case,
    /// Output tokens per second of one request: mean output tokens / mean E2E.
    pub tokens_per_s_request: Option<Estimate>,
    /// Output tokens per second of all requests of a closed loop together: the same times the requests in
    /// flight, for each is followed by the next at once (Little's law). `None` where requests failed.
    pub tokens_per_s: Option<Estimate>,
}

/// What a further token of a prompt costs, between the shortest and the longest prompt that were sent one
/// at a time to the same server.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginalPrefill {
    /// Tokens of the shortest prompt.
    pub from_tokens: f64,
    /// Tokens of the longest.
    pub to_tokens: f64,
    /// (time to first token of the longest - of the shortest) / (tokens of the longest - of the shortest),
    /// ms, from the moment the requests were sent.
    pub per_token_ms: Estimate,
}

impl Scenarios {
    /// What the groups of a run say.
    pub(crate) fn of(manifest: &Manifest, groups: &[Group]) -> Self {
        let servers: Vec<BTreeMap<String, String>> =
            groups.iter().map(|group| settings::of_server(manifest, group)).collect();
        let varied = settings::varied(&servers);
        let own = |all: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let value = |name: &String| all.get(name).cloned().unwrap_or_else(settings::not_set);
            varied.iter().map(|name| (name.clone(), value(name))).collect()
        };
        let cases: Vec<ScenarioCase> = groups
            .iter()
            .zip(&servers)
            .flat_map(|(group, server)| {
                let name = settings::name_of_case(manifest, group);
                let settings = own(server);
                Case::all(std::slice::from_ref(group))
                    .into_iter()
                    .map(move |case| ScenarioCase::new(name.clone(), settings.clone(), case))
            })
            .collect();
        let here = |target: &&TargetRecord| target.is_here() && target.launch != "sim";
        let gpus = manifest.machine.gpus.iter().filter_map(|gpu| gpu.memory_bytes);
        Self {
            effects: settings::effects(&varied, &cases),
            prefill: MarginalPrefill::of(&cases),
            model: ModelSize::of(&manifest.target),
            vram_bytes: Some(&manifest.target).filter(here).and_then(|_| gpus.max()),
            cases,
        }
    }
}

impl ScenarioCase {
    fn new(name: String, settings: BTreeMap<String, String>, case: Case) -> Self {
        let whole = case.e2e.mean.or(case.e2e.mean_ms.map(Estimate::exact));
        let tokens_per_s_request = case.output.zip(whole).and_then(|(tokens, whole)| {
            let per_s = |ms: f64| tokens / ms * 1e3;
            // A lower end of 0 leaves no upper end to the speed.
            (whole.low > 0.0).then(|| Estimate {
                value: per_s(whole.value),
                low: per_s(whole.high),
                high: per_s(whole.low),
            })
        });
        let in_flight = case.concurrency().filter(|_| case.failed == 0).map(f64::from);
        let tokens_per_s = tokens_per_s_request.zip(in_flight).map(|(one, n)| one.scaled(n));
        Self { name, settings, case, tokens_per_s_request, tokens_per_s }
    }

    /// Tokens of its prompts: by the server's usage, else as planned.
    #[must_use]
    pub fn input_tokens(&self) -> Option<f64> {
        self.case.input.or(self.case.input_planned)
    }

    /// Whether its requests were sent one at a time.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.case.concurrency() == Some(1)
    }
}

impl MarginalPrefill {
    /// Of the first server that two lengths were measured on.
    fn of(cases: &[ScenarioCase]) -> Option<Self> {
        let known = |case: &&ScenarioCase| {
            case.is_single() && case.case.state == CaseState::Known && case.case.service_ttft.n > 0
        };
        let single: Vec<&ScenarioCase> = cases.iter().filter(known).collect();
        single.iter().find_map(|first| {
            let mut lengths: Vec<(f64, Estimate)> = single
                .iter()
                .filter(|case| case.settings == first.settings)
                .filter_map(|case| Some((case.input_tokens()?, case.case.service_ttft.mean?)))
                .collect();
            lengths.sort_by(|a, b| a.0.total_cmp(&b.0));
            let ((from, short), (to, long)) = (*lengths.first()?, *lengths.last()?);
            let tokens = to - from;
            let half = |it: &Estimate| (it.high - it.low) / 2.0;
            (tokens >= 1.0).then(|| Self {
                from_tokens: from,
                to_tokens: to,
                per_token_ms: Estimate::around(
                    (long.value - short.value) / tokens,
                    half(&long).hypot(half(&short)) / tokens,
                ),
            })
        })
    }
}

#[cfg(test)]
mod tests;
