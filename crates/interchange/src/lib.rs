//! Other tools' results.
mod aiperf;
mod date;
mod error;
mod fields;
mod format;
mod guidellm;
mod measured;
mod rows;
mod sglang;
mod vllm;

pub use error::InterchangeError;
