//! In which order the groups of a plan are measured.

use std::ops::Range;

use plimsoll_analysis::interleaving;

use crate::matrix::Order;

/// A stretch of a run on one group: some of its repetitions, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The group's place in the plan.
    pub(crate) group: usize,
    /// Which repetitions, from 0.
    pub(crate) repetitions: Range<u32>,
}

/// The turns of a plan. Grouped, each server is started once; interleaved, what drifts meanwhile (heat,
/// a neighbour) meets every group alike, at the price of a server's start a turn where it cannot be shared.
pub(crate) fn turns(order: Order, groups: usize, repetitions: u32) -> Vec<Turn> {
    match order {
        Order::Grouped => {
            (0..groups).map(|group| Turn { group, repetitions: 0..repetitions }).collect()
        }
        Order::Interleaved => interleaving(groups, repetitions as usize)
            .into_iter()
            .map(|turn| {
                // Counted from 0 to a number that is a u32.
                let repetition = turn.repetition as u32;
                Turn { group: turn.setting, repetitions: repetition..repetition + 1 }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_take_all_their_repetitions_at_once_or_turns() {
        let of = |order| -> Vec<(usize, Range<u32>)> {
            turns(order, 2, 3).into_iter().map(|turn| (turn.group, turn.repetitions)).collect()
        };
        assert_eq!(of(Order::Grouped), [(0, 0..3), (1, 0..3)]);
        assert_eq!(
            of(Order::Interleaved),
            [(0, 0..1), (1, 0..1), (1, 1..2), (0, 1..2), (1, 2..3), (0, 2..3)]
        );
    }
}
