//! A server that streams tokens and notes at which byte of the connection each event ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::namespace::Host;

/// What every connection is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) tokens: usize,
    /// Time between two bursts of events.
    pub(crate) gap: Duration,
    /// Events written one right after the other, each in a write of its own.
    pub(crate) burst: usize,
    /// Bytes of text in a token.
    pub(crate) text: usize,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// What was said on one connection. Positions count the bytes of the connection, below TLS.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// The client's port.
    pub(crate) port: u16,
    pub(crate) request: String,
    /// Behind the last byte of the request.
    pub(crate) request_end: u64,
    /// Behind the first byte of the response. (Over TLS of its first record, which cannot be opened
    /// before it is whole.)
    pub(crate) first_byte: u64,
    /// Behind the last byte of each token's event.
    pub(crate) tokens: Vec<u64>,
}

/// Serves so many connections as it was started for.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<Transcript>>,
}

impl Server {
    /// Listens in the namespace of `host` for `connections` connections with one request each.
    pub(crate) fn start(host: &Host, connections: usize, answer: &Answer) -> Self {
        let answer = answer.clone();
        let address = host.address;
        thread::scope(|scope| {
            let listening = scope.spawn(|| {
                host.enter();
                TcpListener::bind((address, 0)).unwrap()
            });
            let listener = listening.join().unwrap();
            // A client that does not come is an error of the test, and no reason to hang.
            SockRef::from(&listener).set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let address = listener.local_addr().unwrap();
            let thread = thread::spawn(move || {
                let talk = |_| {
                    let (stream, peer) = listener.accept().unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let answer = answer.clone();
                    thread::spawn(move || converse(stream, peer.port(), &answer))
                };
                let talks: Vec<_> = (0..connections).map(talk).collect();
                talks.into_iter().map(|talk| talk.join().unwrap()).collect()
            });
            Self { address, thread }
        })
    }

    /// Waits for the end of the conversations.
    pub(crate) fn finish(self) -> Vec<Transcript> {
        self.thread.join().unwrap()
    }
}

fn converse(stream: TcpStream, port: u16, answer: &Answer) -> Transcript {
    let mut line = Line::new(stream, answer.tls.as_ref());
    let request = line.request();
    let request_end = line.counted().read;
    let before = line.counted().written;
    line.say(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let first_byte = if answer.tls.is_some() { line.counted().written } else { before + 1 };
    let text = "x".repeat(answer.text);
    let mut tokens = Vec::with_capacity(answer.tokens);
    for token in 0..answer.tokens {
        if token % answer.burst == 0 {
            thread::sleep(answer.gap);
        }
        let delta = format!(r#"{{"content":"{text}"}}"#);
        tokens.push(line.event(&format!(
            r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
        )));
    }
    thread::sleep(answer.gap);
    line.event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#);
    line.event("[DONE]");
    line.say("0\r\n\r\n");
    // The client ends the connection, so that nothing of the answer is cut off.
    line.drain();
    Transcript { port, request, request_end, first_byte, tokens }
}

/// A connection whose bytes are counted where they meet the kernel.
enum Line {
    Plain(Counted),
    Tls(Box<StreamOwned<ServerConnection, Counted>>),
}

impl Line {
    fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Self {
        let counted = Counted { stream, read: 0, written: 0 };
        match tls {
            None => Self::Plain(counted),
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).unwrap();
                Self::Tls(Box::new(StreamOwned::new(session, counted)))
            }
        }
    }

    fn counted(&self) -> &Counted {
        match self {
            Self::Plain(counted) => counted,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Self::Plain(counted) => counted.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
        .unwrap_or(0)
    }

    /// Reads one whole request.
    fn request(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut piece = [0; 65_536];
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && let Some((_, length)) = head.split_once("content-length: ")
                && length.lines().next().unwrap().parse::<usize>().unwrap() <= body.len()
            {
                return text;
            }
            match self.read(&mut piece) {
                0 => panic!("the client went away after {text:?}"),
                read => bytes.extend_from_slice(&piece[..read]),
            }
        }
    }

    /// Writes `text` at once, over TLS as one record (or several, above 16 kB).
    fn say(&mut self, text: &str) {
        match self {
            Self::Plain(counted) => counted.write_all(text.as_bytes()),
            Self::Tls(stream) => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
        }
        .unwrap();
    }

    /// Writes an event in a chunk of its own. Gives the position behind the event's last byte, over
    /// TLS behind its record.
    fn event(&mut self, data: &str) -> u64 {
        let event = format!("data: {data}\n\n");
        self.say(&format!("{:x}\r\n{event}\r\n", event.len()));
        match self {
            // The end of the chunk is not part of the event.
            Self::Plain(counted) => counted.written - 2,
            Self::Tls(stream) => stream.sock.written,
        }
    }

    /// Reads to the end of the connection.
    fn drain(&mut self) {
        while self.read(&mut [0; 4096]) > 0 {}
    }
}

struct Counted {
    stream: TcpStream,
    read: u64,
    written: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer).inspect(|read| self.read += *read as u64)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes).inspect(|written| self.written += *written as u64)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
