//! A warm client allocates for a request, and nothing for a token.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its server fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_client::{Api, Client, ClientConfig, Due, Request};
use plimsoll_records::Outcome;
use plimsoll_units::{Clock as _, RunClock};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks it for.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`, which is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count() {
    // A thread that is ending has no counter any more, and nothing to be counted.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How the server hands out its events.
#[derive(Clone, Copy)]
struct Manner {
    /// Events in one write.
    together: usize,
    /// Wait after each write.
    gap: Duration,
    /// Whether each chunk reports the running total of tokens.
    usage: bool,
}

/// Answers each request with as many tokens as its body says, on one connection.
fn serve(listener: &TcpListener, manner: Manner) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut request) {
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        let tokens: usize = text.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let events: Vec<String> = (1..=tokens)
            .map(|token| {
                let finish = if token == tokens { "\"length\"" } else { "null" };
                let usage = if manner.usage {
                    format!(",\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{token}}}")
                } else {
                    String::new()
                };
                let event = format!(
                    "data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" w\\u00e9\"}},\
                     \"finish_reason\":{finish}}}]{usage}}}\n\n"
                );
                format!("{:x}\r\n{event}\r\n", event.len())
            })
            .collect();
        for piece in events.chunks(manner.together) {
            stream.write_all(piece.concat().as_bytes()).unwrap();
            thread::sleep(manner.gap);
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    }
}

/// What one request of `tokens` tokens allocates on the client's thread.
async fn request(client: &Client, clock: RunClock, tokens: u32) -> u64 {
    let body = Bytes::from(format!("{{\"stream\":true,\"max_tokens\":{tokens}}}"));
    let asked = Request { output_tokens_planned: tokens, ..Request::new(body) };
    let before = ALLOCATIONS.get();
    let measured = client.measure(Due::now(0, clock.now()), asked).await;
    let allocated = ALLOCATIONS.get() - before;
    let row = measured.settle();
    assert_eq!((row.outcome, row.chunks.len()), (Outcome::Ok, tokens as usize));
    allocated
}

/// Allocations of a short and of a long response by a client that has had a few already.
fn short_and_long(manner: Manner) -> (u64, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || serve(&listener, manner));
    let clock = RunClock::start();
    let config = ClientConfig::new(url.parse().unwrap(), Api::Chat, clock);
    let client = Client::new(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            request(&client, clock, 1000).await;
        }
        (request(&client, clock, 100).await, request(&client, clock, 1000).await)
    })
}

#[test]
fn a_token_costs_no_allocation() {
    let alone = Manner { together: 1, gap: Duration::from_micros(50), usage: false };
    let counted = Manner { usage: true, ..alone };
    let bursts = Manner { together: 10, gap: Duration::from_millis(1), ..alone };
    for manner in [alone, counted, bursts] {
        let (short, long) = short_and_long(manner);
        assert!(short > 0 && short < 60, "a request costs {short} allocations");
        assert!(long < short + 10, "900 tokens more cost {long} allocations instead of {short}");
    }
}
