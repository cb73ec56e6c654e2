//! Stamps by packet: a capture tells when each chunk arrived, though its reader slept through them all.
//!
//! Needs Linux and the capability CAP_NET_RAW (root has it); elsewhere the error says so.
//!
//! Prints the gaps between the chunks by the sockets' stamps and by the packets', in ms.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_client::{Api, Capture, CaptureConfig, Client, ClientConfig, Due, Request};
use plimsoll_records::RequestRow;
use plimsoll_sim::{ModelProfile, SimConfig, SimServer};
use plimsoll_units::{Clock, RunClock};

const BODY: &str = r#"{"model":"tiny","prompt":"Go","max_tokens":12,"stream":true}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sim = SimServer::start(SimConfig { model: ModelProfile::tiny(), ..Default::default() })?;
    let clock = RunClock::start();
    let (rows, settled) = channel();
    let sink = move |row| rows.send(row).unwrap_or_default();
    let capture = Capture::start(CaptureConfig::new(vec![sim.addr()], clock), sink)?;
    let client = Client::new(ClientConfig::new(sim.url().parse()?, Api::Completions, clock))?;
    let request = || Request::new(Bytes::from_static(BODY.as_bytes()));
    for _ in 0..2 {
        let asleep = async { std::thread::sleep(Duration::from_millis(15)) };
        let due = Due::now(0, clock.now());
        let (measured, ()) = tokio::join!(client.measure(due, request()), asleep);
        let _ = capture.handle().settle(measured); // comes back only from a capture that has ended
    }
    let by_socket = client.send(Due::now(2, clock.now()), request()).await;
    let report = capture.finish();
    let gaps = |row: &RequestRow| -> Vec<String> {
        let pairs = row.chunks.windows(2);
        pairs.map(|two| format!("{:.1}", (two[1].at - two[0].at).as_secs_f64() * 1e3)).collect()
    };
    println!("socket, awake: {}", gaps(&by_socket).join(" "));
    for row in settled {
        println!("packet, asleep: {}", gaps(&row).join(" "));
    }
    println!("{} segments; chunks were read up to {:?} late", report.segments, report.delay.max());
    Ok(())
}
