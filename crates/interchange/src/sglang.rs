//! sglang's `bench_serving`: one JSON object a line, appended run by run.

use plimsoll_records::ImportedRecord;

use crate::InterchangeError;
use crate::fields::Fields;
use crate::measured::{Measured, closed, e2e_of_parts, open};
use crate::rows::{Times, outcome_of, rows};

/// Whether these are sglang's keys.
pub(crate) fn recognise(fields: &Fields<'_>) -> bool {
    fields.has("total_output_tokens_retokenized") && fields.has("request_throughput")
}

/// Reads one run.
///
/// Its formulas: arrivals are Poisson by relative sleeps, so fewer than asked; `duration` includes a call
/// to /server_info at the end; ttft includes a TCP handshake, each request having a session of its own.
/// Source: sglang/bench_serving.py. Its details (`--output-details`) have no start times, except in versions
/// that write `start_times`; without them there are no rows.
pub(crate) fn read(fields: &Fields<'_>) -> Result<Measured, InterchangeError> {
    let completed = fields.count("completed")?;
    let all = fields.count("num_prompts")?.or(fields.count("total_requests")?);
    let failed = match fields.count("failed")? {
        None => all.zip(completed).map(|(all, ok)| all.saturating_sub(ok)),
        failed => failed,
    };
    let mut record = ImportedRecord {
        format: "sglang".to_owned(),
        summary: fields.plain(),
        requests: all
            .or_else(|| completed.zip(failed).map(|(ok, failed)| ok.saturating_add(failed))),
        completed,
        failed,
        duration_s: fields.seconds("duration")?,
        throughput_per_s: fields.number("request_throughput")?,
        input_tokens: fields.count("total_input_tokens")?,
        output_tokens: fields.count("total_output_tokens")?,
        ttft_mean_ms: fields.number("mean_ttft_ms")?,
        tpot_mean_ms: fields.number("mean_tpot_ms")?,
        e2e_mean_ms: fields.number("mean_e2e_latency_ms")?,
        ..ImportedRecord::default()
    };
    record.e2e_mean_ms = record.e2e_mean_ms.or_else(|| e2e_of_parts(&record));
    let cap = fields.count("max_concurrency")?;
    // "inf" where all were sent at once, "trace" where recorded times were replayed.
    let rate = match fields.value("request_rate") {
        Some(value) if value.is_string() => None,
        _ => fields.number("request_rate")?.filter(|rate| *rate > 0.0),
    };
    let load = match rate {
        Some(rate) => Some(open(rate, 1.0, cap)),
        None => cap.map(closed),
    };
    Ok(Measured {
        record,
        model: fields.text("model")?.map(str::to_owned),
        load,
        rows: match fields.all_seconds("start_times")? {
            Some(starts) => requests_of(fields, &starts)?,
            None => Vec::new(),
        },
        ..Measured::default()
    })
}

fn requests_of(
    fields: &Fields<'_>,
    starts: &[f64],
) -> Result<Vec<plimsoll_records::RequestRow>, InterchangeError> {
    let (Some(ttfts), Some(gaps)) = (fields.all_seconds("ttfts")?, fields.all_gaps("itls")?) else {
        return Ok(Vec::new());
    };
    let inputs = fields.all_counts("input_lens")?;
    let outputs = fields.all_counts("output_lens")?;
    let errors = fields.all_texts("errors")?;
    for (key, length) in [
        ("ttfts", Some(ttfts.len())),
        ("itls", Some(gaps.len())),
        ("input_lens", inputs.as_ref().map(Vec::len)),
        ("output_lens", outputs.as_ref().map(Vec::len)),
        ("errors", errors.as_ref().map(Vec::len)),
    ] {
        if length.is_some_and(|length| length != starts.len()) {
            return Err(fields.wrong(key, "an array as long as `start_times`"));
        }
    }
    let times = |i: usize| {
        let error = errors.as_ref().map_or("", |all| all[i]);
        let first = (ttfts[i] > 0.0).then(|| starts[i] + ttfts[i]);
        Times {
            intended: starts[i],
            sent: starts[i],
            first,
            gaps: if first.is_some() { gaps[i].clone() } else { Vec::new() },
            done: starts[i] + ttfts[i] + gaps[i].iter().sum::<f64>(),
            prompt_tokens_planned: inputs.as_ref().map(|all| all[i]),
            output_tokens: outputs.as_ref().map(|all| all[i]).filter(|_| error.is_empty()),
            error: (!error.is_empty()).then(|| (outcome_of(error), error.to_owned())),
            ..Times::default()
        }
    };
    Ok(rows(&(0..starts.len()).map(times).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::format::read_bytes;

    /// Two runs, as the tool appends them; figures made up.
    const TWO: &str = r#"{"tag": null, "backend": "sglang", "dataset_name": "random", "request_rate": 4.0, "max_concurrency": null, "duration": 25.5, "completed": 99, "total_input_tokens": 9900, "total_output_tokens": 4950, "total_output_tokens_retokenized": 4949, "request_throughput": 3.88, "mean_e2e_latency_ms": 600.0, "mean_ttft_ms": 50.0, "mean_tpot_ms": 11.2, "accept_length": null}
{"backend": "sglang", "request_rate": "inf", "max_concurrency": 8, "num_prompts": 10, "duration": 1.5, "completed": 9, "total_output_tokens_retokenized": 90, "request_throughput": 6.0, "start_times": [7.0, 7.5], "ttfts": [0.05, 0.0], "itls": [[0.01, 0.01], []], "output_lens": [3, 0], "errors": ["", "Bad Gateway"]}
"#;

    #[test]
    fn each_line_is_a_point() {
        let points = read_bytes(Path::new("a.jsonl"), TWO.as_bytes()).unwrap().unwrap();
        assert_eq!(points.len(), 2);
        let (first, second) = (&points[0], &points[1]);
        assert_eq!(first.record.format, "sglang");
        assert_eq!(first.record.throughput_per_s, Some(3.88));
        assert_eq!(first.record.requests, None, "99 ended well, of nobody says how many");
        assert_eq!(first.load.as_ref().unwrap().rate_per_s(), Some(4.0));
        assert!(first.rows.is_empty());
        assert_eq!(first.record.summary["total_output_tokens_retokenized"], 4949);
        assert_eq!(second.record.failed, Some(1));
        assert_eq!(second.load.as_ref().unwrap().rate_per_s(), None);
        assert_eq!(second.rows.len(), 2);
        assert_eq!(second.rows[0].output_tokens, Some(3));
        assert!(second.rows[1].outcome.is_failure());
    }

    #[test]
    fn a_broken_second_line_is_named() {
        let broken = TWO.replace("6.0, \"start", "6.0 \"start");
        let error = read_bytes(Path::new("a.jsonl"), broken.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("a.jsonl, line 2, column "), "{error}");
        let wrong = TWO.replace("\"completed\": 9,", "\"completed\": -9,");
        let error = read_bytes(Path::new("a.jsonl"), wrong.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("`object 2: completed` is -9; allowed is a whole number"),
            "{error}"
        );
        let short = TWO.replace("[0.05, 0.0]", "[0.05]");
        let error = read_bytes(Path::new("a.jsonl"), short.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`object 2: ttfts`") && error.contains("as long as"), "{error}");
    }
}
