//! What one point offers.

use std::fmt;

use plimsoll_units::Rate;

/// The load of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PointLoad {
    /// Arrivals at a rate.
    Open(Rate),
    /// Requests in flight.
    Closed(u32),
}

impl PointLoad {
    /// The one of `loads` that asks the most of the client: the highest rate, or, where there is none,
    /// the highest concurrency. `None` of none.
    pub(crate) fn heaviest(loads: impl IntoIterator<Item = Self>) -> Option<Self> {
        let weight = |load: &Self| match load {
            Self::Open(rate) => (1, rate.per_second()),
            Self::Closed(concurrency) => (0, f64::from(*concurrency)),
        };
        loads.into_iter().max_by(|a, b| {
            let (a, b) = (weight(a), weight(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        })
    }
}

/// The share of worker number `worker` of `workers` in `total`; the shares add up to it.
pub(crate) const fn share(total: u32, worker: u32, workers: u32) -> u32 {
    total / workers + (worker < total % workers) as u32
}

impl fmt::Display for PointLoad {
    /// `12.5 req/s` or `8 at a time`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(rate) => write!(f, "{} req/s", rate.per_second()),
            Self::Closed(concurrency) => write!(f, "{concurrency} at a time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_load_is_the_highest_rate_and_else_the_most_at_a_time() {
        let open = |rate| PointLoad::Open(Rate::new(rate).unwrap());
        let loads = [PointLoad::Closed(500), open(3.0), open(70.0), open(9.0)];
        assert_eq!(PointLoad::heaviest(loads), Some(open(70.0)));
        let closed = [PointLoad::Closed(8), PointLoad::Closed(64), PointLoad::Closed(9)];
        assert_eq!(PointLoad::heaviest(closed), Some(PointLoad::Closed(64)));
        assert_eq!(PointLoad::heaviest([]), None);
    }

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for (total, workers) in [(0, 3), (2, 3), (10, 3), (12, 4), (1, 1)] {
            let shares: Vec<_> = (0..workers).map(|worker| share(total, worker, workers)).collect();
            assert_eq!(shares.iter().sum::<u32>(), total);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
