//! docs/results-format.md against the code: every column and every key is there, and no other.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use plimsoll_records::{ErrorRecord, FormatVersion, LagRecord, Outcome, Table};
use serde_json::Value;

use crate::sample;

fn doc() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/results-format.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the first table under the heading `## title`, cell by cell.
fn table(title: &str) -> Vec<Vec<String>> {
    let doc = doc();
    let heading = format!("## {title}\n");
    let (_, section) = doc.split_once(&heading).unwrap_or_else(|| panic!("no heading {title}"));
    section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

#[test]
fn the_tables_have_the_columns_of_the_schemas() {
    for of in Table::ALL {
        let written: Vec<_> =
            table(of.parquet_name()).into_iter().map(|cells| cells[..3].to_vec()).collect();
        let schema = of.schema();
        let expected: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| {
                let data_type = match field.data_type() {
                    DataType::Utf8 => "text".to_owned(),
                    other => other.to_string().to_lowercase(),
                };
                let nullable = if field.is_nullable() { "yes" } else { "no" };
                vec![field.name().clone(), data_type, nullable.to_owned()]
            })
            .collect();
        assert_eq!(written, expected, "{of:?}");
    }
}

#[test]
fn the_outcomes_are_those_of_the_code() {
    let written: Vec<_> = table("Outcomes").into_iter().map(|cells| cells[0].clone()).collect();
    assert_eq!(written, Outcome::ALL.map(Outcome::as_str));
}

#[test]
fn the_version_is_the_current_one() {
    assert!(doc().contains(&format!("Format version: {}\n", FormatVersion::CURRENT)));
}

/// The keys of a lag and of an error, which have a table of their own.
fn keys_of_lags() -> [BTreeSet<String>; 2] {
    [serde_json::to_value(LagRecord::default()), serde_json::to_value(ErrorRecord::default())].map(
        |value| {
            let value = value.unwrap();
            value.as_object().unwrap().keys().cloned().collect()
        },
    )
}

#[test]
fn lags_and_errors_have_the_keys_of_the_code() {
    let written: BTreeSet<_> =
        table("Lags and errors").into_iter().map(|cells| cells[0].clone()).collect();
    assert_eq!(keys_of_lags(), [written.clone(), written]);
}

/// The keys of `value` as the document writes them: `a.b`, `a[].b`, `a.*` for a lag; `free` ones are
/// not entered, for their keys are data.
fn keys(value: &Value, at: &str, free: &[&str], keys_found: &mut BTreeSet<String>) {
    let [lag, _] = &keys_of_lags();
    match value {
        Value::Object(object) if object.keys().cloned().collect::<BTreeSet<_>>() == *lag => {
            keys_found.insert(format!("{at}.*"));
        }
        Value::Object(object) if !free.contains(&at) => {
            for (key, value) in object {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                keys(value, &at, free, keys_found);
            }
        }
        Value::Array(array) if array.first().is_some_and(Value::is_object) => {
            for value in array {
                keys(value, &format!("{at}[]"), free, keys_found);
            }
        }
        _ => {
            keys_found.insert(at.to_owned());
        }
    }
}

#[test]
fn the_json_files_have_the_keys_of_the_code() {
    let json = |value| serde_json::to_value(value).unwrap();
    let mut closed = sample::point_file();
    closed.load = plimsoll_records::OfferedLoad::Closed { concurrency: 4 };
    let points = [json(sample::point_file()), json(closed)];
    for (name, values) in [
        ("manifest.json", vec![serde_json::to_value(sample::manifest()).unwrap()]),
        ("point.json", points.to_vec()),
        ("findings.json", vec![serde_json::to_value(sample::findings()).unwrap()]),
    ] {
        let free = ["matrix_resolved", "target.settings_declared", "factors", "[].numbers"];
        let mut expected = BTreeSet::new();
        for value in &values {
            keys(value, "", &free, &mut expected);
        }
        let written: BTreeSet<_> = table(name).into_iter().map(|cells| cells[0].clone()).collect();
        assert_eq!(written, expected, "{name}");
    }
}
