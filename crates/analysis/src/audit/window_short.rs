//! `window-short`: the window is short against the requests, or holds few of them.
//!
//! **What.** The window is shorter than 5 times the p99 of E2E, or fewer than 36 requests ended well
//! (**warning**); fewer than 368 ended well, so the p99 is shown as not known (**note**). Stable points
//! only. In `lowload` and `scenarios` a **note** at a closed loop: its latencies are those of whole requests,
//! and their intervals say how sure so few are. Of an unstable point: the window is shorter than twice the
//! median E2E, hardly any request waited, and in its last quarter tokens came at four fifths of the asked rate or
//! more (**error**).
//! **Why.** Requests that straddle the window's ends dominate; quantiles of few samples are noise. A server
//! that is still filling up completes less than arrives, overloaded or not: such a window shows neither that it
//! does not keep up nor what it could complete.
//! **Evidence.** Window, p99 or median of E2E, median TTFT, tokens asked and delivered, number of requests.
//! **Remedy.** The length that the window needs is in the finding.

use plimsoll_records::{Finding, FindingCode, PointEnd, Severity};

use crate::Window;
use crate::quantile::rank;

use super::{Evidence, finding};

/// How many p99 end-to-end times a window must hold.
const SPANS: f64 = 5.0;

/// How many median end-to-end times a window must hold before more in than out means overload.
const FULL: f64 = 2.0;

/// The share of its time that a request waits for its first token where none waits for its turn.
const HARDLY: f64 = 0.05;

/// The share of the tokens that arrivals ask for that a server delivers which is not overloaded, as far
/// as can be seen: near its capacity it takes several requests' times to fill up, and is behind till then.
const DELIVERED: f64 = 0.8;

/// The part of the window in which that is looked at, its last one in so many: there the server is
/// nearest to full.
const LAST: u32 = 4;

/// Requests that a p90 with an interval needs, and a p99 (`quantile::interval_ranks`).
const FOR_P90: u64 = 36;
const FOR_P99: u64 = 368;

const OF_A_PROBE: &str =
    "a search measures the capacity; for latency, measure a ladder of rates below it";

/// Looks at the requests of stable points only, for an unstable one's latency grows with the window; there
/// it asks whether the server was full. Fewer requests than a p99 needs are a note, because the p99 is then shown as not known. So is all of it at the
/// probe of a search, whose window is as long as its question about the capacity needs: that it is
/// short says nothing against the capacity.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    if !evidence.is_stable() {
        return still_filling(evidence);
    }
    let seconds = evidence.window.length().as_secs_f64();
    let mut e2e: Vec<f64> =
        evidence.ok().map(|row| crate::latency::e2e(row).as_secs_f64()).collect();
    e2e.sort_by(f64::total_cmp);
    let ok = e2e.len() as u64;
    let p99 = if e2e.is_empty() { 0.0 } else { e2e[rank(e2e.len(), 0.99)] };
    let throughput = ok as f64 / seconds;
    let numbers = [("window_s", seconds), ("e2e_p99_s", p99), ("ok_requests", ok as f64)];
    let is_probe = evidence.summary.probe.is_some();
    let found = |severity, message: String, remedy: &str| {
        let (severity, remedy) =
            if is_probe { (Severity::Note, OF_A_PROBE) } else { (severity, remedy) };
        Some(finding(FindingCode::WindowShort, severity, message, &numbers, remedy))
    };
    if seconds < SPANS * p99 {
        return found(
            Severity::Warning,
            format!(
                "the window of {seconds:.1} s is {:.1} times the p99 of E2E ({p99:.2} s), under 5",
                seconds / p99
            ),
            &format!("measure for {:.0} s or longer", (SPANS * p99).ceil()),
        );
    }
    if ok < FOR_P90 {
        return found(
            Severity::Warning,
            format!("{ok} requests ended well, a p90 with an interval needs {FOR_P90}"),
            &longer(FOR_P90, throughput),
        );
    }
    if ok < FOR_P99 {
        return found(
            Severity::Note,
            format!(
                "{ok} requests ended well, a p99 with an interval needs {FOR_P99}: it is shown \
                 as not known"
            ),
            &longer(FOR_P99, throughput),
        );
    }
    None
}

