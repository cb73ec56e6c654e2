//! What is written is what is read, file by file.

use plimsoll_records::{ResultsFolder, RunStatus, WrittenPoint, read_point};

use crate::sample;

#[test]
fn a_whole_folder_round_trips() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "saturation").unwrap();
    let point = folder.point("rate-10").unwrap();
    let rows: Vec<_> = (0..3_000).map(sample::row).chain([sample::refused(3_000)]).collect();
    let tokens = rows.iter().map(|row| row.chunks.len() as u64).sum();

    folder.write_manifest(&sample::manifest()).unwrap();
    let written = sample::write(&point, rows.clone());
    assert_eq!(written, WrittenPoint { requests: 3_001, tokens });
    point.write_point_file(&sample::point_file()).unwrap();
    point.write_gpu(&sample::gpu_rows()).unwrap();
    point.write_server(sample::server_rows()).unwrap();
    folder.write_summary(&sample::summary()).unwrap();
    folder.write_findings(&sample::findings()).unwrap();

    let folder = ResultsFolder::open(folder.path()).unwrap();
    assert_eq!(folder.manifest().unwrap(), sample::manifest());
    assert_eq!(folder.read_summary().unwrap(), sample::summary());
    assert_eq!(folder.read_findings().unwrap(), sample::findings());
    let point = folder.point("rate-10").unwrap();
    assert_eq!(point.read_point_file().unwrap(), sample::point_file());
    assert_eq!(point.read_gpu().unwrap(), Some(sample::gpu_rows()));
    assert_eq!(point.read_server().unwrap(), Some(sample::server_rows()));
    let read = read_point(&point).unwrap();
    assert_eq!(read.rows, rows);
    assert!(read.complete && read.short_of_chunks.is_empty() && read.orphan_chunks == 0);

    let mut names: Vec<_> = std::fs::read_dir(point.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let files =
        ["gpu.parquet", "point.json", "requests.parquet", "server.parquet", "tokens.parquet"];
    assert_eq!(names, files);
}

#[test]
fn a_point_without_a_request_is_a_point() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "saturation").unwrap();
    let point = folder.point("rate-10").unwrap();
    let error = read_point(&point).unwrap_err().to_string();
    assert!(error.contains("rate-10 holds no rows"), "{error}");
    assert_eq!(sample::write(&point, []), WrittenPoint::default());
    let read = read_point(&point).unwrap();
    assert!(read.complete && read.rows.is_empty());
}

#[test]
fn files_are_replaced_whole() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "saturation").unwrap();
    let mut manifest = sample::manifest();
    for status in [RunStatus::Running, RunStatus::Interrupted] {
        manifest.status = status;
        folder.write_manifest(&manifest).unwrap();
        assert_eq!(folder.manifest().unwrap().status, status);
    }
    folder.write_summary(&[]).unwrap();
    assert!(folder.read_summary().unwrap().is_empty());
    folder.write_summary(&sample::summary()).unwrap();
    assert_eq!(folder.read_summary().unwrap().len(), 1);
}

#[test]
fn numbers_without_a_json_form_do_not_spoil_the_findings() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "saturation").unwrap();
    let mut findings = sample::findings();
    findings[0].numbers.insert("ratio".to_owned(), f64::NAN);
    findings[0].numbers.insert("bound".to_owned(), f64::INFINITY);
    folder.write_findings(&findings).unwrap();
    assert_eq!(folder.read_findings().unwrap(), sample::findings());
}

#[test]
fn broken_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "saturation").unwrap();
    let point = folder.point("rate-10").unwrap();
    sample::write(&point, [sample::row(0)]);

    std::fs::write(folder.path().join("findings.json"), "[{]").unwrap();
    let error = folder.read_findings().unwrap_err().to_string();
    assert!(error.contains("findings.json") && error.contains("line 1"), "{error}");

    let tokens = point.path().join("tokens.parquet");
    let bytes = std::fs::read(&tokens).unwrap();
    std::fs::write(&tokens, &bytes[..bytes.len() - 1]).unwrap();
    let error = read_point(&point).unwrap_err().to_string();
    assert!(error.contains("tokens.parquet"), "{error}");
    std::fs::remove_file(&tokens).unwrap();
    let error = read_point(&point).unwrap_err().to_string();
    assert!(error.contains("tokens.parquet"), "{error}");
}
