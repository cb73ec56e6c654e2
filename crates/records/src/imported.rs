//! What a point that another tool measured has instead of rows, or beside them: that tool's own summary,
//! and what the server's log says of the same minutes.

use std::collections::BTreeMap;

use plimsoll_units::RunNanos;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A point that was read from another tool's result file.
///
/// The tool's figures stand here under the tool's own names and by its own definitions; nothing of them
/// is one of Plimsoll's figures. What the file does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportedRecord {
    /// The format of the file: `vllm-bench-0.9`, `vllm-bench`, `vllm-bench-rust`, `sglang`, `guidellm`,
    /// `aiperf`.
    pub format: String,
    /// The file, below the path that was given.
    pub source: String,
    /// Every number and text of the file's summary, by the tool's own names.
    pub summary: BTreeMap<String, Value>,
    /// Requests that the tool meant to send.
    pub requests: Option<u64>,
    /// Of those: ended well.
    pub completed: Option<u64>,
    /// Of those: failed.
    pub failed: Option<u64>,
    /// From the first send to the last response, setup and drain included, as the tool has it, s.
    pub duration_s: Option<f64>,
    /// Requests per second as the tool has it.
    pub throughput_per_s: Option<f64>,
    /// Prompt tokens of all requests, as the client counted.
    pub input_tokens: Option<u64>,
    /// Output tokens of all requests.
    pub output_tokens: Option<u64>,
    /// The tool's mean time to first token, from its own zero, ms.
    pub ttft_mean_ms: Option<f64>,
    /// The tool's mean time per output token after the first, ms.
    pub tpot_mean_ms: Option<f64>,
    /// The tool's mean time of a whole request, ms; where it says none, that of its TTFT and TPOT:
    /// ttft + tpot (mean output tokens - 1).
    pub e2e_mean_ms: Option<f64>,
    /// The longest answer that the experiment states it asked for, tokens.
    pub max_tokens_stated: Option<u64>,
    /// What the server's log says of the point; `None` without a log.
    pub log: Option<LogRecord>,
}

/// What a server's log says of an imported point. Stamps are whole seconds of the log's clock, moved onto
/// the run's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRecord {
    /// The log's clock less the result file's, s: they are often in different time zones.
    pub clock_offset_s: i64,
    /// Requests that the server logged as received while the tool measured.
    pub received: u64,
    /// When the first of them came: the start of its second. `None` where the log names none.
    pub first_arrival_ns: Option<RunNanos>,
    /// Requests received in each second from that one on.
    pub arrivals_per_s: Vec<u32>,
    /// The longest answers that the requests asked for, with their counts.
    pub max_tokens: Vec<MaxTokens>,
    /// Distinct prompts among them; `None` where the log shows none.
    pub prompts_distinct: Option<u64>,
    /// Of the first 512 requests a number each, equal for equal prompts of one import; empty where the log
    /// shows no prompts.
    pub prompt_order: Vec<u32>,
    /// Prompts in which a turn is opened inside an opened turn: the chat template was applied twice.
    pub prompts_doubled: u64,
    /// The mark that opens a turn in those.
    pub doubled_mark: Option<String>,
    /// The periodic lines of the engines, those of one moment together.
    pub engine: Vec<EngineSample>,
}

/// How many requests asked for answers of at most so many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxTokens {
    /// The longest answer asked for.
    pub max_tokens: u64,
    /// Requests that asked for it.
    pub requests: u64,
}

/// What all engines of a server said of themselves at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineSample {
    /// When.
    pub at_ns: RunNanos,
    /// The time that the throughputs are means over, s.
    pub span_s: f64,
    /// Prompt tokens taken in, cached ones included, tokens per second.
    pub prompt_tokens_per_s: f64,
    /// Tokens generated, tokens per second.
    pub generation_tokens_per_s: f64,
    /// Requests running at that moment.
    pub running: u64,
    /// Requests waiting at that moment.
    pub waiting: u64,
    /// Largest share of a KV cache in use at that moment, 0 to 1.
    pub kv_cache_usage: f64,
    /// Share of the prompt tokens found in the prefix cache, over the server's last 1000 requests, 0 to 1;
    /// `None` in versions that do not say.
    pub prefix_hit_share: Option<f64>,
}

/// What an imported experiment says of its results as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Claim {
    /// A speed-up by more GPUs, with the serial share fitted to it.
    Amdahl {
        /// The file that says so.
        source: String,
        /// GPUs, against one.
        gpus: u32,
        /// The speed-up.
        speedup: f64,
        /// The serial share, 0 to 1.
        serial_share: f64,
    },
}

impl LogRecord {
    /// The longest stretch over which requests waited at every periodic line: from the first such line to
    /// the last. `None` with fewer than three lines, for two make one span, and that is no plateau yet.
    #[must_use]
    pub fn saturated(&self) -> Option<(RunNanos, RunNanos)> {
        let samples = self.saturated_samples();
        // The first line that saw requests wait only begins the stretch.
        Some((samples.first()?.at_ns, samples.last()?.at_ns)).filter(|_| samples.len() > 2)
    }

    /// The periodic lines of that stretch. The throughputs of the first are of the time before it.
    #[must_use]
    pub fn saturated_samples(&self) -> &[EngineSample] {
        let stretches = self.engine.split_inclusive(|sample| sample.waiting == 0);
        let waiting =
            |stretch: &'_ [EngineSample]| stretch.iter().filter(|it| it.waiting > 0).count();
        let longest = stretches.max_by_key(|stretch| waiting(stretch)).unwrap_or_default();
        &longest[..waiting(longest)]
    }
}
