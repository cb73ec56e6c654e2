use std::path::Path;

use plimsoll_records::{OfferedLoad, Outcome};
use plimsoll_units::RunNanos;
use proptest::prelude::*;

use crate::InterchangeError;
use crate::format::read_bytes;
use crate::measured::Measured;

/// A summary of version 0.9.2; figures made up.
const OLD: &str = r#"{"date": "20250102-030405", "backend": "openai-chat", "model_id": "tiny",
    "tokenizer_id": "tiny", "num_prompts": 10, "request_rate": 5.0, "burstiness": 1.0,
    "max_concurrency": null, "duration": 2.5, "completed": 9, "total_input_tokens": 90,
    "total_output_tokens": 45, "request_throughput": 3.6, "request_goodput": null,
    "output_throughput": 18.0, "total_token_throughput": 54.0, "mean_ttft_ms": 50.0,
    "median_ttft_ms": 49.0, "std_ttft_ms": 2.0, "p99_ttft_ms": 60.0, "mean_tpot_ms": 10.0}"#;

/// A detailed result of version 0.32: a request that waited, one that failed.
const NEW: &str = r#"{"date": "20261121-200000", "endpoint_type": "openai-chat", "backend": "openai-chat",
    "label": null, "model_id": "tiny", "tokenizer_id": "tiny", "num_prompts": 2, "request_rate": 2.0,
    "burstiness": 4.0, "max_concurrency": 1, "duration": 1.0, "completed": 1, "failed": 1,
    "total_input_tokens": 7, "total_output_tokens": 3, "request_throughput": 1.0,
    "request_goodput": null, "output_throughput": 3.0, "total_token_throughput": 10.0,
    "input_lens": [7, 7], "output_lens": [3, 0], "ttfts": [0.05, 0.0], "itls": [[0.01, 0.02], []],
    "latencies": [0.08, 0.4], "start_times": [5000.25, 5001.0], "queue_times": [0.25, 0.0],
    "generated_texts": ["a b c", ""], "errors": ["", "Server disconnected"],
    "max_output_tokens_per_s": 3.0, "max_concurrent_requests": 1, "rtfx": 0.0, "mean_ttft_ms": 50.0}"#;

/// The Rust client's.
const RUST: &str = r#"{"date": "2026-11-21T20:00:00Z", "backend": "openai-chat", "model_id": "tiny",
    "max_model_len": 4096, "num_prompts": 1, "request_rate": "inf", "burstiness": 1.0,
    "max_concurrency": 4, "duration": 1.0, "completed": 1, "failed": 0, "total_input_tokens": 7,
    "total_output_tokens": 2, "request_throughput": 1.0, "output_throughput": 2.0,
    "total_token_throughput": 9.0, "steady_state": null, "rtfx": 0.0, "failed_requests": [],
    "input_lens": [7], "output_lens": [2], "ttfts": [0.05], "itls": [[0.01]], "latencies": [0.06],
    "start_times": [0.5], "errors": [""]}"#;

fn read(text: &str) -> Result<Measured, InterchangeError> {
    Ok(read_bytes(Path::new("r.json"), text.as_bytes())?.expect("it is known").remove(0))
}

#[test]
fn a_summary_of_0_9_has_no_rows_and_counts_its_failures_by_what_is_missing() {
    let point = read(OLD).unwrap();
    assert_eq!(point.record.format, "vllm-bench-0.9");
    assert_eq!((point.record.requests, point.record.failed), (Some(10), Some(1)));
    assert_eq!(point.record.e2e_mean_ms, Some(50.0 + 10.0 * 4.0));
    assert!(point.rows.is_empty());
    assert_eq!(point.record.summary["p99_ttft_ms"], 60.0);
    assert!(!point.record.summary.contains_key("request_goodput"), "null is not known");
    assert_eq!(point.ended, crate::date::parse("2025-01-02T03:04:05Z"));
}

