//! The axes of the figures.

use plotly::common::{ExponentFormat, Title};
use plotly::layout::{Axis, AxisType, RangeMode};

use crate::axis::Axis as Scale;

/// An axis from zero, numbers written out.
pub(super) fn linear(title: &str) -> Axis {
    Axis::new()
        .title(Title::with_text(title))
        .range_mode(RangeMode::ToZero)
        .exponent_format(ExponentFormat::None)
        .separate_thousands(true)
}

/// A logarithmic axis around the values, with the ticks of the SVG figures.
pub(super) fn logarithmic(title: &str, values: impl Iterator<Item = f64>) -> Axis {
    let scale = Scale::logarithmic(values);
    let (low, high) = scale.ends();
    let (ticks, labels) = scale.ticks(0).into_iter().unzip();
    Axis::new()
        .title(Title::with_text(format!("{title}, logarithmic")))
        .type_(AxisType::Log)
        .range(vec![low.log10(), high.log10()])
        .tick_values(ticks)
        .tick_text(labels)
}
