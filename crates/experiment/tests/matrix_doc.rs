//! docs/matrix.md has every key and word that a matrix knows, with its default, and its examples
//! are sound.
//!
//! What a matrix knows is asked of the reader itself: it answers an unknown key with the list of
//! the known ones, so none can be added without this page.

use std::path::Path;

use plimsoll_experiment::{Matrix, MatrixSource, Plan};
use serde_json::Value;

const SMALL: &str = "
[experiment]
kind = \"saturation\"
[workload]
input-tokens = 64
output-tokens = 16
[load]
rates = [1]
";

/// Every key but those that exclude others or are tables of a person's own names.
const FULL: &str = r#"
[experiment]
kind = "saturation"
name = "all"
repetitions = 2
order = "interleaved"
margin = "5%"
seed = 3
self-test = "1s"
allow = ["setting-not-applied"]
deny = ["warnings"]
[server]
launch = "attach"
url = "http://localhost:8000"
urls = ["http://localhost:8001"]
model = "m"
api-key-env = "KEY"
settings = { max-num-seqs = 8 }
command = ["vllm", "serve"]
folder = "f"
file = "c.yaml"
service = "s"
environment = { A = "b" }
flags = { max-num-seqs = "--parallel {value}" }
port = 8000
log = "l"
ready-limit = "1m"
stop-grace = "1s"
[samplers]
gpu = "off"
gpu-period = "20ms"
metrics-period = "2s"
[workload]
input-tokens = { lognormal = { mean = 60, cv = 0.5, min = 20, max = 100 } }
output-tokens = { trace = { path = "t.csv", column = "c", min = 1, max = 9, order = "file" } }
shared-prefix = 0.5
shared-prefix-tokens = 16
tokenizer = "t.json"
prompts = "p.jsonl"
[workload.trace]
path = "t.csv"
format = "csv"
time = "t"
time-unit = "ms"
input = "i"
output = "o"
from = "1s"
length = "1m"
speed = 2.0
spread = "3s"
at-end = "end"
max-input = 100
max-output = 10
[workload.sessions]
path = "s.jsonl"
turns = 3
think-time = "2s"
think-time-cv = 1.0
history = "recorded"
[load]
arrivals = { ramp = { to = 60, over = "30s" } }
rates = [1, 2]
concurrency = [1, 2]
search = { precision = 0.01, confidence = 0.9, from = 1, to = 2, time = "1m", requests = 1000, goal = "capacity" }
max-in-flight = 100
window = { warm-up = "1s", measure = "2s", drain-limit = "3s", requests = 8 }
[client]
api = "completions"
workers = 2
stamps = "socket"
prewarm = 16
connect-timeout = "1s"
first-token-timeout = "2s"
request-timeout = "3s"
quickack = true
temperature = 0.5
ignore-eos = false
extra-body = { top_p = 0.9 }
[slo]
ttft-p99 = "1s"
[factors]
"client.api" = ["chat"]
"#;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).expect(name)
}

fn page() -> String {
    file("docs/matrix.md")
}

fn source(text: &str) -> MatrixSource {
    MatrixSource::new(Path::new("m.toml"), text.to_owned())
}

/// What the reader lists as allowed when `assignment` writes the unknown `zz`.
fn known_instead_of(assignment: &str) -> Vec<String> {
    let mut source = source(SMALL);
    source.set(assignment);
    let error = source.parse().expect_err(assignment).to_string();
    // An error that lists nothing names itself here.
    let (_, list) = error.split_once("expected").expect(&error);
    let list = list.split("; did you mean").next().expect("a text has a start");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The fenced blocks of `text` in `language`.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a text has a start"))
        .collect()
}

/// The line of a table that is about `key`.
fn row<'a>(page: &'a str, key: &str) -> Option<&'a str> {
    page.lines().find(|line| line.starts_with(&format!("| `{key}` |")))
}

