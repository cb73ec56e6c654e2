//! guidellm's JSON report: one file, several benchmarks, the requests of each by how they ended.

use std::time::Duration;

use plimsoll_records::{ImportedRecord, OfferedLoad, Outcome};

use crate::InterchangeError;
use crate::fields::Fields;
use crate::measured::{Measured, closed, open};
use crate::rows::{Times, outcome_of, rows};

/// Whether these are guidellm's keys.
pub(crate) fn recognise(fields: &Fields<'_>) -> bool {
    matches!(fields.objects("benchmarks"), Ok(all) if all.iter().any(|it| it.has("metrics")))
}

/// Reads every benchmark of a report.
///
/// Its stamps are wall-clock times of each request. `request_start` is set when the header is written, so
/// connecting is outside of TTFT; `targeted_start` is when the request was due, in versions that say so.
/// Only the first and the last token have a time. Source: guidellm's schemas of requests and benchmarks,
/// version 0.8.
pub(crate) fn read(fields: &Fields<'_>) -> Result<Vec<Measured>, InterchangeError> {
    fields.objects("benchmarks")?.iter().map(benchmark).collect()
}

fn benchmark(fields: &Fields<'_>) -> Result<Measured, InterchangeError> {
    let mut all: Vec<Times> = Vec::new();
    let mut counts = [0_u64; 3];
    if let Some(requests) = fields.object("requests")? {
        for (kind, count) in ["successful", "errored", "incomplete"].into_iter().zip(&mut counts) {
            for request in requests.objects(kind)? {
                *count += 1;
                all.extend(times(&request, kind)?);
            }
        }
    }
    let [completed, failed, incomplete] = counts;
    all.sort_by(|a, b| a.intended.total_cmp(&b.intended));
    let whole = usize::try_from(completed + failed + incomplete).is_ok_and(|n| n == all.len());
    let metric = |name: &str| mean(fields, name);
    let (start, end) = (fields.seconds("start_time")?, fields.seconds("end_time")?);
    let duration = match fields.seconds("duration")? {
        None => start.zip(end).map(|(start, end)| (end - start).max(0.0)),
        duration => duration,
    };
    let mut summary = fields.plain();
    for name in [
        "requests_per_second",
        "request_concurrency",
        "request_latency",
        "time_to_first_token_ms",
        "time_per_output_token_ms",
        "inter_token_latency_ms",
        "output_tokens_per_second",
        "tokens_per_second",
    ] {
        if let Some(value) = metric(name)? {
            summary.insert(format!("metrics.{name}.successful.mean"), value.into());
        }
    }
    let remarks = if whole && !all.is_empty() {
        vec!["guidellm keeps no times of chunks: gaps between tokens are not known".to_owned()]
    } else {
        Vec::new()
    };
    Ok(Measured {
        record: ImportedRecord {
            format: "guidellm".to_owned(),
            summary,
            requests: (completed + failed + incomplete > 0)
                .then_some(completed + failed + incomplete),
            completed: (completed > 0).then_some(completed),
            failed: (completed + failed > 0).then_some(failed),
            duration_s: duration,
            throughput_per_s: metric("requests_per_second")?,
            input_tokens: sum(&all, |it| it.prompt_tokens),
            output_tokens: sum(&all, |it| it.output_tokens),
            ttft_mean_ms: metric("time_to_first_token_ms")?,
            // guidellm's time per output token has the first one in it; its ITL is what others call TPOT.
            tpot_mean_ms: metric("inter_token_latency_ms")?,
            e2e_mean_ms: metric("request_latency")?.map(|seconds| 1e3 * seconds),
            ..ImportedRecord::default()
        },
        load: load(fields)?,
        ended: end.map(Duration::from_secs_f64),
        // Without the time of each request the others would show another load.
        rows: if whole { rows(&all) } else { Vec::new() },
        remarks,
        ..Measured::default()
    })
}

/// The mean of a metric over the successful requests.
fn mean(fields: &Fields<'_>, name: &str) -> Result<Option<f64>, InterchangeError> {
    let Some(metrics) = fields.object("metrics")? else { return Ok(None) };
    let Some(metric) = metrics.object(name)? else { return Ok(None) };
    match metric.object("successful")? {
        Some(of_ok) => of_ok.number("mean"),
        None => Ok(None),
    }
}

fn sum(all: &[Times], of: impl Fn(&Times) -> Option<u64>) -> Option<u64> {
    let ok = all.iter().filter(|it| it.error.is_none());
    let sum = ok.map(of).try_fold(0, |sum: u64, value| Some(sum.saturating_add(value?)));
    sum.filter(|_| !all.is_empty())
}

/// The strategy stands in the benchmark's configuration, in older versions in its arguments.
fn load(fields: &Fields<'_>) -> Result<Option<OfferedLoad>, InterchangeError> {
    for holder in ["config", "args", "scheduler"] {
        let Some(holder) = fields.object(holder)? else { continue };
        let Some(strategy) = holder.object("strategy")? else { continue };
        let kind = strategy.text("type_")?.unwrap_or_default();
        let streams = strategy.count("streams")?.or(strategy.count("max_concurrency")?);
        let rate = strategy.number("rate")?.filter(|rate| *rate > 0.0);
        return Ok(match (kind, rate) {
            ("constant", Some(rate)) => Some(OfferedLoad::Open {
                arrivals: "constant".to_owned(),
                rate_per_s: rate,
                gap_cv: Some(0.0),
                seed: 0,
                max_in_flight: None,
            }),
            ("poisson", Some(rate)) => Some(open(rate, 1.0, None)),
            ("synchronous", _) => Some(closed(1)),
            (_, Some(rate)) if streams.is_none() => Some(open(rate, 1.0, None)),
            _ => streams.map(closed),
        });
    }
    Ok(None)
}

