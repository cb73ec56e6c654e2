//! aiperf: `profile_export.jsonl`, one record a request, and the JSON summary beside it.

use std::path::Path;
use std::time::Duration;

use plimsoll_records::{ImportedRecord, Outcome};

use crate::InterchangeError;
use crate::fields::Fields;
use crate::measured::{Measured, closed, open};
use crate::rows::{Times, outcome_of, rows};

/// Whether this is the record of a request.
pub(crate) fn recognise(fields: &Fields<'_>) -> bool {
    matches!(fields.object("metadata"), Ok(Some(it)) if it.has("request_start_ns"))
        && fields.has("metrics")
}

/// Whether this is the summary of a run.
pub(crate) fn recognise_summary(fields: &Fields<'_>) -> bool {
    let metric = |name: &str| matches!(fields.object(name), Ok(Some(it)) if it.has("unit"));
    metric("request_throughput") && metric("request_latency")
}

/// The records of a file.
#[derive(Debug, Default)]
pub(crate) struct Records {
    all: Vec<Times>,
    /// Records of the warm-up, which the tool leaves out of its figures.
    warm_up: u64,
}

impl Records {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.warm_up == 0
    }

    /// Takes in one record.
    ///
    /// Stamps are wall-clock ns; a request starts right before it is sent, and its credit was issued when it
    /// became due. `request_latency` ends with the last content; TTFT is from the start to the first
    /// content, reasoning included. Source: aiperf's metadata and metric tags, version 0.13.
    pub(crate) fn take(&mut self, fields: &Fields<'_>) -> Result<(), InterchangeError> {
        let Some(metadata) = fields.object("metadata")? else { return Ok(()) };
        if metadata.text("benchmark_phase")? == Some("warmup") {
            self.warm_up += 1;
            return Ok(());
        }
        let Some(metrics) = fields.object("metrics")? else { return Ok(()) };
        let stamp = |key: &str| -> Result<Option<f64>, InterchangeError> {
            Ok(metadata.count(key)?.map(|ns| ns as f64 / 1e9))
        };
        let need = |key: &'static str| -> Result<f64, InterchangeError> {
            stamp(key)?.ok_or_else(|| metadata.wrong(key, "a whole number of ns since 1970"))
        };
        let value = |name: &str| metric(&metrics, name);
        let count = |name: &str| -> Result<Option<u64>, InterchangeError> {
            match metrics.object(name)? {
                Some(metric) => metric.count("value"),
                None => Ok(None),
            }
        };
        let sent = need("request_start_ns")?;
        let cancelled =
            metadata.value("was_cancelled").is_some_and(|it| it.as_bool() == Some(true));
        let error = match fields.value("error") {
            _ if cancelled => Some((Outcome::Aborted, "cancelled".to_owned())),
            None => None,
            Some(error) => {
                let text = error.get("message").and_then(|it| it.as_str()).unwrap_or("failed");
                Some((
                    outcome_of(&format!("{} {text}", error.get("type").unwrap_or(error))),
                    text.to_owned(),
                ))
            }
        };
        let first = value("time_to_first_token")?.map(|ms| sent + ms / 1e3);
        let answer = value("time_to_first_output_token")?.map(|ms| sent + ms / 1e3);
        let last = value("request_latency")?.map(|ms| sent + ms / 1e3);
        let prompt = count("input_sequence_length")?;
        self.all.push(Times {
            intended: stamp("credit_issued_ns")?.unwrap_or(sent),
            sent,
            first,
            first_answer: answer,
            last: last.filter(|_| error.is_none()),
            gaps: match metrics.object("inter_chunk_latency")? {
                Some(gaps) if first.is_some() && gaps.array("value").is_ok() => {
                    let gaps = gaps.all_seconds("value")?.unwrap_or_default();
                    gaps.into_iter().map(|ms| ms / 1e3).collect()
                }
                _ => Vec::new(),
            },
            done: need("request_end_ns")?,
            prompt_tokens_planned: prompt,
            prompt_tokens: count("usage_prompt_tokens")?,
            output_tokens: count("output_sequence_length")?.filter(|_| error.is_none()),
            error,
            ..Times::default()
        });
        Ok(())
    }

    /// The point that the records are of, if there are any.
    pub(crate) fn finish(mut self, path: &Path) -> Result<Option<Measured>, InterchangeError> {
        if self.is_empty() {
            return Ok(None);
        }
        if self.all.is_empty() {
            return Err(InterchangeError::Value {
                path: path.to_owned(),
                place: "metadata.benchmark_phase".to_owned(),
                found: format!("warmup in all of {} records", self.warm_up),
                allowed: "at least one record of another phase",
            });
        }
        self.all.sort_by(|a, b| a.intended.total_cmp(&b.intended));
        let ok: Vec<&Times> = self.all.iter().filter(|it| it.error.is_none()).collect();
        let start = self.all.iter().map(|it| it.sent).fold(f64::INFINITY, f64::min);
        let end = self.all.iter().map(|it| it.done).fold(0.0, f64::max);
        let seconds = (end - start).max(0.0);
        let mean = |values: Vec<f64>| {
            (!values.is_empty()).then(|| 1e3 * values.iter().sum::<f64>() / values.len() as f64)
        };
        let total = |of: fn(&Times) -> Option<u64>| {
            ok.iter().try_fold(0_u64, |sum, it| Some(sum.saturating_add(of(it)?)))
        };
        let record = ImportedRecord {
            format: "aiperf".to_owned(),
            requests: Some(self.all.len() as u64),
            completed: Some(ok.len() as u64),
            failed: Some(
                self.all
                    .iter()
                    .filter(|it| it.error.as_ref().is_some_and(|(o, _)| o.is_failure()))
                    .count() as u64,
            ),
            duration_s: Some(seconds),
            // Its formula: requests / (last response - first request).
            throughput_per_s: (seconds > 0.0).then(|| ok.len() as f64 / seconds),
            input_tokens: total(|it| it.prompt_tokens_planned),
            output_tokens: total(|it| it.output_tokens),
            ttft_mean_ms: mean(ok.iter().filter_map(|it| Some(it.first? - it.sent)).collect()),
            tpot_mean_ms: mean(
                ok.iter()
                    .filter_map(|it| {
                        let steps = it.output_tokens.filter(|&n| n > 1)? - 1;
                        Some((it.last? - it.first?) / steps as f64)
                    })
                    .collect(),
            ),
            e2e_mean_ms: mean(ok.iter().filter_map(|it| Some(it.last? - it.sent)).collect()),
            ..ImportedRecord::default()
        };
        let mut remarks = vec![
            "aiperf's records do not say what was offered: give the rate in the folder's name or in a \
             mapping"
                .to_owned(),
        ];
        if self.warm_up > 0 {
            remarks.push(format!("{} requests of aiperf's warm-up are left out", self.warm_up));
        }
        Ok(Some(Measured {
            record,
            ended: Some(Duration::from_secs_f64(end)),
            rows: rows(&self.all),
            remarks,
            ..Measured::default()
        }))
    }
}

