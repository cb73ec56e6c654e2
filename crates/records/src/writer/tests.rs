use std::sync::mpsc::channel;

use super::*;
use crate::folder::ResultsFolder;
use crate::reader::read_point;

/// A point in a new folder, which goes with the first of the pair.
fn point() -> (tempfile::TempDir, PointDir) {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    (root, point)
}

fn row(id: u64) -> RequestRow {
    RequestRow { id, ..RequestRow::default() }
}

#[test]
fn a_full_queue_defers_rows_and_loses_none() {
    let (_root, point) = point();
    // The observer holds the thread up, so that the queue must fill.
    let (go, wait) = channel::<()>();
    let mut held = true;
    let writer = PointWriter::create(&point, move |_| {
        if held {
            wait.recv().unwrap();
            held = false;
        }
    })
    .unwrap();
    let mut sender = writer.sender();
    let total = QUEUE_ROWS as u64 + 3_000;
    for id in 0..total {
        sender.send(row(id));
    }
    // The thread holds one row at most, the queue the rest of what was not deferred.
    assert!(sender.deferred() >= 2_999, "{}", sender.deferred());
    assert!(!sender.failed());
    go.send(()).unwrap();
    let deferred = sender.deferred();
    assert_eq!(sender.close(), deferred);
    assert_eq!(writer.finish().unwrap(), WrittenPoint { requests: total, tokens: 0 });
    let read = read_point(&point).unwrap();
    assert!(read.rows.iter().map(|row| row.id).eq(0..total), "in the order they were sent");
}

#[test]
fn the_observer_sees_every_row_of_every_sender() {
    let (_root, point) = point();
    let (seen, rows) = channel();
    let writer = PointWriter::create(&point, move |row| seen.send(row.id).unwrap()).unwrap();
    let first = writer.sender();
    let threads = [first.clone(), first.clone(), first].map(|mut sender| {
        thread::spawn(move || {
            for id in 0..1_000 {
                sender.send(row(id));
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(writer.finish().unwrap().requests, 3_000);
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_unstable();
    assert!(rows.into_iter().eq((0..1_000).flat_map(|id| [id; 3])));
}

#[test]
fn finishing_with_an_open_sender_is_refused_and_keeps_the_streams() {
    let (_root, point) = point();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let mut sender = writer.sender();
    sender.send(row(0));
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.contains("senders still open: 1"), "{error}");
    let read = read_point(&point).unwrap();
    assert_eq!((read.rows.len(), read.complete), (1, false));

    // The thread is gone: the sender says so instead of taking rows that nobody will write.
    sender.send(row(1));
    assert!(sender.failed());
}

#[test]
fn a_writer_that_is_dropped_leaves_what_was_sent() {
    let (_root, point) = point();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let mut sender = writer.sender();
    for id in 0..2_500 {
        sender.send(row(id));
    }
    sender.close();
    drop(writer);
    let read = read_point(&point).unwrap();
    assert_eq!((read.rows.len(), read.complete), (2_500, false));
}

#[test]
fn a_panicking_observer_is_an_error_of_finish() {
    let (_root, point) = point();
    let writer = PointWriter::create(&point, |_| panic!("on purpose")).unwrap();
    let mut sender = writer.sender();
    sender.send(row(0));
    sender.close();
    assert!(matches!(writer.finish(), Err(RecordsError::WriterPanicked { .. })));
}

#[test]
fn a_second_attempt_must_remove_the_rows_of_the_first() {
    let (_root, point) = point();
    drop(PointWriter::create(&point, |_| {}).unwrap());
    let error = PointWriter::create(&point, |_| {}).unwrap_err();
    assert!(matches!(error, RecordsError::HasRows { .. }), "{error}");

    point.remove_rows().unwrap();
    PointWriter::create(&point, |_| {}).unwrap().finish().unwrap();
    let error = PointWriter::create(&point, |_| {}).unwrap_err().to_string();
    assert!(error.contains("requests.parquet exists already"), "{error}");
}

#[test]
fn a_failure_to_write_parquet_keeps_the_streams() {
    let (_root, point) = point();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let mut sender = writer.sender();
    sender.send(row(0));
    sender.close();
    // A folder where the file should grow.
    std::fs::create_dir(point.file("requests.parquet.partial")).unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.contains("requests.parquet.partial"), "{error}");
    let read = read_point(&point).unwrap();
    assert_eq!((read.rows.len(), read.complete), (1, false));
}
