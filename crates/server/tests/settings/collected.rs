//! Everything that a server says, asked for over a real socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use plimsoll_records::SettingState::{Different, Equal};
use plimsoll_server::{ControlClient, InEffect, SettingSource, collect_settings};
use serde_json::json;

use crate::material::{body, fixture, state};

/// A server that has these pages, for as long as the test runs; gives its URL.
fn server(pages: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client that has seen enough may be gone already.
            let _ = answer(&mut stream, pages);
        }
    });
    url
}

fn answer(stream: &mut TcpStream, pages: &[(&str, &str)]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let found = pages.iter().find(|(known, _)| *known == path);
    let (status, body) = match found {
        Some((_, name)) => ("200 OK", page(name)),
        None => ("404 Not Found", b"{\"detail\":\"Not Found\"}".to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn page(name: &str) -> Vec<u8> {
    if name.ends_with(".http") { body(&fixture(name)) } else { fixture(name) }
}

fn collect(url: &str, log: Option<&str>) -> InEffect {
    let log =
        log.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name));
    let client = ControlClient::new(url, None, Duration::from_secs(30)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(collect_settings(&client, log.as_deref()))
}

#[test]
fn vllm_in_its_development_mode() {
    let url = server(&[
        ("/server_info", "vllm-0.32.server_info.json"),
        ("/metrics", "vllm.metrics.http"),
        ("/v1/models", "vllm.models.http"),
        ("/version", "vllm.version.http"),
    ]);
    let settings = collect(&url, None);
    assert_eq!(settings.remarks(), [""; 0]);
    assert_eq!(settings.number("max-num-seqs"), Some(128.0));
    assert_eq!(settings.text("version").as_deref(), Some("0.32.0"));
    assert_eq!(settings.text("served-model-name").as_deref(), Some("tiny"));
    assert_eq!(state("max-num-seqs", json!(8), &settings), Different);
}

#[test]
fn vllm_as_it_usually_is_needs_its_log() {
    let pages = &[
        ("/metrics", "vllm.metrics.http"),
        ("/v1/models", "vllm.models.http"),
        ("/version", "vllm.version.http"),
    ];
    let settings = collect(&server(pages), None);
    assert_eq!(settings.number("max-num-seqs"), None);
    assert_eq!(settings.get("num-gpu-blocks").unwrap().source, SettingSource::CacheConfigInfo);
    let settings = collect(&server(pages), Some("vllm-0.32.log"));
    assert_eq!(state("max-num-seqs", json!(2), &settings), Equal);
    assert_eq!(state("max-num-seqs", json!(8), &settings), Different);
}

#[test]
fn llama_cpp_and_dynamo() {
    let llama = collect(
        &server(&[
            ("/props", "llamacpp.props.json"),
            ("/v1/models", "llamacpp.models.http"),
            ("/metrics", "llamacpp.metrics.http"),
        ]),
        None,
    );
    assert_eq!(state("parallel", json!(4), &llama), Equal);
    assert_eq!(llama.text("version").as_deref(), Some("b8681-example"));
    let dynamo = collect(
        &server(&[("/metrics", "dynamo.metrics.http"), ("/v1/models", "dynamo.models.http")]),
        None,
    );
    assert_eq!(state("max-num-seqs", json!(256), &dynamo), Equal);
    assert_eq!(dynamo.number("max-model-len"), Some(4096.0));
    assert_eq!(dynamo.remarks(), [""; 0]);
}

#[test]
fn a_server_that_is_gone_leaves_remarks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = collect(&url, None);
    assert!(settings.is_empty());
    assert_eq!(settings.remarks().len(), 5, "{:?}", settings.remarks());
}
