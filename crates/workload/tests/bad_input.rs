//! Every mistake in a workload is an error that names the place, the value and what is allowed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;

use plimsoll_workload::{Api, BodyTemplate, Workload, WorkloadConfig};

/// What a matrix with this table says when it is built beside `files`.
fn error(table: &str, files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let config: WorkloadConfig = match toml::from_str(table) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    Workload::new(&config, folder.path(), 1).unwrap_err().to_string()
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{part}` is missing in: {error}");
    }
}

#[test]
fn keys_that_contradict_or_are_missing() {
    assert_says(
        &error("output-tokens = 1", &[]),
        &["none of `input-tokens`, `prompts` and `trace`", "512"],
    );
    assert_says(
        &error("output-tokens = 1\ninput-tokens = 5\nprompts = \"x\"", &[]),
        &["both `input-tokens` and `prompts`"],
    );
    assert_says(&error("input-tokens = 5", &[]), &["no `output-tokens`", "output-tokens = 128"]);
    assert_says(
        &error("input-tokens = 5\noutput-tokens = 1\nshared-prefix-tokens = 3", &[]),
        &["`shared-prefix-tokens` is 3 with `shared-prefix` 0", "share above 0"],
    );
    assert_says(
        &error(
            "input-tokens = 50\noutput-tokens = 1\nshared-prefix = 0.5\nshared-prefix-tokens = 0",
            &[],
        ),
        &["`shared-prefix-tokens` is 0", "1 token or more"],
    );
    assert_says(
        &error("input-tokens = 50\noutput-tokens = 1\nshared-prefix = 0.5", &[]),
        &["prefix of 256 tokens", "prompts of at most 50", "lower `shared-prefix-tokens`"],
    );
    assert_says(
        &error("prompts = \"p.jsonl\"\noutput-tokens = 1\nshared-prefix = 0.5", &[]),
        &["`shared-prefix` works on synthetic prompts only"],
    );
    assert_says(
        &error("input-tokens = 5\noutput-tokens = 1\nshared_prefix = 0.5", &[]),
        &["line 3", "unknown field `shared_prefix`", "`shared-prefix`"],
    );
}

#[test]
fn numbers_are_checked_even_when_no_text_was_read() {
    let mut config: WorkloadConfig = toml::from_str("input-tokens = 5\noutput-tokens = 1").unwrap();
    config.shared_prefix = f64::NAN;
    let error = Workload::new(&config, Path::new("."), 1).unwrap_err().to_string();
    assert_says(&error, &["`shared-prefix` is NaN", "0.0 to 1.0"]);
    config.output_tokens = Some(plimsoll_workload::LengthConfig::Constant(0));
    let error = Workload::new(&config, Path::new("."), 1).unwrap_err().to_string();
    assert_says(&error, &["`output-tokens`: ", "is 0", "1 to 10000000"]);
}

#[test]
fn files_that_are_missing_or_no_such_thing() {
    assert_says(
        &error("prompts = \"nowhere.jsonl\"\noutput-tokens = 1", &[]),
        &["cannot read", "nowhere.jsonl", "No such file"],
    );
    assert_says(&error("prompts = \".\"\noutput-tokens = 1", &[]), &["cannot read", "directory"]);
    let trace = |path: &str, column: &str| {
        format!("output-tokens = 1\n[input-tokens.trace]\npath = \"{path}\"\ncolumn = \"{column}\"")
    };
    assert_says(&error(&trace("nowhere.csv", "In"), &[]), &["nowhere.csv", "No such file"]);
    let file = [("t.csv", "In,Out\r\n3,4\r\nx5,6\r\n")];
    assert_says(
        &error(&trace("t.csv", "Tokens"), &file),
        &["t.csv", "no column `Tokens`", "`In`, `Out`"],
    );
    assert_says(
        &error(&trace("t.csv", "In"), &file),
        &["t.csv", "line 3", "column `In`", "`x5`", "0 to 10000000"],
    );
    let orders = "[input-tokens.trace]\npath = \"t.csv\"\ncolumn = \"In\"\norder = \"file\"\n\
                  [output-tokens.trace]\npath = \"t.csv\"\ncolumn = \"Out\"\n";
    assert_says(&error(orders, &file), &["t.csv", "one `order`"]);
}

#[test]
fn lines_of_a_prompt_file() {
    let table = "prompts = \"p.jsonl\"\noutput-tokens = 1";
    assert_says(
        &error(table, &[("p.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"\n")]),
        &["p.jsonl", "line 2", "no JSON", "write one object a line"],
    );
    assert_says(
        &error(
            "prompts = \"p.jsonl\"",
            &[("p.jsonl", "{\"prompt\": \"a\", \"max_tokens\": 3}\n{\"prompt\": \"b\"}\n")],
        ),
        &["p.jsonl", "line 2", "max_tokens", "`output-tokens`"],
    );
    assert_says(&error(table, &[("p.jsonl", "\n \n")]), &["p.jsonl", "no prompts"]);
}

#[test]
fn a_conversation_is_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"prompt\": \"a\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"b\"}]}\n";
    fs::write(folder.path().join("p.jsonl"), lines).unwrap();
    let config: WorkloadConfig =
        toml::from_str("prompts = \"p.jsonl\"\noutput-tokens = 1").unwrap();
    let workload = Workload::new(&config, folder.path(), 1).unwrap();
    let template = BodyTemplate { api: Api::Completions, ..BodyTemplate::default() };
    let error = workload.encoder(None, &template).unwrap_err().to_string();
    assert_says(&error, &["p.jsonl", "line 2", "use the chat API"]);
}
