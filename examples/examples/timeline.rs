//! Sends one streamed request and shows when each part of the answer arrived.
//!
//! `cargo run -p plimsoll-examples --example timeline [-- URL MODEL]`; without arguments it asks a
//! simulated server of its own.
//!
//! Prints one line for each mark and chunk, in ms since the request was due, the outcome, and how long
//! bytes had waited to be read: what stamps of the clock would have been wrong by.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::env;
use std::error::Error;

use bytes::Bytes;
use plimsoll_client::{Api, Client, ClientConfig, Due, Request};
use plimsoll_records::StampSource;
use plimsoll_sim::{SimConfig, SimServer};
use plimsoll_units::{Clock, RunClock, RunNanos};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let sim;
    let (url, model) = if let Some(url) = arguments.next() {
        (url, arguments.next().ok_or("give the model after the URL")?)
    } else {
        sim = SimServer::start(SimConfig::default())?;
        (sim.url(), SimConfig::default().model.name)
    };
    let clock = RunClock::start();
    let mut config = ClientConfig::new(url.parse()?, Api::Chat, clock);
    config.stamps = StampSource::Socket; // the kernel's time of each read: the default
    let client = Client::new(config)?;
    let body = json!({
        "model": model, "max_tokens": 16, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Name the seas of the north."}],
    });
    let due = Due::now(0, clock.now());
    let row = client.send(due, Request::new(Bytes::from(body.to_string()))).await;

    let ms = |stamp: RunNanos| format!("{:9.3} ms", (stamp - row.intended).as_secs_f64() * 1e3);
    let marks =
        [("sent", row.sent), ("first byte", row.first_byte), ("role chunk", row.role_chunk)];
    for (name, stamp) in marks {
        println!("{}  {name}", stamp.map_or_else(|| "        never".to_owned(), ms));
    }
    for (number, chunk) in row.chunks.iter().enumerate() {
        println!("{}  chunk {number}: {} token(s)", ms(chunk.at), chunk.tokens);
    }
    let (tokens, why) = (row.output_count(), row.error.as_deref().unwrap_or("no error"));
    println!("{}  {}: {tokens} output tokens, {why}", ms(row.done), row.outcome);
    let delay = client.report().read_delay;
    println!(
        "{:?} stamps; {} reads, late by up to {:?}",
        row.stamp_source,
        delay.count(),
        delay.max()
    );
    Ok(())
}
