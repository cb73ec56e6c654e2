//! A HTTP client of the simplest kind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use serde_json::Value;

/// A server of the quick model.
pub(crate) fn start(settings: Settings) -> SimServer {
    let model = ModelProfile::tiny();
    SimServer::start(SimConfig { model, settings, ..SimConfig::default() }).unwrap()
}

/// A response read to the end of its connection.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub(crate) complete: bool,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The JSON objects of an event stream, without `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(self.text())
    }
}

/// The JSON objects among the `data:` lines of `text`.
pub(crate) fn events(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// The bytes of a request; `extra` are further header lines.
pub(crate) fn encode(method: &str, path: &str, extra: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\n{extra}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";

/// One request on a connection of its own, closed by the server.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    extra: &str,
    body: &str,
) -> std::io::Result<Response> {
    let mut socket = connect(address);
    let extra = format!("connection: close\r\n{extra}");
    socket.write_all(&encode(method, path, &extra, body))?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    ask(address, "GET", path, "", "").unwrap()
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Response {
    ask(address, "POST", path, JSON, body).unwrap()
}

/// The bytes of a JSON request on a connection that is kept.
pub(crate) fn encode_json(path: &str, body: &str) -> Vec<u8> {
    encode("POST", path, JSON, body)
}

/// A chat of one user message of `words` words.
pub(crate) fn chat(words: &str, rest: &str) -> String {
    format!(r#"{{"model":"tiny","messages":[{{"role":"user","content":"{words}"}}]{rest}}}"#)
}

/// Splits head and body and joins the chunks.
pub(crate) fn parse(bytes: &[u8]) -> Response {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a response head");
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &bytes[split + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return Response { status, head, body: rest.to_vec(), complete: true };
    }
    let mut body = Vec::new();
    let mut complete = false;
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        complete = size == 0;
        if complete || rest.len() < line + 2 + size {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[(line + 2 + size + 2).min(rest.len())..];
    }
    Response { status, head, body, complete }
}

/// The value of a metric of engine 0, summed over lines that start with `name` and `{`.
pub(crate) fn metric(address: SocketAddr, name: &str) -> f64 {
    let page = get(address, "/metrics");
    page.text()
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// Waits until `holds` or fails with `what` after ten seconds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} did not come about within ten seconds");
}
