//! The order in which a finite list is gone through, again and again.

use crate::chance::{Permutation, Source, Streams};
use crate::config::TraceOrder;

/// Passes over `len` items: every item comes once in each pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycle {
    len: u64,
    order: TraceOrder,
    /// One permutation for each pass, from the stream of the pass's number.
    passes: Streams,
}

impl Cycle {
    /// A cycle over `len` items, at least 1.
    pub(crate) fn new(len: usize, order: TraceOrder, seed: u64, source: Source) -> Self {
        Self { len: (len as u64).max(1), order, passes: Streams::new(seed, source) }
    }

    /// Which item comes at `index`.
    pub(crate) fn position(&self, index: u64) -> usize {
        let position = match self.order {
            TraceOrder::File => index % self.len,
            TraceOrder::Shuffled => {
                let mut rng = self.passes.at(index / self.len);
                Permutation::new(self.len, &mut rng).apply(index)
            }
        };
        position as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every pass visits every item once, in either order.
        #[test]
        fn every_pass_is_complete(len in 1_usize..200, seed: u64, pass in 0_u64..5, file: bool) {
            let order = if file { TraceOrder::File } else { TraceOrder::Shuffled };
            let cycle = Cycle::new(len, order, seed, Source::Rows);
            let start = pass * len as u64;
            let mut seen: Vec<usize> =
                (start..start + len as u64).map(|index| cycle.position(index)).collect();
            if file {
                prop_assert!(seen.is_sorted());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn passes_differ_when_shuffled() {
        let cycle = Cycle::new(100, TraceOrder::Shuffled, 1, Source::Rows);
        let pass = |number: u64| (0..100).map(|i| cycle.position(number * 100 + i)).collect();
        let (first, second): (Vec<usize>, Vec<usize>) = (pass(0), pass(1));
        assert_ne!(first, second);
        assert!(!first.is_sorted());
    }
}
