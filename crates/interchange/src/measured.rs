//! What a result file says of one point, whoever wrote it: the readers' common answer.

use std::time::Duration;

use plimsoll_records::{ImportedRecord, OfferedLoad, RequestRow};

/// A point as another tool measured it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// The tool's figures.
    pub(crate) record: ImportedRecord,
    /// The model's served name.
    pub(crate) model: Option<String>,
    /// The server's address.
    pub(crate) url: Option<String>,
    /// What was offered; `None` where the file does not say.
    pub(crate) load: Option<OfferedLoad>,
    /// When it ended, by the wall clock that the file uses, since 1970 as if that clock were UTC.
    pub(crate) ended: Option<Duration>,
    /// The requests, their stamps counted from the start of the point; empty where the file has no stamps.
    pub(crate) rows: Vec<RequestRow>,
    /// What the tool's summary of them is worth: what had to be assumed of the rows.
    pub(crate) remarks: Vec<String>,
}

/// An open loop at `rate`, of gaps that are gamma-distributed with this shape, 1 for Poisson; without a
/// finite rate it is a burst: everything at once.
pub(crate) fn open(rate: f64, burstiness: f64, cap: Option<u64>) -> OfferedLoad {
    let arrivals = if burstiness == 1.0 {
        "poisson".to_owned()
    } else if burstiness.is_infinite() {
        "constant".to_owned()
    } else {
        format!("gamma(cv={})", 1.0 / burstiness.max(1e-6).sqrt())
    };
    OfferedLoad::Open {
        arrivals,
        rate_per_s: rate,
        gap_cv: Some(1.0 / burstiness.max(1e-6).sqrt()),
        seed: 0,
        max_in_flight: cap.and_then(|cap| u32::try_from(cap).ok()),
    }
}

/// A closed loop.
pub(crate) fn closed(concurrency: u64) -> OfferedLoad {
    OfferedLoad::Closed { concurrency: u32::try_from(concurrency).unwrap_or(u32::MAX) }
}

/// Mean time of a request by a tool that says only its parts: ttft + tpot (mean output tokens - 1), ms.
pub(crate) fn e2e_of_parts(record: &ImportedRecord) -> Option<f64> {
    let length = record.output_tokens? as f64 / record.completed.filter(|&n| n > 0)? as f64;
    Some(record.ttft_mean_ms? + record.tpot_mean_ms? * (length - 1.0).max(0.0))
}
