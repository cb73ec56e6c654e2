//! A server of a few lines on a real socket, which shares no HTTP code with the crate.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use plimsoll_server::{ApiKey, ControlClient};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /v1/models`.
    pub(crate) line: String,
    /// Every header line, as sent.
    pub(crate) headers: String,
    /// The body.
    pub(crate) body: String,
}

/// A server on a free port, and what it was asked.
pub(crate) struct StandIn {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    /// A server that writes whatever `answer` gives for a request, byte for byte, and hangs up.
    pub(crate) fn new(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let url = Self::raw(move |stream| {
            let Some(request) = read_request(stream) else { return };
            log.lock().unwrap().push(request.clone());
            // A client that has seen enough may be gone already.
            let _ = stream.write_all(&answer(&request));
        });
        Self { url, asked }
    }

    /// A server that gives every request the same answer.
    pub(crate) fn always(answer: Vec<u8>) -> Self {
        Self::new(move |_| answer.clone())
    }

    /// A server that does `with` to every connection; gives its URL.
    pub(crate) fn raw(with: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let with = Arc::new(with);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let with = Arc::clone(&with);
                thread::spawn(move || with(&mut stream));
            }
        });
        url
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// A patient client of this server, without a key.
    pub(crate) fn client(&self) -> ControlClient {
        client(&self.url, None)
    }
}

/// A client that waits far longer than any answer here takes.
pub(crate) fn client(url: &str, key: Option<&str>) -> ControlClient {
    let key = key.map(|key| ApiKey::new(key).unwrap());
    ControlClient::new(url, key, Duration::from_secs(30)).unwrap()
}

/// A response in HTTP/1.1.
pub(crate) fn http(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A response of JSON.
pub(crate) fn json(status: &str, body: &str) -> Vec<u8> {
    http(status, "application/json", body)
}

/// Runs `future` on a runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (line, headers) = head.split_once("\r\n").unwrap();
            let length = headers
                .lines()
                .find_map(|l| l.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                return Some(Asked { line, headers: headers.to_owned(), body });
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}
