//! The log of a real process: all of it, in order, over two files.

use std::fs;

use plimsoll_server::{Owned, Process};

use crate::support::{death, script, until};

#[test]
fn both_outputs_in_the_order_in_which_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let text = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done; printf ' 9%%\\r10%%\\r'";
    let mut server = Process::start(script(text, folder.path())).unwrap();
    death(&mut server);
    let log = fs::read_to_string(folder.path().join("server.log")).unwrap();
    let expected: String = (1..10).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(log, expected + " 9%\r10%\r");
}

#[test]
fn the_log_is_there_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(script("echo first; sleep 1000", folder.path())).unwrap();
    let log = folder.path().join("server.log");
    until("the first line is in the file", || fs::read_to_string(&log).unwrap() == "first\n");
    assert_eq!(server.last_lines(5), ["first"]);
}

/// Whatever the moment of the switches: every line is in one of the files, whole, and in order.
#[test]
fn no_line_is_lost_when_the_log_goes_to_another_file() {
    const LINES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(script(&format!("seq 1 {LINES}"), folder.path())).unwrap();
    let mut files = vec![folder.path().join("server.log")];
    while server.check().is_ok() {
        let file = folder.path().join(format!("{}.log", files.len()));
        server.log_to(&file).unwrap();
        files.push(file);
    }
    server.stop().unwrap();
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for text in &texts[..texts.len() - 1] {
        assert!(text.is_empty() || text.ends_with('\n'), "a line was cut: {text:?}");
    }
    let expected: String = (1..=LINES).map(|i| format!("{i}\n")).collect();
    assert_eq!(texts.concat(), expected);
}

#[test]
fn a_file_that_cannot_be_opened_leaves_the_log_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let text = format!("while [ ! -e {} ]; do sleep 0.02; done; echo after", go.display());
    let mut server = Process::start(script(&text, folder.path())).unwrap();
    server.log_to(&folder.path().join("no/such/folder.log")).unwrap_err();
    fs::write(go, "").unwrap();
    death(&mut server);
    assert_eq!(fs::read_to_string(folder.path().join("server.log")).unwrap(), "after\n");
}
