//! What a point that is a probe was asked for, and by which search: with the rows of the points before
//! it, all that is needed to ask the search again what it found.

use plimsoll_units::{RunNanos, Span};
use serde::{Deserialize, Serialize};

/// A probe of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Its place in the search, from 0.
    pub number: u32,
    /// The end of the probe before it, or the search's own start: the probe took the time from here to
    /// its end, preparations included.
    pub since_ns: RunNanos,
    /// Length of the measure window asked for.
    pub window: Span,
    /// Longest warm-up allowed, where the run finds its length.
    pub warm_up_at_most: Span,
    /// Whether it might end as soon as overload was certain: with the throughput known to this share of
    /// itself. `None`: it might not.
    pub end_when_overloaded: Option<f64>,
    /// Whether requests that were due in the window were waited for.
    pub drain: bool,
    /// The search.
    pub search: SearchRecord,
}

/// A search for a capacity, as it was configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// What is searched.
    pub goal: SearchGoal,
    /// Lowest rate to offer, requests per second.
    pub from_per_s: f64,
    /// Highest rate to offer, requests per second.
    pub to_per_s: f64,
    /// Half the interval's width over the capacity at which it is over.
    pub precision: f64,
    /// Confidence of the interval.
    pub confidence: f64,
    /// Shortest measure window of a probe.
    pub shortest_window: Span,
    /// Time that it may take; `None` without a limit.
    pub time: Option<Span>,
    /// Requests that it may send; `None` without a limit.
    pub requests: Option<u64>,
}

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SearchGoal {
    /// The highest rate that the server keeps up with.
    Capacity,
    /// The highest rate at which it also meets the SLO.
    Slo {
        /// The share of the requests that must meet every objective; above 0, below 1.
        attainment: f64,
    },
}
