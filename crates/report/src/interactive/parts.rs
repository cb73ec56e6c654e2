//! The figure of what the time to the first token is made of.

use plotly::Bar;
use plotly::common::Title;
use plotly::common::{HoverInfo, Marker};
use plotly::layout::Axis;

use super::axes::linear;
use super::sketch::Sketch;
use super::{BLUE, GREY, ORANGE, VERMILLION};
use crate::ladder::{Ladder, State};
use crate::numbers::in_ms;
use crate::server_time::{self, PARTS};

/// The colours of the parts, in their order.
const COLOURS: [&str; 3] = [ORANGE, BLUE, GREY];
/// Labels that the axis has room for.
const LABELS: usize = 16;

/// Queue, prefill and the rest of the mean TTFT, stacked, with the sentence that they say; `None`
/// where the server does not say them.
pub(super) fn ttft_parts(ladder: &Ladder<'_>) -> Option<(String, Sketch)> {
    let bars = server_time::bars(ladder)?;
    let unit = ladder.axis.unit();
    let stride = bars.len().div_ceil(LABELS).max(1);
    let (places, labels): (Vec<f64>, Vec<String>) = bars
        .iter()
        .enumerate()
        .step_by(stride)
        .map(|(place, bar)| (place as f64, bar.label.clone()))
        .unzip();
    let x = Axis::new()
        .title(Title::with_text(ladder.axis.title()))
        .range(vec![-0.5, bars.len() as f64 - 0.5])
        .show_grid(false)
        .zero_line(false)
        .tick_values(places)
        .tick_text(labels);
    let mut sketch = Sketch::new(x, linear("mean TTFT from sent (ms)")).stacked();
    for (place, bar) in bars.iter().enumerate() {
        if bar.state == State::Unstable {
            let place = place as f64;
            sketch.region(true, place - 0.5, place + 0.5, VERMILLION, 0.1);
        }
    }
    for (part, colour) in COLOURS.into_iter().enumerate() {
        let known: Vec<_> = bars
            .iter()
            .enumerate()
            .filter_map(|(place, bar)| Some((place as f64, bar.parts?[part], &bar.label)))
            .collect();
        let words = known
            .iter()
            .map(|(_, ms, label)| format!("{} {} ms at {label} {unit}", PARTS[part], in_ms(*ms)))
            .collect();
        let (places, values) = known.iter().map(|(place, ms, _)| (*place, *ms)).unzip();
        sketch.traces.push(
            Bar::<f64, f64>::new(places, values)
                .name(PARTS[part])
                .marker(Marker::new().color(colour))
                .hover_text_array(words)
                .hover_info(HoverInfo::Text),
        );
    }
    Some((server_time::sentence(ladder, &bars), sketch))
}
