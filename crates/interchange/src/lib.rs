//! Other tools' results, read into a results folder and written out of one.
//!
//! In order of use: [`import()`] takes files and folders, and [`ImportOptions`] with a [`Mapping`] of what
//! is stated of them elsewhere; [`Imported`] is the results folder that it made. Its points have what the
//! file tells: the rows of the requests where it has their times, else the tool's own summary, under its own
//! names. What lies beside a result is read, too: the server's log (settings in effect, arrivals, limits and
//! prompts as the server saw them, the engine's periodic lines) and `nvidia-smi dmon`.
//!
//! [`export_vllm_bench`] writes a point as `vllm bench serve` 0.32 would have, by `analysis`'s formulas.
//!
//! Formats read: `vllm bench serve` (0.9, the current Python one, the Rust client), sglang's `bench_serving`,
//! guidellm's report, aiperf's records and summary. They are told by their keys, never by their names.
//!
//! Units and clocks: a file's dates say no zone and count as UTC; a log in another zone is moved by whole
//! quarters of an hour until it speaks of the same minutes. Stamps are ns since two minutes before the first
//! point. What is not known is `None`.
//!
//! What this crate refuses to do: judge (`analysis` does), guess a value that a file does not have, take a
//! file whose values its tool would not write, copy prompts or answers.
//!
//! ```
//! use plimsoll_interchange::{ImportOptions, Mapping, import};
//! use plimsoll_records::Tool;
//!
//! let root = tempfile::tempdir()?;
//! let file = root.path().join("any-name");
//! std::fs::write(&file, r#"{"date": "20250102-030405", "model_id": "tiny", "num_prompts": 10,
//!     "request_rate": 5.0, "duration": 2.5, "completed": 9, "total_input_tokens": 90,
//!     "total_output_tokens": 45, "request_throughput": 3.6, "mean_ttft_ms": 50.0}"#)?;
//! let tool = Tool { name: "doc".to_owned(), version: "0".to_owned(), commit: None };
//! let options = ImportOptions {
//!     results: root.path().join("results"),
//!     name: "theirs".to_owned(),
//!     tool,
//!     mapping: Mapping::default(),
//! };
//! let imported = import(&[file], &options)?;
//! assert_eq!((imported.manifest.points.len(), imported.with_rows), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aiperf;
mod beside;
mod claims;
mod date;
mod error;
mod export;
mod fields;
mod find;
mod format;
mod guidellm;
mod import;
mod measured;
mod point;
mod rows;
mod sglang;
mod stated;
mod vllm;

pub use error::InterchangeError;
pub use export::{VllmBench, export_vllm_bench};
pub use import::{ImportOptions, Imported, import};
pub use stated::Mapping;
