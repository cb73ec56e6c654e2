//! Connections that are opened before they are needed: how many a worker opens ahead of a point, and
//! how many it keeps idle while the point runs.
//!
//! A request that must open its connection leaves late by a handshake. In an open loop a burst may
//! need some at any moment, so a reserve of idle ones is kept; in a closed loop a connection
//! is free again at the very moment when the next request needs it, so nothing is kept beyond what
//! was opened ahead.

use std::time::Duration;

use crate::matrix::Prewarm;
use crate::offered::{PointLoad, share};

/// The arrivals of so long a time are those that a reserve must serve while others are opened.
const MOMENT: Duration = Duration::from_millis(200);
/// The smallest and the largest reserve of a worker: bursts of a few come at any rate, and beyond some
/// hundred the server's own queue of connections is the narrower place.
const RESERVE: [u32; 2] = [4, 256];

/// The connections of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Opened before the first request.
    pub(crate) ahead: u32,
    /// Kept idle while requests are sent.
    pub(crate) kept: u32,
}

impl Reserve {
    /// What the matrix wishes, for worker number `worker` of `workers`; never more than the requests
    /// that it may have in flight.
    pub(crate) fn new(
        wish: Prewarm,
        load: PointLoad,
        max_in_flight: Option<u32>,
        worker: u32,
        workers: u32,
    ) -> Self {
        let mine = |total| share(total, worker, workers);
        match load {
            PointLoad::Open(rate) => {
                let wanted = match wish {
                    Prewarm::Connections(connections) => mine(connections),
                    Prewarm::Auto => {
                        let arrivals = rate.per_second() / f64::from(workers);
                        let [least, most] = RESERVE;
                        // Float-to-int casts saturate.
                        ((arrivals * MOMENT.as_secs_f64()).ceil() as u32).clamp(least, most)
                    }
                };
                let kept = max_in_flight.map_or(wanted, |cap| wanted.min(mine(cap)));
                Self { ahead: kept, kept }
            }
            PointLoad::Closed(concurrency) => {
                let ahead = match wish {
                    Prewarm::Connections(connections) => mine(connections).min(mine(concurrency)),
                    Prewarm::Auto => mine(concurrency),
                };
                Self { ahead, kept: 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_units::Rate;

    use super::*;

    fn open(rate: f64, wish: Prewarm, cap: Option<u32>, workers: u32) -> u32 {
        let load = PointLoad::Open(Rate::new(rate).unwrap());
        let reserve = Reserve::new(wish, load, cap, 0, workers);
        assert_eq!(reserve.ahead, reserve.kept);
        reserve.kept
    }

    #[test]
    fn an_open_loop_has_the_first_moments_ready_within_bounds() {
        assert_eq!(open(100.0, Prewarm::Auto, None, 1), 20);
        assert_eq!(open(100.0, Prewarm::Auto, None, 4), 5);
        assert_eq!(open(0.5, Prewarm::Auto, None, 1), 4);
        assert_eq!(open(1e9, Prewarm::Auto, None, 1), 256);
        assert_eq!(open(100.0, Prewarm::Connections(7), None, 2), 4);
        assert_eq!(open(100.0, Prewarm::Connections(0), None, 1), 0);
        assert_eq!(open(100.0, Prewarm::Auto, Some(6), 2), 3);
    }

    #[test]
    fn a_closed_loop_has_its_slots_ready_and_keeps_no_more() {
        let closed = |wish, worker| Reserve::new(wish, PointLoad::Closed(5), None, worker, 2);
        assert_eq!(closed(Prewarm::Auto, 0), Reserve { ahead: 3, kept: 0 });
        assert_eq!(closed(Prewarm::Auto, 1), Reserve { ahead: 2, kept: 0 });
        assert_eq!(closed(Prewarm::Connections(100), 1), Reserve { ahead: 2, kept: 0 });
        assert_eq!(closed(Prewarm::Connections(0), 0), Reserve::default());
    }
}