#[test]
fn every_key_has_its_line() {
    let page = page();
    let mut checked = 0;
    for table in [
        "experiment",
        "server",
        "samplers",
        "workload",
        "workload.trace",
        "load",
        "load.window",
        "load.search",
        "client",
    ] {
        for key in known_instead_of(&format!("{table}.zz=1")) {
            assert!(row(&page, &key).is_some(), "docs/matrix.md has no line for {table}.{key}");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked}");
    for table in known_instead_of("zz=1") {
        let title = format!("\n## `[{table}]`\n");
        assert!(page.contains(&title), "docs/matrix.md has no section for [{table}]");
    }
    for name in plimsoll_sim::Settings::NAMES {
        assert!(row(&page, name).is_some(), "docs/matrix.md has no line for the setting {name}");
    }
}

#[test]
fn every_form_and_every_word_is_there() {
    let page = page();
    for key in ["workload.input-tokens", "load.arrivals"] {
        for form in known_instead_of(&format!("{key}={{ zz = 1 }}")) {
            let keys = known_instead_of(&format!("{key}={{ {form} = {{ zz = 1 }} }}"));
            // A key may have the name of a form, and a line of its own.
            let mut lines = page.lines().filter(|line| line.starts_with(&format!("| `{form}` |")));
            let whole = |line: &str| keys.iter().all(|key| line.contains(&format!("`{key}`")));
            assert!(lines.any(whole), "no line for {form} has all of {keys:?}");
        }
    }
    for word in ["constant", "poisson", "trace"] {
        assert!(row(&page, word).is_some(), "no line for {word}");
    }
    let trace = "{ trace = { path = \"x\", column = \"c\", order = \"zz\" } }";
    for assignment in [
        "experiment.kind=zz",
        "server.launch=zz",
        "samplers.gpu=zz",
        "client.api=zz",
        "client.stamps=zz",
        "load.search.goal=zz",
        &format!("workload.input-tokens={trace}"),
        "workload.sessions={ turns = 2, history = \"zz\" }",
        "workload.trace={ path = \"x\", format = \"zz\" }",
        "workload.trace={ path = \"x\", format = \"csv\", time-unit = \"zz\" }",
        "workload.trace={ path = \"x\", format = \"csv\", at-end = \"zz\" }",
    ] {
        for word in known_instead_of(assignment) {
            assert!(page.contains(&format!("`{word}`")), "{assignment}: `{word}` is not there");
        }
    }
}

#[test]
fn every_key_of_a_full_matrix_is_there() {
    fn keys(value: &Value, own: bool, found: &mut Vec<String>) {
        let Value::Object(table) = value else { return };
        for (key, value) in table {
            if own {
                found.push(key.clone());
            }
            // Below these, keys are a person's own.
            let named = !["slo", "factors", "settings", "environment", "flags", "extra-body"]
                .contains(&key.as_str());
            keys(value, own && named, found);
        }
    }
    let matrix: Matrix = source(FULL).parse().expect("the full matrix is sound");
    let mut found = Vec::new();
    keys(&serde_json::to_value(&matrix).expect("a matrix is data"), true, &mut found);
    let page = page();
    for key in &found {
        let there = page.contains(&format!("`{key}`")) || page.contains(&format!("`[{key}]`"));
        assert!(there, "docs/matrix.md lacks `{key}`");
    }
    assert!(found.len() >= 40, "{found:?}");
    // The full matrix itself leaves no key out.
    for table in [
        "experiment",
        "server",
        "samplers",
        "workload",
        "workload.trace",
        "load",
        "load.window",
        "load.search",
        "client",
    ] {
        for key in known_instead_of(&format!("{table}.zz=1")) {
            assert!(found.contains(&key), "the matrix of this test lacks {table}.{key}");
        }
    }
}

#[test]
fn defaults_are_those_that_the_page_names() {
    let mut source = source(SMALL);
    // A search has defaults where there is one.
    source.set("load.search={}");
    let matrix = source.parse().expect("the small matrix is sound");
    let matrix = serde_json::to_value(&matrix).expect("a matrix is data");
    let page = page();
    let mut checked = 0;
    for table in [
        "/experiment",
        "/server",
        "/samplers",
        "/workload",
        "/load",
        "/load/window",
        "/load/search",
        "/client",
    ] {
        let Some(Value::Object(keys)) = matrix.pointer(table) else { panic!("no {table}") };
        for (key, value) in keys {
            let written = ["kind", "input-tokens", "output-tokens", "rates", "window", "search"];
            if written.contains(&key.as_str()) {
                continue;
            }
            // Keys of other tables have the same names.
            let part = if table == "/load/search" { "### `load.search`" } else { "" };
            let (_, section) = page.split_once(part).expect("the page has the section");
            let line = row(section, key).unwrap_or_else(|| panic!("no line for {key}"));
            // "| key | allowed | default | example |": the third cell.
            let default = line.split('|').nth(3).expect("the line has four cells").trim();
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(default.starts_with(&format!("`{text}`")), "{key} is {text}: {line}");
            checked += 1;
        }
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn every_example_is_a_plan() {
    let readme = file("README.md");
    let page = page();
    let mut plans = 0;
    for block in blocks(&page, "toml").into_iter().chain(blocks(&readme, "toml")) {
        if block.contains("[experiment]") {
            Plan::new(source(block)).unwrap_or_else(|error| panic!("{error}\n{block}"));
            plans += 1;
        } else {
            Plan::new(source(&format!("{SMALL}{block}")))
                .unwrap_or_else(|error| panic!("{error}\n{block}"));
        }
    }
    assert!(plans >= 4, "{plans}");
}

#[test]
fn every_example_in_a_table_is_sound() {
    let page = page();
    let mut section = String::new();
    let mut checked = 0;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix('#') {
            section = title.trim_matches(['#', ' ', '`', '[', ']']).to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(example) = cells.get(4).and_then(|cell| cell.strip_prefix('`')) else { continue };
        let example = example.trim_end_matches('`');
        let (key, value) = example.split_once(" = ").expect("an example is KEY = VALUE");
        assert_eq!(cells[1], format!("`{key}`"), "{example}");
        let mut source = source(SMALL);
        source.set(format!("{section}.{key}={value}"));
        source.parse().unwrap_or_else(|error| panic!("{example}: {error}"));
        checked += 1;
    }
    assert!(checked >= 30, "{checked}");
}

#[test]
fn every_override_is_taken() {
    let page = page();
    let overrides: Vec<&str> = blocks(&page, "text")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("--set "))
        .map(|assignment| assignment.trim_matches('\''))
        .collect();
    assert!(overrides.len() >= 8, "{overrides:?}");
    for assignment in overrides {
        let mut source = source(SMALL);
        source.set(assignment);
        Plan::new(source).unwrap_or_else(|error| panic!("{assignment}: {error}"));
    }
}

#[test]
fn the_matrices_of_the_study_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../matrices/study");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "toml") {
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            Plan::new(MatrixSource::new(&path, text)).unwrap();
        }
    }
    assert!(seen >= 5, "{seen}");
}
