//! The tables of the samplers, through their files.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use plimsoll_records::{FORMAT_KEY, GpuRow, PointDir, ResultsFolder, ServerRow, Table};
use plimsoll_units::RunNanos;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::sample;

/// The folder of a point that nobody has made yet.
fn point() -> (TempDir, PointDir) {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    (root, point)
}

fn stamp() -> impl Strategy<Value = RunNanos> {
    prop_oneof![0..=i64::MAX as u64, 0..1_000_u64].prop_map(RunNanos::from_nanos)
}

prop_compose! {
    /// Any sample that the file can hold, whether it makes sense or not.
    fn gpu_row()(
        (at, gpu) in (stamp(), any::<u32>()),
        [sm_utilisation_pct, memory_utilisation_pct, power_mw, temperature_c, sm_clock_mhz] in
            prop::array::uniform5(any::<Option<u32>>()),
        [memory_clock_mhz, pcie_tx_kb_per_s, pcie_rx_kb_per_s, processes] in
            prop::array::uniform4(any::<Option<u32>>()),
        [
            memory_used_bytes, memory_total_bytes, energy_mj, processes_memory_bytes,
            ecc_corrected, ecc_uncorrected,
        ] in prop::array::uniform6(of(0..=i64::MAX as u64)),
        [throttle_reasons, xid] in prop::array::uniform2(any::<Option<u64>>()),
    ) -> GpuRow {
        GpuRow {
            at, gpu, sm_utilisation_pct, memory_utilisation_pct, memory_used_bytes,
            memory_total_bytes, power_mw, energy_mj, temperature_c, sm_clock_mhz, memory_clock_mhz,
            throttle_reasons, pcie_tx_kb_per_s, pcie_rx_kb_per_s, processes,
            processes_memory_bytes, ecc_corrected, ecc_uncorrected, xid,
        }
    }
}

/// Any series of any page: few names and labels, so that some repeat, and any bits as the value.
fn server_row() -> impl Strategy<Value = ServerRow> {
    (stamp(), "[a-c:]{0,2}", "\\PC{0,3}", prop::num::f64::ANY)
        .prop_map(|(at, name, labels, value)| ServerRow { at, name, labels, value })
}