/// The times of a request; `None` where it has none.
fn times(request: &Fields<'_>, kind: &str) -> Result<Option<Times>, InterchangeError> {
    let Some(info) = request.object("info")?.or(request.object("scheduler_info")?) else {
        return Ok(None);
    };
    let Some(timings) = info.object("timings")? else { return Ok(None) };
    let first_of = |keys: &[&str]| -> Result<Option<f64>, InterchangeError> {
        for key in keys {
            if let Some(seconds) = timings.seconds(key)? {
                return Ok(Some(seconds));
            }
        }
        Ok(None)
    };
    let (Some(sent), Some(done)) = (
        first_of(&["request_start", "resolve_start"])?,
        first_of(&["request_end", "resolve_end", "finalized"])?,
    ) else {
        return Ok(None);
    };
    let tokens = |holder: &str, key: &str| -> Result<Option<u64>, InterchangeError> {
        match request.object(holder)? {
            Some(metrics) => metrics.count(key),
            None => Ok(None),
        }
    };
    let error = match kind {
        "successful" => None,
        "incomplete" => Some((Outcome::Aborted, "incomplete".to_owned())),
        _ => {
            let text = info.text("error")?.unwrap_or("errored");
            Some((outcome_of(text), text.to_owned()))
        }
    };
    Ok(Some(Times {
        intended: first_of(&["targeted_start", "scheduled_at"])?.unwrap_or(sent),
        sent,
        first: first_of(&["first_token_iteration", "first_iteration"])?,
        first_answer: first_of(&["first_output_token_iteration"])?,
        last: first_of(&["last_token_iteration", "last_iteration"])?,
        done,
        prompt_tokens: match request.count("prompt_tokens")? {
            None => tokens("input_metrics", "total_tokens")?,
            count => count,
        },
        output_tokens: match request.count("output_tokens")? {
            None => tokens("output_metrics", "total_tokens")?,
            count => count,
        },
        cached_tokens: tokens("input_metrics", "cached_tokens")?,
        error,
        ..Times::default()
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plimsoll_records::Outcome;
    use plimsoll_units::RunNanos;

    use crate::format::read_bytes;

    /// A report as guidellm has it, figures made up.
    const REPORT: &str = r#"{"metadata": {"version": 1}, "benchmarks": [{
        "type_": "generative_benchmark", "config": {"strategy": {"type_": "poisson", "rate": 2.0}},
        "start_time": 1000.0, "end_time": 1010.5, "duration": 10.5,
        "metrics": {"requests_per_second": {"successful": {"mean": 1.9}},
                    "request_latency": {"successful": {"mean": 0.4}},
                    "inter_token_latency_ms": {"successful": {"mean": 10.0}},
                    "time_to_first_token_ms": {"successful": {"mean": 40.0}}},
        "requests": {
            "successful": [{"request_id": "a", "prompt_tokens": 12, "output_tokens": 3,
                "input_metrics": {"total_tokens": 12, "cached_tokens": 4},
                "info": {"status": "completed", "timings": {"targeted_start": 1000.0,
                    "request_start": 1000.002, "first_token_iteration": 1000.042,
                    "first_output_token_iteration": 1000.052, "last_token_iteration": 1000.062,
                    "request_end": 1000.063}}}],
            "errored": [{"request_id": "b", "info": {"error": "Connection refused", "timings": {
                "targeted_start": 1001.0, "request_start": 1001.0, "request_end": 1001.5}}}],
            "incomplete": []}}]}"#;

    #[test]
    fn a_benchmark_is_a_point_with_its_rows() {
        let points = read_bytes(Path::new("g.json"), REPORT.as_bytes()).unwrap().unwrap();
        let point = &points[0];
        assert_eq!(points.len(), 1);
        assert_eq!(point.load.as_ref().unwrap().rate_per_s(), Some(2.0));
        assert_eq!((point.record.completed, point.record.failed), (Some(1), Some(1)));
        assert_eq!(point.record.e2e_mean_ms, Some(400.0));
        assert_eq!(point.ended.unwrap().as_secs_f64(), 1010.5);
        let row = &point.rows[0];
        let at = |ms: u64| Some(RunNanos::from_nanos(ms * 1_000_000));
        assert_eq!((row.sent, row.first_reasoning, row.first_answer), (at(2), at(42), at(52)));
        assert_eq!((row.last_token, row.cached_tokens), (at(62), Some(4)));
        assert_eq!(point.rows[1].outcome, Outcome::Refused);
        assert_eq!(point.record.output_tokens, Some(3));
    }

    #[test]
    fn requests_without_times_make_no_rows() {
        let text = REPORT.replace("\"request_start\": 1001.0, ", "\"queued\": 1001.0, ");
        let points = read_bytes(Path::new("g.json"), text.as_bytes()).unwrap().unwrap();
        assert!(points[0].rows.is_empty() && points[0].record.failed == Some(1));
    }

    #[test]
    fn wrong_values_are_named_with_their_place() {
        let text = REPORT.replace("\"request_end\": 1001.5", "\"request_end\": \"late\"");
        let error = read_bytes(Path::new("g.json"), text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(
                "`benchmarks[0].requests.errored[0].info.timings.request_end` is \"late\""
            ),
            "{error}"
        );
    }
}
