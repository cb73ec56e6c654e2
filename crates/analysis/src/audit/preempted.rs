//! `preempted`: the server preempted requests during the window.
//!
//! **What.** The server preempted requests during the window. **Note**; **warning** when there were more than
//! 1 % of the requests due and the point is stable.
//! **Why.** A preempted request loses what it had computed and computes it again: the KV cache admits more
//! than it holds. Past saturation that is what overload looks like on a server that is short of memory; below
//! it, latencies have stalls that no user of a better configured server would see.
//! **Evidence.** The server's counter of preemptions over the window / requests due in it.
//! **Remedy.** More memory for the KV cache, or a lower `max-num-seqs`.

use plimsoll_records::{Finding, FindingCode, Severity};

use super::{Evidence, finding};

/// Preemptions as a share of the requests above which the latencies are those of preemption.
const MANY: f64 = 0.01;

/// Counts preemptions, by the server's own counter, against the requests due in the window. Past
/// saturation they are what a full KV cache does, and worth a note only.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    let preemptions = evidence.point.server.preemptions.filter(|&count| count > 0.0)?;
    let due = evidence.summary.counts.due.max(1) as f64;
    let share = preemptions / due;
    let severity =
        if share > MANY && evidence.is_stable() { Severity::Warning } else { Severity::Note };
    Some(finding(
        FindingCode::Preempted,
        severity,
        format!(
            "the server preempted requests {preemptions:.0} times, at {due:.0} requests due: what \
             they had computed was computed again"
        ),
        &[("preemptions", preemptions), ("preemptions_per_request", share)],
        "give the KV cache more memory (gpu-memory-utilization, a shorter max-model-len), or lower \
         max-num-seqs, so that what is admitted also fits",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay};
    use super::*;

    fn preempted(count: Option<f64>) -> Fixture {
        let mut fixture = Fixture::clean();
        fixture.point.server.preemptions = count;
        fixture
    }

    fn severity(fixture: &Fixture) -> Option<Severity> {
        fixture.find(FindingCode::Preempted).map(|found| found.severity)
    }

    #[test]
    fn few_are_a_note_and_many_a_warning() {
        // About 800 requests are due.
        assert_eq!(severity(&preempted(Some(3.0))), Some(Severity::Note));
        assert_eq!(severity(&preempted(Some(40.0))), Some(Severity::Warning));
    }

    #[test]
    fn none_and_not_known_pass() {
        assert_eq!(severity(&preempted(Some(0.0))), None);
        assert_eq!(severity(&preempted(None)), None);
    }

    #[test]
    fn an_overloaded_server_may_preempt() {
        let mut fixture = preempted(Some(400.0));
        for row in &mut fixture.rows {
            delay(row, (200.0 * row.intended.as_secs_f64()) as u64 * MS);
        }
        assert_eq!(severity(&fixture), Some(Severity::Note));
    }
}
