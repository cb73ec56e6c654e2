//! The one object that `--json` prints: for scripts, so its keys are a contract.

mod circumstances;
mod definitions;
mod diagnosis;
mod instrument;

use plimsoll_analysis::{Estimate, LatencySummary, PointSummary, Quantile};
use plimsoll_records::{Finding, OfferedLoad};
use serde_json::{Map, Value, json};

use crate::conclusion;
use crate::definitions::Section;
use crate::environment::Environment;
use crate::gate;
use crate::input::ReportInput;
use crate::instrument::Instrument;
use crate::ladder::{Ladder, Rung, State, ladders, ms};
use crate::search;
use crate::settings::Settings;

/// The report as one JSON object.
///
/// Keys: `verdict`; `allowed` and `denied`, what the matrix says so of the audit's codes;
/// `capacity_per_s` (`value`, `low`, `high`), `lower_bound`, `plateau_per_s`, `slo_capacity_per_s`,
/// `knee_per_s`, `searches` (each with its `goal`, what it found, what it took and why it `stopped`;
/// empty for a ladder), `diagnosis` of the one group of points, `null` when there are
/// several; `groups` with the same for each, and its `factors`; `points`, each with its `id` and the
/// place of its `group`; `conclusion`, what the experiment says of its groups together, or `null`; `findings`; `environment` and `settings`; `instrument`, what the client knows
/// of itself; `results`, the path of the folder. Rates are per second and rounded to six digits,
/// latencies are milliseconds and rounded to the microsecond. What is not known is `null`; every number
/// is finite.
///
/// The latencies of a point that is not `stable` grow with the run: they are given, but they are
/// not the server's. `itl_ms` is `null` where the server did not say how many tokens its chunks carry;
/// `chunk_gap_ms` is always there.
///
/// `server` of a point says where its time went by the server's own counters (`queue_ms`, `prefill_ms`,
/// `rest_ms`, `decode_ms`, `server_ttft_ms`: means) and how full it was; `gpu` what the used GPUs spent
/// together, `gpus` each of them over the window; `server_start`, `server_sampling` and `gpu_sampling`
/// are those of its file. `environment` has the same rows as the other forms, as text by name; `settings` a
/// list of records for each different server, with the places of the `groups` that ran on it.
///
/// `diagnosis` says why throughput does not grow: `answer` (the word of a cause, or `null`), `sentence`,
/// `at` (the load that was read), `hypotheses`, the best supported first, each with its `cause`,
/// `standing`, what is `supporting` and `contradicting` it (`text`, `numbers` with `name`, `value`,
/// `unit`, and `points`) and what is `unknown`; and `next`, the next experiment (`tests`, `question`,
/// `start_server_with`, `changes` with `key` and `value`, and the `file` in the results folder) or `null`.
///
/// `instrument`: `stamps`, `stamps_remark`, `self_tests`, and of each of its `points` what the client
/// was late by (`read_delay_ms`, `wake_up_ms`), the shares of its busiest thread, and counts of what
/// fell back or was lost. The same keys beside `points` are over all of them: counts are sums, a
/// quantile or share is the largest of any point (for several threads of a point likewise). They are
/// absent when no file of a point was given.
///
/// `gates` is there where gates were asked for: of each its `condition`, its `standing` (`passed`, `fired`, or
/// `not-shown`, which is not passed either) and what was `said` of the figure that decided.
///
/// `definitions` is there where other tools' figures were asked for: of each tool its `tool` (the name on
/// the command line), its `words` in ours and, of each of its `points`, what it counts as `completed` and
/// `failed`, and its `figures` by our key: `name` and `unit` are the tool's own, `value` and `ours` in that
/// unit, `difference` is value / ours - 1, `because` the reasons where that is beyond 5 %, `missing` why
/// there is no value.
#[must_use]
pub fn json(input: &ReportInput<'_>) -> Value {
    let ladders = ladders(&input.judgement.groups);
    let groups: Vec<_> =
        ladders.iter().enumerate().map(|(place, ladder)| group(place, ladder, input)).collect();
    let mut object = match groups.as_slice() {
        [Value::Object(only)] => only
            .iter()
            .filter(|(key, _)| *key != "factors")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        _ => [
            ("capacity_per_s"),
            ("lower_bound"),
            ("plateau_per_s"),
            ("slo_capacity_per_s"),
            ("knee_per_s"),
            ("searches"),
            ("diagnosis"),
        ]
        .into_iter()
        .map(|key| (key.to_owned(), Value::Null))
        .collect::<Map<_, _>>(),
    };
    let points: Vec<_> = ladders
        .iter()
        .enumerate()
        .flat_map(|(place, ladder)| ladder.rungs.iter().map(move |rung| point(place, rung, input)))
        .collect();
    let findings: Vec<_> = input.judgement.findings.iter().map(finding).collect();
    object.insert("verdict".to_owned(), json!(input.judgement.verdict.to_string()));
    let policy = input.manifest.policy().unwrap_or_default();
    object.insert("allowed".to_owned(), json!(policy.allow));
    object.insert("denied".to_owned(), json!(policy.deny));
    object.insert("conclusion".to_owned(), conclusion::json(input));
    if !input.gates.is_empty() {
        object.insert("gates".to_owned(), gate::json(input.gates));
    }
    object.insert("groups".to_owned(), Value::Array(groups));
    object.insert("points".to_owned(), Value::Array(points));
    object.insert("findings".to_owned(), Value::Array(findings));
    let instrument = instrument::instrument(&Instrument::of(input, &ladders));
    object.insert("instrument".to_owned(), instrument);
    let settings = Settings::of(input, &ladders);
    let environment = Environment::of(input, &settings);
    object.insert("environment".to_owned(), circumstances::environment(&environment));
    object.insert("settings".to_owned(), circumstances::settings(&settings));
    let sections = Section::all(input, &ladders);
    if !sections.is_empty() {
        object.insert("definitions".to_owned(), definitions::definitions(input, &sections));
    }
    object.insert("results".to_owned(), json!(input.results.display().to_string()));
    Value::Object(object)
}

