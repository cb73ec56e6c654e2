//! What users wait for at a low load, as a part of the report.

mod drawing;
mod words;

use plimsoll_analysis::{Case, Contrast, Effect, FactorRank, Group, LowLoad, Waited};
use serde_json::{Value, json};

use super::cells::{factors, json_case, known, last, load, mean, remark};
use crate::clean::clean;
use crate::comparison;
use crate::diagnosis;
use crate::document::{Document, Section};
use crate::error::ReportError;
use crate::grid::{Column, Grid, Row};
use crate::numbers::{UNKNOWN, change, p_value, percent};

/// A latency that the cases have: its name, the title of its section, the stem of its figure.
struct Latency {
    name: &'static str,
    title: &'static str,
    file: &'static str,
    of: fn(&Case) -> &Waited,
}

const LATENCIES: [Latency; 3] = [
    Latency {
        name: "TTFT",
        title: "Time to the first token (TTFT)",
        file: "lowload-ttft.svg",
        of: |case| &case.ttft,
    },
    Latency {
        name: "TPOT",
        title: "Time per output token after it (TPOT)",
        file: "lowload-tpot.svg",
        of: |case| &case.tpot,
    },
    Latency {
        name: "E2E",
        title: "The whole response (E2E)",
        file: "lowload-e2e.svg",
        of: |case| &case.e2e,
    },
];

/// The conclusion, laid out.
pub(super) fn document(found: &LowLoad, groups: &[Group]) -> Document {
    let drawn = drawing::has_any(found);
    let mut sections: Vec<Section> = LATENCIES
        .iter()
        .map(|latency| Section {
            title: latency.title.to_owned(),
            figure: (drawn && drawing::has(found, latency)).then(|| latency.file.to_owned()),
            table: Some(latencies(found, latency)),
            notes: if latency.name == "TTFT" { vec![words::INTERVALS.to_owned()] } else { vec![] },
        })
        .collect();
    sections.push(Section {
        title: "What each factor does".to_owned(),
        figure: None,
        table: (!found.effects.is_empty()).then(|| ranking(found)),
        notes: words::ranking(found),
    });
    if !found.effects.is_empty() {
        sections.push(Section {
            title: "Effects and interactions".to_owned(),
            figure: None,
            table: Some(effects(found)),
            notes: vec![words::EFFECTS.to_owned()],
        });
    }
    sections.push(Section {
        title: "What was served".to_owned(),
        figure: None,
        table: Some(served(found, groups)),
        notes: words::limits(found),
    });
    Document {
        title: "What users wait for at a low load".to_owned(),
        headline: words::headline(found),
        sections,
    }
}

/// The figures: each latency by the first factor.
pub(super) fn figures(found: &LowLoad) -> Result<Vec<(String, String)>, ReportError> {
    let known = LATENCIES.iter().filter(|latency| drawing::has(found, latency));
    known.map(|latency| drawing::latency(found, latency)).collect()
}

/// The same as one JSON object: `cases`, and `effects` by latency.
pub(super) fn json(found: &LowLoad) -> Value {
    let effects =
        found.effects.iter().map(|(name, effects)| comparison::effects_json(name, effects));
    json!({
        "experiment": "lowload",
        "headline": words::headline(found),
        "cases": found.cases.iter().map(json_case).collect::<Vec<_>>(),
        "effects": effects.collect::<Vec<_>>(),
        "no_effects": found.no_effects.as_deref().map(clean),
    })
}

/// What a case is called.
fn name(case: &Case) -> String {
    let factors = factors(&case.factors);
    if factors.is_empty() { load(&case.load) } else { factors }
}

