//! The running server held to its computed capacity.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_sim::{
    LengthMix, Lengths, ModelProfile, Settings, SimConfig, SimServer, capacity, overload_run,
};
use plimsoll_units::{Clock, RunClock};

use crate::raw::{connect, encode_json};

const OUTPUT: u32 = 24;
const INPUT: u32 = 32;

/// Asks again and again on one connection and counts tokens as they come.
fn client(address: SocketAddr, number: u64, tokens: &AtomicU64, stop: &AtomicBool) {
    let socket = connect(address);
    let mut writer = socket.try_clone().unwrap();
    let mut lines = BufReader::new(socket).lines();
    for round in 0_u64.. {
        let words = format!("{number}-{round} ") + &"w ".repeat(INPUT as usize - 1);
        let body = format!(
            r#"{{"prompt":"{words}","max_tokens":{OUTPUT},"ignore_eos":true,"stream":true}}"#
        );
        writer.write_all(&encode_json("/v1/completions", &body)).unwrap();
        // Chunks end at the end of an event, so that chunk sizes are lines of their own.
        for line in lines.by_ref() {
            let line = line.unwrap();
            if line.contains("\"text\":") {
                tokens.fetch_add(1, Ordering::Relaxed);
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if line == "data: [DONE]" {
                break;
            }
        }
    }
}

/// Three times as many clients as there are slots keep a queue; tokens are counted in windows of
/// a third of a second, and the median window is not moved by a machine that now and then stops
/// for a moment.
#[test]
fn under_overload_the_server_gives_its_capacity() {
    // 10 ms steps: so few tokens that even a busy machine keeps up.
    let model = ModelProfile { step_base: "10ms".parse().unwrap(), ..ModelProfile::tiny() };
    let settings = Settings { max_num_seqs: 4, data_parallel_size: 2, ..Settings::default() };
    let mix = LengthMix { input: Lengths::Constant(INPUT), output: Lengths::Constant(OUTPUT) };
    let form = capacity(&model, &settings, &mix).unwrap().output_tokens_per_s.per_second();
    let run = overload_run(&model, &settings, &mix, 1, 1_000).unwrap();
    assert!((run.output_tokens_per_s.per_second() / form - 1.0).abs() < 0.01);

    let server = SimServer::start(SimConfig { model, settings, ..Default::default() }).unwrap();
    let (tokens, stop, clock) = (AtomicU64::new(0), AtomicBool::new(false), RunClock::start());
    let mut rates: Vec<f64> = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..24 {
            let (tokens, stop, address) = (&tokens, &stop, server.addr());
            scope.spawn(move || client(address, number, tokens, stop));
        }
        std::thread::sleep(Duration::from_millis(500));
        let mut last = (clock.now(), tokens.load(Ordering::Relaxed));
        for _ in 0..11 {
            std::thread::sleep(Duration::from_millis(333));
            let here = (clock.now(), tokens.load(Ordering::Relaxed));
            rates.push((here.1 - last.1) as f64 / (here.0 - last.0).as_secs_f64());
            last = here;
        }
        stop.store(true, Ordering::Relaxed);
    });
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    println!("computed {form:.1} tokens/s, median {median:.1}, worst lag {:?}", server.worst_lag());
    assert!((median / form - 1.0).abs() < 0.04, "computed {form}, measured {rates:?}");
}
