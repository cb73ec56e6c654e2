//! Extracts that are always there.

use plimsoll_records::SettingState::{Default, Different, Equal, Unknown};
use plimsoll_server::{
    Exposition, InEffect, LogFacts, SettingSource, compare_settings, well_known,
};
use serde_json::{Value, json};

use crate::material::{body, fixture, judged, state};

#[test]
fn a_docker_log_of_vllm_0_9_2() {
    let facts = LogFacts::read(&fixture("vllm-0.9.2.log")[..]).unwrap();
    let settings = &facts.settings;
    for (name, value) in [
        ("version", json!("0.9.2")),
        ("model", json!("/weights")),
        ("served-model-name", json!("example")),
        ("dtype", json!("float16")),
        ("quantization", json!("awq")),
        ("kv-cache-dtype", json!("auto")),
        ("load-format", json!("auto")),
        ("device", json!("cuda")),
        ("tensor-parallel-size", json!(2)),
        ("pipeline-parallel-size", json!(1)),
        ("max-model-len", json!(8192)),
        ("max-num-batched-tokens", json!(2048)),
        ("enable-chunked-prefill", json!(true)),
        ("enable-prefix-caching", json!(true)),
        ("kv-cache-size-tokens", json!(65536)),
        ("kv-cache-max-concurrency", json!(8.0)),
        ("num-gpu-blocks", json!(4096)),
        // Nobody said it: two rows show 64 running with others waiting, one of them with room.
        ("max-num-seqs", json!(64)),
        ("api-key", json!("(hidden)")),
    ] {
        assert_eq!(settings.get(name).unwrap().value, value, "{name}");
    }
    assert_eq!(settings.get("max-num-seqs").unwrap().source, SettingSource::LogObserved);
    assert!(settings.get("max-model-len").unwrap().explicit);
    assert!(!settings.get("dtype").unwrap().explicit);
    assert_eq!(settings.remarks(), [""; 0]);

    let engine = &facts.engine;
    assert_eq!(engine.rows.len(), 3);
    assert_eq!((engine.received, engine.added, engine.warnings, engine.errors), (3, 3, 1, 0));
    assert_eq!(engine.answers, [(200, 4)].into());
    assert_eq!((engine.running_max(), engine.waiting_max()), (Some(64), Some(31)));
    assert_eq!(engine.kv_cache_usage_max(), Some(0.975));
    assert_eq!(engine.prefix_cache_hit_rate(), Some(0.903));
    assert_eq!(engine.rows[0].time.to_string(), "01-02 03:05:20");

    assert_eq!(state("batch_size", json!(16), settings), Different);
    assert_eq!(state("max-num-seqs", json!(16), settings), Different);
    assert_eq!(state("max-num-seqs", json!("64"), settings), Equal);
    assert_eq!(state("max-model-len", json!("8K"), settings), Equal);
    assert_eq!(state("dtype", json!("half"), settings), Equal);
    assert_eq!(state("quantization", Value::Null, settings), Different);
    assert_eq!(state("no-enable-prefix-caching", json!(true), settings), Different);
    // One line prints it as an object of Python's, and another as JSON.
    assert_eq!(state("compilation-config", json!("{\"level\": 3}"), settings), Equal);
    assert_eq!(state("compilation-config.use_inductor", json!(true), settings), Equal);
    assert_eq!(state("compilation-config.level", json!(2), settings), Different);
    assert_eq!(state("compilation-config.note", json!("x"), settings), Unknown);
    assert_eq!(state("model", json!("example"), settings), Equal);
    assert_eq!(state("data-parallel-size", json!(1), settings), Unknown);
}

