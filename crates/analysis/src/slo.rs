//! Service level objectives: which latencies a user must see.

use std::fmt;
use std::time::Duration;

/// A set of objectives; a request is good when it meets each limit, a point when each objective's
/// quantile does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slo {
    /// The objectives. Empty: there is no SLO.
    pub terms: Vec<SloTerm>,
}

/// One objective: `ttft-p99 = "500ms"` asks that 99 % of the requests have their first token
/// within 500 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SloTerm {
    /// Which latency.
    pub metric: SloMetric,
    /// Which share of the requests must meet the limit; above 0, below 1.
    pub quantile: f64,
    /// The limit.
    pub limit: Duration,
}

/// A latency that an objective can be set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SloMetric {
    /// Time to first token, from intended.
    Ttft,
    /// Time per output token after the first.
    Tpot,
    /// Done - intended.
    E2e,
}

impl fmt::Display for SloMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::E2e => "e2e",
        })
    }
}
