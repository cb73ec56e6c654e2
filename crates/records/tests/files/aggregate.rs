//! The summaries of several runs as one table.

use std::path::{Path, PathBuf};

use plimsoll_records::{Aggregate, Manifest, ResultsFolder};

use crate::sample;

/// A run of the current format whose points have the factor `gpus` = `value`, where one is given.
fn run(root: &Path, name: &str, gpus: Option<&str>) -> PathBuf {
    let folder = ResultsFolder::create(root, name).unwrap();
    let manifest = Manifest { experiment: format!("a {name}, or so"), ..sample::manifest() };
    folder.write_manifest(&manifest).unwrap();
    folder.write_summary(&sample::summary()).unwrap();
    for row in sample::summary() {
        let mut point = sample::point_file();
        point.id.clone_from(&row.point);
        point.factors =
            gpus.map(|value| ("gpus".to_owned(), value.to_owned())).into_iter().collect();
        folder.point(&row.point).unwrap().write_point_file(&point).unwrap();
    }
    folder.path().to_owned()
}

/// The cells of each line, by the names of the first one. Every cell of these runs is free of quoted
/// line ends.
fn cells(csv: &str) -> Vec<Vec<(String, String)>> {
    let split = |line: &str| {
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                _ => cell.push(c),
            }
        }
        cells.push(cell);
        cells
    };
    let mut lines = csv.lines().map(split);
    let names = lines.next().unwrap();
    lines.map(|line| names.iter().cloned().zip(line).collect()).collect()
}

#[test]
fn runs_stand_one_after_the_other_with_their_factors_as_columns() {
    let root = tempfile::tempdir().unwrap();
    let runs = [run(root.path(), "first", None), run(root.path(), "second", Some("4"))];
    let aggregate = Aggregate::read(&runs).unwrap();
    let each = sample::summary().len();
    assert_eq!(aggregate.rows(), 2 * each);
    let csv = root.path().join("all.csv");
    aggregate.write_csv(&csv).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let rows = cells(&text);
    assert_eq!(rows.len(), 2 * each);
    let cell = |row: usize, name: &str| {
        let found = rows[row].iter().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("no column {name}")).1.clone()
    };
    assert_eq!(cell(0, "run"), "first");
    assert_eq!(cell(0, "experiment"), "a first, or so");
    assert_eq!(cell(0, "factor.gpus"), "");
    assert_eq!(cell(each, "run"), "second");
    assert_eq!(cell(each, "factor.gpus"), "4");
    assert_eq!(cell(each, "status"), "complete");
    assert_eq!(cell(each, "point"), sample::summary()[0].point);
    let throughput: f64 = cell(each, "throughput_per_s").parse().unwrap();
    assert_eq!(throughput.to_bits(), sample::summary()[0].throughput_per_s.to_bits());
    let parquet = root.path().join("all.parquet");
    aggregate.write_parquet(&parquet).unwrap();
    assert!(std::fs::read(&parquet).unwrap().starts_with(b"PAR1"));
}

#[test]
fn runs_of_older_formats_have_nulls_where_they_know_nothing() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let root = tempfile::tempdir().unwrap();
    let runs = [golden.join("format-1.0"), run(root.path(), "new", None)];
    let aggregate = Aggregate::read(&runs).unwrap();
    let csv = root.path().join("all.csv");
    aggregate.write_csv(&csv).unwrap();
    let rows = cells(&std::fs::read_to_string(&csv).unwrap());
    let of = |row: &[(String, String)], name: &str| {
        row.iter().find(|(own, _)| own == name).unwrap().1.clone()
    };
    assert_eq!(of(&rows[0], "run"), "format-1.0");
    assert_eq!(of(&rows[0], "queue_time_mean_ms"), "");
    assert_ne!(of(rows.last().unwrap(), "queue_time_mean_ms"), "");
}

#[test]
fn what_is_no_finished_run_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let whole = run(root.path(), "whole", None);
    let error = Aggregate::read(&[whole.clone(), root.path().join("gone")]).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
    let killed = run(root.path(), "killed", None);
    std::fs::remove_file(killed.join("summary.parquet")).unwrap();
    let error = Aggregate::read(&[whole.clone(), killed]).unwrap_err();
    assert!(error.to_string().contains("killed/summary.parquet"), "{error}");
    std::fs::remove_dir_all(whole.join("points")).unwrap();
    let error = Aggregate::read(&[whole]).unwrap_err();
    assert!(error.to_string().contains("point.json"), "{error}");
}
