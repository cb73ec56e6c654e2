//! A vLLM-like server of known behaviour and known capacity, to hold measuring tools to the truth.
//!
//! In order of use: a [`ModelProfile`] says how long a step of the engine takes; [`Settings`] are
//! vLLM's own flags; [`SimServer::start`] serves them over HTTP in real time; [`capacity()`] and
//! [`overload_run`] tell what load the configuration sustains. [`Engine`] is the scheduler itself,
//! a synchronous state machine in virtual time, and [`replay()`] drives it and the router without a
//! clock. [`Fault`]s plant what real servers do to their clients. `docs/sim.md` has the rules.
//!
//! Units: stamps are nanoseconds on the server's own [`plimsoll_units::RunClock`]; lengths are
//! tokens, and a token is a word with the white space before it, so that lengths can be counted
//! by eye.
//!
//! What this crate refuses to do: share code with the client that measures it (a bug must not hide
//! on both sides), compute a model, or model what it says it leaves out: tensor and pipeline
//! parallelism, several answers a request, log probabilities, stop strings, tools.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use plimsoll_sim::{LengthMix, Lengths, ModelProfile, Settings, SimConfig, SimServer, capacity};
//!
//! let model = ModelProfile::tiny();
//! let settings = Settings { max_num_seqs: 8, ..Settings::default() };
//!
//! // A step of 8 requests takes 2 ms + 8 * 20 us, and a request of 1 + 20 tokens lasts 20 steps.
//! let mix = LengthMix { input: Lengths::Constant(1), output: Lengths::Constant(20) };
//! let known = capacity(&model, &settings, &mix)?.requests_per_s.per_second();
//! assert!((known - 8.0 / 20.0 / 0.002_161_6).abs() < 0.1);
//!
//! let server = SimServer::start(SimConfig { model, settings, ..SimConfig::default() })?;
//! let body = r#"{"model":"tiny","prompt":"Say hello","max_tokens":3}"#;
//! let mut socket = TcpStream::connect(server.addr())?;
//! write!(socket, "POST /v1/completions HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n")?;
//! write!(socket, "content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len())?;
//! socket.write_all(body.as_bytes())?;
//! let mut answer = String::new();
//! socket.read_to_string(&mut answer)?;
//! assert!(answer.contains(r#""completion_tokens":3"#), "{answer}");
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod capacity;
mod engine;
mod explain;
mod faults;
mod http;
mod lengths;
mod metrics;
mod profile;
mod replay;
mod replica;
mod router;
mod server;
mod settings;
mod truth;
mod words;

pub use capacity::{Binding, Capacity, capacity, overload_run};
pub use engine::{Admission, Completion, Engine, Request, RequestError, RequestId, Step, TokenOut};
pub use explain::explain;
pub use faults::{Cut, Fault, FaultKind};
pub use lengths::{LengthMix, Lengths, LengthsError};
pub use profile::ModelProfile;
pub use replay::{Arrival, ReplayError, replay};
pub use server::{SimConfig, SimServer, StartError};
pub use settings::{Limits, Settings, SettingsError};
