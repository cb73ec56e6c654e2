//! Whole traces: the formats as they are in the wild, and what a prefix cache finds of the prompts that
//! are composed from blocks. The small extracts are always there; the whole files are read where they
//! are found, and skipped with a word where they are not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking and say what they skip"
)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_workload::{
    Api, BodyTemplate, Calibration, Encoder, Replay, Workload, WorkloadConfig,
};
use proptest::prelude::*;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file of the shared data, if it is on this machine.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("SKIP: {} is not there", path.display());
    None
}

fn workload(path: &Path, format: &str, rest: &str) -> Workload {
    let text = format!("[trace]\npath = {path:?}\nformat = \"{format}\"\n{rest}");
    let config: WorkloadConfig = toml::from_str(&text).unwrap();
    Workload::new(&config, Path::new("."), 4).unwrap_or_else(|error| panic!("{error}"))
}

fn replay(workload: &Workload) -> &Replay {
    workload.replay().expect("it has a trace")
}

/// The instants at the trace's own speed.
fn instants(workload: &Workload) -> Vec<Duration> {
    replay(workload).instants(replay(workload).rate(), 1)
}

fn encoder(workload: &Workload, template_tokens: u32) -> Encoder {
    let template = BodyTemplate { api: Api::Completions, ..BodyTemplate::default() };
    let calibration = Calibration::assumed(template_tokens);
    workload.encoder(Some(&calibration), &template).unwrap()
}

