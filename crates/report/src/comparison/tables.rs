//! The tables of a comparison: the answer with every setting, and what else was compared.

use super::{Compared, ComparisonReport, words, would_decide};
use crate::clean::clean;
use crate::grid::{Column, Grid, MINOR, Row};
use crate::numbers::{UNKNOWN, p_value, three_digits};

/// Every setting by the figure that the answer is about: the baseline, then the candidates, the best first.
pub(super) fn answer(report: &ComparisonReport<'_>, answer: &[&Compared<'_>]) -> Grid {
    let columns = [
        Column::words(["setting", ""]),
        Column::words(["", ""]),
        Column::words(["verdict", ""]),
        Column::number(["change", "95 % interval"]),
        Column::number(["value", ""]),
        Column::words(["unit", ""]),
        Column::number(["repetitions", "of each"]),
        Column::number(["would", "decide"]),
        Column::number(["p of no", "difference"]),
        Column::number(["p of the", "margin"]),
    ];
    let letters = answer.iter().any(|one| report.letter(one.candidate).is_some());
    let mut rows = Vec::new();
    if let Some(first) = answer.first() {
        let mut row = vec![
            clean(report.baseline),
            if letters { "A" } else { "" }.to_owned(),
            "baseline".to_owned(),
            UNKNOWN.to_owned(),
            value(first, 0),
            clean(first.unit),
        ];
        row.resize(columns.len(), UNKNOWN.to_owned());
        rows.push(Row::new(row));
    }
    rows.extend(answer.iter().map(|one| {
        let [verdict, change, repetitions, rest @ ..] = judged(one);
        let letter = report.letter(one.candidate).map_or_else(String::new, String::from);
        let mut row = vec![clean(one.candidate), letter, verdict, change];
        row.extend([value(one, 1), clean(one.unit), repetitions]);
        row.extend(rest);
        Row::new(row)
    }));
    Grid::of(&columns, rows)
}

/// Figures of candidates against the baseline.
pub(super) fn against(report: &ComparisonReport<'_>, compared: &[&Compared<'_>]) -> Grid {
    let columns = [
        Column::words(["figure", ""]),
        Column::words(["setting", ""]),
        Column::words(["verdict", ""]),
        Column::number(["change", "95 % interval"]),
        Column::number(["baseline", ""]),
        Column::number(["setting's", ""]),
        Column::words(["unit", ""]),
        Column::number(["repetitions", "of each"]),
        Column::number(["would", "decide"]),
        Column::number(["p of no", "difference"]),
        Column::number(["p of the", "margin"]),
    ];
    let row = |one: &&Compared<'_>| {
        let [verdict, change, repetitions, rest @ ..] = judged(one);
        let letter = report.letter(one.candidate);
        let setting = letter.map_or_else(|| clean(one.candidate), String::from);
        let mut cells = vec![clean(one.figure), setting, verdict, change];
        cells.extend([value(one, 0), value(one, 1), clean(one.unit), repetitions]);
        cells.extend(rest);
        let class = if is_between(one, compared) { MINOR } else { "" };
        Row { class, cells }
    };
    let mut grid = Grid::of(&columns, compared.iter().map(row).collect());
    let alone = report.compared.iter().all(|one| one.candidate == report.compared[0].candidate);
    if report.main.is_some() && alone {
        // One candidate alone is named above.
        grid.columns.remove(1);
        grid.rows.iter_mut().for_each(|row| drop(row.cells.remove(1)));
    }
    grid
}

/// Verdict, change, repetitions, what would decide, and both p values.
fn judged(one: &Compared<'_>) -> [String; 6] {
    let unknown = || UNKNOWN.to_owned();
    let found = &one.comparison;
    [
        words::verdict(found.verdict).to_owned(),
        words::by(one),
        found.repetitions.to_string(),
        would_decide(found.verdict).map_or_else(unknown, |n| n.to_string()),
        found.p_different.map_or_else(unknown, p_value),
        found.p_equivalent.map_or_else(unknown, p_value),
    ]
}

/// The figure of the baseline or of the candidate.
fn value(one: &Compared<'_>, place: usize) -> String {
    let Some(values) = one.values else { return UNKNOWN.to_owned() };
    let least = if one.lower_bound[place] { "≥ " } else { "" };
    format!("{least}{}", three_digits(values[place]))
}

/// Whether it is a p90 between a median and a p99 that are both there.
fn is_between(one: &Compared<'_>, all: &[&Compared<'_>]) -> bool {
    one.figure.strip_suffix("p90").is_some_and(|stem| {
        all.iter()
            .any(|it| it.candidate == one.candidate && it.figure.strip_suffix("p99") == Some(stem))
    })
}
