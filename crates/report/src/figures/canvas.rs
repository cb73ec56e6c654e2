//! The drawing surface: a titled sheet, and panels with axes on it. All in pixels of the figure.

mod panel;
mod rows;

use std::io;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle, WHITE};

use crate::axis::Axis;

pub(crate) use panel::Panel;
pub(crate) use rows::height_of;

/// What drawing returns.
pub(crate) type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// Text, lines that carry data, lines that help the eye.
const INK: RGBColor = RGBColor(0x22, 0x2b, 0x33);
const SOFT_INK: RGBColor = RGBColor(0x5b, 0x66, 0x70);
const GRID: RGBColor = RGBColor(0xe3, 0xe7, 0xea);

// The palette of Okabe and Ito, which colour-blind readers tell apart.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
pub(crate) const VERMILLION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(crate) const PURPLE: RGBColor = RGBColor(0xa0, 0x4a, 0x7c);
pub(crate) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
pub(crate) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
pub(crate) const GREY: RGBColor = RGBColor(0x8a, 0x93, 0x9b);

/// The heights of a sheet's title, of its legend, and the width of a figure.
const TITLE: i32 = 40;
const LEGEND: i32 = 24;
const WIDTH: i32 = 880;
/// Mean width of a character over the size of the font, of a common sans-serif.
const CHARACTER: f64 = 0.51;

/// Which end of a text stands at its point, or which side of a line it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Middle,
    Right,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stroke {
    Solid(u32),
    Dashed,
    Dotted,
}

/// How a point is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dot {
    Filled,
    Hollow,
}

/// An entry of a legend.
pub(crate) enum Key {
    Line(RGBColor, Stroke),
    Dot(RGBColor, Dot),
    Area(RGBColor),
    Bar(RGBColor),
}

/// A figure.
pub(crate) struct Sheet<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    height: i32,
    top: i32,
}

