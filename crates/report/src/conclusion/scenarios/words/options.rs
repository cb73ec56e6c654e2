//! What is said of the options of the server that were varied.

use plimsoll_analysis::{Comparison, ComparisonVerdict, Scenarios, SettingEffect};

use super::super::super::cells::verdict;
use crate::clean::clean;
use crate::numbers::{change, list, plain, three_digits};

/// The latencies by which an option is chosen, in order.
const LATENCIES: [&str; 3] = ["E2E", "TTFT", "TPOT"];

const fn is_claimed(found: &Comparison) -> bool {
    matches!(found.verdict, ComparisonVerdict::Better | ComparisonVerdict::Worse)
}

/// The claimed effect that is the largest of all, by the ratio of its latency.
fn strongest<'a>(
    effects: impl Iterator<Item = &'a SettingEffect>,
) -> Option<(&'a SettingEffect, &'static str, &'a Comparison)> {
    let all = effects.flat_map(|effect| {
        LATENCIES.into_iter().filter_map(move |name| Some((effect, name, effect.of(name)?)))
    });
    all.filter(|(.., found)| is_claimed(found))
        .max_by(|a, b| a.2.ratio.ln().abs().total_cmp(&b.2.ratio.ln().abs()))
}

/// Which option had the largest effect.
pub(super) fn largest(found: &Scenarios) -> String {
    if found.effects.is_empty() {
        return format!("No option of the server was varied{}", by_length(found));
    }
    match strongest(found.effects.iter()) {
        Some((effect, latency, it)) => format!(
            "The largest effect is that of {}: from {} to {} the {latency} changes by {}",
            clean(&effect.setting),
            clean(&effect.baseline),
            clean(&effect.level),
            change(it.ratio, it.interval.as_ref())
        ),
        None => format!(
            "No option is shown to have an effect: {} {} varied{}",
            list(&names(found)),
            if names(found).len() == 1 { "was" } else { "were" },
            once(found)
        ),
    }
}

/// What the length of the prompt does, where no option was varied.
fn by_length(found: &Scenarios) -> String {
    let Some(prefill) = &found.prefill else { return String::new() };
    let of = |tokens: f64| {
        let single = found.cases.iter().filter(|case| case.is_single());
        single
            .filter(|case| case.input_tokens() == Some(tokens))
            .find_map(|case| case.case.service_ttft.mean_ms)
    };
    let ratio =
        of(prefill.to_tokens).zip(of(prefill.from_tokens)).map(|(long, short)| long / short);
    ratio.map_or_else(String::new, |ratio| {
        format!(
            "; the length of the prompt was: from {} to {} tokens the prefill takes {} times as long",
            plain(prefill.from_tokens),
            plain(prefill.to_tokens),
            three_digits(ratio)
        )
    })
}

fn names(found: &Scenarios) -> Vec<String> {
    let mut names: Vec<String> =
        found.effects.iter().map(|effect| clean(&effect.setting)).collect();
    names.dedup();
    names
}

fn once(found: &Scenarios) -> &'static str {
    let single = |effect: &SettingEffect| effect.overall.iter().any(|(_, it)| it.is_single_run());
    if found.effects.iter().any(single) {
        ", each measured once: with experiment.repetitions = 3 a difference may be claimed"
    } else {
        ""
    }
}

/// What is known of one setting, in every level that it was given.
pub(super) fn of_setting(found: &Scenarios, setting: &str, title: &str) -> String {
    let effects: Vec<&SettingEffect> =
        found.effects.iter().filter(|effect| effect.setting == setting).collect();
    if effects.is_empty() {
        return format!("{title}: not varied, so nothing is known of its effect");
    }
    let one = |effect: &&SettingEffect| {
        let latencies = LATENCIES.into_iter().filter_map(|name| {
            let found = effect.of(name)?;
            Some(format!(
                "{name} {} ({})",
                change(found.ratio, found.interval.as_ref()),
                verdict(found.verdict)
            ))
        });
        let latencies: Vec<_> = latencies.collect();
        format!(
            "{} against {}: {}",
            clean(&effect.level),
            clean(&effect.baseline),
            list(&latencies)
        )
    };
    format!("{title}: {}", effects.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// The settings to be recommended: only what was shown to be better.
pub(super) fn recommended(found: &Scenarios) -> String {
    if found.effects.is_empty() {
        return "Recommended settings: none, for no option was varied; matrices/scenarios-options.toml varies two"
            .to_owned();
    }
    let of = |name: &String| {
        let own = || found.effects.iter().filter(|effect| clean(&effect.setting) == *name);
        // The level that is better than the first by most; the first where all others are worse.
        for latency in LATENCIES {
            let claimed: Vec<(&SettingEffect, &Comparison)> = own()
                .filter_map(|effect| Some((effect, effect.of(latency)?)))
                .filter(|(_, found)| is_claimed(found))
                .collect();
            let best = claimed.iter().min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio));
            if let Some((effect, it)) = best.filter(|(_, it)| it.ratio < 1.0) {
                return format!(
                    "{name} = {} ({latency} {})",
                    clean(&effect.level),
                    change(it.ratio, it.interval.as_ref())
                );
            }
            if !claimed.is_empty() && claimed.len() == own().count() {
                let (effect, it) = claimed[0];
                return format!(
                    "{name} = {} ({} has {latency} {})",
                    clean(&effect.baseline),
                    clean(&effect.level),
                    change(it.ratio, it.interval.as_ref())
                );
            }
        }
        format!("{name}: no measured difference, so leave it as it is")
    };
    let all: Vec<String> = names(found).iter().map(of).collect();
    format!("Recommended settings, for these loads alone: {}", all.join("; "))
}
