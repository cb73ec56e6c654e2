//! The sentences of a conclusion on low load.

use plimsoll_analysis::{Case, CaseState, FactorialEffects, LowLoad};

use super::super::cells::{between, factors, failed, last, load, span};
use super::name;
use crate::clean::clean;
use crate::numbers::{change, list};

pub(super) const INTERVALS: &str = "Means: 95 % intervals by batch means, which look through requests that wait in one queue together. \
     Quantiles: by order statistics, which suppose independent requests: the truth is at least as uncertain. \
     Several repetitions are pooled by their requests, and widened where they differ by more. –: too few requests, \
     a p90 needs 36 a repetition, a p99 368";

pub(super) const EFFECTS: &str = "On the mean of each repetition. A level against the mean of those before it; an interaction is a ratio of \
     ratios: 0 % where two factors do not meddle. p values are adjusted for all effects on a latency together \
     (Holm); claimed: p at most 0.05";

/// The latencies in a sentence.
pub(super) fn headline(found: &LowLoad) -> String {
    let known: Vec<&Case> =
        found.cases.iter().filter(|case| case.state == CaseState::Known).collect();
    let range = |of: fn(&Case) -> Option<f64>| {
        let mut values: Vec<(f64, &Case)> =
            known.iter().filter_map(|case| Some((of(case)?, *case))).collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        Some((*values.first()?, *values.last()?))
    };
    let of_case = |case: &Case| {
        let factors = factors(&case.factors);
        if factors.is_empty() { load(&case.load) } else { factors }
    };
    let mut words = Vec::new();
    if let Some((least, most)) = range(|case| case.ttft.mean_ms) {
        words.push(if std::ptr::eq(least.1, most.1) {
            format!("The first token takes {} on average", span(least.0))
        } else {
            format!(
                "The first token takes {} ({}) to {} ({}) on average",
                span(least.0),
                of_case(least.1),
                span(most.0),
                of_case(most.1)
            )
        });
    }
    if let Some((least, most)) = range(|case| case.tpot.mean_ms) {
        words.push(format!("each further one {}", between(least.0, most.0)));
    }
    if let Some((least, most)) = range(|case| case.e2e.mean_ms) {
        words.push(format!("the whole response {}", between(least.0, most.0)));
    }
    if words.is_empty() {
        return "Nothing is known of what users wait for: no point is left whose latencies are the server's"
            .to_owned();
    }
    words.join(", ")
}

/// What the ranking of the factors says, latency by latency.
pub(super) fn ranking(found: &LowLoad) -> Vec<String> {
    if let Some(why) = &found.no_effects {
        return vec![format!("No effects: {}", clean(why))];
    }
    let mut notes: Vec<String> =
        found.effects.iter().map(|(latency, effects)| moves(latency, effects)).collect();
    if found.effects.iter().any(|(_, effects)| effects.repetitions < 2) {
        notes.push(
            "One repetition has no intervals, and no effect may be claimed: write experiment.repetitions = 3"
                .to_owned(),
        );
    }
    notes
}

/// Which factor moves a latency most, and which none may be said to move.
fn moves(latency: &str, effects: &FactorialEffects) -> String {
    let claimed = |factor: &str| {
        let own = effects.main.iter().filter(|effect| effect.contrasts[0].factor == factor);
        own.into_iter().any(|effect| effect.claimed)
    };
    let (moving, still): (Vec<_>, Vec<_>) =
        effects.ranking.iter().partition(|rank| claimed(&rank.factor));
    let names = |ranks: &[&plimsoll_analysis::FactorRank]| {
        list(&ranks.iter().map(|rank| last(&rank.factor)).collect::<Vec<_>>())
    };
    let mut text = match moving.first() {
        Some(first) => format!(
            "{} moves the {latency} most: {} from {} to {}",
            last(&first.factor),
            change(first.ratio, first.interval.as_ref()),
            clean(&first.lowest),
            clean(&first.highest)
        ),
        None => format!("No factor is shown to move the {latency}"),
    };
    if !moving.is_empty() && !still.is_empty() {
        text.push_str(&format!("; no effect of {} is shown", names(&still)));
    }
    let meddling = effects.interactions.iter().filter(|effect| effect.claimed).count();
    if meddling > 0 {
        text.push_str(&format!(
            "; what one factor does depends on another ({meddling} of {} interactions are claimed)",
            effects.interactions.len()
        ));
    }
    text
}

/// What cannot be read off a low load.
pub(super) fn limits(found: &LowLoad) -> Vec<String> {
    let mut notes = vec![
        "What is served at a load that a server keeps up with is the load's, not the server's: more GPUs or \
         other settings cannot raise it, and neither a speed-up nor a serial share (Amdahl) can be read off \
         it. What a server sustains is asked with `saturation`, what more of them buy with `scaling`"
            .to_owned(),
    ];
    if found.cases.iter().any(|case| case.utilisation_pct.is_some()) {
        notes.push(
            "GPU busy is the share of time in which any kernel ran: it is high already with few requests, and \
             says nothing of head room"
                .to_owned(),
        );
    }
    let behind: Vec<String> = found
        .cases
        .iter()
        .filter(|case| case.state == CaseState::Behind)
        .map(|case| format!("{} at {}", name(case), load(&case.load)))
        .collect();
    if !behind.is_empty() {
        notes.push(format!(
            "This was no low load for {}: the queue grew, so no latency there is the server's; offer less",
            list(&behind)
        ));
    }
    let failing = found.cases.iter().filter(|case| case.failed > 0);
    notes.extend(failing.map(|case| format!("{}: {}", name(case), failed(case))));
    notes
}
