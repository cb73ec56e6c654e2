//! Shows how to embed the simulated server: start it, ask it over a plain socket, and compare what
//! it does with what it is known to be able to do.

use std::io::{Read, Write};
use std::net::TcpStream;

use plimsoll_sim::{LengthMix, Lengths, ModelProfile, Settings, SimConfig, SimServer, capacity};

#[expect(clippy::print_stdout, reason = "an example shows its result")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = ModelProfile::qwen3_14b();
    let settings = Settings { max_num_seqs: 16, data_parallel_size: 2, ..Settings::default() };

    let mix = LengthMix {
        input: Lengths::Lognormal { mean: 512.0, cv: 0.6, max: 4096 },
        output: Lengths::Constant(128),
    };
    let known = capacity(&model, &settings, &mix)?;
    println!("capacity: {:.3} requests/s", known.requests_per_s.per_second());
    println!("bound by: {}", known.binding);

    let server = SimServer::start(SimConfig { model, settings, ..SimConfig::default() })?;
    let body = r#"{"model":"qwen3-14b","max_tokens":5,
        "messages":[{"role":"user","content":"Say hello to the world."}]}"#;
    let mut socket = TcpStream::connect(server.addr())?;
    write!(socket, "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n")?;
    write!(socket, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len())?;
    socket.write_all(body.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (_, json) = answer.split_once("\r\n\r\n").ok_or("the response has no body")?;
    let answer: serde_json::Value = serde_json::from_str(json)?;
    println!("answer: {}", answer["choices"][0]["message"]["content"]);
    println!("usage: {}", answer["usage"]);
    server.stop();
    Ok(())
}

// Prints the capacity, what binds it, five words of answer, and 13 prompt and 5 answer tokens.
