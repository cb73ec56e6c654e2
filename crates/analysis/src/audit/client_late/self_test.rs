//! What the client's error was against a server of known behaviour, before and after the run.

use plimsoll_records::{Finding, FindingCode, SelfTest, SelfTestTime, Severity};

use super::super::finding;

/// The mean error of TTFT, or of TPOT, that qualifies a run, and the one that is worth a note, ms.
const WARNING_MS: f64 = 0.5;
const NOTE_MS: f64 = 0.2;

/// The p99 of the error that is worth a note, ms. It is one of few requests, on a machine that may
/// have done something else for a moment.
const NOTE_P99_MS: f64 = 2.0;

/// How much the mean error may grow from the first test to the last, ms: beyond it the machine was
/// not the same at the end of the run as at its beginning, and nobody knows from when on.
const GROWTH_MS: f64 = 0.25;

/// Judges each test by itself, then what changed between the first before the run and the last
/// after it.
pub(in crate::audit) fn judge(tests: &[SelfTest]) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        tests.iter().flat_map(|test| [lost(test), error(test)]).flatten().collect();
    findings.extend(growth(tests));
    findings
}

/// Requests that the test lost, or a test that compared nothing.
fn lost(test: &SelfTest) -> Option<Finding> {
    if test.lost == 0 && test.ttft_error.count > 0 {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        Severity::Warning,
        format!(
            "the self-test {} the run compared {} requests with the simulator's log and lost {}: \
             the client's own error is not known as it should be",
            when(test),
            test.ttft_error.count,
            test.lost
        ),
        &[
            ("lost_requests", test.lost as f64),
            ("requests", test.requests as f64),
            ("rate_per_s", test.rate_per_s),
        ],
        "free the client's machine, and look for its limits on open files and local ports",
    ))
}

/// A mean error that can be seen.
fn error(test: &SelfTest) -> Option<Finding> {
    let (ttft, tpot) = (test.ttft_error, test.tpot_error);
    let mean = ttft.mean_ms.abs().max(tpot.mean_ms.abs());
    if mean <= NOTE_MS && ttft.p99_ms <= NOTE_P99_MS {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        if mean > WARNING_MS { Severity::Warning } else { Severity::Note },
        format!(
            "in the self-test {} the run the client's own error was {:+.2} ms of TTFT on average \
             (p99 {:.2} ms) and {:+.3} ms of TPOT, at {:.1} req/s",
            when(test),
            ttft.mean_ms,
            ttft.p99_ms,
            tpot.mean_ms,
            test.rate_per_s
        ),
        &[
            ("ttft_error_mean_ms", ttft.mean_ms),
            ("ttft_error_p99_ms", ttft.p99_ms),
            ("tpot_error_mean_ms", tpot.mean_ms),
            ("schedule_lag_p99_ms", test.schedule_lag.p99_ms),
            ("rate_per_s", test.rate_per_s),
            ("streams", test.streams),
        ],
        "differences of that size are the client's: free its cores, let the kernel stamp, or use \
         another machine",
    ))
}

/// An error that was larger after the run than before it.
fn growth(tests: &[SelfTest]) -> Option<Finding> {
    let of = |time: SelfTestTime| {
        tests.iter().filter(move |test| test.when == time && test.ttft_error.count > 0)
    };
    let before = of(SelfTestTime::Before).next()?.ttft_error.mean_ms;
    let after = of(SelfTestTime::After).next_back()?.ttft_error.mean_ms;
    let grown = after.abs() - before.abs();
    if grown <= GROWTH_MS {
        return None;
    }
    Some(finding(
        FindingCode::ClientLate,
        Severity::Warning,
        format!(
            "the client's own error of TTFT grew from {before:+.2} ms before the run to {after:+.2} \
             ms after it"
        ),
        &[("before_ms", before), ("after_ms", after), ("grown_ms", grown)],
        "find what came to share the client's machine during the run, and repeat it",
    ))
}

const fn when(test: &SelfTest) -> &'static str {
    match test.when {
        SelfTestTime::Before => "before",
        SelfTestTime::After => "after",
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{ErrorRecord, LagRecord, StampSource};

    use super::*;

    fn test(when: SelfTestTime, mean_ms: f64) -> SelfTest {
        let error = |mean_ms: f64| ErrorRecord {
            count: 200,
            mean_ms,
            p50_ms: mean_ms,
            p99_ms: 3.0 * mean_ms.abs(),
            max_ms: 5.0 * mean_ms.abs(),
        };
        SelfTest {
            when,
            rate_per_s: 40.0,
            streams: 25.0,
            requests: 200,
            lost: 0,
            stamps: StampSource::Socket,
            ttft_error: error(mean_ms),
            tpot_error: error(mean_ms / 20.0),
            schedule_lag: LagRecord::default(),
        }
    }

    fn severities(tests: &[SelfTest]) -> Vec<Severity> {
        judge(tests).iter().map(|finding| finding.severity).collect()
    }

    use SelfTestTime::{After, Before};

    #[test]
    fn a_small_error_says_nothing_and_a_larger_one_of_either_sign_does() {
        assert_eq!(judge(&[]), []);
        assert_eq!(judge(&[test(Before, 0.05), test(After, 0.09)]), []);
        for sign in [1.0, -1.0] {
            assert_eq!(severities(&[test(Before, 0.3 * sign)]), [Severity::Note]);
            assert_eq!(severities(&[test(Before, 0.6 * sign)]), [Severity::Warning]);
        }
        let mut slow = test(Before, 0.1);
        slow.ttft_error.p99_ms = 9.0;
        assert_eq!(severities(&[slow]), [Severity::Note]);
        slow.tpot_error.mean_ms = 0.7;
        assert_eq!(severities(&[slow]), [Severity::Warning]);
    }

    #[test]
    fn an_error_that_grows_is_found_and_one_that_falls_is_not() {
        let grown = judge(&[test(Before, 0.02), test(After, 0.45)]);
        assert_eq!(grown.iter().filter(|f| f.message.contains("grew")).count(), 1, "{grown:?}");
        assert_eq!(grown.iter().map(|f| f.severity).max(), Some(Severity::Warning));
        assert!(judge(&[test(Before, 0.19), test(After, -0.01)]).is_empty());
    }

    #[test]
    fn lost_requests_and_an_empty_test_are_found() {
        let mut lost = test(After, 0.05);
        lost.lost = 3;
        let found = judge(&[lost]);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert_eq!((found[0].numbers["lost_requests"], found[0].point.clone()), (3.0, None));
        let mut empty = test(Before, 0.0);
        empty.ttft_error = ErrorRecord::default();
        assert_eq!(severities(&[empty]), [Severity::Warning]);
        // And it is no zero to compare the other test with.
        assert_eq!(severities(&[empty, test(After, 0.19)]), [Severity::Warning]);
    }
}
