//! What single requests and small closed loops cost, as a part of the report.

mod drawing;
mod tables;
mod words;

use std::collections::BTreeMap;

use plimsoll_analysis::{Comparison, ScenarioCase, Scenarios, SettingEffect};
use serde_json::{Map, Value, json};

use super::cells::{factors, json_case, load, verdict};
use crate::clean::clean;
use crate::document::{Document, Section};
use crate::error::ReportError;
use crate::json::{number, optional, optional_estimate};
use crate::numbers::plain;

/// The figures' file names.
const BY_LENGTH: &str = "scenarios-length.svg";
const BY_CONCURRENCY: &str = "scenarios-concurrency.svg";

/// The conclusion, laid out.
pub(super) fn document(found: &Scenarios) -> Document {
    let mut sections = vec![
        Section {
            title: "Benchmark summary".to_owned(),
            figure: drawing::has_lengths(found).then(|| BY_LENGTH.to_owned()),
            table: Some(tables::summary(found)),
            notes: words::summary(found),
        },
        Section {
            title: "Prefill and decode".to_owned(),
            figure: None,
            table: Some(tables::phases(found)),
            notes: words::phases(found),
        },
    ];
    if tables::ladders(found).next().is_some() {
        sections.push(Section {
            title: "Concurrency".to_owned(),
            figure: Some(BY_CONCURRENCY.to_owned()),
            table: Some(tables::concurrency(found)),
            notes: words::concurrency(found),
        });
    }
    sections.extend(found.effects.iter().map(|effect| Section {
        title: format!(
            "{}: {} against {}",
            clean(&effect.setting),
            clean(&effect.level),
            clean(&effect.baseline)
        ),
        figure: None,
        table: Some(tables::effect(found, effect)),
        notes: words::effect(effect),
    }));
    sections.push(Section {
        title: "Conclusion".to_owned(),
        figure: None,
        table: None,
        notes: words::conclusion(found),
    });
    Document {
        title: "Single requests and small closed loops".to_owned(),
        headline: words::headline(found),
        sections,
    }
}

/// The figures: latencies by the prompt's length, and by the requests in flight.
pub(super) fn figures(found: &Scenarios) -> Result<Vec<(String, String)>, ReportError> {
    let mut figures = Vec::new();
    if drawing::has_lengths(found) {
        figures.push(drawing::by_length(found)?);
    }
    if tables::ladders(found).next().is_some() {
        figures.push(drawing::by_concurrency(found)?);
    }
    Ok(figures)
}

/// The same as one JSON object: `cases`, `effects`, `prefill`, `model` and the sentences of the `conclusion`.
pub(super) fn json(found: &Scenarios) -> Value {
    let case = |case: &ScenarioCase| {
        let mut object = json_case(&case.case);
        object["name"] = json!(name(case));
        object["settings"] = json!(
            case.settings
                .iter()
                .map(|(setting, value)| (clean(setting), json!(clean(value))))
                .collect::<Map<_, _>>()
        );
        object["tokens_per_s_request"] = optional_estimate(case.tokens_per_s_request);
        object["tokens_per_s"] = optional_estimate(case.tokens_per_s);
        object
    };
    let effect = |effect: &SettingEffect| {
        json!({
            "setting": clean(&effect.setting),
            "baseline": clean(&effect.baseline),
            "level": clean(&effect.level),
            "overall": compared(&effect.overall),
            "cases": effect.cases.iter().map(|pair| json!({
                "case": name(&found.cases[pair.baseline]),
                "load": load(&found.cases[pair.baseline].case.load),
                "compared": compared(&pair.compared),
            })).collect::<Vec<_>>(),
        })
    };
    json!({
        "experiment": "scenarios",
        "headline": words::headline(found),
        "cases": found.cases.iter().map(case).collect::<Vec<_>>(),
        "effects": found.effects.iter().map(effect).collect::<Vec<_>>(),
        "prefill": found.prefill.as_ref().map(|prefill| json!({
            "from_tokens": number(prefill.from_tokens),
            "to_tokens": number(prefill.to_tokens),
            "per_token_ms": optional_estimate(Some(prefill.per_token_ms)),
        })),
        "model": found.model.map(|size| json!({
            "parameters_billions": number(size.billions),
            "active_billions": optional(size.active_billions),
            "bytes_per_parameter": optional(size.bytes_per_parameter),
        })),
        "vram_bytes": found.vram_bytes,
        "conclusion": words::conclusion(found),
    })
}

/// Comparisons by latency.
fn compared(all: &[(&'static str, Comparison)]) -> Value {
    let one = |found: &Comparison| {
        json!({
            "ratio": number(found.ratio),
            "interval": optional_estimate(found.interval),
            "p_different": optional(found.p_different),
            "repetitions": found.repetitions,
            "verdict": verdict(found.verdict),
        })
    };
    Value::Object(all.iter().map(|(name, found)| ((*name).to_owned(), one(found))).collect())
}

/// What a case is called: its name, else the length of its prompts.
fn name(case: &ScenarioCase) -> String {
    if !case.name.is_empty() {
        return clean(&case.name);
    }
    let factors = factors(&case.case.factors);
    match case.input_tokens() {
        Some(tokens) if factors.is_empty() => format!("{} tokens", plain(tokens)),
        _ if !factors.is_empty() => factors,
        _ => load(&case.case.load),
    }
}

/// What a case's server is called: by the factors that are no part of the case's name, else by the settings in
/// which it differs; empty where none does.
fn server(case: &ScenarioCase) -> String {
    let mut own = case.case.factors.clone();
    own.retain(|_, value| !case.name.split(", ").any(|part| part == value));
    if own.is_empty() || case.settings.is_empty() {
        settings(&case.settings)
    } else {
        factors(&own)
    }
}

/// Settings on one line, `max-num-seqs 16, enable-chunked-prefill true`.
fn settings(settings: &BTreeMap<String, String>) -> String {
    let words = settings.iter().map(|(name, value)| format!("{} {}", clean(name), clean(value)));
    words.collect::<Vec<_>>().join(", ")
}
