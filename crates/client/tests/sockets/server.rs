//! A server that says, byte for byte, what a test wants it to say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

pub(crate) const TOKEN: &str =
    r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}"#;
pub(crate) const ROLE: &str =
    r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
pub(crate) const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;
pub(crate) const DONE: &str = "[DONE]";

/// A listening server; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves every connection with `talk`, in a thread of its own. The number counts from 0.
    pub(crate) fn start(talk: impl Fn(usize, Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let talk = Arc::new(talk);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let talk = Arc::clone(&talk);
                thread::spawn(move || talk(number, Peer(stream)));
            }
        });
        Self { address, connections }
    }

    /// Answers the first request of each connection with `bytes` and keeps the connection open.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, mut peer| {
            peer.request();
            peer.send(&bytes);
            peer.wait_for_close();
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// The server's end of one connection.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    /// Reads one whole request, or `None` at the end of the connection.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut piece = [0; 65_536];
        loop {
            if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
                let length = text.split("content-length: ").nth(1)?.lines().next()?;
                if bytes.len() >= head + 4 + length.parse::<usize>().ok()? {
                    return Some(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
            match self.0.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(read) => bytes.extend_from_slice(&piece[..read]),
            }
        }
    }

    /// Writes `bytes`; whether the client still takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Begins a streamed response.
    pub(crate) fn begin(&mut self) {
        self.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        );
    }

    /// Sends one event in a chunk of its own.
    pub(crate) fn event(&mut self, data: &str) -> bool {
        self.chunk(format!("data: {data}\n\n").as_bytes())
    }

    /// Sends one chunk of the body.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> bool {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    /// Ends a streamed response.
    pub(crate) fn end(&mut self) {
        self.send(b"0\r\n\r\n");
    }

    /// A complete streamed answer of `tokens` tokens.
    pub(crate) fn answer(&mut self, tokens: usize) {
        self.begin();
        self.event(ROLE);
        for _ in 0..tokens {
            self.event(TOKEN);
        }
        self.event(FINISH);
        self.event(DONE);
        self.end();
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Keeps the connection until the client closes it. Whether it did within ten seconds.
    pub(crate) fn wait_for_close(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut piece = [0; 4096];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// A response with `status`, `kind` and `body`.
pub(crate) fn plain(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