#[test]
fn a_detailed_result_has_a_row_a_request_from_the_time_it_was_due() {
    let point = read(NEW).unwrap();
    assert_eq!(point.record.format, "vllm-bench");
    let Some(OfferedLoad::Open { gap_cv, max_in_flight, .. }) = point.load else { panic!() };
    assert_eq!((gap_cv, max_in_flight), (Some(0.5), Some(1)));
    let [first, second] = &point.rows[..] else { panic!("{:?}", point.rows) };
    let at = |seconds: f64| Some(RunNanos::from_secs_f64(seconds));
    assert_eq!((Some(first.intended), first.sent), (at(0.0), at(0.25)));
    assert_eq!(
        (first.first_token(), first.last_token, Some(first.done)),
        (at(0.3), at(0.33), at(0.33))
    );
    assert_eq!(
        (first.prompt_tokens, first.output_tokens, first.chunks.len()),
        (Some(7), Some(3), 3)
    );
    assert_eq!(second.outcome, Outcome::Reset);
    assert_eq!(
        (second.first_token(), second.output_tokens, Some(second.done)),
        (None, None, at(1.4))
    );
}

#[test]
fn a_result_without_start_times_has_no_rows() {
    let point = read(&NEW.replace("\"start_times\": [5000.25, 5001.0], ", "")).unwrap();
    assert!(point.rows.is_empty());
    let point = read(&NEW.replace("\"ttfts\": [0.05, 0.0], ", "")).unwrap();
    assert!(point.rows.is_empty());
}

#[test]
fn the_rust_client_is_told_by_its_keys() {
    let point = read(RUST).unwrap();
    assert_eq!(point.record.format, "vllm-bench-rust");
    assert_eq!(point.load, Some(OfferedLoad::Closed { concurrency: 4 }));
    let row = &point.rows[0];
    assert_eq!((row.prompt_tokens, row.prompt_tokens_planned), (None, Some(7)));
    assert!(point.remarks[0].contains("when requests were due"));
}

#[test]
fn what_is_not_as_the_format_has_it_is_named() {
    for (text, from, to, wanted) in [
        (
            OLD,
            "\"request_rate\": 5.0",
            "\"request_rate\": 0",
            "`request_rate` is 0; allowed is a number above 0",
        ),
        (OLD, "\"request_rate\": 5.0", "\"request_rate\": \"fast\"", "`request_rate` is \"fast\""),
        (OLD, "20250102-030405", "Thursday", "`date` is \"Thursday\"; allowed is 20250102"),
        (
            OLD,
            "\"duration\": 2.5",
            "\"duration\": \"2.5\"",
            "`duration` is \"2.5\"; allowed is a number",
        ),
        (OLD, "\"completed\": 9", "\"completed\": 9.5", "`completed` is 9.5"),
        (
            NEW,
            "[0.05, 0.0]",
            "[0.05]",
            "`ttfts` is [0.05]; allowed is an array as long as `start_times`",
        ),
        (NEW, "[[0.01, 0.02], []]", "[[0.01, null], []]", "`itls[0]` is [0.01,null]"),
        (NEW, "[0.08, 0.4]", "[0.08, -0.4]", "`latencies[1]` is -0.4"),
        (NEW, "\"duration\": 1.0", "\"duration\": NaN", "r.json, line 3, column"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let error = read(&changed).unwrap_err().to_string();
        let wanted = wanted.replace("20250102", "20250721-151602");
        assert!(error.contains("r.json") && error.contains(&wanted), "{error}");
    }
}

#[test]
fn other_json_is_nobodys() {
    for text in ["{}", "[]", "", "{\"a\": 1}", "{\"benchmarks\": 3}", "not json", "{", "\u{feff}{}"]
    {
        assert!(read_bytes(Path::new("r.json"), text.as_bytes()).unwrap().is_none(), "{text}");
    }
}

proptest! {
    /// No bytes make the reader panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_bytes(Path::new("r.json"), &bytes);
    }

    /// Nor do files that are almost right.
    #[test]
    fn almost_right(
        text in prop::sample::select(vec![OLD, NEW, RUST]), at in 0.0..1.0_f64, length in 0_usize..30,
        with in prop::sample::select(vec!["", "null", "1e308", "-1", "[]", "{}", "\"x\"", "18446744073709551615"]),
    ) {
        let start = (at * text.len() as f64) as usize;
        let end = (start + length).min(text.len());
        let changed = format!("{}{with}{}", &text[..start], &text[end..]);
        let _ = read_bytes(Path::new("r.json"), changed.as_bytes());
    }
}
