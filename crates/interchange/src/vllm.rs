//! `vllm bench serve` (`benchmark_serving.py`): version 0.9, the current Python one, and its Rust client.
//!
//! They share most keys and differ in what stands behind them, so the format is told by its keys:
//! 0.9 has no `failed`; the Rust client always has `steady_state`, an ISO date and never `queue_times`.

use plimsoll_records::{ImportedRecord, OfferedLoad, RequestRow};

use crate::InterchangeError;
use crate::date;
use crate::fields::Fields;
use crate::measured::{Measured, closed, e2e_of_parts, open};
use crate::rows::{Times, outcome_of, rows};

/// The version of the benchmark that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Up to about 0.10: no failures, no start times.
    Old,
    /// The current Python one.
    Python,
    /// The client in Rust.
    Rust,
}

impl Flavour {
    fn of(fields: &Fields<'_>) -> Self {
        let iso = matches!(fields.text("date"), Ok(Some(date)) if date.contains('T'));
        if fields.has("steady_state") || iso || fields.has("max_model_len") {
            Self::Rust
        } else if fields.has("failed") || fields.has("queue_times") || fields.has("rtfx") {
            Self::Python
        } else {
            Self::Old
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Old => "vllm-bench-0.9",
            Self::Python => "vllm-bench",
            Self::Rust => "vllm-bench-rust",
        }
    }
}

/// Whether these are the keys of a result of `vllm bench serve`.
pub(crate) fn recognise(fields: &Fields<'_>) -> bool {
    let all = ["request_throughput", "total_input_tokens", "completed", "duration"];
    all.iter().all(|key| fields.has(key))
        && (fields.has("total_output_tokens") || fields.has("total_input_sequences"))
        && !fields.has("total_output_tokens_retokenized")
}

/// Reads one result.
///
/// Its formulas: `duration` from before the first request to the last answer; throughputs are counts over
/// it; `ttft` from before the request is sent to the first chunk with choices; `tpot` = (latency - ttft) /
/// (output tokens - 1). Source: vllm/benchmarks/serve.py,
/// versions 0.9.2 and 0.32.
pub(crate) fn read(fields: &Fields<'_>) -> Result<Measured, InterchangeError> {
    let flavour = Flavour::of(fields);
    let requests = fields.count("num_prompts")?;
    let completed = fields.count("completed")?;
    let failed = match fields.count("failed")? {
        // 0.9 counts no failures: what did not end well failed.
        None => requests.zip(completed).map(|(all, ok)| all.saturating_sub(ok)),
        failed => failed,
    };
    let mut record = ImportedRecord {
        format: flavour.name().to_owned(),
        summary: fields.plain(),
        requests,
        completed,
        failed,
        duration_s: fields.seconds("duration")?,
        throughput_per_s: fields.number("request_throughput")?,
        input_tokens: fields.count("total_input_tokens")?,
        output_tokens: fields.count("total_output_tokens")?,
        ttft_mean_ms: fields.number("mean_ttft_ms")?,
        tpot_mean_ms: fields.number("mean_tpot_ms")?,
        e2e_mean_ms: fields.number("mean_e2el_ms")?,
        ..ImportedRecord::default()
    };
    record.e2e_mean_ms = record.e2e_mean_ms.or_else(|| e2e_of_parts(&record));
    let ended = match fields.text("date")? {
        Some(text) => Some(
            date::parse(text)
                .ok_or_else(|| fields.wrong("date", "20250721-151602 or 2025-07-21T15:16:02Z"))?,
        ),
        None => None,
    };
    let (rows, remarks) = requests_of(fields, flavour)?;
    Ok(Measured {
        record,
        model: fields.text("model_id")?.map(str::to_owned),
        url: None,
        load: load(fields, requests)?,
        ended,
        rows,
        remarks,
    })
}

