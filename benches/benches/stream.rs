//! The cost of one stream of 1,000 tokens through the whole client, against a server that has the
//! bytes ready: beside a null client that only reads and counts (the floor), and a control that must
//! lose, which parses every event into a `serde_json::Value`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_client::{Api, Client, ClientConfig, Due, Request};
use plimsoll_units::{Clock as _, RunClock};

const TOKENS: usize = 1_000;

/// A response as vLLM writes it: one event a token, each in a chunk of its own.
fn response() -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    let mut chunk =
        |text: &str| out.extend_from_slice(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    for token in 0..TOKENS {
        let finish = if token + 1 == TOKENS { "\"length\"" } else { "null" };
        chunk(&format!(
            "data: {{\"id\":\"chatcmpl-93a76c756ecbee6d\",\"object\":\"chat.completion.chunk\",\"created\":1795294345,\
             \"model\":\"tiny\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word\"}},\"logprobs\":null,\
             \"finish_reason\":{finish}}}]}}\n\n"
        ));
    }
    chunk("data: [DONE]\n\n");
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// A server that answers every request on a connection with the same bytes.
fn null_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback address has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        let answer = response();
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || serve(stream, &answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &[u8]) {
    let mut request = [0; 4096];
    // A request of the bench fits one read; its body ends with a brace.
    while let Ok(read) = stream.read(&mut request) {
        if read == 0 {
            return;
        }
        if request[..read].ends_with(b"}") && stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// Sends the request and reads to the end of the stream; gives every event to `event`.
fn null_client(stream: &mut TcpStream, mut event: impl FnMut(&[u8])) {
    // Head and body in one write: two would wait for each other (Nagle, delayed ACK).
    let request = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut seen = Vec::with_capacity(1 << 20);
    let mut buffer = [0; 16 * 1024];
    while !seen.ends_with(b"0\r\n\r\n") {
        let read = stream.read(&mut buffer).expect("the server writes");
        seen.extend_from_slice(&buffer[..read]);
    }
    for line in seen.split(|byte| *byte == b'\n') {
        if let Some(data) = line.strip_prefix(b"data: ") {
            event(data);
        }
    }
}

fn stream(c: &mut Criterion) {
    let address = null_server();
    let mut group = c.benchmark_group("stream of 1,000 tokens");
    group.throughput(Throughput::Elements(TOKENS as u64));

    let mut floor = TcpStream::connect(address).expect("the server listens");
    group.bench_function("null client (floor)", |b| {
        b.iter(|| {
            let mut events = 0;
            null_client(&mut floor, |_| events += 1);
            assert_eq!(events, TOKENS + 1);
        });
    });

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let endpoint = format!("http://{address}").parse().expect("an address makes a URL");
    let clock = RunClock::start();
    let client = Client::new(ClientConfig::new(endpoint, Api::Chat, clock))
        .expect("a plain client needs nothing");
    group.bench_function("plimsoll client", |b| {
        b.iter(|| {
            let request = Request::new(bytes::Bytes::from_static(b"{}"));
            let row = runtime.block_on(client.send(Due::now(0, clock.now()), request));
            assert_eq!(row.chunks.len(), TOKENS);
        });
    });

    let mut slow = TcpStream::connect(address).expect("the server listens");
    group.bench_function("control: every event into a Value (must lose)", |b| {
        b.iter(|| {
            let mut tokens = 0;
            null_client(&mut slow, |data| {
                if let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) {
                    tokens += value["choices"].as_array().map_or(0, Vec::len);
                }
            });
            assert_eq!(tokens, TOKENS);
        });
    });
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
