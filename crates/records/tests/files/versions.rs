//! Tables of other versions than this build's.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use plimsoll_records::{FORMAT_KEY, PointDir, ResultsFolder, encode_requests, read_point};

use crate::sample;

/// The requests table of one row, said to be of `version`, or without one.
fn batch(version: Option<&str>) -> RecordBatch {
    let batch = encode_requests(&[sample::row(0)]);
    let metadata: HashMap<_, _> =
        version.map(|version| (FORMAT_KEY.to_owned(), version.to_owned())).into_iter().collect();
    let schema = Schema::new_with_metadata(batch.schema().fields().clone(), metadata);
    RecordBatch::try_new(Arc::new(schema), batch.columns().to_vec()).unwrap()
}

fn parquet(point: &PointDir, batch: &RecordBatch) {
    let file = File::create(point.path().join("requests.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn stream(point: &PointDir, batch: &RecordBatch) {
    let file = File::create(point.path().join("requests.arrows")).unwrap();
    let mut writer = StreamWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

#[test]
fn tables_of_another_major_or_of_another_tool_are_refused() {
    for (name, write) in
        [("requests.parquet", parquet as fn(&PointDir, &RecordBatch)), ("requests.arrows", stream)]
    {
        for (version, problem) in [
            (Some("2.0"), "its format is 2.0, this build reads 1.x"),
            (Some("0.3"), "its format is 0.3"),
            (Some("one"), "`one` is not a format version"),
            (None, "plimsoll did not write it"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let folder = ResultsFolder::create(root.path(), "run").unwrap();
            let point = folder.point("p").unwrap();
            std::fs::create_dir(point.path()).unwrap();
            write(&point, &batch(version));
            let error = read_point(&point).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(problem), "{error}");
        }
    }
}

#[test]
fn a_later_minor_is_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "run").unwrap();
    let point = folder.point("p").unwrap();
    std::fs::create_dir(point.path()).unwrap();
    stream(&point, &batch(Some("1.9")));
    assert_eq!(read_point(&point).unwrap().rows, [sample::row(0)]);
}

#[test]
fn two_rows_of_one_request_are_an_error() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "run").unwrap();
    let point = folder.point("p").unwrap();
    sample::write(&point, [sample::row(8), sample::row(8)]);
    let error = read_point(&point).unwrap_err().to_string();
    assert!(error.contains("request 8 has two rows"), "{error}");
}
