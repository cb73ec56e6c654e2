//! What the audit looks at where another tool kept nothing of its requests: that tool's summary, and what
//! the server's log and the GPU samples say beside it. The codes are those of every other point.

mod drain_bias;
mod lengths;
mod neighbours;
mod rate_missed;
mod run;

pub(super) use run::judge_run;

use plimsoll_records::{Finding, FindingCode, ImportedRecord, Severity};

use super::{Evidence, finding, gpu_throttled, prefix_reuse, setting_not_applied};

/// What is looked at.
pub(super) const CHECKS: &[fn(&Evidence<'_>) -> Option<Finding>] = &[
    settings,
    rate_missed::check,
    failures,
    lengths::check_output,
    lengths::check_template,
    prefix_reuse::check,
    gpu_throttled::check,
    neighbours::check,
    overload,
    drain_bias::check,
];

/// The record of the point; it is there, for nothing else is asked for these checks.
fn record<'a>(evidence: &Evidence<'a>) -> Option<&'a ImportedRecord> {
    evidence.point.imported.as_ref()
}

/// Settings that did not reach the server. Its figures are then those of the settings in effect, which were
/// recorded by whoever imported: they are no others for being filed wrongly, so this is a warning.
pub(super) fn settings(evidence: &Evidence<'_>) -> Option<Finding> {
    let found = setting_not_applied::check(evidence)?;
    let most = if evidence.point.imported.is_some() { Severity::Warning } else { found.severity };
    Some(Finding { severity: found.severity.min(most), ..found })
}

/// Failed requests, by the tool's count.
fn failures(evidence: &Evidence<'_>) -> Option<Finding> {
    let record = record(evidence)?;
    let (failed, all) = (record.failed? as f64, record.requests.filter(|&it| it > 0)? as f64);
    let share = failed / all;
    let severity = match share {
        share if share > 0.05 => Severity::Error,
        share if share > 0.001 => Severity::Warning,
        _ => return None,
    };
    Some(finding(
        FindingCode::ErrorsExcluded,
        severity,
        format!(
            "{failed} of {all} requests failed, and the tool's latencies are those of the others"
        ),
        &[("failed_share", share)],
        "read the errors in the tool's detailed result and in the server's log",
    ))
}

/// Latencies of an overloaded point, which the tool states as the server's.
fn overload(evidence: &Evidence<'_>) -> Option<Finding> {
    let record = record(evidence)?;
    let ttft = record.ttft_mean_ms?;
    if evidence.is_stable() {
        return None;
    }
    let engine = record.log.iter().flat_map(|log| &log.engine);
    let most = engine.map(|it| it.waiting).max().unwrap_or(0);
    let waiting = if record.log.is_some() {
        format!(": up to {most} requests waited")
    } else {
        String::new()
    };
    Some(finding(
        FindingCode::OverloadLatency,
        Severity::Warning,
        format!(
            "the stated mean TTFT of {:.1} s is that of an overloaded point{waiting}; it grows with the \
             number of requests and is no property of the server",
            ttft / 1e3
        ),
        &[("ttft_mean_ms", ttft), ("waiting_max", most as f64)],
        "read latency below the capacity",
    ))
}

#[cfg(test)]
mod tests;
