//! `client-busy`: a worker thread of the client had little CPU time to spare.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// CPU share of a thread over the window above which queueing inside the client begins to show.
const BUSY: f64 = 0.8;

/// Looks at the busiest worker thread.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let (worker, share) = evidence
        .point
        .workers
        .iter()
        .filter_map(|worker| Some((worker.worker, worker.cpu_share?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    if share <= BUSY {
        return None;
    }
    Some(finding(
        FindingCode::ClientBusy,
        Severity::Warning,
        format!("worker thread {worker} of the client used {:.0} % of a CPU", 100.0 * share),
        &[("worker", f64::from(worker)), ("cpu_share", share)],
        "use more worker threads, or another machine for the client: stamps of a busy thread \
         come late",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn only_the_busiest_thread_counts() {
        let mut fixture = Fixture::clean();
        assert_eq!(fixture.find(FindingCode::ClientBusy), None);
        let mut second = fixture.point.workers[0];
        second.worker = 1;
        second.cpu_share = Some(0.93);
        fixture.point.workers.push(second);
        let found = fixture.find(FindingCode::ClientBusy).unwrap();
        assert_eq!((found.severity, found.numbers["worker"]), (Severity::Warning, 1.0));
        fixture.point.workers[1].cpu_share = None;
        assert_eq!(fixture.find(FindingCode::ClientBusy), None);
    }
}
