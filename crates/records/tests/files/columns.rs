//! docs/results-format.md against the code: every column and every key is there, and no other.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use plimsoll_records::{
    ErrorRecord, FormatVersion, LagRecord, Outcome, SamplingRecord, Table, Tally,
};
use serde_json::Value;

use crate::sample;

fn doc() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/results-format.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the first table under the heading `title`, cell by cell.
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

/// The keys of `value`, an object.
fn keys_of(value: impl serde::Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// The keys in the first table under the heading `title`.
fn written(title: &str) -> BTreeSet<String> {
    table(title).into_iter().map(|cells| cells[0].clone()).collect()
}

#[test]
fn parts_with_a_table_of_their_own_have_the_keys_of_the_code() {
    assert_eq!(written("Lags and errors"), keys_of(LagRecord::default()));
    assert_eq!(written("Lags and errors"), keys_of(ErrorRecord::default()));
    assert_eq!(written("Settings"), keys_of(&sample::point_file().settings[0]));
    assert_eq!(written("Samplings"), keys_of(SamplingRecord::default()));
    assert_eq!(written("Tallies"), keys_of(Tally::default()));
    let imported = serde_json::to_value(sample::point_file().imported.unwrap()).unwrap();
    let mut expected = BTreeSet::new();
    keys(&imported, "", &["summary"], &mut expected);
    assert_eq!(written("Imported points"), expected);
}

/// What the document writes as `a.*`, because its keys stand elsewhere: what has a table of its own,
/// and the servers of `targets`, which are as `target`.
fn parts() -> Vec<BTreeSet<String>> {
    vec![
        keys_of(LagRecord::default()),
        keys_of(&sample::point_file().settings[0]),
        keys_of(SamplingRecord::default()),
        keys_of(Tally::default()),
    ]
}

/// The keys of `value` as the document writes them: `a.b`, `a[].b`, `a.*` for one of `parts`; `free`
/// ones are not entered, for their keys are data.
fn keys(value: &Value, at: &str, free: &[&str], keys_found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object)
            if matches!(at, "targets[]" | "imported")
                || parts().contains(&object.keys().cloned().collect::<BTreeSet<_>>()) =>
        {
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
        assert_eq!(written(name), expected, "{name}");
    }
}
