//! The figure of what the time to the first token is made of.

use plotters::style::RGBColor;

use super::canvas::{BLUE, Drawn, GREY, Key, ORANGE, Sheet, VERMILLION};
use crate::axis::Axis;
use crate::ladder::{Ladder, State};
use crate::server_time;
use crate::table::GROWS;

/// The colours of the parts, in their order.
const COLOURS: [RGBColor; 3] = [ORANGE, BLUE, GREY];

/// Queue, prefill and the rest of the mean TTFT, stacked, for each point that the server kept up with.
pub(super) fn ttft_parts(ladder: &Ladder<'_>, svg: &mut String) -> Drawn {
    let bars = server_time::bars(ladder).unwrap_or_default();
    let names = ["queue", "prefill", "rest: network, HTTP, client"];
    let mut legend: Vec<_> =
        names.into_iter().zip(COLOURS).map(|(name, colour)| (Key::Bar(colour), name)).collect();
    if ladder.has(State::Unstable) {
        legend.push((Key::Area(VERMILLION), "unstable: grows with the run"));
    }
    let sheet = Sheet::new(svg, 420, &server_time::sentence(ladder, &bars), &legend)?;
    let highest = bars.iter().filter_map(|bar| bar.parts).map(|parts| parts.iter().sum());
    let y = Axis::linear(highest.fold(0.0, f64::max) * 1.1);
    let labels: Vec<_> = bars.iter().map(|bar| bar.label.clone()).collect();
    let panel = sheet.places(&labels, ladder.axis.title(), (y, "mean TTFT from sent (ms)"))?;
    for (place, bar) in bars.iter().enumerate() {
        match (bar.state, bar.parts) {
            (_, Some(parts)) => {
                let mut low = 0.0;
                for (part, colour) in parts.into_iter().zip(COLOURS) {
                    panel.bar(place, (low, low + part), colour)?;
                    low += part;
                }
            }
            (State::Unstable, None) => {
                panel.shade(place as f64, place as f64 + 1.0, VERMILLION, 0.08)?;
                // One word a place has room for up to about a dozen places.
                if bars.len() <= 12 {
                    panel.word(place, GROWS)?;
                }
            }
            (State::Void, None) => panel.word(place, "‡")?,
            (State::Stable, None) => panel.word(place, "–")?,
        }
    }
    sheet.finish()
}
