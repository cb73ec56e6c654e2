//! `load.search`: which capacity to search, where, how well, and at what cost at most.

use std::time::Duration;

use plimsoll_units::{Rate, Span};
use serde::{Deserialize, Serialize};

/// `load.search`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SearchTable {
    /// Half the interval's width over the capacity, at which the search is over. 3 % by default.
    pub precision: f64,
    /// Confidence of the interval. 95 % by default.
    pub confidence: f64,
    /// Lowest rate to offer; when absent, what one stream sustains by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Rate>,
    /// Highest rate to offer; when absent, more than any server sustains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Rate>,
    /// Time that a search may take. A quarter of an hour by default.
    pub time: Span,
    /// Requests that it may send; no limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// What is searched; when absent, all that can be: `slo` where there is an SLO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<SearchFor>,
}

impl Default for SearchTable {
    fn default() -> Self {
        Self {
            precision: 0.03,
            confidence: 0.95,
            from: None,
            to: None,
            time: Span::new(Duration::from_secs(900)),
            requests: None,
            goal: None,
        }
    }
}

/// `load.search.goal`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchFor {
    /// The capacity alone.
    Capacity,
    /// The capacity, and then the SLO's.
    Slo,
}
