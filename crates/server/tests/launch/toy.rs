//! A server of a few lines, as a process of its own: this very executable, told by the environment to
//! serve. It shares no code with the crate.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Port and manner, as in `8123 serve`.
const TOY: &str = "PLIMSOLL_TEST_TOY";
/// How often it was asked for its models.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// The words that run the toy.
pub(crate) fn command() -> Vec<String> {
    let own = env::current_exe().unwrap().to_str().unwrap().to_owned();
    let words = ["--exact", "toy::serve", "--ignored", "--nocapture"];
    std::iter::once(own).chain(words.map(str::to_owned)).collect()
}

/// What tells it to serve on `port` in that manner: `serve`, `mute` (takes connections and never
/// answers), `loading` (says so for ever), `no-token` (streams without one), `picky` (refuses the
/// chat), `late-model` (lists its model the third time it is asked), `closed` (refuses everybody), `dying` (ends with 3 at the first request for a token).
pub(crate) fn environment(port: u16, manner: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(TOY.to_owned(), format!("{port} {manner}"))])
}

#[test]
#[ignore = "no test: the server that the others start"]
fn serve() {
    let Ok(toy) = env::var(TOY) else { return };
    let (port, manner) = toy.split_once(' ').unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    // Not `println`: that would be the harness's.
    std::io::stderr().write_all(b"toy: listening\n").unwrap();
    for stream in listener.incoming().flatten() {
        let manner = manner.to_owned();
        thread::spawn(move || answer(stream, &manner));
    }
}

fn answer(mut stream: TcpStream, manner: &str) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // Every request here is short; its body may come apart from its head.
    while !complete(&request) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    if manner == "mute" {
        thread::sleep(Duration::from_secs(1000));
    }
    let role = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let token = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"text\":\"x\"}]}\n\n";
    let (status, body) = match (path, manner) {
        (_, "closed") => ("401 Unauthorized", r#"{"error":{"message":"no key"}}"#.to_owned()),
        ("/health", "loading") => ("503 Service Unavailable", String::new()),
        // As servers do that offer none.
        ("/health", "picky") => ("404 Not Found", String::new()),
        ("/health", _) => ("200 OK", String::new()),
        ("/v1/models", "late-model") if ASKED.fetch_add(1, Ordering::Relaxed) < 2 => {
            ("200 OK", r#"{"data":[]}"#.to_owned())
        }
        ("/v1/models", _) => ("200 OK", r#"{"data":[{"id":"tiny"}]}"#.to_owned()),
        ("/v1/chat/completions", "picky") => {
            ("400 Bad Request", r#"{"error":{"message":"no chat template"}}"#.to_owned())
        }
        ("/v1/chat/completions" | "/v1/completions", "no-token") => ("200 OK", role.to_owned()),
        ("/v1/chat/completions" | "/v1/completions", "dying") => {
            std::io::stderr().write_all(b"toy: RuntimeError: CUDA out of memory.\n").unwrap();
            std::process::exit(3);
        }
        ("/v1/chat/completions" | "/v1/completions", _) => {
            ("200 OK", format!("{role}{token}data: [DONE]\n\n"))
        }
        _ => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}
