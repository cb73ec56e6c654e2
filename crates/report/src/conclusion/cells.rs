//! Names and cells that the conclusions on latency share.

use std::collections::BTreeMap;

use plimsoll_analysis::{Case, CaseState, ComparisonVerdict, Estimate, Failure, Waited};
use plimsoll_records::OfferedLoad;
use serde_json::{Value, json};

use crate::clean::clean;
use crate::json::{number, optional, optional_estimate};
use crate::numbers::{UNKNOWN, count, estimate, in_ms, plain};

/// Characters of a failure's words that a sentence has.
const WORDS: usize = 160;

/// The values of factors in short: of a path the last part and the value, of a bundle its value alone.
pub(super) fn factors(factors: &BTreeMap<String, String>) -> String {
    let own = factors.iter().filter(|(name, _)| !name.contains('.'));
    let paths = factors.iter().filter(|(name, _)| name.contains('.'));
    let words: Vec<String> = own
        .map(|(_, value)| clean(value))
        .chain(paths.map(|(path, value)| format!("{} {}", last(path), clean(value))))
        .collect();
    words.join(", ")
}

/// The last part of a path.
pub(super) fn last(path: &str) -> String {
    clean(path.rsplit('.').next().unwrap_or(path))
}

/// `4 req/s`, `2 in flight`.
pub(super) fn load(load: &OfferedLoad) -> String {
    match load {
        OfferedLoad::Open { rate_per_s, .. } => format!("{} req/s", plain(*rate_per_s)),
        OfferedLoad::Closed { concurrency } => format!("{concurrency} in flight"),
    }
}

/// A number with its interval, `36.4 (35.9 to 37.0)`; the value alone where the interval has no width.
pub(super) fn with_interval(number: &Estimate) -> String {
    let [value, low, high] = estimate(number);
    if number.low < number.high { format!("{value} ({low} to {high})") } else { value }
}

/// The same where it is known.
pub(super) fn known(number: Option<&Estimate>) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), with_interval)
}

/// The mean of a latency with its interval; without where there is none.
pub(super) fn mean(waited: &Waited) -> String {
    waited.mean.as_ref().map_or_else(|| ms(waited.mean_ms), with_interval)
}

/// A number of milliseconds where it is known.
pub(super) fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), in_ms)
}

/// A number of milliseconds with its unit; seconds from ten on.
pub(super) fn span(ms: f64) -> String {
    crate::numbers::latency(std::time::Duration::from_secs_f64((ms / 1e3).clamp(0.0, 1e9)))
}

/// `24.3 to 26.1 ms`; one of the two where they are the same.
pub(super) fn between(least: f64, most: f64) -> String {
    let (low, high) = (span(least), span(most));
    let short = low.strip_suffix(" ms").filter(|_| high.ends_with(" ms"));
    if low == high { low } else { format!("{} to {high}", short.unwrap_or(&low)) }
}

/// `8 of 8 failed: status 400, “maximum context length …”`; empty where none did.
pub(super) fn failed(case: &Case) -> String {
    if case.failed == 0 {
        return String::new();
    }
    let kinds: Vec<String> = case.failures.iter().take(2).map(failure).collect();
    let lead = format!("{} of {} failed", case.failed, case.due);
    if kinds.is_empty() { lead } else { format!("{lead}: {}", kinds.join("; ")) }
}

/// `status 400, “maximum context length …”`.
pub(super) fn failure(failure: &Failure) -> String {
    let how = match failure.status {
        Some(status) => format!("status {status}"),
        None => failure.outcome.to_string(),
    };
    let words = clean(&failure.words);
    if words.is_empty() {
        return how;
    }
    let mut short: String = words.chars().take(WORDS).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    format!("{how}, “{short}”")
}

/// What is to be remarked on a case in a few words; empty where nothing is.
pub(super) fn remark(case: &Case) -> String {
    let mut words = Vec::new();
    let out_of_memory = case.failures.iter().any(Failure::is_out_of_memory);
    match case.state {
        _ if out_of_memory => words.push("out of memory".to_owned()),
        CaseState::Failed if case.failures.iter().any(Failure::is_too_long) => {
            words.push("too long for the context".to_owned());
        }
        CaseState::Failed if case.due == 0 => words.push("nothing was due".to_owned()),
        CaseState::Failed => words.push("all failed".to_owned()),
        CaseState::Behind => words.push("not kept up with".to_owned()),
        CaseState::Void => words.push("voided by the audit".to_owned()),
        CaseState::Known => {}
    }
    if case.lost {
        words.push("the server was lost".to_owned());
    }
    if case.failed > 0 && case.ok > 0 {
        words.push(format!("{} of {} failed", case.failed, case.due));
    }
    if let Some(n) = case.preemptions.filter(|n| *n > 0.0) {
        words.push(count(n as usize, "preemption"));
    }
    words.join(", ")
}

/// The verdict on a latency in a word.
pub(super) const fn verdict(verdict: ComparisonVerdict) -> &'static str {
    match verdict {
        ComparisonVerdict::Better => "faster",
        ComparisonVerdict::Worse => "slower",
        ComparisonVerdict::Equivalent => "the same",
        ComparisonVerdict::Undecided { .. } => "not told apart",
    }
}

/// A latency as JSON, in milliseconds.
pub(super) fn json_waited(waited: &Waited) -> Value {
    json!({
        "n": waited.n,
        "missing": waited.missing,
        "mean": optional(waited.mean_ms),
        "mean_interval": optional_estimate(waited.mean),
        "min": optional(waited.min_ms),
        "max": optional(waited.max_ms),
        "p50": optional_estimate(waited.p50),
        "p90": optional_estimate(waited.p90),
        "p99": optional_estimate(waited.p99),
    })
}

/// A case as JSON.
pub(super) fn json_case(case: &Case) -> Value {
    let state = match case.state {
        CaseState::Known => "known",
        CaseState::Behind => "behind",
        CaseState::Failed => "failed",
        CaseState::Void => "void",
    };
    let factors: BTreeMap<String, String> =
        case.factors.iter().map(|(name, value)| (clean(name), clean(value))).collect();
    json!({
        "factors": factors,
        "rate_per_s": optional(case.load.rate_per_s()),
        "concurrency": case.concurrency(),
        "state": state,
        "repetitions": case.repetitions,
        "counted": case.counted,
        "due": case.due,
        "ok": case.ok,
        "failed": case.failed,
        "failures": case.failures.iter().map(|failure| json!({
            "outcome": failure.outcome.as_str(),
            "status": failure.status,
            "words": clean(&failure.words),
            "count": failure.count,
            "out_of_memory": failure.is_out_of_memory(),
            "too_long": failure.is_too_long(),
        })).collect::<Vec<_>>(),
        "server_lost": case.lost,
        "input_tokens_planned": optional(case.input_planned),
        "input_tokens": optional(case.input),
        "output_tokens": optional(case.output),
        "ttft_ms": json_waited(&case.ttft),
        "service_ttft_ms": json_waited(&case.service_ttft),
        "decode_ms": json_waited(&case.decode),
        "tpot_ms": json_waited(&case.tpot),
        "e2e_ms": json_waited(&case.e2e),
        "prefill_server_ms": optional(case.prefill_server_ms),
        "queue_server_ms": optional(case.queue_server_ms),
        "served_per_s": optional(case.throughput_per_s),
        "gpu_utilisation_pct": optional(case.utilisation_pct),
        "vram_max_bytes": case.vram_max_bytes,
        "kv_cache_max": optional(case.kv_cache_max),
        "preemptions": case.preemptions.map(number),
    })
}
