//! What other tools would have printed for the same requests.

#[expect(dead_code, reason = "vllm needs only some of them")]
mod statistic;
mod tool;
mod vllm_run;

pub use tool::{PeerTool, UnknownTool};
pub use vllm_run::{VllmRequest, VllmRun};
