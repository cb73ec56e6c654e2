//! Rows below each other with a value in each, on one axis along.

use plotters::drawing::DrawingAreaErrorKind;
use plotters::style::{Color as _, RGBColor};
use std::io;

use super::{Dot, Drawn, GREY, GRID, INK, SOFT_INK, Sheet, Side, Stroke, WIDTH, text_width};
use crate::axis::Axis;

/// Height of a row.
const ROW: i32 = 20;
/// The widest label.
const LABEL: i32 = 320;
/// Room of the axis below the rows.
const FOOT: i32 = 52;

/// Rows on a sheet.
pub(crate) struct Rows<'s, 'a> {
    sheet: &'s Sheet<'a>,
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    x: Axis,
}

/// How high a sheet of that many rows is, with a title and a legend of one line.
pub(crate) const fn height_of(rows: usize) -> i32 {
    // A figure of more rows than fit in a number of pixels is drawn by nobody.
    88 + ROW * rows as i32 + FOOT
}

impl<'a> Sheet<'a> {
    /// Rows with their names at the left, and the axis below.
    pub(crate) fn rows(
        &self,
        labels: &[String],
        (x, title): (Axis, &str),
    ) -> Result<Rows<'_, 'a>, DrawingAreaErrorKind<io::Error>> {
        let widest = labels.iter().map(|label| text_width(label, 12.0)).max().unwrap_or(0);
        let left = 20 + widest.min(LABEL) + 12;
        let (right, top) = (WIDTH - 22, self.top + 10);
        let bottom = top + ROW * labels.len() as i32;
        let rows = Rows { sheet: self, left, right, top, bottom, x };
        for (value, label) in rows.x.ticks(8) {
            let at = rows.pixel(value);
            self.path(vec![(at, top), (at, bottom)], GRID.stroke_width(1))?;
            self.text(&label, (at, bottom + 14), 12.0, &SOFT_INK, Side::Middle, false)?;
        }
        for (place, label) in labels.iter().enumerate() {
            let at = (left - 10, rows.middle(place));
            self.text(label, at, 12.0, &INK, Side::Right, false)?;
        }
        self.path(vec![(left, bottom), (right, bottom)], GREY.stroke_width(1))?;
        let middle = i32::midpoint(left, right);
        self.text(title, (middle, bottom + 34), 12.5, &INK, Side::Middle, false)?;
        Ok(rows)
    }
}

impl Rows<'_, '_> {
    fn pixel(&self, value: f64) -> i32 {
        let place = self.x.place(value).clamp(0.0, 1.0);
        self.left + (place * f64::from(self.right - self.left)).round() as i32
    }

    const fn middle(&self, place: usize) -> i32 {
        self.top + ROW * place as i32 + ROW / 2
    }

    /// Shades the values from `low` to `high` in all rows.
    pub(crate) fn band(&self, low: f64, high: f64, colour: RGBColor) -> Drawn {
        let (low, high) = (self.pixel(low), self.pixel(high));
        self.sheet.fill_rectangle((low, self.top), (high.max(low + 1), self.bottom), colour, 0.25)
    }

    /// A line down at one value.
    pub(crate) fn level(&self, value: f64, colour: RGBColor, stroke: Stroke) -> Drawn {
        let at = self.pixel(value);
        self.sheet.stroke(&[(at, self.bottom), (at, self.top)], colour, stroke)
    }

    /// A value with the ends of its interval in the `place`-th row; an end beyond the axis is open.
    pub(crate) fn value(
        &self,
        place: usize,
        (low, value, high): (f64, f64, f64),
        colour: RGBColor,
        dot: Dot,
    ) -> Drawn {
        if ![low, value, high].iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        let y = self.middle(place);
        let (from, to) = (self.pixel(low), self.pixel(high));
        if to - from > 2 {
            let style = colour.stroke_width(1);
            self.sheet.path(vec![(from, y), (to, y)], style)?;
            for (end, at) in [(low, from), (high, to)] {
                if self.x.holds(end) {
                    self.sheet.path(vec![(at, y - 4), (at, y + 4)], style)?;
                }
            }
        }
        self.sheet.dot((self.pixel(value), y), colour, dot)
    }
}
