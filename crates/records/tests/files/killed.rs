//! A process that dies in the middle of a point, and one that cannot write any more.
//!
//! Both are real processes: this test's own executable, started again to run one test alone that
//! writes rows as its environment tells it.

use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use plimsoll_records::{
    PointRows, PointWriter, RecordsError, ResultsFolder, RowSender, read_point,
};

use crate::sample;

/// Names the results folder to write into; its absence makes the tests below do nothing.
const FOLDER: &str = "PLIMSOLL_TEST_FOLDER";

/// A process that runs the test `name` of this file on `folder`.
fn child(name: &str, folder: &Path) -> Child {
    command(Command::new(std::env::current_exe().unwrap()), name, folder)
}

fn command(mut command: Command, name: &str, folder: &Path) -> Child {
    command
        .args(["--exact", &format!("killed::{name}"), "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .spawn()
        .unwrap()
}

/// The writer that a child process writes with, and its sender.
fn writer() -> Option<(PointWriter, RowSender)> {
    let folder = std::env::var_os(FOLDER)?;
    let folder = ResultsFolder::open(Path::new(&folder)).unwrap();
    let writer = PointWriter::create(&folder.point("p").unwrap(), |_| {}).unwrap();
    let sender = writer.sender();
    Some((writer, sender))
}

/// A folder for a child to write into.
fn folder() -> (tempfile::TempDir, ResultsFolder) {
    let root = tempfile::tempdir().unwrap();
    let folder = ResultsFolder::create(root.path(), "run").unwrap();
    folder.write_manifest(&sample::manifest()).unwrap();
    (root, folder)
}

/// Reads the point of `folder` while its writer is at work, until it has `rows` rows.
fn wait_for_rows(folder: &ResultsFolder, rows: usize, child: &mut Child) -> PointRows {
    let point = folder.point("p").unwrap();
    for _ in 0..6_000 {
        if let Ok(read) = read_point(&point)
            && read.rows.len() >= rows
        {
            return read;
        }
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("the child wrote fewer than {rows} rows in a minute");
}

/// Whether `read` holds the first rows that were written, whole.
fn assert_whole(read: &PointRows) {
    assert!(!read.complete);
    assert_eq!(read.short_of_chunks, [0; 0]);
    for (id, row) in (0..).zip(&read.rows) {
        assert_eq!(*row, sample::row(id));
    }
}

#[test]
#[ignore = "runs in a process of its own, started by the tests below"]
fn write_until_killed() {
    let Some((_writer, mut sender)) = writer() else { return };
    for id in 0.. {
        sender.send(sample::row(id));
        if id % 100 == 0 {
            sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn killed_at_work_it_leaves_every_row_up_to_its_last_batch() {
    let (_root, folder) = folder();
    let mut child = child("write_until_killed", folder.path());
    let seen = wait_for_rows(&folder, 5_000, &mut child);
    assert_whole(&seen);
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();

    let left = read_point(&folder.point("p").unwrap()).unwrap();
    assert_whole(&left);
    assert!(left.rows.len() >= seen.rows.len(), "rows once on file stay");
}

#[test]
#[ignore = "runs in a process of its own, started by the tests below"]
fn write_some_and_wait() {
    let Some((_writer, mut sender)) = writer() else { return };
    // Not a whole number of batches: the last one goes by its age.
    (0..1_500).for_each(|id| sender.send(sample::row(id)));
    sleep(Duration::from_secs(120));
}

#[test]
fn killed_at_rest_it_leaves_every_row() {
    let (_root, folder) = folder();
    let mut child = child("write_some_and_wait", folder.path());
    wait_for_rows(&folder, 1_500, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();

    let left = read_point(&folder.point("p").unwrap()).unwrap();
    assert_whole(&left);
    assert_eq!((left.rows.len(), left.orphan_chunks), (1_500, 0));
}

#[test]
#[ignore = "runs in a process of its own, started by the tests below"]
fn write_until_refused() {
    let Some((writer, mut sender)) = writer() else { return };
    let mut sent = 0;
    while !sender.failed() {
        assert!(sent < 10_000_000, "the limit on the file's size is not in force");
        sender.send(sample::row(sent));
        sent += 1;
        if sent % 1_000 == 0 {
            sleep(Duration::from_millis(1));
        }
    }
    sender.close();
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().contains("File too large"), "{error}");
    let RecordsError::RowsNotWritten { path, rows_not_written, .. } = error else {
        panic!("another error: {error}");
    };
    assert!(path.extension().is_some_and(|extension| extension == "arrows"), "{path:?}");

    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = ResultsFolder::open(Path::new(&folder)).unwrap();
    let read = read_point(&folder.point("p").unwrap()).unwrap();
    assert_whole(&read);
    assert!(!read.rows.is_empty());
    assert_eq!(read.rows.len() as u64 + rows_not_written, sent, "each row is told of");
}

#[test]
fn a_disk_that_takes_no_more_is_said_to_the_worker_and_at_the_end() {
    let (_root, folder) = folder();
    // The system's limit on a file's size stands in for a full disk: it needs no disk of its own.
    let mut shell = Command::new("sh");
    let limited = r#"trap '' XFSZ; ulimit -f 1000; exec "$0" "$@""#;
    shell.args(["-c", limited]).arg(std::env::current_exe().unwrap());
    let status = command(shell, "write_until_refused", folder.path()).wait().unwrap();
    assert!(status.success(), "the child's output says why");
}
