//! The audit: what speaks against a measurement, one file a code.
//!
//! Every point, every ladder, and what a report shows side by side is held against this list. A finding
//! has a code, a severity, a sentence with the numbers in it, the numbers by name, and a remedy. `error`
//! voids the point (it is shown and left out of every result); `warning` qualifies the result; `note` is
//! worth knowing and says nothing against it. Thresholds are constants at the top of
//! `crates/analysis/src/audit/<code>.rs`. Those that compare random things allow for chance: on the
//! 10,000 clean points of the study in [method.md](method.md) no code but `window-short` gave a warning
//! or an error.
//!
//! ### Allowing and denying
//! As with a compiler's lints, a person may decide otherwise, code by code: `--allow CODE` and
//! `--deny CODE` of an experiment and of `plimsoll audit`, or `allow` and `deny` in a matrix's
//! `[experiment]`. A finding that is *allowed* is a note, so it neither qualifies nor voids. Four codes
//! stay warnings where they would be errors, because without them the result would be filed under what
//! it is not: `rate-missed`, `concurrency-capped`, `setting-not-applied`, `server-restarted`. A finding
//! that is *denied* is an error, whatever it was; `--deny warnings` denies every warning that is not
//! allowed by its code. What the audit itself had said stays in the finding (`was`), and what was allowed
//! and denied stands in the manifest and beside the verdict of every report. `plimsoll audit RESULTS`
//! judges a folder again and writes nothing into it; `plimsoll audit --explain CODE` prints a chapter of
//! this page.
//!
//! ### Points of other tools
//! What `plimsoll import` read with the rows of its requests is judged as any other point. Where another
//! tool kept a summary alone, the same codes have other evidence: that summary, what the experiment states,
//! the server's log (arrivals, limits and prompts as the server saw them, the engine's periodic lines) and
//! samples of GPUs. `drain-bias` then also says the most that N / duration could have shown, and is a
//! **warning**, for the tool states it as the result; so is `overload-latency`. `setting-not-applied` is a
//! warning: nobody could stop the run. `rate-missed` is a note as long as the arrivals' own chance may be
//! meant. Codes without evidence there say nothing. What each looks at stands in
//! `crates/analysis/src/audit/imported/`, and [case-study.md](case-study.md) shows it at work.

// Every check is a pure function that returns a finding or nothing. The module's documentation of each
// file is its code's chapter of docs/audit.md, and this one its beginning: .ci/audit-page writes the page.

mod chunked_tokens;
mod client_busy;
mod client_late;
mod clock_step;
mod cold_start;
mod concurrency_capped;
mod drain_bias;
mod errors_excluded;
mod explain;
mod gpu_shared;
mod gpu_throttled;
mod imported;
mod load_limited;
mod no_plateau;
mod not_stationary;
mod output_length;
mod overload_latency;
mod preempted;
mod prefix_reuse;
mod prompt_length;
mod rate_missed;
mod same_arrivals;
mod sampler_gap;
mod server_restarted;
mod setting_not_applied;
mod single_run;
mod template_doubled;
mod token_count;
mod utilisation_flat;
mod window_short;

pub use explain::explain;

use plimsoll_records::{
    Claim, Finding, FindingCode, PointFile, RequestRow, SelfTest, SettingRecord, Severity,
};

pub(crate) use client_busy::{BUSY as CLIENT_BUSY, WAITING as CLIENT_WAITS};
pub(crate) use client_late::allowed_ms as allowed_lag_ms;

use crate::latency::ttft;
use crate::quantile::{median, rank};

use crate::{Comparison, Group, PointSummary, Question, ScalePoint, Window};

/// What a check may look at.
struct Evidence<'a> {
    point: &'a PointFile,
    rows: &'a [RequestRow],
    summary: &'a PointSummary,
    window: Window,
}

impl<'a> Evidence<'a> {
    /// The requests that were due in the measure window.
    fn due(&self) -> impl Iterator<Item = &'a RequestRow> + use<'a> {
        let (rows, window) = (self.rows, self.window);
        rows.iter().filter(move |row| window.contains(row.intended))
    }

    /// Of those: the ones that ended well.
    fn ok(&self) -> impl Iterator<Item = &'a RequestRow> + use<'a> {
        self.due().filter(|row| row.outcome.is_ok())
    }

    /// The median TTFT of those, ms, by nearest rank however few they are; `None` without one.
    fn median_ttft_ms(&self) -> Option<f64> {
        let mut ttfts: Vec<u64> =
            self.ok().filter_map(ttft).map(|at| at.as_nanos() as u64).collect();
        median(&mut ttfts).map(|nanos| nanos as f64 / 1e6)
    }

    /// How long a request took to leave the driver's hands at worst, by the worst worker thread:
    /// the p99 of its wake-ups, ms; `None` where none was recorded.
    fn wake_up_p99_ms(&self) -> Option<f64> {
        let known =
            self.point.workers.iter().map(|worker| worker.wake_up).filter(|lag| lag.count > 0);
        known.map(|lag| lag.p99_ms).max_by(f64::total_cmp)
    }

    /// Whether the server kept up.
    fn is_stable(&self) -> bool {
        self.summary.stability.stable
    }
}