/// A point that counts as unstable because the server was still filling up: its requests last longer than
/// what could be seen of them, and none had to wait. A search judges its own probes, and a point that was
/// ended for overload was certain of it.
fn still_filling(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.summary.probe.is_some() || evidence.point.ended == PointEnd::Overloaded {
        return None;
    }
    let seconds = evidence.window.length().as_secs_f64();
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| values[rank(values.len(), 0.5)])
    };
    let e2e = median(evidence.ok().map(|row| crate::latency::e2e(row).as_secs_f64()).collect())?;
    let ttft = evidence.ok().filter_map(crate::latency::ttft);
    let ttft = median(ttft.map(|ttft| ttft.as_secs_f64()).collect())?;
    if seconds >= FULL * e2e || ttft >= HARDLY * e2e {
        return None;
    }
    // A server of many slots is overloaded without anybody waiting for a turn; then tokens fall behind.
    let summary = evidence.summary;
    let (window, last) = (evidence.window, evidence.window.length() / LAST);
    let late = Window { start: window.start + (window.length() - last), ..window };
    let came = crate::tokens::delivered(evidence.rows).filter(|(at, _)| late.contains(*at));
    let came = came.map(|(_, tokens)| tokens).sum::<f64>();
    let asked = summary.achieved_rate_per_s * summary.mean_output_tokens? * last.as_secs_f64();
    if came < DELIVERED * asked {
        return None;
    }
    Some(finding(
        FindingCode::WindowShort,
        Severity::Error,
        format!(
            "more came than left in a window of {seconds:.1} s, but a request takes {e2e:.2} s and waits {ttft:.2} s \
             of it for its first token, and in the last quarter {:.0} % of the tokens asked for came: the server was \
             still filling up, and may keep up or not",
            100.0 * came / asked
        ),
        &[("window_s", seconds), ("e2e_p50_s", e2e), ("ttft_p50_s", ttft)],
        &format!(
            "measure for {:.0} s or longer after a warm-up of {:.0} s or longer",
            (SPANS * e2e).ceil(),
            (FULL * e2e).ceil()
        ),
    ))
}

/// How long the window must be for so many requests.
fn longer(requests: u64, throughput: f64) -> String {
    if throughput > 0.0 {
        format!("measure for {:.0} s or longer", (1.1 * requests as f64 / throughput).ceil())
    } else {
        "measure for longer, and see why nothing ended well".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, MS, delay};
    use super::*;

    #[test]
    fn a_long_window_with_many_requests_passes() {
        assert_eq!(Fixture::clean().find(FindingCode::WindowShort), None);
    }

    #[test]
    fn slow_requests_need_a_longer_window() {
        let mut fixture = Fixture::clean();
        for row in &mut fixture.rows {
            delay(row, 5000 * MS);
        }
        let found = fixture.find(FindingCode::WindowShort).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.remedy.contains("26 s"), "{}", found.remedy);
    }

    #[test]
    fn the_short_window_of_a_probe_is_no_more_than_a_note() {
        let mut fixture = Fixture::with(2, 1.0, 20.0);
        fixture.point.probe = Some(super::super::fixture::probe_record(0));
        let found = fixture.find(FindingCode::WindowShort).unwrap();
        assert_eq!(found.severity, Severity::Note);
        assert!(found.remedy.contains("ladder"), "{}", found.remedy);
    }

    /// Answers that take nine seconds longer, all of it after the first token.
    fn long_answers(window: f64) -> Fixture {
        let mut fixture = Fixture::with(3, 40.0, window);
        for row in &mut fixture.rows {
            let longer = std::time::Duration::from_secs(9);
            row.last_token = row.last_token.map(|at| at + longer);
            row.done += longer;
        }
        fixture
    }

    #[test]
    fn a_server_that_is_still_filling_up_is_not_called_overloaded() {
        let filling = long_answers(11.0);
        let found = filling.find(FindingCode::WindowShort).unwrap();
        assert_eq!(found.severity, Severity::Error, "{}", found.message);
        assert!(found.remedy.contains("measure for 46 s"), "{}", found.remedy);
        // Where requests wait for their turn it is full, and where the search asks, that is its own to judge.
        let mut waiting = filling.clone();
        for row in &mut waiting.rows {
            delay(row, (200.0 * row.intended.as_secs_f64()) as u64 * MS);
        }
        assert_eq!(waiting.find(FindingCode::WindowShort), None);
        let mut probe = filling.clone();
        probe.point.probe = Some(super::super::fixture::probe_record(0));
        assert_eq!(probe.find(FindingCode::WindowShort), None);
        // Where the last quarter of the window has too few tokens the server falls behind.
        let mut behind = filling.clone();
        let end = Window::of(&behind.point.phases).end;
        for row in &mut behind.rows {
            for chunk in &mut row.chunks {
                if chunk.at + std::time::Duration::from_millis(2500) > end
                    && row.intended.as_nanos() % 3 == 0
                {
                    chunk.at = end + std::time::Duration::from_secs(1);
                }
            }
        }
        assert_eq!(behind.find(FindingCode::WindowShort), None);
        let mut certain = filling;
        certain.point.ended = PointEnd::Overloaded;
        assert_eq!(certain.find(FindingCode::WindowShort), None);
    }

    #[test]
    fn few_requests_are_a_note_and_very_few_a_warning() {
        let some = Fixture::with(2, 10.0, 20.0).find(FindingCode::WindowShort).unwrap();
        assert_eq!(some.severity, Severity::Note);
        let few = Fixture::with(2, 1.0, 20.0).find(FindingCode::WindowShort).unwrap();
        assert_eq!(few.severity, Severity::Warning);
    }
}