fn latencies(found: &LowLoad, latency: &Latency) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["load", ""]),
        Column::number(["mean ms", "95 % interval"]),
        Column::number(["p50 ms", "95 % interval"]),
        Column::number(["p90 ms", "95 % interval"]),
        Column::number(["p99 ms", "95 % interval"]),
        Column::number(["requests", ""]),
        Column::words(["remarks", ""]),
    ];
    let row = |case: &Case| {
        let waited = (latency.of)(case);
        Row::new(vec![
            name(case),
            load(&case.load),
            mean(waited),
            known(waited.p50.as_ref()),
            known(waited.p90.as_ref()),
            known(waited.p99.as_ref()),
            waited.n.to_string(),
            remark(case),
        ])
    };
    Grid::of(&columns, found.cases.iter().map(row).collect())
}

fn ranking(found: &LowLoad) -> Grid {
    let columns = [
        Column::words(["latency", ""]),
        Column::words(["factor", ""]),
        Column::number(["change", "95 % interval"]),
        Column::words(["from", "lowest"]),
        Column::words(["to", "highest"]),
        Column::number(["share", ""]),
    ];
    let row = |latency: &str, rank: &FactorRank| {
        Row::new(vec![
            latency.to_owned(),
            last(&rank.factor),
            change(rank.ratio, rank.interval.as_ref()),
            clean(&rank.lowest),
            clean(&rank.highest),
            percent(rank.share),
        ])
    };
    let all = found.effects.iter();
    let rows = all.flat_map(|(name, it)| it.ranking.iter().map(move |rank| row(name, rank)));
    Grid::of(&columns, rows.collect())
}

fn effects(found: &LowLoad) -> Grid {
    let columns = [
        Column::words(["latency", ""]),
        Column::words(["claimed", ""]),
        Column::words(["effect", ""]),
        Column::number(["change", "95 % interval"]),
        Column::number(["p", "adjusted"]),
    ];
    let contrast = |contrast: &Contrast| {
        let against: Vec<_> = contrast.against.iter().map(|level| clean(level)).collect();
        // The levels of a bundle say by themselves what they are.
        let factor = if contrast.factor.contains('.') {
            last(&contrast.factor) + " "
        } else {
            String::new()
        };
        format!("{factor}{} → {}", against.join(", "), clean(&contrast.level))
    };
    let row = |latency: &str, effect: &Effect| {
        let names: Vec<_> = effect.contrasts.iter().map(contrast).collect();
        Row::new(vec![
            latency.to_owned(),
            if effect.claimed { "yes" } else { "no" }.to_owned(),
            names.join(" × "),
            change(effect.ratio, effect.interval.as_ref()),
            effect.p_value.map_or_else(|| UNKNOWN.to_owned(), p_value),
        ])
    };
    let all = found.effects.iter();
    let rows = all.flat_map(|(name, it)| {
        it.main.iter().chain(&it.interactions).map(move |effect| row(name, effect))
    });
    Grid::of(&columns, rows.collect())
}

fn served(found: &LowLoad, groups: &[Group]) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["load", ""]),
        Column::number(["served req/s", "the load's"]),
        Column::words(["limited by", ""]),
        Column::number(["queue ms", "server's own"]),
        Column::number(["prefill ms", "server's own"]),
        Column::number(["GPU busy", ""]),
        Column::number(["failed", ""]),
    ];
    let limited_by = |case: &Case| {
        let group = groups.iter().find(|group| group.factors == case.factors);
        let answer = group.and_then(|group| group.diagnosis.answer);
        answer.map_or_else(|| UNKNOWN.to_owned(), |cause| diagnosis::words(cause).to_owned())
    };
    let row = |case: &Case| {
        let rounded = |value: Option<f64>| {
            value.map_or_else(|| UNKNOWN.to_owned(), crate::numbers::three_digits)
        };
        Row::new(vec![
            name(case),
            load(&case.load),
            rounded(case.throughput_per_s),
            limited_by(case),
            super::cells::ms(case.queue_server_ms),
            super::cells::ms(case.prefill_server_ms),
            case.utilisation_pct.map_or_else(|| UNKNOWN.to_owned(), |it| percent(it / 100.0)),
            case.failed.to_string(),
        ])
    };
    Grid::of(&columns, found.cases.iter().map(row).collect())
}
