//! Why throughput does not grow, for scripts.

use plimsoll_analysis::{Cause, Evidence, Hypothesis, NextExperiment};
use serde_json::{Value, json};

use super::number;
use crate::diagnosis::of_ladder;
use crate::input::ReportInput;
use crate::ladder::Ladder;

/// The value of a group's `diagnosis`; `null` where nothing was weighed.
pub(super) fn diagnosis(place: usize, ladder: &Ladder<'_>, input: &ReportInput<'_>) -> Value {
    let diagnosis = &ladder.group.diagnosis;
    if diagnosis.hypotheses.is_empty() {
        return Value::Null;
    }
    let hypotheses: Vec<Value> = diagnosis.hypotheses.iter().map(hypothesis).collect();
    json!({
        "answer": diagnosis.answer.map(Cause::as_str),
        "sentence": diagnosis.sentence,
        "at": diagnosis.at,
        "hypotheses": hypotheses,
        "next": of_ladder(input, ladder, place).map(|(it, file)| next(&it, &file)),
    })
}

fn hypothesis(hypothesis: &Hypothesis) -> Value {
    let told = |evidence: &[Evidence]| evidence.iter().map(told).collect::<Vec<_>>();
    json!({
        "cause": hypothesis.cause.as_str(),
        "standing": hypothesis.standing.as_str(),
        "supporting": told(&hypothesis.supporting),
        "contradicting": told(&hypothesis.contradicting),
        "unknown": hypothesis.unknown,
    })
}

fn told(evidence: &Evidence) -> Value {
    let numbers: Vec<Value> = evidence
        .numbers
        .iter()
        .map(|it| json!({ "name": it.name, "value": number(it.value), "unit": it.unit }))
        .collect();
    json!({ "text": evidence.text, "numbers": numbers, "points": evidence.points })
}

fn next(next: &NextExperiment, file: &str) -> Value {
    let changes: Vec<Value> =
        next.changes.iter().map(|it| json!({ "key": it.key, "value": it.value })).collect();
    json!({
        "tests": next.tests.map(Cause::as_str),
        "question": next.question,
        "start_server_with": next.start_server_with,
        "changes": changes,
        "file": file,
    })
}
