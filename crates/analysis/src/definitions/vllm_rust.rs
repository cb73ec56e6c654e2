//! The Rust client of `vllm bench serve` 0.32 (`VLLM_USE_RUST_BENCH=1`): the Python client's formulas.
//!
//! - Clock zero: right before sending, *after* its retries: it tries a connection error again up to three
//!   times and resets the clock, so refused and reset connections vanish from its errors and latencies.
//!   Our rows have no retries; such requests count as failed here.
//! - Throughput: from spawning the requests to the last one's end.
//! - Everything else as [`super::vllm`].
//!
//! Source: `benchmark.rs`, `backends/openai_chat.rs` and `output/json.rs` of the client.

use super::{Definition, PeerTool, vllm};

pub(super) const DEFINITION: Definition = Definition {
    tool: PeerTool::VllmRust,
    rules: vllm::RULES,
    caveat: "it would have tried refused and reset connections again, with a new clock, and not have \
             counted them as failed",
    name: vllm::name,
};
