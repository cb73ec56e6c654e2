//! The folder that format 1.0 wrote, kept as it was: it must stay readable.
//!
//! `UPDATE_GOLDEN=1` writes it anew, which is right only while its version is not released.

use std::path::{Path, PathBuf};

use plimsoll_records::{RequestRow, ResultsFolder, read_point};

use crate::sample;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn rows() -> Vec<RequestRow> {
    vec![sample::row(4), sample::row(2), sample::refused(3)]
}

/// Writes the folder that the test below reads.
fn update() {
    let root = path();
    let _ = std::fs::remove_dir_all(root.join("format-1.0"));
    let folder = ResultsFolder::create(&root, "format-1.0").unwrap();
    folder.write_manifest(&sample::manifest()).unwrap();
    folder.write_summary(&sample::summary()).unwrap();
    folder.write_findings(&sample::findings()).unwrap();
    let point = folder.point("rate-10").unwrap();
    sample::write(&point, rows());
    point.write_point_file(&sample::point_file()).unwrap();
}

#[test]
fn format_1_0_stays_readable() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update();
    }
    let folder = ResultsFolder::open(&path().join("format-1.0")).unwrap();
    assert_eq!(folder.manifest().unwrap(), sample::manifest());
    assert_eq!(folder.read_summary().unwrap(), sample::summary());
    assert_eq!(folder.read_findings().unwrap(), sample::findings());
    let point = folder.point("rate-10").unwrap();
    assert_eq!(point.read_point_file().unwrap(), sample::point_file());
    let read = read_point(&point).unwrap();
    assert_eq!(read.rows, rows());
    assert!(read.complete);
}