/// A row with its value as bits, for NaN is unlike itself.
fn bits(rows: &[ServerRow]) -> Vec<(RunNanos, &str, &str, u64)> {
    rows.iter()
        .map(|row| (row.at, row.name.as_str(), row.labels.as_str(), row.value.to_bits()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A file of samples holds the rows that were written, in their order, and every null of them.
    #[test]
    fn samples_of_gpus_round_trip(rows in vec(gpu_row(), 0..20)) {
        let (_root, point) = point();
        point.write_gpu(&rows).unwrap();
        prop_assert_eq!(point.read_gpu().unwrap(), Some(rows));
    }

    /// A file of scrapes holds the rows that were written, in their order, to the last bit.
    #[test]
    fn scrapes_round_trip(rows in vec(server_row(), 0..40)) {
        let (_root, point) = point();
        point.write_server(rows.clone()).unwrap();
        let read = point.read_server().unwrap().unwrap();
        prop_assert_eq!(bits(&read), bits(&rows));
    }
}

#[test]
fn a_file_that_is_not_there_is_told_from_one_without_rows() {
    let (_root, point) = point();
    assert_eq!(point.read_gpu().unwrap(), None);
    assert_eq!(point.read_server().unwrap(), None);
    point.write_gpu(&[]).unwrap();
    point.write_server([]).unwrap();
    assert_eq!(point.read_gpu().unwrap(), Some(vec![]));
    assert_eq!(point.read_server().unwrap(), Some(vec![]));
}

#[test]
fn files_of_samples_are_replaced_whole() {
    let (_root, point) = point();
    for rows in [&sample::gpu_rows()[..], &sample::gpu_rows()[..1]] {
        point.write_gpu(rows).unwrap();
        assert_eq!(point.read_gpu().unwrap().unwrap(), rows);
    }
    for rows in [&sample::server_rows()[..], &sample::server_rows()[..1]] {
        point.write_server(rows.to_vec()).unwrap();
        assert_eq!(point.read_server().unwrap().unwrap(), rows);
    }
}

#[test]
fn a_new_attempt_begins_without_samples_but_with_the_log_of_its_server() {
    let (_root, point) = point();
    point.write_gpu(&sample::gpu_rows()).unwrap();
    point.write_server(sample::server_rows()).unwrap();
    assert_eq!(point.server_log(), point.path().join("server.log"));
    std::fs::write(point.server_log(), "ready").unwrap();
    point.remove_rows().unwrap();
    assert_eq!(point.read_gpu().unwrap(), None);
    assert_eq!(point.read_server().unwrap(), None);
    assert_eq!(std::fs::read_to_string(point.server_log()).unwrap(), "ready");
}

/// The encodings of the column `column` in the file of `table`.
fn encodings(point: &PointDir, table: Table, column: &str) -> Vec<Encoding> {
    let file = File::open(point.path().join(table.parquet_name())).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let group = reader.metadata().row_group(0);
    let found = group.columns().iter().find(|of| of.column_path().string() == column).unwrap();
    found.encodings().collect()
}

#[test]
fn stamps_are_packed_as_differences_and_texts_in_dictionaries() {
    let (_root, point) = point();
    point.write_gpu(&sample::gpu_rows()).unwrap();
    point.write_server(sample::server_rows()).unwrap();
    for table in [Table::Gpu, Table::Server] {
        let stamps = encodings(&point, table, "at_ns");
        assert!(stamps.contains(&Encoding::DELTA_BINARY_PACKED), "{stamps:?}");
        assert!(!stamps.contains(&Encoding::RLE_DICTIONARY), "{stamps:?}");
    }
    for column in ["name", "labels"] {
        let texts = encodings(&point, Table::Server, column);
        assert!(texts.contains(&Encoding::RLE_DICTIONARY), "{texts:?}");
    }
}

/// What reading the table in the file `name` says is wrong with it.
fn problem(point: &PointDir, name: &str) -> String {
    let error = if name == Table::Gpu.parquet_name() {
        point.read_gpu().unwrap_err()
    } else {
        point.read_server().unwrap_err()
    };
    error.to_string()
}

#[test]
fn damaged_files_of_samples_are_named() {
    let (_root, point) = point();
    point.write_gpu(&sample::gpu_rows()).unwrap();
    point.write_server(sample::server_rows()).unwrap();
    for table in [Table::Gpu, Table::Server] {
        let name = table.parquet_name();
        let path = point.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = problem(&point, name);
            assert!(error.contains("cannot read") && error.contains(name), "{cut}: {error}");
        }
        // The magic number and the footer are whole, the pages are not.
        let mut holed = whole.clone();
        let (from, to) = (4, whole.len() / 4);
        holed[from..to].fill(0xff);
        std::fs::write(&path, holed).unwrap();
        let error = problem(&point, name);
        assert!(error.contains("cannot read") && error.contains(name), "{error}");
        std::fs::write(&path, whole).unwrap();
    }
    assert!(point.read_gpu().unwrap().is_some() && point.read_server().unwrap().is_some());
}

/// A file at the place of `server.parquet` of `version`, with the columns that `keep` picks.
fn write_foreign(point: &PointDir, version: Option<&str>, keep: &[usize]) {
    let metadata: HashMap<_, _> =
        version.map(|version| (FORMAT_KEY.to_owned(), version.to_owned())).into_iter().collect();
    let fields = vec![
        Field::new("at_ns", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("labels", DataType::Utf8, false),
        Field::new("value", DataType::Float64, false),
    ];
    let batch = RecordBatch::try_new(
        Arc::new(Schema::new_with_metadata(fields, metadata)),
        vec![
            Arc::new(Int64Array::from(vec![7])),
            Arc::new(StringArray::from(vec!["up"])),
            Arc::new(StringArray::from(vec![""])),
            Arc::new(Float64Array::from(vec![1.0])),
        ],
    )
    .unwrap()
    .project(keep)
    .unwrap();
    std::fs::create_dir_all(point.path()).unwrap();
    let file = File::create(point.path().join(Table::Server.parquet_name())).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn files_of_samples_of_another_major_or_tool_are_refused_and_later_minors_read() {
    let all = [0, 1, 2, 3];
    for (version, keep, problem) in [
        (Some("2.0"), &all[..], "its format is 2.0, this build reads 1.x"),
        (None, &all[..], "plimsoll did not write it"),
        (Some("1.2"), &all[..3], "column `value` is missing"),
    ] {
        let (_root, point) = point();
        write_foreign(&point, version, keep);
        let error = point.read_server().unwrap_err().to_string();
        assert!(error.contains("server.parquet") && error.contains(problem), "{error}");
    }
    let (_root, point) = point();
    write_foreign(&point, Some("1.9"), &all);
    let row = ServerRow {
        at: RunNanos::from_nanos(7),
        name: "up".to_owned(),
        labels: String::new(),
        value: 1.0,
    };
    assert_eq!(point.read_server().unwrap(), Some(vec![row]));
}
