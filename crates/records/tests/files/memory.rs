//! A long point takes no more memory than a short one: rows leave as they come, and the streams
//! become Parquet batch by batch.
//!
//! Each length runs in a process of its own, for its peak. Too slow for every day; run it with
//! `cargo test -p plimsoll-records --test files -- --ignored --exact memory::memory_is_flat
//! --nocapture`.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use plimsoll_records::{PointWriter, ResultsFolder};

use crate::traffic::{Answers, rows};

/// Tells a child process how many tokens to write; its absence makes that test do nothing.
const TOKENS: &str = "PLIMSOLL_TEST_TOKENS";

/// Peak of this process's memory, MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "runs in a process of its own, started by the test below"]
fn write_tokens() {
    let Some(tokens) = std::env::var_os(TOKENS) else { return };
    let tokens: u64 = tokens.to_str().unwrap().parse().unwrap();
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    let writer = PointWriter::create(&point, |_| {}).unwrap();
    let mut sender = writer.sender();
    let (mut first, mut sent) = (0, 0);
    while sent < tokens {
        for row in rows(first, 100, Answers::USUAL) {
            first += 1;
            sent += row.chunks.len() as u64;
            sender.send(row);
        }
        // A million tokens a second at most, many times what a client makes.
        sleep(Duration::from_millis(30));
    }
    sender.close();
    let before = peak_mb();
    assert_eq!(writer.finish().unwrap().tokens, sent);
    println!("peak {} MB, before the conversion {before} MB;", peak_mb());
}

#[test]
#[ignore = "takes half a minute: see the head of this file"]
fn memory_is_flat() {
    if !std::path::Path::new("/proc/self/status").exists() {
        println!("skipped: this system does not say how much memory a process took");
        return;
    }
    let peaks = [500_000, 5_000_000].map(|tokens: u64| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::write_tokens", "--ignored", "--nocapture"])
            .env(TOKENS, tokens.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        println!("{tokens} tokens: {text}");
        let (_, peak) = text.split_once("peak ").unwrap();
        peak.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    // Ten times the tokens: what grew with them would show as hundreds of MB. The allocator of the
    // system may keep some tens of freed MB in pieces, the more the longer the conversion takes.
    assert!(peaks[1] < peaks[0] + 30, "peaks in MB: {peaks:?}");
}
