//! What another tool said of a point.

use std::collections::BTreeMap;

use plimsoll_records::{EngineSample, ImportedRecord, LogRecord, MaxTokens};
use plimsoll_units::RunNanos;
use serde_json::json;

pub(crate) fn imported() -> ImportedRecord {
    ImportedRecord {
        format: "vllm-bench-0.9".to_owned(),
        source: "run/bench.json".to_owned(),
        summary: BTreeMap::from([("mean_ttft_ms".to_owned(), json!(61.5))]),
        requests: Some(200),
        completed: Some(198),
        failed: Some(2),
        duration_s: Some(21.5),
        throughput_per_s: Some(9.25),
        input_tokens: Some(102_400),
        output_tokens: Some(25_600),
        ttft_mean_ms: Some(61.5),
        tpot_mean_ms: Some(11.0),
        e2e_mean_ms: Some(1400.0),
        max_tokens_stated: Some(128),
        log: Some(LogRecord {
            clock_offset_s: -57_600,
            received: 200,
            first_arrival_ns: Some(RunNanos::from_nanos(7)),
            arrivals_per_s: vec![9, 11],
            max_tokens: vec![MaxTokens { max_tokens: 256, requests: 200 }],
            prompts_distinct: Some(4),
            prompt_order: vec![7, 9],
            prompts_doubled: 200,
            doubled_mark: Some("<|im_start|>".to_owned()),
            engine: vec![EngineSample {
                at_ns: RunNanos::from_nanos(9),
                span_s: 10.0,
                prompt_tokens_per_s: 484.25,
                generation_tokens_per_s: 1420.5,
                running: 90,
                waiting: 1,
                kv_cache_usage: 0.0625,
                prefix_hit_share: Some(0.8125),
            }],
        }),
    }
}
