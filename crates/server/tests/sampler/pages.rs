//! A server of a few lines that knows nothing but pages, and patience.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use plimsoll_server::{ControlClient, MetricsSampler};
use plimsoll_units::RunClock;

/// A server on a free port, and the paths it was asked for.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that answers the `n`-th question, from 0, for a path with a status and a body; `None`
    /// never answers.
    pub(crate) fn new(
        answer: impl Fn(usize, &str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Self { url, asked }
    }

    /// A server whose `n`-th page, from 0, is this.
    pub(crate) fn of_pages(page: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        Self::new(move |number, _| Some((200, page(number))))
    }

    /// The paths that it was asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A sampler of it that waits for an answer no longer than `timeout`.
    pub(crate) fn sampler(
        &self,
        clock: RunClock,
        period: Duration,
        timeout: Duration,
    ) -> MetricsSampler {
        let control = ControlClient::new(&self.url, None, timeout).unwrap();
        MetricsSampler::start(control, clock, period).unwrap()
    }
}

type Answering<'a> = &'a (dyn Fn(usize, &str) -> Option<(u16, String)> + Send + Sync);

fn serve(mut stream: TcpStream, log: &Mutex<Vec<String>>, answer: Answering<'_>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let number = {
        let mut log = log.lock().unwrap();
        log.push(path.clone());
        log.len() - 1
    };
    let Some((status, body)) = answer(number, &path) else {
        // Until the client hangs up.
        let _ = stream.read(&mut buffer);
        return;
    };
    let length = body.len();
    // A client that has seen enough may be gone already.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    );
}

/// A page of vLLM with these figures.
pub(crate) fn vllm(running: u32, waiting: u32, tokens: u32) -> String {
    format!(
        "# TYPE vllm:num_requests_running gauge\n\
         vllm:num_requests_running{{engine=\"0\",model_name=\"tiny\"}} {running}.0\n\
         vllm:num_requests_waiting{{engine=\"0\",model_name=\"tiny\"}} {waiting}.0\n\
         vllm:generation_tokens_total{{engine=\"0\",model_name=\"tiny\"}} {tokens}.0\n\
         vllm:generation_tokens_created{{engine=\"0\",model_name=\"tiny\"}} 1.7e9\n"
    )
}

/// Waits until `holds`; fails with `what` after far longer than any machine needs.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not come about within half a minute");
}