/// Everything that speaks against one point, gravest first. An error voids it.
///
/// `summary` is what [`summarise()`](crate::summarise()) makes of the same `point` and `rows`.
#[must_use]
pub fn audit_point(point: &PointFile, rows: &[RequestRow], summary: &PointSummary) -> Vec<Finding> {
    let evidence = Evidence { point, rows, summary, window: summary.window };
    let checks: [fn(&Evidence<'_>) -> Option<Finding>; 28] = [
        imported::settings,
        server_restarted::check,
        rate_missed::check,
        concurrency_capped::check,
        errors_excluded::check,
        client_late::check_lag,
        client_late::check_read_delay,
        client_late::check_shared,
        client_late::check_fallback,
        client_busy::check_cpu,
        client_busy::check_run_queue,
        clock_step::check,
        window_short::check,
        not_stationary::check,
        cold_start::check,
        output_length::check,
        prompt_length::check,
        template_doubled::check,
        prefix_reuse::check,
        preempted::check,
        token_count::check,
        chunked_tokens::check,
        gpu_throttled::check,
        gpu_shared::check,
        sampler_gap::check_server,
        sampler_gap::check_gpus,
        overload_latency::check,
        drain_bias::check,
    ];
    // Where another tool kept nothing of its requests, what it says of them is all there is.
    let imported = point.imported.is_some() && rows.is_empty();
    let checks = if imported { imported::CHECKS } else { &checks[..] };
    let mut findings: Vec<Finding> = checks.iter().filter_map(|check| check(&evidence)).collect();
    for finding in &mut findings {
        finding.point = Some(point.id.clone());
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What speaks against the ladder of one group as a whole. A plateau is missed only where the question
/// needs a capacity.
#[must_use]
pub fn audit_group(question: Question, group: &Group) -> Vec<Finding> {
    let checks: [fn(&Group) -> Option<Finding>; 4] = [
        prefix_reuse::check_group,
        same_arrivals::check_repetitions,
        same_arrivals::check_loads,
        utilisation_flat::check,
    ];
    let no_plateau = if question.needs_capacity() { no_plateau::check(group) } else { None };
    no_plateau.into_iter().chain(checks.iter().filter_map(|check| check(group))).collect()
}

/// What speaks against holding the groups of a run against each other, as every report does that shows
/// their capacities side by side: the findings `load-limited` and `single-run`, about no point.
#[must_use]
pub fn audit_groups(groups: &[Group]) -> Vec<Finding> {
    load_limited::check_groups(groups).into_iter().chain(single_run::check_groups(groups)).collect()
}

/// What speaks against a claim about scaling that rests on these points, each of them measured in
/// `repetitions` runs: the findings `load-limited` and `single-run`, about no point. Nothing of fewer
/// than two points, which claim nothing.
#[must_use]
pub fn audit_scaling(points: &[ScalePoint], repetitions: usize) -> Vec<Finding> {
    let limited = load_limited::check_scaling(points);
    limited.into_iter().chain(single_run::check_scaling(points, repetitions)).collect()
}

/// What speaks against a claim that rests on this comparison: the findings `load-limited` and
/// `single-run`, about no point.
#[must_use]
pub fn audit_comparison(
    comparison: &Comparison,
    baseline: Compared<'_>,
    candidate: Compared<'_>,
) -> Vec<Finding> {
    let limited = load_limited::check_comparison(comparison, baseline, candidate);
    let single = single_run::check_comparison(comparison, baseline, candidate);
    limited.into_iter().chain(single).collect()
}

/// One side of a comparison, for the audit of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared<'a> {
    /// What it is called.
    pub label: &'a str,
    /// Whether it was not saturated, so that its figure is its load's and not the server's.
    pub lower_bound: bool,
}

/// What the points that another tool measured say together, and what its experiment claims of them: arrivals
/// that they share, the client's own delay, a speed-up of systems that were not loaded. `points` are those of
/// `groups`; of points that Plimsoll measured nothing is said.
#[must_use]
pub fn judge_imported(points: &[PointFile], claims: &[Claim], groups: &[Group]) -> Vec<Finding> {
    imported::judge_run(points, claims, groups)
}

/// What the self-tests of a run say against it as a whole: what the client's own error was on that
/// machine, before the first point and after the last. Findings of the code `client-late`, about
/// no point; add them to the judgement with
/// [`Judgement::with_findings`](crate::Judgement::with_findings).
#[must_use]
pub fn judge_self_tests(tests: &[SelfTest]) -> Vec<Finding> {
    client_late::judge_self_tests(tests)
}

/// What a server's settings say before any load is sent to it: the finding `setting-not-applied`, about
/// no point yet, when it contradicts a declared one.
#[must_use]
pub fn judge_settings(settings: &[SettingRecord]) -> Option<Finding> {
    setting_not_applied::judge(settings)
}

/// The p99 by nearest rank, however few the values are; `None` of nothing.
fn p99(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| values[rank(values.len(), 0.99)])
}

/// A finding without its point, which [`audit_point`] fills in. Names of numbers end in their unit.
fn finding(
    code: FindingCode,
    severity: Severity,
    message: String,
    numbers: &[(&str, f64)],
    remedy: &str,
) -> Finding {
    // JSON has no infinity and no NaN.
    let numbers = numbers
        .iter()
        .filter(|(_, number)| number.is_finite())
        .map(|(name, number)| ((*name).to_owned(), *number))
        .collect();
    Finding { code, severity, was: None, point: None, message, numbers, remedy: remedy.to_owned() }
}

#[cfg(test)]
pub(crate) mod fixture;