/// One group, the `place`-th of its run.
pub(crate) fn group(place: usize, ladder: &Ladder<'_>, input: &ReportInput<'_>) -> Value {
    let saturation = &ladder.group.saturation;
    json!({
        "factors": ladder.group.factors,
        "capacity_per_s": optional_estimate(saturation.capacity_per_s),
        "lower_bound": saturation.lower_bound,
        "plateau_per_s": optional_estimate(saturation.plateau_per_s),
        "slo_capacity_per_s": optional(saturation.slo_capacity_per_s),
        "knee_per_s": optional(saturation.knee_per_s),
        "searches": ladder.group.searches.iter().map(|it| search::json(it, number)).collect::<Vec<_>>(),
        "diagnosis": diagnosis::diagnosis(place, ladder, input),
    })
}

fn point(group: usize, rung: &Rung<'_>, input: &ReportInput<'_>) -> Value {
    let point: &PointSummary = rung.point;
    let file = input.file(&point.id);
    let concurrency = match point.load {
        OfferedLoad::Open { .. } => None,
        OfferedLoad::Closed { concurrency } => Some(concurrency),
    };
    let mut object = json!({
        "id": point.id,
        "group": group,
        "repetition": point.repetition,
        "probe": point.probe.as_ref().map(|probe| probe.record.number),
        "rate_per_s": point.load.rate_per_s().map(number),
        "concurrency": concurrency,
        "achieved_rate_per_s": number(point.achieved_rate_per_s),
        "throughput_per_s": number(point.throughput_per_s.value),
        "throughput_interval_per_s": interval(&point.throughput_per_s),
        "output_tokens_per_s": number(point.output_tokens_per_s.value),
        "input_tokens_per_s": optional(point.input_tokens_per_s),
        "makespan_throughput_per_s": optional(point.makespan_throughput_per_s),
        "mean_output_tokens": optional(point.mean_output_tokens),
        "goodput_share": optional(point.goodput.map(|goodput| goodput.share.value)),
        "goodput_per_s": optional(point.goodput.map(|goodput| goodput.per_s)),
        "stable": point.stability.stable,
        "void": rung.state == State::Void,
        "drift_per_s": number(point.stability.drift_per_s.value),
        "in_flight_mean": number(point.stability.in_flight_mean),
        "in_flight_max": point.stability.in_flight_max,
        "ended": point.ended,
        "window_s": number(point.window.length().as_secs_f64()),
        "due": point.counts.due,
        "ok": point.counts.ok,
        "failed": point.counts.failed,
        "aborted": point.counts.aborted,
        "resent": point.counts.resent,
        "outcomes": point.counts.by_outcome,
        "ttft_ms": latency(&point.ttft),
        "service_ttft_ms": latency(&point.service_ttft),
        "tpot_ms": latency(&point.tpot),
        "itl_ms": (point.itl.n > 0).then(|| latency(&point.itl)),
        "chunk_gap_ms": latency(&point.chunk_gap),
        "e2e_ms": latency(&point.e2e),
        "schedule_lag_ms": latency(&point.schedule_lag),
        "server": point.server.as_ref().map(circumstances::server),
        "gpu": point.gpu.as_ref().map(circumstances::gpu),
        "gpus": file.map(|file| circumstances::as_recorded(&file.gpus)),
        "server_start": file.map(|file| circumstances::as_recorded(&file.server_start)),
        "server_sampling": file.map(|file| circumstances::as_recorded(&file.server_sampling)),
        "gpu_sampling": file.map(|file| circumstances::as_recorded(&file.gpu_sampling)),
    });
    // One key more than the macro can take.
    object["keeps_up"] = rung.keeps_up.into();
    object
}

