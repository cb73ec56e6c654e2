//! What is exported as vLLM's result file and imported again has the same requests.

use std::path::Path;

use plimsoll_interchange::{ImportOptions, InterchangeError, Mapping, export_vllm_bench, import};
use plimsoll_records::{RequestRow, ResultsFolder, Tool, read_point};
use serde_json::{Value, json};

/// The keys of version 0.32 with `--save-detailed`, in order: setup, results, metric block.
const KEYS: &str = "date endpoint_type backend label model_id tokenizer_id num_prompts request_rate \
    burstiness max_concurrency duration completed failed total_input_tokens total_output_tokens \
    request_throughput request_goodput output_throughput total_token_throughput input_lens output_lens \
    ttfts itls latencies start_times queue_times generated_texts errors max_output_tokens_per_s \
    max_concurrent_requests rtfx mean_ttft_ms median_ttft_ms std_ttft_ms p99_ttft_ms mean_tpot_ms \
    median_tpot_ms std_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms std_itl_ms p99_itl_ms mean_e2el_ms \
    median_e2el_ms std_e2el_ms p99_e2el_ms";

/// Three requests: one that waited for its turn, one of a single token, one that failed.
fn result() -> Value {
    json!({
        "date": "20261121-200000", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": null,
        "model_id": "tiny", "tokenizer_id": "tiny", "num_prompts": 3, "request_rate": 2.0,
        "burstiness": 4.0, "max_concurrency": 7, "duration": 1.65, "completed": 2, "failed": 1,
        "total_input_tokens": 16, "total_output_tokens": 4, "request_throughput": 2.0 / 1.65,
        "request_goodput": null, "output_throughput": 4.0 / 1.65, "total_token_throughput": 20.0 / 1.65,
        "input_lens": [7, 9, 7], "output_lens": [3, 1, 0], "ttfts": [0.05, 0.06, 0.0],
        "itls": [[0.01, 0.02], [], []], "latencies": [0.08, 0.06, 0.4],
        "start_times": [5000.25, 5000.5, 5001.0], "queue_times": [0.25, 0.0, 0.125],
        "generated_texts": ["", "", ""], "errors": ["", "", "Server disconnected"],
    })
}

fn imported(root: &Path, name: &str, text: &str) -> ResultsFolder {
    let file = root.join(name);
    std::fs::write(&file, text).expect("the folder is there");
    let options = ImportOptions {
        results: root.join("results"),
        name: name.to_owned(),
        tool: Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None },
        mapping: Mapping::default(),
    };
    let imported = import(&[file], &options).expect("it is a result");
    ResultsFolder::open(&imported.folder).expect("it was just written")
}

fn rows(folder: &ResultsFolder) -> Vec<RequestRow> {
    let id = &folder.manifest().expect("it was written").points[0];
    read_point(&folder.point(id).expect("it is named")).expect("it was written").rows
}

#[test]
fn a_result_comes_back_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let first = imported(root.path(), "first", &result().to_string());
    let exported = export_vllm_bench(&first, None).unwrap();
    let keys: Vec<&str> = exported.keys().collect();
    let expected: Vec<&str> = KEYS.split_whitespace().chain(["plimsoll"]).collect();
    assert_eq!(keys, expected);
    let text = exported.to_json();
    let places: Vec<usize> =
        expected.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "the text has another order");

    let value: Value = serde_json::from_str(&text).unwrap();
    let was = result();
    for key in [
        "input_lens",
        "output_lens",
        "ttfts",
        "itls",
        "queue_times",
        "errors",
        "completed",
        "failed",
        "total_output_tokens",
        "total_input_tokens",
        "request_rate",
        "max_concurrency",
        "date",
    ] {
        assert_eq!(value[key], was[key], "{key}");
    }
    // By hand: TPOT of the one request of several tokens, (0.08 - 0.05) / 2.
    assert!((value["mean_tpot_ms"].as_f64().unwrap() - 15.0).abs() < 1e-6);
    assert!((value["mean_ttft_ms"].as_f64().unwrap() - 55.0).abs() < 1e-6);
    assert!((value["burstiness"].as_f64().unwrap() - 4.0).abs() < 1e-9);
    assert_eq!(value["plimsoll"]["point"], "first");
    let start = |i: usize| value["start_times"][i].as_f64().unwrap();
    assert!((start(2) - start(0) - 0.75).abs() < 1e-6);

    let again = imported(root.path(), "again", &text);
    let (before, after) = (rows(&first), rows(&again));
    for (a, b) in before.iter().zip(&after) {
        // vLLM keeps no time at which a request that brought nothing was over.
        let done = if a.outcome.is_ok() { b.done } else { a.done };
        assert_eq!(*a, RequestRow { done, ..b.clone() });
    }
    assert_eq!((before.len(), after.len()), (3, 3));
}

#[test]
fn what_cannot_be_exported_is_said() {
    let root = tempfile::tempdir().unwrap();
    let folder = imported(root.path(), "one", &result().to_string());
    let says = |result: Result<_, InterchangeError>| result.unwrap_err().to_string();
    let unknown = says(export_vllm_bench(&folder, Some("two")));
    assert!(unknown.contains("`two`") && unknown.contains("there are one"), "{unknown}");
    let mut summary = result();
    summary.as_object_mut().unwrap().remove("start_times");
    let folder = imported(root.path(), "summary", &summary.to_string());
    let no_rows = says(export_vllm_bench(&folder, None));
    assert!(no_rows.contains("has no rows of requests"), "{no_rows}");
    let lines = format!("{}\n{}\n", result(), result());
    let folder = imported(root.path(), "both", &lines);
    let several = says(export_vllm_bench(&folder, None));
    assert!(several.contains("name one of the points: both-1, both-2"), "{several}");
}
