//! How busy the client was at a point.

use plimsoll_records::WorkerRecord;

/// The busiest of the client's threads over the measure window; `None` where the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientSummary {
    /// CPU time / window of the thread with the most; 0 to 1.
    pub cpu_share_max: Option<f64>,
    /// Time in line for a core / window of the thread with the most; 0 to 1.
    pub run_queue_share_max: Option<f64>,
}

impl ClientSummary {
    pub(crate) fn of(workers: &[WorkerRecord]) -> Self {
        let max = |share: fn(&WorkerRecord) -> Option<f64>| {
            workers.iter().filter_map(share).max_by(f64::total_cmp)
        };
        Self {
            cpu_share_max: max(|worker| worker.cpu_share),
            run_queue_share_max: max(|worker| worker.run_queue_share),
        }
    }
}
