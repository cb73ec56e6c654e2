//! The executable from outside: help, explanation, refusals, and a served request.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;

fn plimsoll(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(cargo_bin("plimsoll")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_names_vllms_flags() {
    let (code, out, _) = plimsoll(&["sim", "--help"]);
    assert_eq!(code, Some(0));
    for flag in ["--max-num-seqs", "--data-parallel-size", "--no-enable-prefix-caching", "--truth"]
    {
        assert!(out.contains(flag), "{flag} is missing in\n{out}");
    }
}

#[test]
fn an_explanation_goes_to_stdout_and_shows_two_capacities_that_agree() {
    let (code, out, err) = plimsoll(&[
        "sim",
        "--explain",
        "--max-num-seqs",
        "16",
        "--data-parallel-size",
        "4",
        "--input-tokens",
        "lognormal(512,0.6,4096)",
        "--output-tokens",
        "128",
    ]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let figure = |name: &str| -> f64 {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    let (form, run) = (figure("capacity, closed form"), figure("capacity, overload run"));
    assert!((form / run - 1.0).abs() < 0.03, "{out}");
    assert!(out.contains("26.200 ms + 0.0706 ms * running + 0.000157 ms * running^2"), "{out}");
}

#[test]
fn wrong_usage_is_told_and_exits_with_2() {
    for (arguments, part) in [
        (vec!["sim", "--max-num-seqs", "0"], "--max-num-seqs"),
        (vec!["sim", "--model", "gpt-2"], "qwen3-14b"),
        (vec!["sim", "--input-tokens", "zipf(1)"], "none of uniform"),
        (vec!["sim", "--max-num-seqz", "1"], "--max-num-seqs"),
        (vec!["sim", "--scaling-contention", "1.1"], "a number from 0 to 1"),
        (vec!["sim", "--max-num-batched-tokens", "8"], "below max-num-seqs = 256"),
        (vec!["sim", "--explain", "--num-gpu-blocks-override", "2"], "KV cache holds 32"),
        (vec![], "Usage"),
    ] {
        let (code, _, err) = plimsoll(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
}

#[test]
fn a_taken_port_is_a_failure_of_the_tool() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, err) = plimsoll(&["sim", "--port", &port]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&port) && err.contains("another port"), "{err}");
}

#[test]
fn it_serves_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.jsonl");
    let mut child = Command::new(cargo_bin("plimsoll"))
        .args(["sim", "--port", "0", "--model", "tiny", "--truth"])
        .arg(&truth)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.trim().strip_prefix("READY http://").unwrap().strip_suffix(" model=tiny");
    let address = address.unwrap();

    let ask = |request: String| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let health = ask("GET /health HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n".to_owned());
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    let body = r#"{"prompt":"Say hello","max_tokens":3,"stream":true}"#;
    let answer = ask(format!(
        "POST /v1/completions HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(answer.matches("\"text\":").count(), 3, "{answer}");

    let killed = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&truth).unwrap().lines().count(), 1);
}
