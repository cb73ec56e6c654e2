//! What happens over the offered load at each size, and where the time goes; and, of several families,
//! the lines of each for itself and how their capacities go with the size.

use plimsoll_analysis::{ScalePoint, SizeOfGroup};
use plotters::style::RGBColor;

use super::scaling::Shown;
use crate::axis::Axis;
use crate::document::{Document, Section};
use crate::error::ReportError;
use crate::figures::by_factor::{self, Line};
use crate::figures::canvas::{
    BLUE, Dot, Drawn, GREEN, GREY, Key, ORANGE, PURPLE, SKY, Sheet, Stroke, VERMILLION,
};
use crate::figures::drawn;
use crate::grid::{Column, Grid, Row};
use crate::ladder::{Ladder, Rung, State};
use crate::numbers::{UNKNOWN, in_ms, latency, percent, plain, quantile, three_digits};

const PALETTE: [RGBColor; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY];

/// The figures of a family over the offered load: the stems of their file names, and what they show.
const OVER_LOAD: [(&str, &str); 3] = [
    ("throughput-by-size", "Throughput"),
    ("ttft-by-size", "Time to first token where the server keeps up"),
    ("tpot-by-size", "Time per output token where the server keeps up"),
];

/// The figure of several families.
const TOGETHER: &str = "capacity-over-size.svg";

/// Where the table of a family is read off, and how it is to be read.
const READ_AT: &str = "Each size at the highest load that it kept up with";
const READ: &str = "Latencies of two sizes compare where the shares of their capacities are alike. Queue, prefill, rest \
    and decode are means by the server's own counters";

/// The curves of all families.
pub(super) struct Curves<'s, 'a> {
    pub(super) families: &'s [Shown<'a>],
    pub(super) ladders: &'s [Ladder<'a>],
}

/// The ladder of one size.
struct Curve<'s, 'a> {
    n: f64,
    ladder: &'s Ladder<'a>,
}

impl<'s, 'a> Curves<'s, 'a> {
    /// Those of a family, smallest size first.
    fn of(&self, family: &Shown<'_>) -> Vec<Curve<'s, 'a>> {
        let ladders: &'s [Ladder<'a>] = self.ladders;
        let curve = |size: &SizeOfGroup| {
            let ladder = ladders.get(size.group).filter(|ladder| !ladder.rungs.is_empty())?;
            Some(Curve { n: size.n, ladder })
        };
        family.family.sizes.iter().filter_map(curve).collect()
    }

    /// The figures of a family over the offered load, by file name, with their titles. Of one family
    /// alone the report on its groups has the same.
    fn over_load(&self, family: &Shown<'_>) -> Vec<(String, String)> {
        if self.families.len() < 2 || self.of(family).is_empty() {
            return Vec::new();
        }
        let of = |(stem, what): &(&str, &str)| {
            (format!("{stem}{}.svg", family.mark), format!("{what}: {}", family.title))
        };
        OVER_LOAD.iter().map(of).collect()
    }

    pub(super) fn document(&self) -> Document {
        let mut sections = Vec::new();
        for family in self.families {
            let curves = self.of(family);
            if !curves.is_empty() {
                sections.push(Section {
                    title: match self.families.len() {
                        1 => READ_AT.to_owned(),
                        _ => format!("{READ_AT}: {}", family.title),
                    },
                    figure: None,
                    table: Some(table(&curves)),
                    notes: vec![READ.to_owned()],
                });
            }
            let figure = |(file, title)| Section {
                title,
                figure: Some(file),
                table: None,
                notes: Vec::new(),
            };
            sections.extend(self.over_load(family).into_iter().map(figure));
        }
        if self.families.len() > 1 {
            sections.push(Section {
                title: "The families together".to_owned(),
                figure: Some(TOGETHER.to_owned()),
                table: Some(self.together()),
                notes: Vec::new(),
            });
        }
        let headline = self.families.iter().find_map(|family| headline(family, &self.of(family)));
        Document {
            title: "Over the offered load".to_owned(),
            headline: headline
                .unwrap_or_else(|| "No size kept up with any load that was offered".to_owned()),
            sections,
        }
    }

    pub(super) fn figures(&self) -> Result<Vec<(String, String)>, ReportError> {
        let mut figures = Vec::new();
        for family in self.families {
            let curves = self.of(family);
            let names: Vec<_> =
                curves.iter().map(|curve| format!("n = {}", plain(curve.n))).collect();
            let lines: Vec<_> = { curves.iter().zip(&names) }
                .map(|(curve, name)| Line { name, ladder: curve.ladder })
                .collect();
            for (place, (file, title)) in self.over_load(family).iter().enumerate() {
                figures.push(drawn(file, |svg| match place {
                    0 => by_factor::throughput(&lines, title, svg),
                    1 => by_factor::latency(&lines, "TTFT", |point| &point.ttft, title, svg),
                    _ => by_factor::latency(&lines, "TPOT", |point| &point.tpot, title, svg),
                })?);
            }
        }
        if self.families.len() > 1 {
            figures.push(drawn(TOGETHER, |svg| self.draw_together(svg))?);
        }
        Ok(figures)
    }

    /// Each capacity of each family, and what one of its size is worth.
    fn together(&self) -> Grid {
        let columns = [
            Column::words(["family", ""]),
            Column::number(["n", ""]),
            Column::number(["capacity", "req/s"]),
            Column::number(["for each", "req/s"]),
        ];
        let row = |(family, point): (&Shown<'_>, ScalePoint)| {
            let bound = if point.lower_bound { "≥ " } else { "" };
            let rate = |rate: f64| format!("{bound}{}", three_digits(rate));
            Row::new(vec![
                family.title.clone(),
                plain(point.n),
                rate(point.capacity.value),
                rate(point.capacity.value / point.n),
            ])
        };
        let points = self.families.iter().flat_map(|family| {
            family.family.points().into_iter().map(move |point| (family, point))
        });
        Grid::of(&columns, points.map(row).collect())
    }

    /// Capacity over size, a line a family.
    fn draw_together(&self, svg: &mut String) -> Drawn {
        let families: Vec<_> = self
            .families
            .iter()
            .zip(PALETTE.iter().cycle())
            .map(|(family, &colour)| (family, family.family.points(), colour))
            .collect();
        let legend: Vec<_> = families
            .iter()
            .map(|(family, _, colour)| {
                (Key::Line(*colour, Stroke::Solid(2)), family.title.as_str())
            })
            .collect();
        let sheet = Sheet::new(svg, 460, "Capacity over the size", &legend)?;
        let points = || families.iter().flat_map(|(_, points, _)| points);
        let most = points().map(|point| point.n).fold(1.0, f64::max);
        let highest = points().map(|point| point.capacity.high).fold(0.0, f64::max);
        let (x, y) = (Axis::linear(most * 1.06), Axis::linear(highest * 1.08));
        let panel = sheet.panel((0, 1), (x, "n"), (y, "capacity (req/s)"))?;
        for (_, points, colour) in &families {
            let line: Vec<_> = points.iter().map(|point| (point.n, point.capacity.value)).collect();
            panel.line(&line, *colour, Stroke::Solid(2))?;
            for point in points {
                let (dot, ends) = (&point.capacity, point.lower_bound);
                let look = if ends { Dot::Hollow } else { Dot::Filled };
                panel.point(point.n, (dot.low, dot.value, dot.high), *colour, look)?;
            }
        }
        sheet.finish()
    }
}

