//! A server that sends a token at even gaps and notes when it did.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use plimsoll_client::TlsRoots;
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use tokio_rustls::rustls::{ServerConnection, StreamOwned};

use crate::self_signed::self_signed;

/// The clock before and after the write of one token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    pub(crate) before: RunNanos,
    pub(crate) after: RunNanos,
}

/// A listening server; its threads end with the test process.
pub(crate) struct Metronome {
    pub(crate) address: SocketAddr,
    certificate: Option<String>,
    /// The notes of each response, in the order in which they ended.
    notes: Arc<Mutex<Vec<Vec<Note>>>>,
}

impl Metronome {
    /// Answers every request with `tokens` tokens, `gap` apart.
    pub(crate) fn start(clock: RunClock, tokens: usize, gap: Duration, tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tls, certificate) = tls.then(|| self_signed(&["localhost"])).unzip();
        let notes = Arc::<Mutex<Vec<Vec<Note>>>>::default();
        let noted = Arc::clone(&notes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let (tls, noted) = (tls.clone(), Arc::clone(&noted));
                thread::spawn(move || {
                    let keep = |notes| {
                        noted.lock().unwrap_or_else(PoisonError::into_inner).push(notes);
                    };
                    match tls {
                        None => serve(stream, clock, tokens, gap, keep),
                        Some(tls) => {
                            let session = ServerConnection::new(tls).unwrap();
                            serve(StreamOwned::new(session, stream), clock, tokens, gap, keep);
                        }
                    }
                });
            }
        });
        Self { address, certificate, notes }
    }

    pub(crate) fn url(&self) -> String {
        match self.certificate {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    pub(crate) fn roots(&self) -> TlsRoots {
        let pem = self.certificate.as_ref().map(|pem| pem.clone().into_bytes());
        pem.map_or_else(TlsRoots::default, TlsRoots::Pem)
    }

    /// Takes the notes of the responses so far, which is as many as the client has had.
    pub(crate) fn notes(&self) -> Vec<Vec<Note>> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve<S: Read + Write>(
    mut stream: S,
    clock: RunClock,
    tokens: usize,
    gap: Duration,
    mut keep: impl FnMut(Vec<Note>),
) {
    let mut request = [0; 4096];
    // Each request of these tests fits into one read.
    while matches!(stream.read(&mut request), Ok(1..)) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut notes = Vec::new();
        for token in 1..=tokens {
            thread::sleep(gap);
            let finish = if token == tokens { "\"length\"" } else { "null" };
            let event = format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":{finish}}}]}}\n\n"
            );
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            let before = clock.now();
            if stream.write_all(chunk.as_bytes()).is_err() {
                return;
            }
            notes.push(Note { before, after: clock.now() });
        }
        // Before the end of the response: when the client has that, the notes are there.
        keep(notes);
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
}
