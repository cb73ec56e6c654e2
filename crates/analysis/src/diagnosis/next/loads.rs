//! Which loads the next experiment offers.

use plimsoll_records::OfferedLoad;
use serde_json::{Value, json};

use super::draft::Draft;
use crate::Group;
use crate::diagnosis::reading::load;

/// Shares of the capacity that show whether a change raises it up to four times: one that was kept up with,
/// one for each doubling that is only kept up with if it did.
const AROUND_FOUR_TIMES: [f64; 4] = [0.8, 1.25, 2.5, 5.0];

/// Shares of the capacity around its edge, for a closer look.
const AROUND_THE_EDGE: [f64; 4] = [0.8, 1.1, 1.25, 1.5];

/// Rates to add above a capacity that is only a lower bound: in steps that grow, for nobody knows how far
/// it is.
pub(crate) fn rates_beyond(capacity: f64) -> [f64; 3] {
    [1.3, 1.8, 2.5].map(|factor| round_up(capacity * factor))
}

/// A rate with two significant digits, not below `rate`.
pub(crate) fn round_up(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.max(1e-9).log10().floor() - 1.0);
    // The product of a whole number and a power of ten may carry noise in its last digits.
    ((rate / unit).ceil() * unit * 1e6).round() / 1e6
}

/// Where a group's loads lie.
pub(super) struct Loads {
    /// Whether the loop is open.
    is_open: bool,
    /// The capacity; else what was got through; else the lowest load.
    capacity: f64,
    /// The highest load that was offered.
    highest: f64,
}

impl Loads {
    /// `None` without a point.
    pub(super) fn of(group: &Group) -> Option<Self> {
        let first = group.points.first()?;
        let highest = group.points.iter().map(load).fold(0.0, f64::max);
        let saturation = &group.saturation;
        let known = saturation.capacity_per_s.or(saturation.plateau_per_s).map(|it| it.value);
        Some(Self {
            is_open: matches!(first.load, OfferedLoad::Open { .. }),
            capacity: known.filter(|&it| it > 0.0).unwrap_or_else(|| load(first)),
            highest,
        })
    }

    /// Loads that show whether a change raises the capacity up to four times. A search finds that itself.
    pub(super) fn for_a_change(&self, draft: &mut Draft) {
        if draft.get("load.search").is_some() {
            // Each probe's window is the search's own affair, and a resolved matrix has one all the same.
            draft.remove("load.window", "measure");
            return;
        }
        if self.is_open {
            self.rates(draft, &AROUND_FOUR_TIMES.map(|share| share * self.capacity));
        } else {
            self.concurrencies(draft, &[1.0, 2.0, 4.0].map(|times| times * self.highest));
        }
    }

    /// Loads around the edge.
    pub(super) fn around_the_edge(&self, draft: &mut Draft) {
        if self.is_open {
            self.rates(draft, &AROUND_THE_EDGE.map(|share| share * self.capacity));
        } else {
            self.concurrencies(draft, &[0.25, 0.5, 1.0, 2.0].map(|times| times * self.highest));
        }
    }

    /// Loads beyond the highest one that was kept up with, which is offered again.
    pub(super) fn beyond(&self, draft: &mut Draft) {
        if self.is_open {
            let mut rates = vec![self.highest];
            rates.extend(rates_beyond(self.capacity.max(self.highest)));
            self.rates(draft, &rates);
        } else {
            self.concurrencies(draft, &[1.0, 2.0, 4.0, 8.0].map(|times| times * self.highest));
        }
    }

    /// These loads, whatever their kind is.
    pub(super) fn exactly(&self, draft: &mut Draft, loads: &[f64]) {
        if self.is_open { self.rates(draft, loads) } else { self.concurrencies(draft, loads) }
    }

    fn rates(&self, draft: &mut Draft, rates: &[f64]) {
        draft.remove("load", "search");
        // A trace is played as fast as each rate asks, or at a speed of its own.
        draft.remove("workload.trace", "speed");
        // Three digits are as exact as anybody needs a rate.
        let rates: Vec<f64> = rates
            .iter()
            .filter_map(|rate| format!("{rate:.2e}").parse().ok())
            .filter(|&rate: &f64| rate > 0.0)
            .collect();
        draft.set("load.rates", json!(rates));
    }

    fn concurrencies(&self, draft: &mut Draft, levels: &[f64]) {
        let mut levels: Vec<u32> = levels.iter().map(|&level| (level as u32).max(1)).collect();
        levels.dedup();
        draft.set("load.concurrency", Value::from(levels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_to_add_have_two_digits_and_lie_beyond() {
        for (capacity, rates) in [
            (40.0, [52.0, 72.0, 100.0]),
            (36.4, [48.0, 66.0, 91.0]),
            (0.31, [0.41, 0.56, 0.78]),
            (1234.0, [1700.0, 2300.0, 3100.0]),
        ] {
            assert_eq!(rates_beyond(capacity), rates);
        }
    }
}