/// The value of a metric of one number, ms or a count; lists have none.
fn metric(metrics: &Fields<'_>, name: &str) -> Result<Option<f64>, InterchangeError> {
    let Some(metric) = metrics.object(name)? else { return Ok(None) };
    let Some(value) = metric.seconds("value")? else { return Ok(None) };
    Ok(Some(match metric.text("unit")? {
        Some("s" | "sec") => 1e3 * value,
        Some("us") => value / 1e3,
        Some("ns") => value / 1e6,
        _ => value,
    }))
}

/// Reads the summary of a run: metrics with their averages, and what the user had asked for.
pub(crate) fn read_summary(fields: &Fields<'_>) -> Result<Measured, InterchangeError> {
    let average = |name: &str| -> Result<Option<f64>, InterchangeError> {
        match fields.object(name)? {
            Some(metric) => metric.number("avg"),
            None => Ok(None),
        }
    };
    let count = |name: &str| -> Result<Option<u64>, InterchangeError> {
        match fields.object(name)? {
            Some(metric) => metric.count("avg"),
            None => Ok(None),
        }
    };
    let mut summary = fields.plain();
    for name in [
        "request_throughput",
        "output_token_throughput",
        "request_latency",
        "time_to_first_token",
        "time_to_second_token",
        "inter_token_latency",
        "inter_chunk_latency",
        "output_sequence_length",
        "input_sequence_length",
        "benchmark_duration",
    ] {
        if let Some(value) = average(name)? {
            summary.insert(format!("{name}.avg"), value.into());
        }
    }
    let loadgen = match fields.object("input_config")? {
        Some(config) => config.object("loadgen")?,
        None => None,
    };
    let load = match loadgen {
        Some(loadgen) => match loadgen.number("request_rate")?.filter(|rate| *rate > 0.0) {
            Some(rate) => Some(open(rate, 1.0, loadgen.count("concurrency")?)),
            None => loadgen.count("concurrency")?.map(closed),
        },
        None => None,
    };
    let completed = count("request_count")?;
    let failed = count("error_request_count")?;
    Ok(Measured {
        record: ImportedRecord {
            format: "aiperf".to_owned(),
            summary,
            requests: completed.map(|ok| ok + failed.unwrap_or(0)),
            completed,
            failed,
            duration_s: average("benchmark_duration")?,
            throughput_per_s: average("request_throughput")?,
            input_tokens: count("total_isl")?,
            output_tokens: count("total_osl")?,
            ttft_mean_ms: average("time_to_first_token")?,
            // aiperf's inter-token latency is what others call TPOT.
            tpot_mean_ms: average("inter_token_latency")?,
            e2e_mean_ms: average("request_latency")?,
            ..ImportedRecord::default()
        },
        load,
        ended: match fields.text("end_time")? {
            Some(text) => crate::date::parse(text),
            None => None,
        },
        ..Measured::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plimsoll_records::Outcome;

    use crate::format::read_bytes;

    /// Three records as the tool writes them, figures made up.
    const RECORDS: &str = r#"{"metadata": {"session_num": 0, "credit_issued_ns": 1000000000, "request_start_ns": 1000200000, "request_end_ns": 1500000000, "benchmark_phase": "warmup", "was_cancelled": false}, "metrics": {}, "error": null}
{"metadata": {"session_num": 1, "credit_issued_ns": 2000000000, "request_start_ns": 2001000000, "request_end_ns": 2101500000, "benchmark_phase": "profiling", "was_cancelled": false}, "metrics": {"time_to_first_token": {"value": 40.0, "unit": "ms"}, "request_latency": {"value": 100.0, "unit": "ms"}, "inter_chunk_latency": {"value": [20.0, 40.0], "unit": "ms"}, "input_sequence_length": {"value": 20, "unit": "tokens"}, "output_sequence_length": {"value": 3, "unit": "tokens"}}, "error": null}
{"metadata": {"session_num": 2, "credit_issued_ns": null, "request_start_ns": 3000000000, "request_end_ns": 3500000000, "benchmark_phase": "profiling", "was_cancelled": false}, "metrics": {}, "error": {"code": 503, "type": "HTTP", "message": "Service Unavailable"}}
"#;

    #[test]
    fn records_become_rows_and_the_warm_up_is_left_out() {
        let points = read_bytes(Path::new("p.jsonl"), RECORDS.as_bytes()).unwrap().unwrap();
        let point = &points[0];
        assert_eq!((points.len(), point.rows.len()), (1, 2));
        let row = &point.rows[0];
        assert_eq!(row.schedule_lag().unwrap().as_micros(), 1000);
        assert_eq!(row.chunks.len(), 3);
        assert_eq!((row.last_token.unwrap() - row.sent.unwrap()).as_millis(), 100);
        assert_eq!((row.prompt_tokens_planned, row.output_tokens), (Some(20), Some(3)));
        assert_eq!(point.rows[1].outcome, Outcome::HttpStatus);
        assert_eq!(point.record.tpot_mean_ms.unwrap().round(), 30.0);
        assert_eq!((point.record.completed, point.record.failed), (Some(1), Some(1)));
        assert!(point.load.is_none() && point.remarks[1].contains("1 requests"));
    }

    #[test]
    fn what_is_no_record_is_named_by_its_place() {
        let text = RECORDS.replace("\"request_end_ns\": 3500000000", "\"request_end_ns\": -5");
        let error = read_bytes(Path::new("p.jsonl"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`object 3: metadata.request_end_ns` is -5"), "{error}");
        let warm_up = RECORDS.lines().next().unwrap();
        let error = read_bytes(Path::new("p.jsonl"), warm_up.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("warmup in all of 1 records"), "{error}");
        let mixed = format!("{RECORDS}{{\"a\": 1}}\n");
        let error = read_bytes(Path::new("p.jsonl"), mixed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("object 4") && error.contains("one kind of result"), "{error}");
    }

    #[test]
    fn the_summary_is_read_by_its_averages() {
        let text = r#"{"schema_version": "1.4", "request_throughput": {"unit": "requests/sec", "avg": 4.5},
            "request_latency": {"unit": "ms", "avg": 900.0}, "request_count": {"unit": "requests", "avg": 90.0},
            "inter_token_latency": {"unit": "ms", "avg": 9.5}, "benchmark_duration": {"unit": "sec", "avg": 20.0},
            "input_config": {"loadgen": {"request_rate": 5.0}}}"#;
        let point = read_bytes(Path::new("s.json"), text.as_bytes()).unwrap().unwrap().remove(0);
        assert_eq!(point.record.completed, Some(90));
        assert_eq!(point.record.summary["request_throughput.avg"], 4.5);
        assert_eq!(point.load.unwrap().rate_per_s(), Some(5.0));
    }
}
