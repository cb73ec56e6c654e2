//! How many requests were in flight, and when.

use plimsoll_records::{Outcome, RequestRow};
use plimsoll_units::RunNanos;

/// Arrivals and departures of a point, each in order of time.
#[derive(Debug)]
pub(crate) struct InFlight {
    arrivals: Vec<RunNanos>,
    departures: Vec<RunNanos>,
}

impl InFlight {
    /// Of all rows of a point. A request arrives when it was intended and departs when it is over;
    /// one that we aborted never departs, for the server had not finished it; one that we shed
    /// never was with the server.
    pub(crate) fn of(rows: &[RequestRow]) -> Self {
        let there = || rows.iter().filter(|row| row.outcome != Outcome::Shed);
        let mut arrivals: Vec<_> = there().map(|row| row.intended).collect();
        let mut departures: Vec<_> =
            there().filter(|row| row.outcome != Outcome::Aborted).map(|row| row.done).collect();
        arrivals.sort_unstable();
        departures.sort_unstable();
        Self { arrivals, departures }
    }

    /// Arrivals before `at`.
    pub(crate) fn arrived(&self, at: RunNanos) -> u64 {
        self.arrivals.partition_point(|&arrival| arrival < at) as u64
    }

    /// Departures before `at`.
    pub(crate) fn departed(&self, at: RunNanos) -> u64 {
        self.departures.partition_point(|&departure| departure < at) as u64
    }

    /// Requests in flight just before `at`.
    pub(crate) fn at(&self, at: RunNanos) -> u64 {
        self.arrived(at).saturating_sub(self.departed(at))
    }

    /// The largest number in flight at a moment of `from <= t < to`.
    pub(crate) fn max(&self, from: RunNanos, to: RunNanos) -> u64 {
        let (mut a, mut d) = (self.arrived(from) as usize, self.departed(from) as usize);
        let mut most = a.saturating_sub(d);
        while let Some(&arrival) = self.arrivals.get(a).filter(|&&arrival| arrival < to) {
            while self.departures.get(d).is_some_and(|&departure| departure <= arrival) {
                d += 1;
            }
            a += 1;
            most = most.max(a.saturating_sub(d));
        }
        most as u64
    }

    /// The mean number in flight over `from <= t < to`, exact; the number at `from` for no length.
    pub(crate) fn mean(&self, from: RunNanos, to: RunNanos) -> f64 {
        let length = (to - from).as_nanos() as f64;
        if length == 0.0 {
            return self.at(from) as f64;
        }
        // Each arrival adds the time that is left after it, each departure takes it away.
        let left = |stamps: &[RunNanos]| -> f64 {
            stamps
                .iter()
                .take_while(|&&stamp| stamp < to)
                .map(|&stamp| (to - stamp.max(from)).as_nanos() as f64)
                .sum()
        };
        (left(&self.arrivals) - left(&self.departures)) / length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::fixture::{fail, row};

    fn at(nanos: u64) -> RunNanos {
        RunNanos::from_nanos(nanos)
    }

    #[test]
    fn an_aborted_request_stays_and_a_shed_one_never_came() {
        let mut rows: Vec<RequestRow> = (0..3).map(|k| row(k, at(10), 5, 0, 1)).collect();
        fail(&mut rows[1], Outcome::Aborted);
        fail(&mut rows[2], Outcome::Shed);
        let found = InFlight::of(&rows);
        assert_eq!((found.at(at(12)), found.at(at(100))), (2, 1));
    }

    proptest! {
        /// Counts, maximum and mean are those of looking at every nanosecond.
        #[test]
        fn as_by_looking_at_every_moment(
            requests in prop::collection::vec((0_u64..60, 0_u64..40), 0..30),
            from in 0_u64..50,
            length in 1_u64..50,
        ) {
            let rows: Vec<RequestRow> =
                requests.iter().map(|&(start, took)| row(0, at(start), took, 0, 1)).collect();
            let found = InFlight::of(&rows);
            // In flight during the nanosecond t: arrived at or before it, not yet departed.
            let level = |t: u64| {
                requests.iter().filter(|(start, took)| *start <= t && t < start + took).count()
            };
            let levels: Vec<usize> = (from..from + length).map(level).collect();
            let (start, end) = (at(from), at(from + length));
            let mean = levels.iter().sum::<usize>() as f64 / length as f64;
            prop_assert!((found.mean(start, end) - mean).abs() < 1e-9);
            for t in from..from + length {
                // Just before t: the level of the nanosecond that ends there.
                let before = if t == 0 { 0 } else { level(t - 1) };
                prop_assert_eq!(found.at(at(t)), before as u64);
            }
            // At an instant itself arrivals are counted before the departures of that instant only
            // if they take time, so the maximum is that of the nanoseconds and of the moment before
            // `from`.
            let before = if from == 0 { 0 } else { level(from - 1) };
            let most = levels.iter().copied().max().unwrap().max(before) as u64;
            let zero_length = requests.iter().any(|(_, took)| *took == 0);
            if zero_length {
                prop_assert!(found.max(start, end) >= most);
            } else {
                prop_assert_eq!(found.max(start, end), most);
            }
        }
    }
}
