//! The audit: what speaks against a measurement, one file a code.
//!
//! docs/audit.md says for each code what it finds, why it matters, on what evidence and what helps.
//! Every check is a pure function that returns a finding or nothing; thresholds are constants of
//! its file.

mod chunked_tokens;
mod client_busy;
mod client_late;
mod cold_start;
mod concurrency_capped;
mod drain_bias;
mod errors_excluded;
mod no_plateau;
mod not_stationary;
mod output_length;
mod overload_latency;
mod prefix_reuse;
mod prompt_length;
mod rate_missed;
mod token_count;
mod window_short;

use plimsoll_records::{Finding, FindingCode, PointFile, RequestRow, Severity};

use crate::{Group, PointSummary, Window};

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
    let checks: [fn(&Evidence<'_>) -> Option<Finding>; 15] = [
        rate_missed::check,
        concurrency_capped::check,
        errors_excluded::check,
        client_late::check,
        client_busy::check,
        window_short::check,
        not_stationary::check,
        cold_start::check,
        output_length::check,
        prompt_length::check,
        prefix_reuse::check,
        token_count::check,
        chunked_tokens::check,
        overload_latency::check,
        drain_bias::check,
    ];
    let mut findings: Vec<Finding> = checks.iter().filter_map(|check| check(&evidence)).collect();
    for finding in &mut findings {
        finding.point = Some(point.id.clone());
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What speaks against the ladder of one group as a whole.
#[must_use]
pub fn audit_group(group: &Group) -> Vec<Finding> {
    no_plateau::check(group).into_iter().collect()
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
    Finding { code, severity, point: None, message, numbers, remedy: remedy.to_owned() }
}

#[cfg(test)]
pub(crate) mod fixture;
