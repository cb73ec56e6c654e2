//! Where in a connection's bytes something ended, and what was noted of the reads that brought it.
//!
//! While a response runs, nothing is stamped with a time: an event is marked by the place of its last
//! byte in the connection's stream, and each read notes up to where it reached and when. The times are
//! looked up when the response is over, from these notes or from a packet capture.

use plimsoll_records::StampSource;
use plimsoll_units::RunNanos;

/// A place in a connection's incoming bytes (below TLS): how many came before it, counted since the
/// connection was opened. The place of an event is the one behind its last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

/// When something happened: known already, or by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Position),
    Clock(RunNanos),
}

/// One read that brought bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// The place behind its last byte.
    pub(crate) end: Position,
    /// The clock right after it.
    pub(crate) user: RunNanos,
    /// The kernel's time of its last bytes; the origin for none. (An `Option` would be twice as large,
    /// and there is one of these for each token of each stream.)
    kernel: RunNanos,
}

impl Read {
    pub(crate) fn new(end: Position, user: RunNanos, kernel: Option<RunNanos>) -> Self {
        Self { end, user, kernel: kernel.unwrap_or(RunNanos::ZERO) }
    }

    /// The kernel's time of its last bytes.
    pub(crate) fn kernel(&self) -> Option<RunNanos> {
        (self.kernel > RunNanos::ZERO).then_some(self.kernel)
    }

    /// Leaves the kernel's time out.
    pub(crate) fn forget_kernel(&mut self) {
        self.kernel = RunNanos::ZERO;
    }

    /// The best stamp that the read has.
    pub(crate) fn stamp(&self) -> (RunNanos, StampSource) {
        match self.kernel() {
            Some(kernel) => (kernel, StampSource::Socket),
            None => (self.user, StampSource::User),
        }
    }
}

/// The stamps of places by the reads that brought them. Asking in ascending order is quickest.
#[derive(Debug)]
pub(crate) struct Lookup<'a> {
    reads: &'a [Read],
    at: usize,
    /// The last stamp given and where: a later place never has an earlier stamp, not even if one read
    /// has the kernel's time and the one before it had none.
    floor: (Position, RunNanos),
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(reads: &'a [Read]) -> Self {
        Self { reads, at: 0, floor: (Position::default(), RunNanos::ZERO) }
    }

    /// The stamp of the read that brought the byte before `place`, and its kind. `None` for a place
    /// that no read has reached.
    pub(crate) fn stamp(&mut self, place: Position) -> Option<(RunNanos, StampSource)> {
        let behind = self.at.checked_sub(1).is_some_and(|last| self.reads[last].end >= place);
        if behind {
            self.at = self.reads.partition_point(|read| read.end < place);
        } else {
            self.at += self.reads[self.at..].iter().take_while(|read| read.end < place).count();
        }
        let (stamp, source) = self.reads.get(self.at)?.stamp();
        if place >= self.floor.0 {
            self.floor = (place, stamp.max(self.floor.1));
            return Some((self.floor.1, source));
        }
        Some((stamp, source))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(nanos: u64) -> RunNanos {
        RunNanos::from_nanos(nanos)
    }

    #[test]
    fn a_place_belongs_to_the_read_that_reached_it() {
        let reads = [
            Read::new(Position(10), nanos(100), Some(nanos(90))),
            Read::new(Position(30), nanos(200), None),
            Read::new(Position(31), nanos(201), Some(nanos(150))),
        ];
        let mut lookup = Lookup::new(&reads);
        let mut at = |place| lookup.stamp(Position(place));
        assert_eq!(at(1), Some((nanos(90), StampSource::Socket)));
        assert_eq!(at(10), Some((nanos(90), StampSource::Socket)));
        assert_eq!(at(11), Some((nanos(200), StampSource::User)));
        // The kernel's 150 would be before what came earlier.
        assert_eq!(at(31), Some((nanos(200), StampSource::Socket)));
        assert_eq!(at(32), None);
        assert_eq!(at(5), Some((nanos(90), StampSource::Socket)), "back again");
    }

    proptest! {
        /// In whatever order places are asked for, each gets the first read that reaches it.
        #[test]
        fn order_of_asking_does_not_matter(
            lengths in proptest::collection::vec(1_u64..9, 1..20),
            places in proptest::collection::vec(1_u64..120, 1..40),
        ) {
            let mut end = 0;
            let reads: Vec<Read> = lengths
                .iter()
                .map(|length| {
                    end += length;
                    Read::new(Position(end), nanos(end), None)
                })
                .collect();
            let mut lookup = Lookup::new(&reads);
            for place in places {
                let found = lookup.stamp(Position(place)).map(|(stamp, _)| stamp.as_nanos());
                let expected = reads.iter().map(|read| read.end.0).find(|&end| end >= place);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
