//! `figs/*.svg`: the figures for paper, README and Markdown.

mod canvas;
mod charts;

use crate::error::ReportError;
use crate::input::ReportInput;
use crate::ladder::{Ladder, ladders};
use canvas::Drawn;

/// A figure: the stem of its file name, and what draws it.
type Figure = (&'static str, fn(&Ladder<'_>, &mut String) -> Drawn);

/// The figures of one ladder.
const FIGURES: [Figure; 5] = [
    ("saturation", charts::saturation),
    ("ttft", charts::ttft),
    ("latency", charts::latency),
    ("schedule-lag", charts::schedule_lag),
    ("in-flight", charts::in_flight),
];

/// The figures as SVG, each with its file name: throughput over the offered load
/// (`saturation.svg`), TTFT (`ttft.svg`), TPOT, ITL (or the gap between chunks) and E2E
/// (`latency.svg`), how late the client sent (`schedule-lag.svg`) and requests in flight over time
/// (`in-flight.svg`).
///
/// With several groups of points the names end in the group's number from 1
/// (`saturation-1.svg`). A group without points has no figures.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn figures(input: &ReportInput<'_>) -> Result<Vec<(String, String)>, ReportError> {
    let ladders = ladders(&input.judgement.groups);
    let mut figures = Vec::new();
    for (ladder, files) in ladders.iter().zip(file_names(ladders.len())) {
        figures.extend(of_ladder(ladder, files)?);
    }
    Ok(figures)
}

/// The figures of one ladder under the given file names; none when it has no points.
pub(crate) fn of_ladder(
    ladder: &Ladder<'_>,
    files: Vec<String>,
) -> Result<Vec<(String, String)>, ReportError> {
    if ladder.rungs.is_empty() {
        return Ok(Vec::new());
    }
    let mut figures = Vec::with_capacity(files.len());
    for (file, (_, draw)) in files.into_iter().zip(FIGURES) {
        let mut svg = String::new();
        match draw(ladder, &mut svg) {
            Ok(()) => figures.push((file, svg)),
            Err(error) => {
                return Err(ReportError::Draw { figure: file, source: Box::new(error) });
            }
        }
    }
    Ok(figures)
}

/// The file names of each ladder's figures.
pub(crate) fn file_names(ladders: usize) -> Vec<Vec<String>> {
    (1..=ladders)
        .map(|place| {
            let end = if ladders > 1 { format!("-{place}") } else { String::new() };
            FIGURES.iter().map(|(stem, _)| format!("{stem}{end}.svg")).collect()
        })
        .collect()
}
