//! The figure of what each factor does to one number, whatever the other factors were.

use plotters::style::RGBColor;

use super::canvas::{BLUE, Dot, Drawn, GREY, Key, Sheet, Stroke, VERMILLION};
use crate::axis::Axis;
use crate::clean::clean;
use crate::ladder::{Ladder, Reading};

/// Factors that have room beside each other.
const MOST: usize = 4;

/// What is known of one group: its number, and whether that is only a lower bound.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) reading: Reading,
    pub(crate) at_least: bool,
}

/// A factor with its levels in order, and the places of the groups of each.
struct Factor {
    name: String,
    levels: Vec<(String, Vec<usize>)>,
}

impl Factor {
    /// Whether every level has as many groups: only then do the means of the levels differ by this factor
    /// alone.
    fn is_balanced(&self) -> bool {
        self.levels.windows(2).all(|two| two[0].1.len() == two[1].1.len())
    }
}

/// The factors of these groups with two levels or more.
fn factors(ladders: &[Ladder<'_>]) -> Vec<Factor> {
    let mut factors: Vec<Factor> = Vec::new();
    for (place, ladder) in ladders.iter().enumerate() {
        for (path, level) in &ladder.group.factors {
            let name = clean(path.rsplit('.').next().unwrap_or(path));
            let position = factors.iter().position(|factor| factor.name == name);
            let position = position.unwrap_or_else(|| {
                factors.push(Factor { name, levels: Vec::new() });
                factors.len() - 1
            });
            let (level, levels) = (clean(level), &mut factors[position].levels);
            match levels.iter_mut().find(|(known, _)| *known == level) {
                Some((_, groups)) => groups.push(place),
                None => levels.push((level, vec![place])),
            }
        }
    }
    factors.retain(|factor| factor.levels.len() > 1);
    for factor in &mut factors {
        let number = |level: &str| level.parse::<f64>().ok().filter(|number| number.is_finite());
        if factor.levels.iter().all(|(level, _)| number(level).is_some()) {
            factor
                .levels
                .sort_by(|(a, _), (b, _)| number(a).partial_cmp(&number(b)).expect("finite"));
        }
    }
    factors
}

/// Whether there is a factor to show and two groups of which the number is known.
pub(crate) fn has(ladders: &[Ladder<'_>], known: &[Option<Known>]) -> bool {
    known.iter().flatten().count() > 1 && !factors(ladders).is_empty()
}

/// The number of each group by the level of each factor, a panel a factor; `known` has a place for each
/// ladder. `name` is that of the number, with its unit.
pub(crate) fn impact(
    ladders: &[Ladder<'_>],
    known: &[Option<Known>],
    (name, title): (&str, &str),
    svg: &mut String,
) -> Drawn {
    let mut factors = factors(ladders);
    factors.truncate(MOST);
    let mut legend = vec![(Key::Dot(BLUE, Dot::Filled), "a group, 95 % interval")];
    if known.iter().flatten().any(|it| it.at_least) {
        legend.push((Key::Dot(GREY, Dot::Hollow), "at least: not saturated"));
    }
    if factors.iter().any(Factor::is_balanced) {
        legend.push((Key::Line(VERMILLION, Stroke::Solid(2)), "mean of a level"));
    }
    let sheet = Sheet::new(svg, 420, title, &legend)?;
    let highest = known.iter().flatten().map(|it| it.reading.high).fold(0.0, f64::max);
    let y = Axis::linear(highest * 1.1);
    let of = factors.len() as i32;
    for (place, factor) in (0..).zip(&factors) {
        let labels: Vec<_> = factor.levels.iter().map(|(level, _)| level.clone()).collect();
        let panel = sheet.places_at((place, of), &labels, &factor.name, (y, name))?;
        let mut means = Vec::new();
        for (at, (_, groups)) in factor.levels.iter().enumerate() {
            let values: Vec<_> = groups.iter().filter_map(|&group| known[group]).collect();
            let middle = at as f64 + 0.5;
            if values.len() == groups.len() {
                let sum: f64 = values.iter().map(|it| it.reading.value).sum();
                means.push((middle, sum / values.len() as f64));
            }
            if values.is_empty() {
                panel.word(at, "–")?;
            }
            // Beside each other, so that none covers another.
            let step = 0.5 / values.len().max(1) as f64;
            for (n, it) in values.iter().enumerate() {
                let x = middle + (n as f64 - (values.len() - 1) as f64 / 2.0) * step;
                let Reading { value, low, high } = it.reading;
                let (colour, dot): (RGBColor, _) =
                    if it.at_least { (GREY, Dot::Hollow) } else { (BLUE, Dot::Filled) };
                panel.point(x, (low, value, high), colour, dot)?;
            }
        }
        if factor.is_balanced() {
            panel.line(&means, VERMILLION, Stroke::Solid(2))?;
        }
    }
    sheet.finish()
}