#[test]
fn a_log_of_vllm_0_32() {
    let facts = LogFacts::read(&fixture("vllm-0.32.log")[..]).unwrap();
    let settings = &facts.settings;
    for (name, value) in [
        ("version", json!("0.32.0")),
        ("model", json!("models/tiny")),
        ("dtype", json!("bfloat16")),
        ("quantization", Value::Null),
        ("data-parallel-size", json!(1)),
        ("max-num-seqs", json!(2)),
        ("max-num-batched-tokens", json!(128)),
        ("max-num-queued-reqs", json!(8)),
        ("enforce-eager", json!(true)),
        ("kv-cache-size-tokens", json!(2_097_152)),
        ("kv-cache-max-concurrency", json!(512.0)),
    ] {
        assert_eq!(settings.get(name).unwrap().value, value, "{name}");
    }
    // Said in the arguments, so what was observed (2 running with others waiting) adds nothing.
    assert_eq!(settings.get("max-num-seqs").unwrap().source, SettingSource::LogNonDefaultArgs);
    assert_eq!(settings.remarks(), [""; 0]);
    assert_eq!(facts.engine.slots_seen(), Some(2));
    assert_eq!((facts.engine.running_max(), facts.engine.waiting_max()), (Some(2), Some(6)));
    assert_eq!((facts.engine.errors, facts.engine.answers.get(&404)), (2, Some(&1)));
    // A wrapper that dropped the flag of another size is caught.
    assert_eq!(state("max-num-seqs", json!(8), settings), Different);
    assert_eq!(state("long-prefill-token-threshold", json!(64), settings), Different);
}

#[test]
fn both_forms_of_server_info_agree() {
    let from_json = InEffect::from_server_info(&fixture("vllm-0.32.server_info.json"));
    let from_text = InEffect::from_server_info(&fixture("vllm-0.32.server_info_text.json"));
    let mut compared = 0;
    for (name, setting) in from_text.iter() {
        if let Some(other) = from_json.get(name) {
            assert_eq!(setting.value, other.value, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared}");
    assert_eq!(from_json.number("max-num-seqs"), Some(128.0));
    assert_eq!(from_json.number("gpu-memory-utilization"), Some(0.92));
    assert_eq!(from_json.text("version").as_deref(), Some("0.32.0"));
    assert_eq!(from_text.number("max-model-len"), Some(4096.0));
    assert_eq!(from_text.number("max-num-seqs"), None, "the text does not say");
    assert!(from_json.remarks().is_empty() && from_text.remarks().is_empty());
}

#[test]
fn metrics_models_and_props() {
    let vllm = InEffect::from_metrics(&Exposition::parse(&body(&fixture("vllm.metrics.http"))));
    assert_eq!(vllm.number("num-gpu-blocks"), Some(16384.0));
    assert_eq!(vllm.flag("enable-prefix-caching"), Some(true));
    let dynamo = InEffect::from_metrics(&Exposition::parse(&body(&fixture("dynamo.metrics.http"))));
    for (name, value) in [
        ("max-num-seqs", 256.0),
        ("max-num-batched-tokens", 8192.0),
        ("max-model-len", 4096.0),
        ("block-size", 64.0),
        ("num-gpu-blocks", 16384.0),
    ] {
        assert_eq!(dynamo.number(name), Some(value), "{name}");
    }
    let llama = Exposition::parse(&body(&fixture("llamacpp.metrics.http")));
    assert!(InEffect::from_metrics(&llama).is_empty());
    let props = InEffect::from_props(&fixture("llamacpp.props.json"));
    assert_eq!(props.number("parallel"), Some(4.0));
    assert_eq!(props.number("max-num-seqs"), Some(4.0));
    assert_eq!(props.number("max-model-len"), Some(8192.0));
    assert_eq!(props.text("version").as_deref(), Some("b8681-example"));
    assert_eq!(props.text("model").as_deref(), Some("models/gemma-3-270m-q4_k_m.gguf"));
}

#[test]
fn every_source_of_one_server_together() {
    let mut all = InEffect::from_server_info(&fixture("vllm-0.32.server_info.json"));
    all.merge(InEffect::from_metrics(&Exposition::parse(&body(&fixture("vllm.metrics.http")))));
    assert_eq!(all.remarks(), [""; 0], "the pages of one server agree");
    // A log that is not this server's: 2 slots instead of 128, and more.
    all.merge(LogFacts::read(&fixture("vllm-0.32.log")[..]).unwrap().settings);
    let slots = judged("max-num-seqs", json!(2), &all);
    assert_eq!((slots.state, slots.in_effect), (Different, Some(json!(128))));
    assert_eq!(slots.source.as_deref(), Some("/server_info"));
    assert!(all.remarks().iter().any(|remark| {
        remark == "max-num-seqs is 128 by /server_info and 2 by log: non-default args; the first is taken"
    }));
    // Everything that was filled in is recorded, and what matters is among it.
    let records = compare_settings(&[].into(), &all);
    assert!(records.iter().all(|record| record.state == Default && record.source.is_some()));
    assert!(records.iter().filter(|record| well_known(&record.name)).count() >= 20);
}
