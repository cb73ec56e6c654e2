//! Which replica a request goes to: the one with the fewest unfinished requests.

/// Least-loaded choice with fair ties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    /// The replica at which the search starts, one past the last choice.
    next: usize,
}

impl Router {
    /// The index of a least load; among equals the first one after the last choice. `loads` must
    /// not be empty.
    pub(crate) fn pick(&mut self, loads: impl ExactSizeIterator<Item = usize> + Clone) -> usize {
        let count = loads.len();
        let (choice, _) = loads
            .enumerate()
            .min_by_key(|(index, load)| (*load, (index + count - self.next % count) % count))
            .expect("there is at least one replica");
        self.next = choice + 1;
        choice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_wins_and_ties_go_round() {
        let mut router = Router::default();
        assert_eq!(router.pick([3, 1, 2].into_iter()), 1);
        let equal = [0, 0, 0].into_iter();
        let picks: Vec<usize> = (0..4).map(|_| router.pick(equal.clone())).collect();
        assert_eq!(picks, [2, 0, 1, 2]);
    }
}