/// The words of the prompt at `index`.
fn words(encoder: &Encoder, index: u64) -> Vec<String> {
    let body: Value = serde_json::from_slice(&encoder.encode(index).body).unwrap();
    body["prompt"].as_str().unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn extracts_of_every_format_bring_lengths_and_instants() {
    for (name, format, rows, first, last) in [
        ("azure_conv_20.csv", "azure", 20, (Some(374), 44), Duration::from_nanos(12_551_553_000)),
        ("burstgpt.csv", "burstgpt", 5, (Some(472), 18), Duration::from_millis(126_500)),
        ("mooncake.jsonl", "mooncake", 12, (Some(700), 20), Duration::from_secs(12)),
        ("servegen.csv", "servegen", 3, (Some(610), 33), Duration::from_millis(1_088)),
    ] {
        let workload = workload(&fixture(name), format, "");
        assert_eq!((replay(&workload).len(), workload.lengths(0)), (rows, first), "{name}");
        if format != "azure" {
            assert_eq!(instants(&workload).last(), Some(&last), "{name}");
        }
        // In the order of the file, again and again.
        assert_eq!(workload.lengths(rows as u64 * 3), first);
    }
    let azure = instants(&workload(&fixture("azure_conv_20.csv"), "azure", ""));
    assert_eq!(azure[1], Duration::from_nanos(4_314_579_000));
}

#[test]
fn a_plain_csv_file_is_read_by_the_names_of_its_columns() {
    let columns = "time = \"t_s\"\ntime-unit = \"min\"\ninput = \"output_tokens\"\n\
                   output = \"input_tokens\"\n";
    let workload = workload(&fixture("servegen.csv"), "csv", columns);
    assert_eq!(workload.lengths(1), (Some(900), 52));
    assert_eq!(instants(&workload)[1], Duration::from_secs(30));
}

#[test]
fn a_trace_excludes_what_it_brings_itself() {
    for (key, rest) in [
        ("input-tokens", "input-tokens = 5"),
        ("output-tokens", "output-tokens = 5"),
        ("prompts", "prompts = \"p.jsonl\""),
        ("shared-prefix", "shared-prefix = 0.5"),
    ] {
        let path = fixture("mooncake.jsonl");
        let text = format!("{rest}\ntrace = {{ path = {path:?}, format = \"mooncake\" }}");
        let config: WorkloadConfig = toml::from_str(&text).unwrap();
        let error = Workload::new(&config, Path::new("."), 1).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}` and `trace` exclude each other")), "{error}");
    }
}

/// What a cache of blocks of `block` tokens finds, by the prompts themselves: `template` tokens that are
/// always the same, then the words. It forgets nothing, and the last token is always computed.
fn cache_hits(encoder: &Encoder, requests: u64, template: usize, block: usize) -> (u64, u64) {
    let mut known: HashSet<Vec<String>> = HashSet::new();
    let (mut hits, mut all) = (0, 0);
    for index in 0..requests {
        let mut tokens = vec!["<template>".to_owned(); template];
        tokens.extend(words(encoder, index));
        let prefixes = || (1..=tokens.len() / block).map(|blocks| &tokens[..blocks * block]);
        let found = prefixes().take_while(|prefix| known.contains(*prefix)).count();
        hits += found.min((tokens.len() - 1) / block) * block;
        all += tokens.len();
        known.extend(prefixes().map(<[String]>::to_vec));
    }
    (hits as u64, all as u64)
}

#[test]
fn a_cache_finds_of_the_prompts_what_their_blocks_imply() {
    let workload = workload(&fixture("mooncake.jsonl"), "mooncake", "");
    let implied = workload.implied_hits(0..12).unwrap();
    // The longest beginning in common with a request before, by a script that shares no code.
    assert_eq!((implied.hit_tokens, implied.prompt_tokens), (8_956, 13_996));
    assert!((workload.shared_token_share().unwrap() - 8_956.0 / 13_996.0).abs() < 1e-12);
    for template in [0, 1, 9] {
        let encoder = encoder(&workload, template);
        for index in 0..12 {
            let planned = encoder.encode(index).prompt_tokens_planned;
            assert_eq!(planned, workload.lengths(index).0);
            let counted = words(&encoder, index).len() as u32 + template;
            assert_eq!(Some(counted), planned);
        }
        let (hits, all) = cache_hits(&encoder, 12, template as usize, 16);
        // Whole blocks of 16, and never a whole prompt: at most 16 tokens less for each.
        assert_eq!(all, implied.prompt_tokens);
        assert!(hits <= implied.hit_tokens && hits + 12 * 16 > implied.hit_tokens, "{hits}");
    }
}

#[test]
fn a_second_pass_and_another_point_send_prompts_of_their_own() {
    let workload = workload(&fixture("mooncake.jsonl"), "mooncake", "");
    let encoder = encoder(&workload, 0);
    let elsewhere = encoder.starting_at(1_000_000);
    let head = |encoder: &Encoder, index| words(encoder, index)[..16].to_vec();
    assert_eq!(head(&encoder, 0), head(&encoder, 1), "both begin with block 0");
    assert_ne!(head(&encoder, 0), head(&encoder, 12));
    assert_ne!(head(&encoder, 0), head(&elsewhere, 0));
    assert_eq!(words(&encoder, 12).len(), words(&elsewhere, 0).len());
    // Without blocks prompts differ as all synthetic ones do.
    let azure = self::workload(&fixture("azure_conv_20.csv"), "azure", "");
    let azure = self::encoder(&azure, 0);
    assert_ne!(head(&azure, 0), head(&azure, 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Two prompts have in common the blocks that they share, and diverge behind them.
    #[test]
    fn prompts_share_exactly_their_common_blocks(common in 0_usize..3, tails in (1_u32..700, 1_u32..700)) {
        let ids = |tail: u32, from: u64| -> Vec<u64> {
            let own = (0..u64::from(tail.div_ceil(512))).map(|id| from + id);
            (0..common as u64).chain(own).collect()
        };
        let line = |tail: u32, from: u64| format!(
            "{{\"timestamp\":{from},\"input_length\":{},\"output_length\":1,\"hash_ids\":{:?}}}\n",
            common as u32 * 512 + tail, ids(tail, from)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.jsonl");
        fs::write(&path, line(tails.0, 10) + &line(tails.1, 20)).unwrap();
        let encoder = encoder(&workload(&path, "mooncake", ""), 0);
        let (one, other) = (words(&encoder, 0), words(&encoder, 1));
        let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
        // One word in 256 (the first: in 16) is the same by chance.
        prop_assert!(same >= common * 512);
        prop_assert!(same <= common * 512 + 8.min(tails.0.min(tails.1) as usize), "{same}");
    }
}

#[test]
fn azures_traces_are_read_whole() {
    for (name, count) in [("code", 8_819), ("conv", 19_366)] {
        let file = format!("azure-llm-2023/AzureLLMInferenceTrace_{name}.csv");
        let Some(path) = shared(&file) else { continue };
        let workload = workload(&path, "azure", "");
        assert_eq!(replay(&workload).len(), count);
        assert!(workload.remarks().is_empty(), "{:?}", workload.remarks());
        // By a reader that shares nothing with the crate's: seconds of the day from fixed columns.
        let text = fs::read_to_string(&path).unwrap();
        let at = |line: &str| -> u64 {
            let part = |range: std::ops::Range<usize>| line[range].parse::<u64>().unwrap();
            (part(11..13) * 3600 + part(14..16) * 60 + part(17..19)) * 10_000_000 + part(20..27)
        };
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let begin = at(lines[0]);
        for (index, (line, instant)) in (0..).zip(lines.iter().zip(instants(&workload))) {
            assert_eq!(instant.as_nanos() as u64, (at(line) - begin) * 100, "{line}");
            let cells: Vec<u32> =
                line.trim().split(',').skip(1).map(|cell| cell.parse().unwrap()).collect();
            assert_eq!(workload.lengths(index), (Some(cells[0]), cells[1]));
        }
    }
}

#[test]
fn servegens_generated_hour_is_read_whole() {
    let Some(path) = shared("servegen/generated_deepseek-r1_1h.csv") else { return };
    let workload = workload(&path, "servegen", "");
    assert_eq!(replay(&workload).len(), 52_952);
    assert!(instants(&workload).is_sorted());
}

#[test]
fn mooncakes_conversation_implies_the_hit_rate_that_is_known_of_it() {
    let Some(path) = shared("mooncake-fast25/conversation_trace.jsonl") else { return };
    let whole = workload(&path, "mooncake", "");
    assert_eq!(replay(&whole).len(), 12_031);
    let implied = whole.implied_hits(0..12_031).unwrap();
    assert_eq!(implied.prompt_tokens, 144_793_823);
    assert!((implied.share() - 0.374).abs() < 0.0005, "{}", implied.share());
    // Five minutes of it begin with an empty cache, and find less.
    let part = workload(&path, "mooncake", "length = \"5m\"\nspread = \"3s\"");
    assert_eq!(replay(&part).len(), 918);
    let implied = part.implied_hits(0..918).unwrap();
    assert!((implied.share() - 0.2069).abs() < 0.0001, "{}", implied.share());
    // 90 % of the gaps are 0 as they are recorded; spread out there is hardly one.
    let zero = |workload: &Workload| {
        instants(workload).windows(2).filter(|pair| pair[0] == pair[1]).count()
    };
    assert!(zero(&whole) > 10_000 && zero(&part) == 0);
    if let Some(path) = shared("mooncake-fast25/synthetic_trace.jsonl") {
        assert_eq!(replay(&workload(&path, "mooncake", "")).len(), 3_993);
    }
}
