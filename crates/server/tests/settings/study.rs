//! The logs of a published study, which compared settings that never reached its server.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use plimsoll_records::SettingState::{Different, Equal, Unknown};
use plimsoll_server::{LogFacts, SettingSource};
use serde_json::json;

use crate::material::{judged, shared, state};

/// The runs that have a log, by name, with what it says.
fn runs() -> Vec<(String, LogFacts)> {
    let Some(folder) = shared("data/vllm-0.9.2-qwen3-14b/dev/raw") else { return Vec::new() };
    let mut logs: Vec<PathBuf> = folder
        .read_dir()
        .unwrap()
        .map(|run| run.unwrap().path().join("server.log.gz"))
        .filter(|log| log.is_file())
        .collect();
    logs.sort();
    let facts = |log: &PathBuf| {
        let decoder = MultiGzDecoder::new(BufReader::new(File::open(log).unwrap()));
        LogFacts::read(BufReader::new(decoder)).unwrap()
    };
    let name = |log: &PathBuf| log.parent().unwrap().file_name().unwrap().to_string_lossy().into();
    logs.iter().map(|log| (name(log), facts(log))).collect()
}

#[test]
fn twelve_logs() {
    let runs = runs();
    if runs.is_empty() {
        return;
    }
    assert_eq!(runs.len(), 12);
    for (name, facts) in &runs {
        let settings = &facts.settings;
        assert_eq!(facts.starts, 1, "{name}");
        assert_eq!(settings.remarks(), [""; 0], "{name}");
        for (setting, value) in [
            ("version", json!("0.9.2")),
            ("model", json!("/llm")),
            ("served-model-name", json!("qwen3")),
            ("dtype", json!("bfloat16")),
            ("quantization", json!(null)),
            ("tensor-parallel-size", json!(1)),
            ("max-model-len", json!(32768)),
            ("max-num-batched-tokens", json!(2048)),
            ("enable-chunked-prefill", json!(true)),
            ("enable-prefix-caching", json!(true)),
            ("kv-cache-size-tokens", json!(47_840)),
            ("kv-cache-max-concurrency", json!(1.46)),
            ("num-gpu-blocks", json!(2990)),
        ] {
            assert_eq!(settings.get(setting).unwrap().value, value, "{name} {setting}");
        }
        // What the server was asked for: three things, none of them a factor of the study.
        let asked: Vec<_> =
            settings.iter().filter(|(_, s)| s.explicit).map(|(name, _)| name).collect();
        assert_eq!(asked, ["max-model-len", "model", "served-model-name"], "{name}");

        // The factors that the runs are named after.
        assert_eq!(state("batch_size", json!(16), settings), Different, "{name}");
        assert_eq!(state("max_batched_tokens", json!(512), settings), Different, "{name}");
        assert_eq!(state("max-num-seqs", json!(16), settings), Different, "{name}");
        assert_eq!(state("max-num-seqs", json!(32), settings), Different, "{name}");
        let tokens = judged("max-num-batched-tokens", json!(512), settings);
        assert_eq!((tokens.state, tokens.in_effect), (Different, Some(json!(2048))), "{name}");
        assert_eq!(state("dtype", json!("float16"), settings), Different, "{name}");
        assert_eq!(state("tensor-parallel-size", json!(1), settings), Equal, "{name}");
        // Nobody says these, and they may be defaults.
        for (setting, value) in [
            ("data-parallel-size", json!(1)),
            ("swap-space", json!(4)),
            ("enable-expert-parallel", json!(false)),
        ] {
            let record = judged(setting, value, settings);
            assert_eq!((record.state, record.in_effect), (Unknown, None), "{name} {setting}");
        }
        // The whole configuration is in the log, and its keys with it.
        assert_eq!(state("compilation-config.level", json!(3), settings), Equal, "{name}");
        assert_eq!(state("compilation-config.level", json!(0), settings), Different, "{name}");
    }
}

#[test]
fn what_the_engines_did() {
    for (name, facts) in runs() {
        let engine = &facts.engine;
        // One request to warm up and a thousand; a health check and an answer to each.
        assert_eq!((engine.received, engine.added), (1001, 1001), "{name}");
        // What reached the server: one limit for all profiles, four prompts, the template twice.
        assert_eq!(engine.requests.len(), 1001, "{name}");
        assert!(engine.requests.iter().all(|it| it.max_tokens == Some(256)), "{name}");
        assert!(engine.requests.iter().all(|it| it.doubled_mark == Some("<|im_start|>")), "{name}");
        let prompts: std::collections::BTreeSet<_> =
            engine.requests.iter().filter_map(|it| it.prompt).collect();
        assert_eq!(prompts.len(), 4, "{name}");
        assert_eq!(engine.answers, [(200, 1002)].into(), "{name}");
        assert_eq!(
            (engine.warnings, engine.errors, engine.preemption_warnings),
            (1, 0, 0),
            "{name}"
        );
        assert_eq!(engine.lines, engine_lines(&name), "{name}");
        let hits = engine.prefix_cache_hit_rate().unwrap();
        assert!((0.84..=0.91).contains(&hits), "{name}: {hits}");
        assert!(engine.rows.iter().all(|row| row.engine == 0), "{name}");
        assert!(engine.rows.is_sorted_by_key(|row| row.time), "{name}");

        let low = name.contains("__RR10__");
        let (running, waiting) = (engine.running_max().unwrap(), engine.waiting_max().unwrap());
        if low {
            assert!((running, waiting) < (120, 1), "{name}: {running} {waiting}");
            assert!(engine.kv_cache_usage_max().unwrap() < 0.4, "{name}");
            assert_eq!(facts.settings.get("max-num-seqs"), None, "{name}");
        } else {
            assert_eq!(running, 256, "{name}");
            assert!((200..600).contains(&waiting), "{name}: {waiting}");
            // Nobody says it, but all the engine did shows it.
            let slots = facts.settings.get("max-num-seqs").unwrap();
            assert_eq!(slots.value, json!(256), "{name}");
            assert_eq!(slots.source, SettingSource::LogObserved, "{name}");
        }
        if name.contains("SAT_G1__RR60") {
            assert_eq!((engine.rows.len(), waiting), (8, 534));
            assert_eq!(engine.kv_cache_usage_max(), Some(0.997));
            assert_eq!(hits, 0.903);
        }
    }
}

/// Lines by the line feed, as the study's own description counts them.
fn engine_lines(name: &str) -> u64 {
    match name.split("__").nth(2) {
        Some("RR10") => 3094,
        Some("RR20") => 3091,
        Some("RR30") if name.contains("SCALE") => 3091,
        _ => 3090,
    }
}
