//! What the searches of a group took and why they ended: facts for every form, and an object for
//! `--json`.

use plimsoll_analysis::{Goal, Searched, Stopped};
use serde_json::{Value, json};

use crate::ladder::{Ladder, Reading};
use crate::numbers::{count, estimate, percent, plain, three_digits};
use crate::wording::Fact;

/// The searches of a ladder as facts, and how far throughput falls where one has seen it.
pub(crate) fn facts(ladder: &Ladder<'_>) -> Vec<Fact> {
    let searches = &ladder.group.searches;
    let repeated = searches.iter().any(|searched| searched.repetition > 0);
    let mut facts: Vec<Fact> = searches.iter().map(|it| search(it, repeated)).collect();
    facts.extend(searches.iter().filter_map(fall));
    facts
}

/// The confidence of the intervals of a ladder: that of its search.
pub(crate) fn confidence(ladder: &Ladder<'_>) -> f64 {
    ladder.group.searches.first().map_or(0.95, |searched| searched.config.confidence)
}

/// The interval of the SLO's capacity, where one search has found it.
pub(crate) fn slo_interval(ladder: &Ladder<'_>) -> Option<String> {
    let mut searches = ladder.group.searches.iter().filter(|it| it.config.goal != Goal::Capacity);
    let (Some(only), None) = (searches.next(), searches.next()) else { return None };
    let found = only.found.capacity_per_s.filter(|_| !only.found.lower_bound)?;
    let [_, low, high] = estimate(&found);
    let confidence = percent(only.config.confidence);
    Reading::of(&found).map(|_| format!("{confidence} interval {low} to {high}"))
}

fn search(searched: &Searched, repeated: bool) -> Fact {
    let Searched { found, config, .. } = searched;
    let mut note = Vec::new();
    if repeated {
        let found = match found.capacity_per_s.as_ref() {
            None => "found nothing".to_owned(),
            Some(bound) if found.lower_bound => {
                format!("found at least {} req/s", three_digits(bound.value))
            }
            Some(capacity) => {
                let [value, low, high] = estimate(capacity);
                format!("found {value} req/s ({low} to {high})")
            }
        };
        note.push(format!("#{} {found}", u64::from(searched.repetition) + 1));
    }
    note.push(format!(
        "{} requests in {} s",
        plain(found.requests as f64),
        three_digits(found.time.as_secs_f64())
    ));
    note.push(match found.stopped {
        Stopped::Precision => {
            format!("{}: ± {}", found.stopped, percent(config.precision))
        }
        stopped => stopped.to_string(),
    });
    if searched.void > 0 {
        note.push(format!("{} voided by the audit", searched.void));
    }
    let name = if config.goal == Goal::Capacity { "search" } else { "SLO search" };
    Fact {
        name,
        value: count(found.probes.len(), "probe"),
        interval: String::new(),
        note: note.join("; "),
    }
}

fn fall(searched: &Searched) -> Option<Fact> {
    let fall = searched.found.peak_and_fall?;
    let [value, low, high] = estimate(&fall.overloaded_per_s);
    Some(Fact {
        name: "overloaded",
        value: format!("{value} req/s"),
        interval: format!("95 % interval {low} to {high}"),
        note: format!(
            "offered {} req/s, the server completes {} less than at its best: throughput falls under \
             overload",
            plain(fall.at_rate_per_s),
            percent(fall.share_lost())
        ),
    })
}

/// The search as an object, numbers as `number` writes them.
pub(crate) fn json(searched: &Searched, number: fn(f64) -> Value) -> Value {
    let Searched { repetition, config, found, void } = searched;
    let estimate = |estimate: plimsoll_analysis::Estimate| {
        json!({
            "value": number(estimate.value),
            "low": number(estimate.low),
            "high": number(estimate.high),
        })
    };
    let (goal, attainment) = match config.goal {
        Goal::Slo { attainment } => ("slo", Some(number(attainment))),
        _ => ("capacity", None),
    };
    json!({
        "goal": goal,
        "attainment": attainment,
        "repetition": repetition,
        "capacity_per_s": found.capacity_per_s.map(estimate),
        "lower_bound": found.lower_bound,
        "confidence": number(config.confidence),
        "precision": number(config.precision),
        "from_per_s": number(config.from),
        "to_per_s": number(config.to),
        "stopped": found.stopped.as_str(),
        "probes": found.probes.len(),
        "void_probes": void,
        "requests": found.requests,
        "time_s": number(found.time.as_secs_f64()),
        "fall": found.peak_and_fall.map(|fall| json!({
            "overloaded_per_s": estimate(fall.overloaded_per_s),
            "at_rate_per_s": number(fall.at_rate_per_s),
            "share_lost": number(fall.share_lost()),
        })),
    })
}
