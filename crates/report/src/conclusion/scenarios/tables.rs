//! The tables of a conclusion on scenarios.

use plimsoll_analysis::{ScenarioCase, Scenarios, SettingEffect};

use super::super::cells::{load, mean, ms, remark, verdict};
use super::{name, server, settings};
use crate::environment::gibibytes;
use crate::grid::{Column, Grid, Row};
use crate::numbers::{UNKNOWN, change, plain, three_digits};

fn tokens(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), plain)
}

fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), three_digits)
}

/// Each case in a row; where a case has several loads, the lightest.
pub(super) fn summary(found: &Scenarios) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["server", ""]),
        Column::number(["input", "tokens"]),
        Column::number(["latency ms", "mean, 95 % interval"]),
        Column::number(["tok/s", "of one"]),
        Column::number(["VRAM", "largest"]),
        Column::words(["remarks", ""]),
        Column::number(["output", "tokens"]),
        Column::words(["load", ""]),
        Column::number(["requests", ""]),
    ];
    let row = |case: &ScenarioCase| {
        let vram = case.case.vram_max_bytes;
        Row::new(vec![
            name(case),
            server(case),
            tokens(case.input_tokens()),
            mean(&case.case.e2e),
            rate(case.tokens_per_s_request.map(|it| it.value)),
            vram.map_or_else(|| UNKNOWN.to_owned(), gibibytes),
            remark(&case.case),
            tokens(case.case.output),
            load(&case.case.load),
            case.case.due.to_string(),
        ])
    };
    Grid::of(&columns, lightest(found).map(row).collect())
}

/// Where the time of a request goes.
pub(super) fn phases(found: &Scenarios) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["server", ""]),
        Column::number(["prefill ms", "first token - sent"]),
        Column::number(["server's own", "ms"]),
        Column::number(["prefill", "tok/s"]),
        Column::number(["decode", "ms"]),
        Column::number(["a token", "ms"]),
        Column::number(["decode", "tok/s"]),
    ];
    let row = |case: &ScenarioCase| {
        let prefill = case.case.service_ttft.mean_ms.filter(|ms| *ms > 0.0);
        let speed = case.input_tokens().zip(prefill).map(|(tokens, ms)| tokens / ms * 1e3);
        let step = case.case.tpot.mean_ms;
        Row::new(vec![
            name(case),
            server(case),
            mean(&case.case.service_ttft),
            ms(case.case.prefill_server_ms),
            rate(speed),
            ms(case.case.decode.mean_ms),
            ms(step),
            rate(step.filter(|ms| *ms > 0.0).map(|ms| 1e3 / ms)),
        ])
    };
    let single = lightest(found).filter(|case| case.is_single());
    Grid::of(&columns, single.map(row).collect())
}

/// Cases with several requests in flight, and their fellow with one.
pub(super) fn concurrency(found: &Scenarios) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["server", ""]),
        Column::number(["in flight", ""]),
        Column::number(["latency ms", "mean, 95 % interval"]),
        Column::number(["largest", "ms"]),
        Column::number(["least", "ms"]),
        Column::number(["tok/s", "of all"]),
        Column::number(["TTFT", "mean ms"]),
        Column::number(["tok/s", "of one"]),
        Column::words(["remarks", ""]),
    ];
    let row = |case: &ScenarioCase| {
        Row::new(vec![
            name(case),
            server(case),
            case.case.concurrency().map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string()),
            mean(&case.case.e2e),
            ms(case.case.e2e.max_ms),
            ms(case.case.e2e.min_ms),
            rate(case.tokens_per_s.map(|it| it.value)),
            ms(case.case.ttft.mean_ms),
            rate(case.tokens_per_s_request.map(|it| it.value)),
            remark(&case.case),
        ])
    };
    Grid::of(&columns, ladders(found).flatten().map(row).collect())
}

/// A setting's level against the first, case by case and over all.
pub(super) fn effect(found: &Scenarios, effect: &SettingEffect) -> Grid {
    let columns = [
        Column::words(["case", ""]),
        Column::words(["load", ""]),
        Column::number(["E2E ms", "first level"]),
        Column::number(["E2E ms", "other level"]),
        Column::number(["E2E", "change, 95 % interval"]),
        Column::words(["so it is", ""]),
        Column::number(["TTFT", "change"]),
        Column::number(["TPOT", "change"]),
        Column::words(["server", "otherwise"]),
    ];
    let of = |all: &[(&str, plimsoll_analysis::Comparison)], latency: &str| {
        all.iter().find(|(name, _)| *name == latency).map(|(_, found)| *found)
    };
    let changes = |all: &[(&'static str, plimsoll_analysis::Comparison)]| {
        let e2e = of(all, "E2E");
        let short = |latency| {
            of(all, latency).map_or_else(|| UNKNOWN.to_owned(), |it| change(it.ratio, None))
        };
        [
            e2e.map_or_else(|| UNKNOWN.to_owned(), |it| change(it.ratio, it.interval.as_ref())),
            e2e.map_or(UNKNOWN, |it| verdict(it.verdict)).to_owned(),
            short("TTFT"),
            short("TPOT"),
        ]
    };
    let mut rows: Vec<Row> = effect
        .cases
        .iter()
        .map(|pair| {
            let (first, other) = (&found.cases[pair.baseline], &found.cases[pair.level]);
            let mut rest = first.settings.clone();
            rest.remove(&effect.setting);
            let rest = settings(&rest);
            let [e2e, word, ttft, tpot] = changes(&pair.compared);
            Row::new(vec![
                name(first),
                load(&first.case.load),
                ms(first.case.e2e.mean_ms),
                ms(other.case.e2e.mean_ms),
                e2e,
                word,
                ttft,
                tpot,
                rest,
            ])
        })
        .collect();
    let [e2e, word, ttft, tpot] = changes(&effect.overall);
    let none = String::new;
    rows.push(Row::new(vec![
        "all of them".to_owned(),
        none(),
        none(),
        none(),
        e2e,
        word,
        ttft,
        tpot,
        none(),
    ]));
    Grid::of(&columns, rows)
}

/// The loads of each case on each server, of which there are several.
pub(super) fn ladders(found: &Scenarios) -> impl Iterator<Item = Vec<&ScenarioCase>> {
    groups(found)
        .filter(|cases| cases.len() > 1 && cases.iter().all(|it| it.case.concurrency().is_some()))
}

/// The lightest load of each case on each server.
pub(super) fn lightest(found: &Scenarios) -> impl Iterator<Item = &ScenarioCase> {
    groups(found).filter_map(|cases| cases.first().copied())
}

/// The loads of each group of points: they share their factors and stand together.
fn groups(found: &Scenarios) -> impl Iterator<Item = Vec<&ScenarioCase>> {
    let same = |a: &ScenarioCase, b: &ScenarioCase| a.case.factors == b.case.factors;
    found.cases.chunk_by(same).map(|cases| cases.iter().collect())
}
