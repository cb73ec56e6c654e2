//! The figures of a scaling report.

use plimsoll_analysis::{Bound, Estimate, Law, Speedup};
use plotters::style::RGBColor;

use super::{KARP_FLATT, SPEEDUP, ScalingReport, words};
use crate::axis::Axis;
use crate::error::ReportError;
use crate::figures::canvas::{
    BLUE, Dot, Drawn, GREEN, GREY, Key, ORANGE, PURPLE, Sheet, Stroke, VERMILLION,
};
use crate::figures::drawn;

/// Steps of a law's curve.
const STEPS: usize = 120;

/// Both figures.
pub(super) fn all(report: &ScalingReport<'_>) -> Result<Vec<(String, String)>, ReportError> {
    Ok(vec![
        drawn(&report.file(SPEEDUP), |svg| speedup(report, svg))?,
        drawn(&report.file(KARP_FLATT), |svg| karp_flatt(report, svg))?,
    ])
}

/// The ends to draw of a number that may be a bound, and how its dot looks.
fn reading(estimate: &Estimate, bound: Bound) -> ((f64, f64, f64), Dot) {
    let Estimate { value, low, high } = *estimate;
    match bound {
        Bound::Measured => ((low, value, high), Dot::Filled),
        Bound::AtLeast => ((low, low, low), Dot::Hollow),
        Bound::AtMost => ((high, high, high), Dot::Hollow),
    }
}

const fn colour(law: Law) -> RGBColor {
    match law {
        Law::Linear => GREY,
        Law::Amdahl => GREEN,
        Law::Gustafson => ORANGE,
        Law::Usl => PURPLE,
    }
}

/// Speed-ups over the size, with the ideal and the laws.
fn speedup(report: &ScalingReport<'_>, svg: &mut String) -> Drawn {
    let scaling = report.scaling;
    let base = scaling.base;
    let capacity = report.sorted()[0].capacity.value;
    let mut legend = vec![
        (Key::Dot(BLUE, Dot::Filled), "measured, 95 % interval"),
        (Key::Line(GREY, Stroke::Dashed), "ideal"),
    ];
    if scaling.speedups.iter().any(|gain| gain.bound != Bound::Measured) {
        legend.push((Key::Dot(BLUE, Dot::Hollow), "a bound: not saturated"));
    }
    let laws: Vec<_> = scaling.fits.iter().filter(|fit| fit.law != Law::Linear).collect();
    for fit in &laws {
        let chosen = scaling.chosen == Some(fit.law);
        let stroke = if chosen { Stroke::Solid(3) } else { Stroke::Dotted };
        legend.push((Key::Line(colour(fit.law), stroke), fit.law.name()));
    }
    // The speed-up alone: the whole sentence would run off the sheet.
    let headline = words::headline(report);
    let title = headline.split(';').next().unwrap_or_default();
    let sheet = Sheet::new(svg, 500, title, &legend)?;
    let most = scaling.speedups.iter().map(|gain| gain.n).fold(base, f64::max);
    // Room for the ideal, unless that would press everything else to the floor.
    let highest = scaling.speedups.iter().map(|gain| gain.speedup.high).fold(1.0, f64::max);
    let x = Axis::linear(most * 1.06);
    let y = Axis::linear(f64::min(most / base, 2.0 * highest).max(highest) * 1.08);
    let title = report.sizes_title();
    let panel = sheet.panel((0, 1), (x, &title), (y, &format!("speed-up over n = {base}")))?;
    let end = x.ends().1.min(y.ends().1 * base);
    panel.line(&[(0.0, 0.0), (end, end / base)], GREY, Stroke::Dashed)?;
    for fit in laws {
        let at = |step: usize| most * step as f64 / STEPS as f64;
        let curve: Vec<_> = (0..=STEPS)
            .map(at)
            .filter(|n| *n >= base.min(1.0))
            .map(|n| (n, fit.capacity(n) / capacity))
            .filter(|(_, gain)| *gain <= y.ends().1)
            .collect();
        let chosen = scaling.chosen == Some(fit.law);
        let stroke = if chosen { Stroke::Solid(3) } else { Stroke::Dotted };
        panel.line(&curve, colour(fit.law), stroke)?;
    }
    panel.point(base, (1.0, 1.0, 1.0), BLUE, Dot::Filled)?;
    for Speedup { n, speedup, bound, .. } in &scaling.speedups {
        let (ends, dot) = reading(speedup, *bound);
        panel.point(*n, ends, BLUE, dot)?;
    }
    sheet.finish()
}

/// Karp and Flatt's share over the size.
fn karp_flatt(report: &ScalingReport<'_>, svg: &mut String) -> Drawn {
    let gains = &report.scaling.speedups;
    let mut legend = vec![(Key::Dot(VERMILLION, Dot::Filled), "of the speed-up, 95 % interval")];
    if gains.iter().any(|gain| gain.bound != Bound::Measured) {
        legend.push((Key::Dot(VERMILLION, Dot::Hollow), "a bound: not saturated"));
    }
    let sheet = Sheet::new(svg, 400, "Serial share that each size implies", &legend)?;
    let readings: Vec<_> = gains
        .iter()
        .map(|gain| {
            // It is bounded the other way round than the speed-up.
            let bound = match gain.bound {
                Bound::Measured => Bound::Measured,
                Bound::AtLeast => Bound::AtMost,
                Bound::AtMost => Bound::AtLeast,
            };
            (gain.n, reading(&gain.karp_flatt, bound))
        })
        .collect();
    let most = gains.iter().map(|gain| gain.n).fold(report.scaling.base, f64::max);
    let values = readings.iter().flat_map(|(_, ((low, _, high), _))| [*low, *high]);
    let y = Axis::around(values.chain([0.0]));
    let title = report.sizes_title();
    let panel =
        sheet.panel((0, 1), (Axis::linear(most * 1.06), &title), (y, "Karp-Flatt serial share"))?;
    panel.level(0.0, GREY, Stroke::Dashed)?;
    let line: Vec<_> = readings
        .iter()
        .filter(|(_, (_, dot))| *dot == Dot::Filled)
        .map(|(n, ((_, value, _), _))| (*n, *value))
        .collect();
    panel.line(&line, VERMILLION, Stroke::Solid(2))?;
    for (n, (ends, dot)) in readings {
        panel.point(n, ends, VERMILLION, dot)?;
    }
    sheet.finish()
}
