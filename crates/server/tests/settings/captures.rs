//! Whole captures, where they are at hand.

use std::fs;

use plimsoll_records::SettingState::{Different, Equal, Unknown};
use plimsoll_server::{Exposition, InEffect, LogFacts};
use serde_json::json;

use crate::material::{body, shared, state};

#[test]
fn every_log_of_vllm() {
    let Some(folder) = shared("servers/captures/vllm") else { return };
    for (name, slots, tokens, data_parallel, chunked) in [
        ("server_default.log", None, None, 1, true),
        ("server_compile.log", None, None, 1, true),
        ("server_dp2.log", None, Some(2048.0), 2, true),
        ("server_max_num_seqs_2.log", Some(2.0), Some(128.0), 1, true),
        ("server_no_chunked_prefill.log", None, None, 1, false),
    ] {
        let log = fs::read(folder.join(name)).unwrap();
        let facts = LogFacts::read(&log[..]).unwrap();
        let settings = &facts.settings;
        assert_eq!(facts.starts, 1, "{name}");
        assert!(settings.lists_non_defaults(), "{name}");
        assert_eq!(settings.remarks(), [""; 0], "{name}");
        assert_eq!(settings.text("version").as_deref(), Some("0.32.0"), "{name}");
        assert_eq!(settings.text("dtype").as_deref(), Some("bfloat16"), "{name}");
        assert_eq!(settings.number("max-model-len"), Some(4096.0), "{name}");
        assert_eq!(settings.number("kv-cache-size-tokens"), Some(2_097_152.0), "{name}");
        assert_eq!(settings.number("max-num-seqs"), slots, "{name}");
        assert_eq!(settings.number("max-num-batched-tokens"), tokens, "{name}");
        assert_eq!(settings.number("data-parallel-size"), Some(f64::from(data_parallel)), "{name}");
        assert_eq!(settings.flag("enable-chunked-prefill"), Some(chunked), "{name}");
    }
    let busy = fs::read(folder.join("server_max_num_seqs_2.log")).unwrap();
    let engine = LogFacts::read(&busy[..]).unwrap().engine;
    assert_eq!((engine.running_max(), engine.waiting_max()), (Some(2), Some(6)));
    assert_eq!(engine.errors, 8 + 1261 + 924);
    let quiet = fs::read(folder.join("server_default.log")).unwrap();
    let engine = LogFacts::read(&quiet[..]).unwrap().engine;
    assert_eq!(engine.rows.len(), 14);
    assert!(engine.answers[&200] > 500, "{:?}", engine.answers);
}

#[test]
fn server_info_in_both_forms() {
    let Some(folder) = shared("servers/captures/vllm") else { return };
    let page =
        |name: &str| InEffect::from_server_info(&body(&fs::read(folder.join(name)).unwrap()));
    let (json, text) = (page("server_info_devmode_json.txt"), page("server_info_devmode_text.txt"));
    assert_eq!(json.get("max-num-seqs").unwrap().value, json!(128));
    assert_eq!(json.get("max-num-batched-tokens").unwrap().value, json!(2048));
    assert_eq!(json.get("enable-chunked-prefill").unwrap().value, json!(true));
    let mode = |value, settings| state("compilation-config.cudagraph_mode", value, settings);
    // The one shows the number of the mode, the other its name as well.
    assert_eq!(mode(json!("FULL"), &json), Unknown);
    assert_eq!(mode(json!(0), &json), Equal);
    assert_eq!(mode(json!("FULL"), &text), Different);
    assert_eq!(mode(json!("none"), &text), Equal);
    let backend = |value| state("attention-config.backend", value, &json);
    assert_eq!((backend(json!(null)), backend(json!("FLASH_ATTN"))), (Equal, Different));
    for settings in [&json, &text] {
        assert_eq!(settings.get("model").unwrap().value, json!("models/tiny"));
        assert_eq!(settings.get("tensor-parallel-size").unwrap().value, json!(1));
        assert_eq!(settings.get("dtype").unwrap().value, json!("bfloat16"));
        assert_eq!(settings.get("version").unwrap().value, json!("0.32.0"));
        assert_eq!(settings.remarks(), [""; 0]);
    }
    // Without the development mode there is no such page, and its error says nothing.
    assert!(page("server_info.txt").is_empty());
}

#[test]
fn two_engines_agree_in_their_metrics() {
    let Some(folder) = shared("servers/captures/vllm") else { return };
    let page = body(&fs::read(folder.join("metrics_dp2.txt")).unwrap());
    let settings = InEffect::from_metrics(&Exposition::parse(&page));
    assert_eq!(settings.number("num-gpu-blocks"), Some(32768.0));
    assert_eq!(settings.remarks(), [""; 0]);
}

#[test]
fn llama_cpps_log() {
    let Some(folder) = shared("servers/captures/llamacpp") else { return };
    let log = fs::read(folder.join("server.log")).unwrap();
    let settings = LogFacts::read(&log[..]).unwrap().settings;
    assert_eq!(settings.number("parallel"), Some(4.0));
    assert_eq!(settings.number("max-model-len"), Some(16384.0));
    assert!(!settings.lists_non_defaults());
}

#[test]
fn dynamos_logs_are_read_without_a_word_in_them() {
    let Some(folder) = shared("servers/captures/dynamo") else { return };
    for name in ["server.log", "server_dp2.log"] {
        let log = fs::read(folder.join(name)).unwrap();
        let facts = LogFacts::read(&log[..]).unwrap();
        assert!(facts.settings.is_empty() && facts.engine.rows.is_empty(), "{name}");
        assert!(facts.engine.lines > 100, "{name}");
    }
}