impl<'a> Sheet<'a> {
    /// An empty figure with its title and legend.
    pub(crate) fn new(
        svg: &'a mut String,
        height: i32,
        title: &str,
        legend: &[(Key, &str)],
    ) -> Result<Self, DrawingAreaErrorKind<io::Error>> {
        let area = SVGBackend::with_string(svg, (WIDTH as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut sheet = Self { area, height, top: TITLE };
        // A sentence that does not fit gets smaller letters, down to what can be read.
        let size = (f64::from(WIDTH - 40) / (title.chars().count().max(1) as f64 * CHARACTER))
            .clamp(12.0, 17.0);
        sheet.text(title, (20, 22), size, &INK, Side::Left, true)?;
        sheet.legend(legend)?;
        Ok(sheet)
    }

    fn legend(&mut self, legend: &[(Key, &str)]) -> Drawn {
        let (mut x, mut y) = (20, TITLE + 8);
        for (key, name) in legend {
            // A little wider than most fonts, so that none runs into the next.
            let length = 30 + text_width(name, 14.0) + 18;
            if x + length > WIDTH && x > 20 {
                x = 20;
                y += LEGEND - 4;
            }
            match key {
                Key::Line(colour, stroke) => {
                    self.stroke(&[(x, y), (x + 22, y)], *colour, *stroke)?;
                }
                Key::Dot(colour, dot) => self.dot((x + 11, y), *colour, *dot)?,
                Key::Area(colour) => {
                    self.fill_rectangle((x, y - 6), (x + 22, y + 6), *colour, 0.25)?;
                }
                Key::Bar(colour) => {
                    self.fill_rectangle((x, y - 6), (x + 22, y + 6), *colour, 0.9)?;
                }
            }
            self.text(name, (x + 28, y), 12.5, &SOFT_INK, Side::Left, false)?;
            x += length;
        }
        if !legend.is_empty() {
            self.top = y + 10;
        }
        Ok(())
    }

    /// The `place`-th of `of` panels beside each other, with axes.
    pub(crate) fn panel(
        &self,
        (place, of): (i32, i32),
        x: (Axis, &str),
        y: (Axis, &str),
    ) -> Result<Panel<'_, 'a>, DrawingAreaErrorKind<io::Error>> {
        let panel = self.bare_panel((place, of), x.0, y.0);
        panel.axes(&panel.x_ticks(), x.1, y.1)?;
        Ok(panel)
    }

    /// One panel with a place for each label (of up to three lines, where the axis has no title) beside
    /// each other; the `n`-th goes from `n` to `n + 1`.
    pub(crate) fn places(
        &self,
        labels: &[String],
        x_title: &str,
        y: (Axis, &str),
    ) -> Result<Panel<'_, 'a>, DrawingAreaErrorKind<io::Error>> {
        self.places_at((0, 1), labels, x_title, y)
    }

    /// The same as the `place`-th of `of` panels beside each other.
    pub(crate) fn places_at(
        &self,
        (place, of): (i32, i32),
        labels: &[String],
        x_title: &str,
        y: (Axis, &str),
    ) -> Result<Panel<'_, 'a>, DrawingAreaErrorKind<io::Error>> {
        let panel = self.bare_panel((place, of), Axis::linear(labels.len() as f64), y.0);
        // As many labels as have room.
        let lines = labels.iter().flat_map(|label| label.lines());
        let widest = lines.map(|line| text_width(line, 12.0)).max().unwrap_or(0) + 12;
        let room = (panel.width() / widest.max(1)).max(1) as usize;
        let stride = labels.len().div_ceil(room).max(1);
        let ticks: Vec<_> = labels
            .iter()
            .enumerate()
            .step_by(stride)
            .map(|(place, label)| (place as f64 + 0.5, label.clone()))
            .collect();
        panel.axes(&ticks, x_title, y.1)?;
        Ok(panel)
    }

    fn bare_panel(&self, (place, of): (i32, i32), x: Axis, y: Axis) -> Panel<'_, 'a> {
        let width = WIDTH / of;
        Panel {
            sheet: self,
            left: place * width + 62,
            right: (place + 1) * width - 22,
            top: self.top + 30,
            bottom: self.height - 52,
            x,
            y,
        }
    }

    /// Puts the figure into the string.
    pub(crate) fn finish(self) -> Drawn {
        self.area.present()
    }

    fn text(
        &self,
        text: &str,
        at: (i32, i32),
        size: f64,
        colour: &RGBColor,
        side: Side,
        bold: bool,
    ) -> Drawn {
        let h = match side {
            Side::Left => HPos::Left,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Right,
        };
        let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
        // The backend divides by 1.24 what it is given.
        let font = ("Helvetica, Arial, sans-serif", size * 1.24).into_font().style(style);
        let style = TextStyle::from(font).color(colour).pos(Pos::new(h, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), at, style))
    }

    fn fill_rectangle(
        &self,
        from: (i32, i32),
        to: (i32, i32),
        colour: RGBColor,
        strength: f64,
    ) -> Drawn {
        self.area.draw(&Rectangle::new([from, to], colour.mix(strength).filled()))
    }

    fn dot(&self, at: (i32, i32), colour: RGBColor, dot: Dot) -> Drawn {
        if dot == Dot::Hollow {
            self.area.draw(&Circle::new(at, 4, WHITE.filled()))?;
            return self.area.draw(&Circle::new(at, 4, colour.stroke_width(2)));
        }
        self.area.draw(&Circle::new(at, 4, colour.filled()))
    }

    fn stroke(&self, points: &[(i32, i32)], colour: RGBColor, stroke: Stroke) -> Drawn {
        match stroke {
            Stroke::Solid(width) => self.path(points.to_vec(), colour.stroke_width(width)),
            Stroke::Dashed => self.broken(points, colour, (7.0, 5.0)),
            Stroke::Dotted => self.broken(points, colour, (2.0, 4.0)),
        }
    }

    fn path(&self, points: Vec<(i32, i32)>, style: ShapeStyle) -> Drawn {
        self.area.draw(&PathElement::new(points, style))
    }

    /// A line of dashes: `(length, gap)` in pixels, carried on from segment to segment.
    fn broken(&self, points: &[(i32, i32)], colour: RGBColor, (dash, gap): (f64, f64)) -> Drawn {
        let period = dash + gap;
        let mut walked = 0.0;
        for ends in points.windows(2) {
            let (from, to) = (float(ends[0]), float(ends[1]));
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length == 0.0 {
                continue;
            }
            let at = |way: f64| {
                let share = way / length;
                whole((from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share))
            };
            // The dashes that touch this segment, by their number since the line's start.
            let first = (walked / period).floor() as u64;
            let last = ((walked + length) / period).floor() as u64;
            for number in first..=last {
                let start = (number as f64 * period - walked).max(0.0);
                let end = (number as f64 * period + dash - walked).min(length);
                if start < end {
                    self.path(vec![at(start), at(end)], colour.stroke_width(2))?;
                }
            }
            walked += length;
        }
        Ok(())
    }
}

/// About how wide a text is.
fn text_width(text: &str, size: f64) -> i32 {
    (text.chars().count() as f64 * size * CHARACTER).ceil() as i32
}

fn float((x, y): (i32, i32)) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}

fn whole((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}
