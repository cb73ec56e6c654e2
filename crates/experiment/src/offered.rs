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

impl fmt::Display for PointLoad {
    /// `12.5 req/s` or `8 at a time`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(rate) => write!(f, "{} req/s", rate.per_second()),
            Self::Closed(concurrency) => write!(f, "{concurrency} at a time"),
        }
    }
}
