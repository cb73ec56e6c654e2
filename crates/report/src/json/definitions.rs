//! What other tools would have printed, as JSON.

use plimsoll_analysis::{Figure, Printed};
use serde_json::{Map, Value, json};

use super::{number, optional};
use crate::definitions::Section;
use crate::input::ReportInput;

/// A record for each tool that was asked for.
pub(super) fn definitions(input: &ReportInput<'_>, sections: &[Section<'_>]) -> Value {
    sections
        .iter()
        .map(|section| {
            let points: Vec<_> = input
                .printed
                .iter()
                .filter(|printed| printed.tool == section.tool)
                .map(point)
                .collect();
            let words: Map<_, _> = section
                .words()
                .into_iter()
                .map(|(name, words)| (name.replace(' ', "_"), json!(words)))
                .collect();
            json!({
                "tool": section.tool.as_str(),
                "title": section.tool.title(),
                "words": words,
                "points": points,
            })
        })
        .collect()
}

fn point(printed: &Printed) -> Value {
    let figures: Map<_, _> =
        printed.figures.iter().map(|figure| (figure.measure.key(), self::figure(figure))).collect();
    json!({
        "point": printed.point,
        "completed": printed.completed,
        "failed": printed.failed,
        "unseen": printed.unseen,
        "duration_s": optional(printed.duration_s),
        "figures": figures,
    })
}

fn figure(figure: &Figure) -> Value {
    let because: Vec<_> = figure.because.iter().map(|why| why.key()).collect();
    json!({
        "name": figure.name,
        "unit": figure.unit.as_str(),
        "value": figure.value.map_or(Value::Null, number),
        "missing": figure.value.err().map(plimsoll_analysis::Missing::as_str),
        "ours": optional(figure.ours),
        "difference": optional(figure.difference()),
        "because": because,
    })
}