pub(crate) fn finding(finding: &Finding) -> Value {
    let numbers: Map<_, _> =
        finding.numbers.iter().map(|(name, value)| (name.clone(), number(*value))).collect();
    json!({
        "code": finding.code.as_str(),
        "severity": finding.severity.to_string(),
        "was": finding.was.map(|was| was.to_string()),
        "point": finding.point,
        "message": finding.message,
        "remedy": finding.remedy,
        "numbers": numbers,
    })
}

fn latency(summary: &LatencySummary) -> Value {
    let quantile = |quantile: Quantile| milliseconds(quantile.value);
    json!({
        "n": summary.n,
        "mean": milliseconds(summary.mean),
        "p50": quantile(summary.p50),
        "p90": quantile(summary.p90),
        "p99": quantile(summary.p99),
        "max": milliseconds(summary.max),
    })
}

fn milliseconds(span: Option<std::time::Duration>) -> Value {
    span.map_or(Value::Null, |span| json!((ms(span) * 1e3).round() / 1e3))
}

fn interval(estimate: &Estimate) -> Value {
    json!({ "low": number(estimate.low), "high": number(estimate.high) })
}

pub(crate) fn optional_estimate(estimate: Option<Estimate>) -> Value {
    match estimate.filter(|e| e.value.is_finite() && e.low.is_finite() && e.high.is_finite()) {
        Some(Estimate { value, low, high }) => {
            json!({ "value": number(value), "low": number(low), "high": number(high) })
        }
        None => Value::Null,
    }
}

pub(crate) fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::Null, number)
}

/// The number to six digits that matter; `null` when it is not finite.
pub(crate) fn number(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    // Through text, which rounds to the decimal that is nearest, as a reader would.
    format!("{value:.5e}").parse::<f64>().map_or(Value::Null, |rounded| json!(rounded))
}
