//! What a request says: prompts of an exact token length, output lengths, pre-encoded bodies.
//!
//! In order of use: a [`WorkloadConfig`] is what a person writes, the `[workload]` table of a
//! matrix. [`Workload::new`] checks it and reads its files. A [`Calibrator`] finds out what words
//! cost at the server, by the server's own counts; the [`Calibration`] goes into the manifest.
//! [`Workload::encoder`] joins both with a [`BodyTemplate`] into an [`Encoder`], which gives the
//! [`EncodedRequest`] of any arrival index. A [`Feeder`] encodes a shard's bodies ahead of time, so
//! that nothing is formatted on the measured path.
//!
//! Prompts are synthetic, or lines of a JSONL file. Synthetic ones have the length asked for by the
//! server's own `usage.prompt_tokens`, chat template included, and no two begin alike, so that a
//! prefix cache finds nothing unless `shared-prefix` gives it something. Lengths are constant,
//! uniform, lognormal or a trace's columns; input and output from one trace stay together. A whole
//! trace ([`ReplayConfig`]) brings lengths, instants ([`Replay`]) and, where it knows them, the blocks
//! that its prompts share. Requests may be turns of conversations ([`SessionsConfig`]): each carries what
//! was said before it, by the file, by the server's own answers, or by synthetic ones.
//!
//! Units: lengths are tokens, as the server counts them. Nothing here reads a clock.
//!
//! Every request is a pure function of (config, files, seed, index). One thread, eight threads or
//! fifty machines send the same bytes for the same index.
//!
//! What this crate refuses to do: talk to a server (it says what to count and is told the count),
//! decide when a request starts, keep a tokenizer (the feature `tokenizer` reads one that is there, for
//! prompts of an exact length without any server), or change a length silently: what is cut or
//! raised is a [`Remark`], or shows as planned tokens that differ from the drawn ones.
//!
//! ```
//! use std::path::Path;
//! use plimsoll_workload::{BodyTemplate, LengthConfig, Workload, WorkloadConfig};
//!
//! let config = WorkloadConfig {
//!     input_tokens: Some(LengthConfig::Constant(40)),
//!     output_tokens: Some(LengthConfig::Constant(16)),
//!     ..WorkloadConfig::default()
//! };
//! let workload = Workload::new(&config, Path::new("."), 1)?;
//!
//! // A server whose tokenizer counts words, and whose template adds five tokens.
//! let count = |text: &str| text.split(' ').count() as u32 + 5;
//! let calibrator = workload.calibrator().expect("the prompts are synthetic");
//! let calibration = calibrator.run(count)?;
//! assert!(calibration.report().exact);
//!
//! let encoder = workload.encoder(Some(&calibration), &BodyTemplate::default())?;
//! let body: serde_json::Value = serde_json::from_slice(&encoder.encode(0).body)?;
//! let prompt = body["messages"][0]["content"].as_str().expect("a text");
//! assert_eq!(count(prompt), 40);
//! assert_eq!(body["max_tokens"], 16);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod calibrate;
mod chance;
mod compose;
mod config;
mod cycle;
mod encode;
mod error;
mod feeder;
mod length;
mod prompts;
mod remark;
mod replay;
mod sessions;
#[cfg(feature = "tokenizer")]
mod tokenizer;
mod trace;
mod words;
mod workload;

pub use body::{Api, BodyTemplate, MaxTokensField};
pub use calibrate::{
    Calibration, CalibrationReport, Calibrator, CalibratorOptions, Probe, Verified,
};
pub use config::{
    AtEnd, History, LengthConfig, LognormalConfig, MAX_LENGTH_TOKENS, MOST_TURNS, ReplayConfig,
    ReplayFormat, SessionsConfig, TimeUnit, TraceConfig, TraceOrder, UniformConfig, WorkloadConfig,
};
pub use encode::{EncodedRequest, Encoder};
pub use error::{
    CalibrationError, EncodeError, LengthProblem, PromptProblem, ReplayLineProblem, ReplayProblem,
    SessionsProblem, WorkloadError,
};
pub use feeder::Feeder;
pub use remark::Remark;
pub use replay::{ImpliedHits, Replay};
#[cfg(feature = "tokenizer")]
pub use tokenizer::{TokenizerError, TokenizerFile};
pub use workload::Workload;
