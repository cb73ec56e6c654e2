//! A point of a results folder as another tool would have written it.

use std::time::Duration;

use plimsoll_analysis::{Slo, VllmRequest, VllmRun};
use plimsoll_records::{Manifest, OfferedLoad, PointFile, RequestRow, ResultsFolder, read_point};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::InterchangeError;
use crate::date;

/// The key that holds what is ours.
const OURS: &str = "plimsoll";

/// A result as `vllm bench serve --save-result --save-detailed` of version 0.32 writes it: the same keys in
/// the same order, and behind them one key of ours, `plimsoll`.
///
/// Its text is one JSON object ([`VllmBench::to_json`]).
#[derive(Clone, Debug, PartialEq)]
pub struct VllmBench(Vec<(String, Value)>);

impl Serialize for VllmBench {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl VllmBench {
    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// The JSON text.
    ///
    /// # Panics
    /// Never: values of JSON can be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("keys are texts and values are JSON")
    }
}

/// The point `id` of `folder` in the words of `vllm bench serve`; without an id, the only point that there is.
///
/// Every number is by vLLM's formula over the whole point, warm-up and drain included
/// ([`VllmRun`]): `duration` from the start of the schedule to the last answer, throughputs over it. Stamps
/// are those of the run's clock; texts of answers were never kept and are empty.
///
/// # Errors
/// When there is no such point, or it has no rows; when there are several and none is named; when the folder
/// cannot be read.
pub fn export_vllm_bench(
    folder: &ResultsFolder,
    id: Option<&str>,
) -> Result<VllmBench, InterchangeError> {
    let manifest = folder.manifest()?;
    let id = choose(&manifest, id)?;
    let dir = folder.point(id)?;
    let (point, rows) = (dir.read_point_file()?, read_point(&dir)?.rows);
    if rows.is_empty() {
        return Err(refused(
            id,
            "it has no rows of requests, and a summary alone cannot be recomputed",
        ));
    }
    Ok(vllm_bench(&manifest, &point, &rows))
}

fn refused(point: &str, problem: impl Into<String>) -> InterchangeError {
    InterchangeError::Export { point: point.to_owned(), problem: problem.into() }
}

/// The id that is asked for.
fn choose<'a>(manifest: &'a Manifest, id: Option<&'a str>) -> Result<&'a str, InterchangeError> {
    let all = || manifest.points.join(", ");
    match (id, &manifest.points[..]) {
        (Some(id), points) if points.iter().any(|it| it == id) => Ok(id),
        (Some(id), _) => {
            Err(refused(id, format!("there is none of this name; there are {}", all())))
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(refused("", "the folder has no points")),
        (None, _) => Err(refused("", format!("name one of the points: {}", all()))),
    }
}

fn vllm_bench(manifest: &Manifest, point: &PointFile, rows: &[RequestRow]) -> VllmBench {
    let run = VllmRun::of(point, rows, &Slo::default());
    let each =
        |of: &dyn Fn(&VllmRequest) -> Value| -> Value { run.requests.iter().map(of).collect() };
    let seconds = |span: Duration| json!(span.as_secs_f64());
    let (rate, burstiness, concurrency) = load(&point.load);
    let api = manifest.matrix_resolved["client"]["api"].as_str();
    let backend = match point.factors.get("client.api").map(String::as_str).or(api) {
        Some("completions") => "openai",
        _ => "openai-chat",
    };
    let target = manifest.targets.get(point.server_start.number as usize);
    let model = &target.unwrap_or(&manifest.target).model;
    let mut keys = vec![
        ("date", json!(date::compact(manifest.clock.wall(point.phases.end_ns)))),
        ("endpoint_type", json!(backend)),
        ("backend", json!(backend)),
        ("label", Value::Null),
        ("model_id", json!(model)),
        ("tokenizer_id", json!(model)),
        ("num_prompts", json!(run.requests.len())),
        ("request_rate", rate),
        ("burstiness", burstiness),
        ("max_concurrency", concurrency),
        ("duration", json!(run.duration_s)),
        ("completed", json!(run.completed)),
        ("failed", json!(run.failed)),
        ("total_input_tokens", json!(run.total_input_tokens)),
        ("total_output_tokens", json!(run.total_output_tokens)),
        ("request_throughput", json!(run.request_throughput())),
        ("request_goodput", json!(run.request_goodput)),
        ("output_throughput", json!(run.output_throughput())),
        ("total_token_throughput", json!(run.total_token_throughput())),
        ("input_lens", each(&|it| json!(it.prompt_tokens))),
        ("output_lens", each(&|it| json!(it.output_tokens))),
        ("ttfts", each(&|it| seconds(it.ttft))),
        ("itls", each(&|it| it.itls.iter().copied().map(seconds).collect())),
        ("latencies", each(&|it| seconds(it.latency))),
        ("start_times", each(&|it| json!(it.start.as_secs_f64()))),
        ("queue_times", each(&|it| seconds(it.queue))),
        ("generated_texts", each(&|_| json!(""))),
        ("errors", each(&|it| json!(it.error))),
        ("max_output_tokens_per_s", json!(run.max_output_tokens_per_s as f64)),
        ("max_concurrent_requests", json!(run.max_concurrent_requests)),
        ("rtfx", json!(0.0)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect::<Vec<_>>();
    keys.extend(run.metrics.iter().map(|(key, value)| (key.clone(), json!(value))));
    let ours = json!({
        "format": manifest.format.to_string(),
        "tool": format!("{} {}", manifest.tool.name, manifest.tool.version),
        "point": point.id,
        "repetition": point.repetition,
        "factors": point.factors,
        "phases": point.phases,
        "stamps": point.stamps.source,
    });
    keys.push((OURS.to_owned(), ours));
    VllmBench(keys)
}

/// Rate, burstiness and limit on requests in flight, as vLLM writes them: the shape of its gamma distribution
/// is 1 / cv^2, and what is infinite is the text `inf`.
fn load(load: &OfferedLoad) -> (Value, Value, Value) {
    match load {
        OfferedLoad::Open { rate_per_s, gap_cv, max_in_flight, .. } => {
            let burstiness = match gap_cv.unwrap_or(1.0) {
                cv if cv > 0.0 => json!(cv.powi(-2)),
                _ => json!("inf"),
            };
            (json!(rate_per_s), burstiness, json!(max_in_flight))
        }
        OfferedLoad::Closed { concurrency } => (json!("inf"), json!(1.0), json!(concurrency)),
    }
}
