//! `client-busy`: a worker thread of the client had little CPU time to spare, or did not get it.
//!
//! **What.** A worker thread used over 80 % of a CPU during the window, or stood ready for over 10 % of it
//! while others had its core. **Warning**, for each.
//! **Why.** A busy thread sends late and reads late, and one that waits for its core does so however idle
//! it is: the latter means that something else runs where the client should, often the server. Kernel
//! stamps keep latencies true for a while; the schedule has no such help.
//! **Evidence.** CPU time, and time in the run queue, of each worker thread over the window / its length;
//! with the latter the p99 of its wake-ups.
//! **Remedy.** More worker threads, or another machine for the client; cores that nothing else uses.

use plimsoll_records::{Finding, FindingCode, Severity, WorkerRecord};

use super::{Evidence, finding};

/// CPU share of a thread over the window above which queueing inside the client begins to show.
pub(crate) const BUSY: f64 = 0.8;

/// The share of the window that a thread may stand ready while others have its core. A thread that
/// waits for a tenth of the time is late for a tenth of what happens, however idle it is itself.
pub(crate) const WAITING: f64 = 0.1;

/// Looks at the busiest worker thread.
pub(super) fn check_cpu(evidence: &Evidence<'_>) -> Option<Finding> {
    let (worker, share) = worst(evidence, |worker| worker.cpu_share)?;
    if share <= BUSY {
        return None;
    }
    Some(finding(
        FindingCode::ClientBusy,
        Severity::Warning,
        format!("worker thread {worker} of the client used {:.0} % of a CPU", 100.0 * share),
        &[("worker", f64::from(worker)), ("cpu_share", share)],
        "use more worker threads, or another machine for the client: a busy thread sends late, and \
         its own stamps come late",
    ))
}

/// Looks at the worker thread that others kept waiting the longest.
pub(super) fn check_run_queue(evidence: &Evidence<'_>) -> Option<Finding> {
    let (worker, share) = worst(evidence, |worker| worker.run_queue_share)?;
    if share <= WAITING {
        return None;
    }
    Some(finding(
        FindingCode::ClientBusy,
        Severity::Warning,
        format!(
            "worker thread {worker} of the client was ready to run for {:.0} % of the window while \
             others had its core",
            100.0 * share
        ),
        &[
            ("worker", f64::from(worker)),
            ("run_queue_share", share),
            ("wake_up_p99_ms", evidence.wake_up_p99_ms().unwrap_or(f64::NAN)),
        ],
        "give the client cores that nothing else uses (taskset, cgroups), the server least of all",
    ))
}

/// The worker with the largest share of a kind; `None` where none is known.
fn worst(evidence: &Evidence<'_>, share: fn(&WorkerRecord) -> Option<f64>) -> Option<(u32, f64)> {
    let workers = evidence.point.workers.iter();
    workers
        .filter_map(|worker| Some((worker.worker, share(worker)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
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

    #[test]
    fn an_idle_thread_that_others_keep_waiting_is_found() {
        let mut fixture = Fixture::clean();
        fixture.point.workers[0].run_queue_share = Some(0.09);
        assert_eq!(fixture.find(FindingCode::ClientBusy), None);
        fixture.point.workers[0].run_queue_share = Some(0.14);
        let found = fixture.find(FindingCode::ClientBusy).unwrap();
        assert!(found.message.contains("14 % of the window"), "{}", found.message);
        fixture.point.workers[0].cpu_share = Some(0.85);
        let both = fixture.audit().into_iter().filter(|f| f.code == FindingCode::ClientBusy);
        assert_eq!(both.count(), 2);
        fixture.point.workers[0].cpu_share = None;
        fixture.point.workers[0].run_queue_share = None;
        assert_eq!(fixture.find(FindingCode::ClientBusy), None);
    }
}
