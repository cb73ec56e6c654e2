//! A pair of axes on a sheet, and what is drawn between them.

use plotters::style::{Color as _, RGBColor, WHITE};

use super::{Dot, Drawn, GREY, GRID, INK, SOFT_INK, Sheet, Side, Stroke, text_width};
use crate::axis::Axis;

/// A pair of axes on a sheet.
pub(crate) struct Panel<'s, 'a> {
    pub(super) sheet: &'s Sheet<'a>,
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) top: i32,
    pub(super) bottom: i32,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Panel<'_, '_> {
    /// The ticks of the axis of loads.
    pub(super) fn x_ticks(&self) -> Vec<(f64, String)> {
        self.x.ticks(if self.width() > 400 { 9 } else { 4 })
    }

    /// Its width.
    pub(super) const fn width(&self) -> i32 {
        self.right - self.left
    }

    /// Draws both axes, the upright one with its own ticks.
    pub(super) fn axes(&self, x_ticks: &[(f64, String)], x_title: &str, y_title: &str) -> Drawn {
        for (value, label) in self.y.ticks(6) {
            let y = self.y_pixel(value);
            self.sheet.path(vec![(self.left, y), (self.right, y)], GRID.stroke_width(1))?;
            self.sheet.text(&label, (self.left - 8, y), 12.0, &SOFT_INK, Side::Right, false)?;
        }
        for (value, label) in x_ticks {
            let x = self.x_pixel(*value);
            self.sheet.path(vec![(x, self.bottom), (x, self.bottom + 5)], GREY.stroke_width(1))?;
            for (place, line) in (0..).zip(label.lines()) {
                let y = self.bottom + 16 + 14 * place;
                self.sheet.text(line, (x, y), 12.0, &SOFT_INK, Side::Middle, false)?;
            }
        }
        self.sheet.path(
            vec![(self.left, self.bottom), (self.right, self.bottom)],
            GREY.stroke_width(1),
        )?;
        let middle = i32::midpoint(self.left, self.right);
        self.sheet.text(x_title, (middle, self.bottom + 36), 12.5, &INK, Side::Middle, false)?;
        self.sheet.text(y_title, (self.left - 42, self.top - 16), 12.5, &INK, Side::Left, false)
    }

    fn x_pixel(&self, value: f64) -> i32 {
        // Far outside is as good as just outside, and does not overflow.
        let place = self.x.place(value).clamp(-1.0, 2.0);
        self.left + (place * f64::from(self.right - self.left)).round() as i32
    }

    fn y_pixel(&self, value: f64) -> i32 {
        let place = self.y.place(value).clamp(0.0, 1.0);
        self.bottom - (place * f64::from(self.bottom - self.top)).round() as i32
    }

    /// A line through the points that lie on the axes, in order.
    pub(crate) fn line(&self, points: &[(f64, f64)], colour: RGBColor, stroke: Stroke) -> Drawn {
        let on_axes: Vec<_> = points
            .iter()
            .filter(|(x, y)| self.x.holds(*x) && y.is_finite())
            .map(|&(x, y)| (self.x_pixel(x), self.y_pixel(y)))
            .collect();
        if on_axes.len() < 2 { Ok(()) } else { self.sheet.stroke(&on_axes, colour, stroke) }
    }

    /// A point with the ends of its interval.
    pub(crate) fn point(
        &self,
        x: f64,
        (low, y, high): (f64, f64, f64),
        colour: RGBColor,
        dot: Dot,
    ) -> Drawn {
        if !self.x.holds(x) || !self.y.holds(y) {
            return Ok(());
        }
        let at = self.x_pixel(x);
        let (low, high) = (self.y_pixel(low), self.y_pixel(high));
        if low - high > 2 {
            let style = colour.stroke_width(1);
            self.sheet.path(vec![(at, low), (at, high)], style)?;
            for end in [low, high] {
                self.sheet.path(vec![(at - 4, end), (at + 4, end)], style)?;
            }
        }
        self.sheet.dot((at, self.y_pixel(y)), colour, dot)
    }

    /// Shades the loads from `from` to `to`.
    pub(crate) fn shade(&self, from: f64, to: f64, colour: RGBColor, strength: f64) -> Drawn {
        let inside = |x: f64| self.x_pixel(x).clamp(self.left, self.right);
        self.sheet.fill_rectangle(
            (inside(from), self.top),
            (inside(to), self.bottom),
            colour,
            strength,
        )
    }

    /// Shades the values from `low` to `high`.
    pub(crate) fn band(&self, low: f64, high: f64, colour: RGBColor) -> Drawn {
        let (low, high) = (self.y_pixel(low), self.y_pixel(high));
        self.sheet.fill_rectangle((self.left, high), (self.right, low.max(high + 1)), colour, 0.25)
    }

    /// A bar in the `place`-th place, from one value up to another.
    pub(crate) fn bar(&self, place: usize, (low, high): (f64, f64), colour: RGBColor) -> Drawn {
        let (from, to) = (place as f64 + 0.2, place as f64 + 0.8);
        let (low, high) = (self.y_pixel(low), self.y_pixel(high));
        let (left, right) = (self.x_pixel(from), self.x_pixel(to));
        self.sheet.fill_rectangle((left, high), (right.max(left + 1), low), colour, 0.9)
    }

    /// A word at the foot of the `place`-th place, in the place of a bar.
    pub(crate) fn word(&self, place: usize, word: &str) -> Drawn {
        let x = self.x_pixel(place as f64 + 0.5);
        self.sheet.text(word, (x, self.bottom - 10), 12.0, &SOFT_INK, Side::Middle, false)
    }

    /// A line across at one value.
    pub(crate) fn level(&self, y: f64, colour: RGBColor, stroke: Stroke) -> Drawn {
        let y = self.y_pixel(y);
        self.sheet.stroke(&[(self.left, y), (self.right, y)], colour, stroke)
    }

    /// A line upright at one load, with a label beside it, `share` of the way up: on the given side
    /// where that has room, else on the other.
    pub(crate) fn mark(
        &self,
        x: f64,
        label: &str,
        (colour, stroke): (RGBColor, Stroke),
        (share, side): (f64, Side),
    ) -> Drawn {
        if !self.x.holds(x) {
            return Ok(());
        }
        let at = self.x_pixel(x);
        self.sheet.stroke(&[(at, self.bottom), (at, self.top)], colour, stroke)?;
        let y = self.bottom - (share * f64::from(self.bottom - self.top)).round() as i32;
        let width = text_width(label, 12.5) + 8;
        let (left, right) = (at - 6 - width, at + 6);
        let to_the_left = match side {
            Side::Left => left >= self.left,
            _ => right + width > self.right,
        };
        let from = if to_the_left { left } else { right };
        self.sheet.fill_rectangle((from, y - 9), (from + width, y + 9), WHITE, 0.85)?;
        self.sheet.text(label, (from + 4, y), 12.5, &colour, Side::Left, true)
    }

    /// A label above a value, at the right end.
    pub(crate) fn note(&self, text: &str, y: f64, colour: RGBColor) -> Drawn {
        let y = (self.y_pixel(y) - 12).max(self.top + 6);
        self.sheet.text(text, (self.right - 4, y), 12.5, &colour, Side::Right, true)
    }

    /// Says in the middle of the panel why it is empty.
    pub(crate) fn empty(&self, text: &str) -> Drawn {
        let middle = (i32::midpoint(self.left, self.right), i32::midpoint(self.top, self.bottom));
        self.sheet.text(text, middle, 13.0, &SOFT_INK, Side::Middle, false)
    }
}
