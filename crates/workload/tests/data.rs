//! Traces and prompt files as they are in the wild. The small extracts are always there; the whole
//! files are read where they are found, and skipped with a word where they are not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking and say what they skip"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use plimsoll_workload::{BodyTemplate, Remark, Workload, WorkloadConfig};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A file of the shared data, if it is on this machine.
fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PLIMSOLL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = folder.join("data").join(name);
    if path.is_file() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn table(path: &Path, max: &str) -> WorkloadConfig {
    let trace = |column: &str, max: &str| {
        format!("{{ trace = {{ path = {path:?}, column = \"{column}\" {max} }} }}")
    };
    let text = format!(
        "input-tokens = {}\noutput-tokens = {}\n",
        trace("ContextTokens", max),
        trace("GeneratedTokens", "")
    );
    toml::from_str(&text).unwrap()
}

/// The two columns by a reader that shares nothing with the crate's.
fn rows(path: &Path) -> Vec<(u32, u32)> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim().split(',').collect();
            (cells[1].parse().unwrap(), cells[2].parse().unwrap())
        })
        .collect()
}

/// One pass over the trace gives each row's pair exactly as often as the file holds it.
fn check_pairs(path: &Path) {
    let rows = rows(path);
    let workload = Workload::new(&table(path, ""), Path::new("."), 9).unwrap();
    let mut counts: HashMap<(u32, u32), i64> = HashMap::new();
    for row in &rows {
        *counts.entry(*row).or_default() += 1;
    }
    for index in 0..rows.len() as u64 {
        let (input, output) = workload.lengths(index);
        *counts.entry((input.unwrap(), output)).or_default() -= 1;
    }
    assert!(counts.values().all(|count| *count == 0));
    let mean = |of: fn(&(u32, u32)) -> u32| {
        rows.iter().map(|row| u64::from(of(row))).sum::<u64>() as f64 / rows.len() as f64
    };
    assert!((workload.mean_input_tokens().unwrap() - mean(|row| row.0)).abs() < 1e-6);
    assert!((workload.mean_output_tokens() - mean(|row| row.1)).abs() < 1e-6);
    assert_eq!(workload.max_total_tokens(), rows.iter().map(|row| row.0 + row.1).max());
    assert_eq!(workload.max_output_tokens(), rows.iter().map(|row| row.1).max());
    assert!(workload.remarks().is_empty(), "{:?}", workload.remarks());
}

/// Rows over `max` are cut and counted.
fn check_clipping(path: &Path, max: u32) {
    let rows = rows(path);
    let above = rows.iter().filter(|row| row.0 > max).count() as u64;
    assert!(above > 0, "the limit must bite");
    let workload =
        Workload::new(&table(path, &format!(", max = {max}")), Path::new("."), 9).unwrap();
    let [Remark::TraceClipped { column, rows: all, cut, raised, .. }] = workload.remarks() else {
        panic!("{:?}", workload.remarks());
    };
    assert_eq!(
        (column.as_str(), *all, *cut, *raised),
        ("ContextTokens", rows.len() as u64, above, 0)
    );
    let drawn: Vec<_> = (0..rows.len() as u64).map(|index| workload.lengths(index)).collect();
    assert_eq!(drawn.iter().map(|pair| pair.0.unwrap()).max(), Some(max));
}

#[test]
fn pairs_of_an_azure_trace_stay_together() {
    let extract = fixtures().join("azure_conv_20.csv");
    check_pairs(&extract);
    check_clipping(&extract, 1_000);
    for name in ["conv", "code"] {
        let name = format!("azure-llm-2023/AzureLLMInferenceTrace_{name}.csv");
        if let Some(path) = shared(&name) {
            check_pairs(&path);
            check_clipping(&path, 2_048);
        }
    }
}

#[test]
fn rows_come_in_the_order_of_the_file_when_asked() {
    let path = fixtures().join("azure_conv_20.csv");
    let text = toml::to_string(&table(&path, "")).unwrap().replace("shuffled", "file");
    let workload = Workload::new(&toml::from_str(&text).unwrap(), Path::new("."), 9).unwrap();
    let drawn: Vec<_> = (0..20)
        .map(|index| workload.lengths(index))
        .map(|(input, output)| (input.unwrap(), output))
        .collect();
    assert_eq!(drawn, rows(&path));
    assert_eq!(workload.lengths(20), workload.lengths(0));
}

/// Every prompt of the file comes once in a pass, as the message or conversation it is.
fn check_prompts(path: &Path, first_text: impl Fn(&Value) -> Value) -> Workload {
    let text = fs::read_to_string(path).unwrap();
    let mut expected: Vec<String> = text
        .lines()
        .map(|line| first_text(&serde_json::from_str(line).unwrap()).to_string())
        .collect();
    let config: WorkloadConfig =
        toml::from_str(&format!("prompts = {path:?}\noutput-tokens = 32\n")).unwrap();
    let workload = Workload::new(&config, Path::new("."), 4).unwrap();
    assert_eq!(workload.repeats_after(), Some(expected.len() as u64));
    assert!(workload.calibrator().is_none() && workload.mean_input_tokens().is_none());
    let encoder = workload.encoder(None, &BodyTemplate::default()).unwrap();
    let mut found: Vec<String> = (0..expected.len() as u64)
        .map(|index| {
            let request = encoder.encode(index);
            assert_eq!((request.prompt_tokens_planned, request.output_tokens_planned), (None, 32));
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            body["messages"][0]["content"].to_string()
        })
        .collect();
    assert_ne!(found, expected, "the order is shuffled");
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    workload
}

#[test]
fn public_prompt_files_are_read_in_all_three_shapes() {
    if let Some(path) = shared("prompts/arena_hard_v0.1_question.jsonl") {
        check_prompts(&path, |line| line["prompt"].clone());
    }
    if let Some(path) = shared("prompts/mt_bench_question.jsonl") {
        let workload = check_prompts(&path, |line| line["turns"][0].clone());
        assert!(matches!(workload.remarks(), [Remark::LaterTurnsUnused { lines: 80, of: 80, .. }]));
    }
    if let Some(path) = shared("prompts/oasst_en_multiturn_chat.jsonl") {
        let workload = check_prompts(&path, |line| line["messages"][0]["content"].clone());
        // 34 of the 95 conversations end with a question.
        assert!(matches!(workload.remarks(), [Remark::AnswersCut { lines: 61, of: 95, .. }]));
    }
}

#[test]
fn the_small_prompt_file_gives_its_lines_their_own_lengths() {
    let config: WorkloadConfig =
        toml::from_str("prompts = \"prompts.jsonl\"\noutput-tokens = 16").unwrap();
    let workload = Workload::new(&config, &fixtures(), 4).unwrap();
    // One line of four says 40.
    assert_eq!(workload.mean_output_tokens(), (3.0 * 16.0 + 40.0) / 4.0);
    assert_eq!((workload.max_output_tokens(), workload.max_total_tokens()), (Some(40), None));
    let encoder = workload.encoder(None, &BodyTemplate::default()).unwrap();
    let mut asked: Vec<u32> =
        (0..4).map(|index| encoder.encode(index).output_tokens_planned).collect();
    asked.sort_unstable();
    assert_eq!(asked, [16, 16, 16, 40]);
    assert_eq!(workload.remarks().len(), 3, "{:?}", workload.remarks());
}