impl<'a> Curve<'_, 'a> {
    /// The highest load that it kept up with.
    fn highest(&self) -> Option<&Rung<'a>> {
        self.ladder.of_state(State::Stable).last()
    }

    /// A load as a share of the capacity.
    fn share(&self, rung: &Rung<'_>) -> Option<f64> {
        let capacity = self.ladder.capacity()?;
        let known = !self.ladder.group.saturation.lower_bound && capacity.value > 0.0;
        known.then(|| rung.load / capacity.value)
    }
}

fn table(curves: &[Curve<'_, '_>]) -> Grid {
    let unit = curves.first().map_or("req/s", |curve| curve.ladder.axis.unit());
    let columns = [
        Column::number(["n", ""]),
        Column::number(["offered", unit]),
        Column::number(["of its", "capacity"]),
        Column::number(["output", "tok/s"]),
        Column::number(["TTFT p50", "ms"]),
        Column::number(["TTFT p90", "ms"]),
        Column::number(["TPOT p50", "ms"]),
        Column::number(["queue", "ms"]),
        Column::number(["prefill", "ms"]),
        Column::number(["rest", "ms"]),
        Column::number(["decode", "ms"]),
    ];
    let row = |curve: &Curve<'_, '_>| {
        let n = plain(curve.n);
        let Some(rung) = curve.highest() else {
            let mut cells = vec![n];
            cells.resize(columns.len(), UNKNOWN.to_owned());
            return Row::new(cells);
        };
        let point = rung.point;
        let server = point.server.unwrap_or_default();
        let known = |value: Option<f64>| {
            let finite = value.filter(|value| value.is_finite());
            finite.map_or_else(|| UNKNOWN.to_owned(), in_ms)
        };
        let share = curve.share(rung).map(|share| percent((share * 100.0).round() / 100.0));
        Row::new(vec![
            n,
            rung.label.clone(),
            share.unwrap_or_else(|| UNKNOWN.to_owned()),
            three_digits(point.output_tokens_per_s.value),
            quantile(point.ttft.p50),
            quantile(point.ttft.p90),
            quantile(point.tpot.p50),
            known(server.queue_ms),
            known(server.prefill_ms),
            known(server.rest_ms),
            known(server.decode_ms),
        ])
    };
    Grid::of(&columns, curves.iter().map(row).collect())
}

/// What waiting for the first token comes to at the smallest and the largest size.
fn headline(family: &Shown<'_>, curves: &[Curve<'_, '_>]) -> Option<String> {
    let said = |curve: &Curve<'_, '_>| {
        let rung = curve.highest()?;
        let median = latency(rung.point.ttft.p50.value?);
        let share = curve.share(rung).map(|share| {
            format!(" ({} of its capacity)", percent((share * 100.0).round() / 100.0))
        });
        let (n, unit) = (plain(curve.n), curve.ladder.axis.unit());
        let counted =
            if curve.n == 1.0 { family.counted().trim_end_matches('s') } else { family.counted() };
        Some(format!(
            "{median} with {n} {counted} at {} {unit}{}",
            rung.label,
            share.unwrap_or_default()
        ))
    };
    let all: Vec<_> = curves.iter().filter_map(said).collect();
    match all.as_slice() {
        [] => None,
        [only] => Some(format!("The median TTFT is {only}")),
        [first, .., last] => Some(format!("The median TTFT is {first}, and {last}")),
    }
}
