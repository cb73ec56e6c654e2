//! The running server over real sockets, judged by a client that shares no code with any other.
//!
//! - `raw`: that client, blocking reads and writes of plain bytes.
//! - `protocol`: routes, shapes, errors, usage, caching, aborts.
//! - `faults`: every planted fault as a client meets it.
//! - `truth`: the server's own record of its requests.
//! - `throughput`: the running server held to its computed capacity.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips, its helpers too"
)]

#[path = "server/faults.rs"]
mod faults;
#[path = "server/protocol.rs"]
mod protocol;
#[path = "server/raw.rs"]
mod raw;
#[path = "server/throughput.rs"]
mod throughput;
#[path = "server/truth.rs"]
mod truth;
