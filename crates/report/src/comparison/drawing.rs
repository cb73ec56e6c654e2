//! The figure of a comparison: every change with its interval, against the margin of equivalence.

use plimsoll_analysis::ComparisonVerdict;
use plotters::style::RGBColor;

use super::{Compared, ComparisonReport, RATIOS, words};
use crate::axis::Axis;
use crate::clean::clean;
use crate::error::ReportError;
use crate::figures::canvas::{
    BLUE, Dot, Drawn, GREEN, GREY, Key, SKY, Sheet, Stroke, VERMILLION, height_of,
};
use crate::figures::drawn;

/// Changes that one figure has room for.
const ROOM: usize = 40;

/// How many times the largest change an interval may reach out and still be shown whole.
const REACH: f64 = 1.5;

/// What is drawn: everything, or where that is too much medians and what is no quantile, or the answer alone.
fn shown<'a>(report: &'a ComparisonReport<'_>) -> Vec<&'a Compared<'a>> {
    let all: Vec<_> = report.compared.iter().collect();
    if all.len() <= ROOM {
        return all;
    }
    let fewer = |one: &&Compared<'_>| !one.figure.ends_with("p90") && !one.figure.ends_with("p99");
    let medians: Vec<_> = report.compared.iter().filter(fewer).collect();
    let mut kept = if medians.len() <= ROOM { medians } else { report.answer() };
    kept.truncate(ROOM);
    kept
}

/// The one figure.
pub(super) fn all(report: &ComparisonReport<'_>) -> Result<Vec<(String, String)>, ReportError> {
    Ok(vec![drawn(RATIOS, |svg| ratios(report, svg))?])
}

const fn look(verdict: ComparisonVerdict) -> (RGBColor, Dot) {
    match verdict {
        ComparisonVerdict::Better => (GREEN, Dot::Filled),
        ComparisonVerdict::Worse => (VERMILLION, Dot::Filled),
        ComparisonVerdict::Equivalent => (BLUE, Dot::Filled),
        ComparisonVerdict::Undecided { .. } => (GREY, Dot::Hollow),
    }
}

/// Low end, change and high end in percent; a change without an interval has no width.
fn percents(one: &Compared<'_>) -> (f64, f64, f64) {
    let found = &one.comparison;
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    match found.interval {
        Some(interval) => (percent(interval.low), percent(found.ratio), percent(interval.high)),
        None => (percent(found.ratio), percent(found.ratio), percent(found.ratio)),
    }
}

fn ratios(report: &ComparisonReport<'_>, svg: &mut String) -> Drawn {
    let shown = shown(report);
    let mut legend = vec![(Key::Area(SKY), "equivalent: the narrowest margin")];
    let undecided = ComparisonVerdict::Undecided { repetitions_that_would_decide: None };
    for verdict in [
        ComparisonVerdict::Better,
        ComparisonVerdict::Worse,
        ComparisonVerdict::Equivalent,
        undecided,
    ] {
        let word = words::verdict(verdict);
        if shown.iter().any(|one| words::verdict(one.comparison.verdict) == word) {
            let (colour, dot) = look(verdict);
            legend.push((Key::Dot(colour, dot), word));
        }
    }
    let title = format!("Change against {}", clean(report.baseline));
    let sheet = Sheet::new(svg, height_of(shown.len()), &title, &legend)?;
    let margin = shown.iter().map(|one| one.comparing.margin).fold(1.0, f64::min);
    let (low, high) = (100.0 * (1.0 / (1.0 + margin) - 1.0), 100.0 * margin);
    // One interval that is as wide as nobody's business would push all others into a corner.
    let largest = shown.iter().map(|one| percents(one).1.abs()).fold(2.0 * high, f64::max);
    let inside = |end: f64| end.clamp(-REACH * largest, REACH * largest);
    let ends = shown.iter().map(|one| percents(one)).flat_map(|(low, _, high)| [low, high]);
    let x = Axis::around(ends.map(inside).chain([low, high]));
    let several = shown.iter().any(|one| one.candidate != shown[0].candidate);
    let labels: Vec<String> = shown
        .iter()
        .map(|one| match several {
            true => match report.letter(one.candidate) {
                Some(letter) => format!("{letter}: {}", words::of_figure(one)),
                None => format!("{}: {}", clean(one.candidate), words::of_figure(one)),
            },
            false => words::of_figure(one),
        })
        .collect();
    let rows = sheet.rows(&labels, (x, "change (%)"))?;
    rows.band(low, high, SKY)?;
    rows.level(0.0, GREY, Stroke::Dashed)?;
    for (place, one) in shown.iter().enumerate() {
        let (colour, dot) = look(one.comparison.verdict);
        rows.value(place, percents(one), colour, dot)?;
    }
    sheet.finish()
}
