//! The figures of a conclusion on low load.

use plimsoll_analysis::{Case, LowLoad};
use plotters::style::RGBColor;

use super::super::cells::{factors, last, load};
use super::Latency;
use crate::axis::Axis;
use crate::clean::clean;
use crate::error::ReportError;
use crate::figures::canvas::{
    BLUE, Dot, Drawn, GREEN, Key, ORANGE, PURPLE, SKY, Sheet, VERMILLION,
};
use crate::figures::drawn;

const COLOURS: [RGBColor; 6] = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY];

/// Whether anything can be drawn.
pub(super) fn has_any(found: &LowLoad) -> bool {
    !found.cases.is_empty()
}

/// Whether a latency is known of any case.
pub(super) fn has(found: &LowLoad, latency: &Latency) -> bool {
    found.cases.iter().any(|case| (latency.of)(case).mean_ms.is_some())
}

/// The mean of a latency by the levels of the first factor (a bundle where there is one), a colour for
/// each combination of the others.
pub(super) fn latency(found: &LowLoad, latency: &Latency) -> Result<(String, String), ReportError> {
    drawn(latency.file, |svg| means(found, latency, svg))
}

/// The factor along the axis: a bundle before a path, else none.
fn axis(found: &LowLoad) -> Option<&String> {
    let mut names: Vec<&String> = found.cases.iter().flat_map(|case| case.factors.keys()).collect();
    names.sort_by_key(|name| (name.contains('.'), *name));
    names.first().copied()
}

fn means(found: &LowLoad, latency: &Latency, svg: &mut String) -> Drawn {
    let axis = axis(found);
    let place_of = |case: &Case| match axis.and_then(|name| case.factors.get(name)) {
        Some(level) => clean(level),
        None => load(&case.load),
    };
    let several_loads = found.cases.iter().any(|case| case.load != found.cases[0].load)
        && found
            .cases
            .iter()
            .map(|case| load(&case.load))
            .any(|it| it != load(&found.cases[0].load));
    let series_of = |case: &Case| {
        let mut others = case.factors.clone();
        axis.map(|name| others.remove(name));
        let mut words = factors(&others);
        if several_loads && axis.is_some() {
            words =
                format!("{words}{}{}", if words.is_empty() { "" } else { ", " }, load(&case.load));
        }
        words
    };
    let distinct = |of: &dyn Fn(&Case) -> String| {
        let mut seen: Vec<String> = Vec::new();
        for name in found.cases.iter().map(of) {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen
    };
    let (places, series) = (distinct(&place_of), distinct(&series_of));
    let colour = |place: usize| COLOURS[place % COLOURS.len()];
    let legend: Vec<(Key, &str)> = series
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
        .map(|(place, name)| (Key::Dot(colour(place), Dot::Filled), name.as_str()))
        .collect();
    let title = format!("Mean {} with its 95 % interval", latency.name);
    let sheet = Sheet::new(svg, 380, &title, &legend)?;
    let highest = found
        .cases
        .iter()
        .filter_map(|case| {
            let waited = (latency.of)(case);
            waited.mean.map(|mean| mean.high).or(waited.mean_ms)
        })
        .fold(0.0, f64::max);
    let x_title = axis.map_or_else(|| "load".to_owned(), |name| last(name));
    let y = (Axis::linear(highest * 1.1), &*format!("{} (ms)", latency.name));
    let panel = sheet.places(&places, &x_title, y)?;
    for case in &found.cases {
        let waited = (latency.of)(case);
        let Some(mean) = waited.mean_ms else { continue };
        let (low, high) = waited.mean.map_or((mean, mean), |it| (it.low, it.high));
        let at = |all: &[String], name: &String| all.iter().position(|one| one == name);
        let place = at(&places, &place_of(case)).unwrap_or(0) as f64;
        let number = at(&series, &series_of(case)).unwrap_or(0);
        // The series stand side by side, in the middle half of the place.
        let aside = (number as f64 + 0.5) / series.len() as f64 - 0.5;
        panel.point(place + 0.5 + 0.5 * aside, (low, mean, high), colour(number), Dot::Filled)?;
    }
    sheet.finish()
}
