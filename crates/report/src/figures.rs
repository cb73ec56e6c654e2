//! `figs/*.svg`: the figures for paper, README and Markdown.

pub(crate) mod by_factor;
pub(crate) mod canvas;
mod charts;
pub(crate) mod impact;
mod parts;

use crate::conclusion;
use crate::error::ReportError;
use crate::groups::Groups;
use crate::input::ReportInput;
use crate::ladder::{Ladder, State, ladders};
use crate::server_time;
use canvas::Drawn;

/// A figure: the stem of its file name, what draws it, and whether a ladder has it.
struct Figure {
    stem: &'static str,
    draw: fn(&Ladder<'_>, &mut String) -> Drawn,
    has: fn(&Ladder<'_>) -> bool,
}

/// The figures of a ladder with points.
static FIGURES: [Figure; 7] = [
    Figure { stem: "saturation", draw: charts::saturation, has: |_| true },
    Figure { stem: "ttft", draw: charts::ttft, has: |_| true },
    Figure {
        stem: "ttft-parts",
        draw: parts::ttft_parts,
        has: |ladder| server_time::bars(ladder).is_some(),
    },
    Figure { stem: "latency", draw: charts::latency, has: |_| true },
    Figure {
        stem: "trade-off",
        draw: charts::trade_off,
        has: |ladder| ladder.of_state(State::Stable).nth(1).is_some(),
    },
    Figure { stem: "schedule-lag", draw: charts::schedule_lag, has: |_| true },
    Figure { stem: "in-flight", draw: charts::in_flight, has: |_| true },
];

/// The figures as SVG, each with its file name: throughput over the offered load
/// (`saturation.svg`), TTFT (`ttft.svg`), what it is made of where the server says so
/// (`ttft-parts.svg`), TPOT, ITL (or the gap between chunks) and E2E (`latency.svg`), what throughput
/// costs in latency (`trade-off.svg`), how late the client sent (`schedule-lag.svg`) and requests in
/// flight over time (`in-flight.svg`).
///
/// Before them those of the experiment's conclusion. With several groups of points the names end in the
/// group's number from 1 (`saturation-1.svg`), and before those of the first stand the figures of all
/// groups together (`throughput-by-factor.svg`). A group without points has no figures.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn figures(input: &ReportInput<'_>) -> Result<Vec<(String, String)>, ReportError> {
    let ladders = ladders(&input.judgement.groups);
    let mut figures = conclusion::figures(input)?;
    if let Some(groups) = Groups::of_run(input, &ladders) {
        figures.extend(groups.figures()?);
    }
    for (ladder, files) in ladders.iter().zip(file_names(&ladders)) {
        figures.extend(of_ladder(ladder, files)?);
    }
    Ok(figures)
}

/// The figures of one ladder under the given file names; none when it has no points.
pub(crate) fn of_ladder(
    ladder: &Ladder<'_>,
    files: Vec<String>,
) -> Result<Vec<(String, String)>, ReportError> {
    let mut figures = Vec::with_capacity(files.len());
    for (file, figure) in files.into_iter().zip(figures_of(ladder)) {
        figures.push(drawn(&file, |svg| (figure.draw)(ladder, svg))?);
    }
    Ok(figures)
}

/// A figure with its file name.
pub(crate) fn drawn(
    file: &str,
    draw: impl FnOnce(&mut String) -> Drawn,
) -> Result<(String, String), ReportError> {
    let (file, mut svg) = (file.to_owned(), String::new());
    match draw(&mut svg) {
        Ok(()) => Ok((file, svg)),
        Err(error) => Err(ReportError::Draw { figure: file, source: Box::new(error) }),
    }
}

/// The file names of each ladder's figures.
pub(crate) fn file_names(ladders: &[Ladder<'_>]) -> Vec<Vec<String>> {
    let several = ladders.len() > 1;
    (1..)
        .zip(ladders)
        .map(|(place, ladder)| {
            let end = if several { format!("-{place}") } else { String::new() };
            figures_of(ladder).map(|figure| format!("{}{end}.svg", figure.stem)).collect()
        })
        .collect()
}

/// The figures that a ladder has.
fn figures_of(ladder: &Ladder<'_>) -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().filter(move |figure| !ladder.rungs.is_empty() && (figure.has)(ladder))
}