/// The load: a rate, or `"inf"` with a limit on requests in flight, or all at once.
fn load(
    fields: &Fields<'_>,
    requests: Option<u64>,
) -> Result<Option<OfferedLoad>, InterchangeError> {
    let cap = fields.count("max_concurrency")?;
    let rate = match fields.value("request_rate") {
        Some(value) if value.as_str() == Some("inf") => None,
        Some(value) if value.is_string() => {
            return Err(fields.wrong("request_rate", "a number above 0, or \"inf\""));
        }
        _ => fields.number("request_rate")?,
    };
    let burstiness = match fields.value("burstiness") {
        // Gaps without any chance.
        Some(value) if value.as_str() == Some("inf") => f64::INFINITY,
        _ => fields.number("burstiness")?.filter(|shape| *shape > 0.0).unwrap_or(1.0),
    };
    Ok(match rate {
        Some(rate) if rate > 0.0 => Some(open(rate, burstiness, cap)),
        Some(_) => return Err(fields.wrong("request_rate", "a number above 0, or \"inf\"")),
        None => cap.or(requests).map(closed),
    })
}

/// The requests, where the file has the time at which each one began.
fn requests_of(
    fields: &Fields<'_>,
    flavour: Flavour,
) -> Result<(Vec<RequestRow>, Vec<String>), InterchangeError> {
    let none = || Ok((Vec::new(), Vec::new()));
    let Some(starts) = fields.all_seconds("start_times")? else { return none() };
    let (Some(ttfts), Some(gaps)) = (fields.all_seconds("ttfts")?, fields.all_gaps("itls")?) else {
        return none();
    };
    let n = starts.len();
    let latencies = fields.all_seconds("latencies")?;
    let queues = fields.all_seconds("queue_times")?;
    let inputs = fields.all_counts("input_lens")?;
    let outputs = fields.all_counts("output_lens")?;
    let errors = fields.all_texts("errors")?;
    let lengths = [
        ("ttfts", Some(ttfts.len())),
        ("itls", Some(gaps.len())),
        ("latencies", latencies.as_ref().map(Vec::len)),
        ("queue_times", queues.as_ref().map(Vec::len)),
        ("input_lens", inputs.as_ref().map(Vec::len)),
        ("output_lens", outputs.as_ref().map(Vec::len)),
        ("errors", errors.as_ref().map(Vec::len)),
    ];
    for (key, length) in lengths {
        if length.is_some_and(|length| length != n) {
            return Err(fields.wrong(key, "an array as long as `start_times`"));
        }
    }
    let times = |i: usize| {
        let error = errors.as_ref().map_or("", |all| all[i]);
        let failed = !error.is_empty();
        let started = starts[i];
        let output = outputs.as_ref().map(|all| all[i]);
        // A request that failed has 0 for what never came.
        let first = (ttfts[i] > 0.0 || !failed && output != Some(0)).then(|| started + ttfts[i]);
        let chunks = ttfts[i] + gaps[i].iter().sum::<f64>();
        let latency = latencies.as_ref().map_or(chunks, |all| all[i].max(chunks));
        let prompt = inputs.as_ref().map(|all| all[i]);
        Times {
            // The Python client notes when the request became due; the Rust one does not.
            intended: started - queues.as_ref().map_or(0.0, |all| all[i]),
            sent: started,
            first,
            gaps: if first.is_some() { gaps[i].clone() } else { Vec::new() },
            done: started + latency,
            // Python replaces the planned length by the usage's, Rust and 0.9 keep it.
            prompt_tokens: prompt.filter(|_| flavour == Flavour::Python && !failed),
            prompt_tokens_planned: prompt.filter(|_| flavour != Flavour::Python || failed),
            output_tokens: output.filter(|_| !failed),
            error: failed.then(|| (outcome_of(error), error.to_owned())),
            ..Times::default()
        }
    };
    let all: Vec<Times> = (0..n).map(times).collect();
    let mut remarks = Vec::new();
    if queues.is_none() {
        remarks
            .push("the file does not say when requests were due: due is taken to be sent".into());
    }
    if errors.is_none() {
        remarks.push("the file does not say which requests failed".into());
    }
    Ok((rows(&all), remarks))
}

#[cfg(test)]
mod tests;
