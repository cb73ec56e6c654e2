//! The row of one request, with the row of each of its chunks.

use std::time::Duration;

use plimsoll_units::RunNanos;
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// Everything that is known of one request. Plain data: the measuring side fills it, the judging
/// side reads it, and neither computes in it.
///
/// Stamps are ns since the run's clock origin; `None` means that the moment never came. In order:
/// `intended <= dequeued <= connected <= sent <= first_byte <= role_chunk <= first token
/// <= last_token <= done`, as far as each is present.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRow {
    /// Index of the arrival in the point's one schedule, from 0, over all shards.
    pub id: u64,
    /// The conversation it belongs to, for workloads with sessions.
    pub session: Option<u64>,
    /// Its place in the conversation, from 0.
    pub turn: Option<u32>,
    /// The worker thread that sent it, from 0.
    pub worker: u32,
    /// When the schedule said it should start. In a closed loop: when its slot fell free.
    pub intended: RunNanos,
    /// When the driver got to it.
    pub dequeued: RunNanos,
    /// When its connection was ready for use.
    pub connected: Option<RunNanos>,
    /// Whether that connection was new or kept; `None` when there was none.
    pub connection: Option<ConnectionUse>,
    /// When the last byte of the request was handed to the kernel: the clock right before the write that
    /// took it, or with packet stamps when the segment that carried it left.
    pub sent: Option<RunNanos>,
    /// First byte of the response, of any kind.
    pub first_byte: Option<RunNanos>,
    /// The chunk that only names the role.
    pub role_chunk: Option<RunNanos>,
    /// First token that is reasoning.
    pub first_reasoning: Option<RunNanos>,
    /// First token that is answer.
    pub first_answer: Option<RunNanos>,
    /// Last token of any kind.
    pub last_token: Option<RunNanos>,
    /// The chunk with the usage.
    pub usage: Option<RunNanos>,
    /// When the request was over, however it ended.
    pub done: RunNanos,
    /// Whether it died on a stale kept connection before a byte of answer and was sent once more.
    /// All stamps up to `sent` are those of the first sending.
    pub resent: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the response, if one came.
    pub http_status: Option<u16>,
    /// What went wrong, in words; the server's words where it sent some. At most 1,000 characters.
    pub error: Option<String>,
    /// The finish reason that the server gave (`length`, `stop`, ...).
    pub finish_reason: Option<String>,
    /// Prompt tokens that the workload planned; `None` for a prompt whose length nobody planned, one
    /// from a file.
    pub prompt_tokens_planned: Option<u32>,
    /// Prompt tokens by the server's usage.
    pub prompt_tokens: Option<u32>,
    /// Output tokens that the workload asked for.
    pub output_tokens_planned: u32,
    /// Output tokens by the server's usage.
    pub output_tokens: Option<u32>,
    /// Prompt tokens that the server took from its prefix cache, by its usage.
    pub cached_tokens: Option<u32>,
    /// Where the stamps of the response come from: the poorest source among them. (`sent` comes from
    /// the same source with packet stamps only.)
    pub stamp_source: StampSource,
    /// The chunks that carried tokens, in order of arrival.
    pub chunks: Vec<ChunkRow>,
}

impl Default for RequestRow {
    /// A request of which nothing is known yet: every stamp at the origin or absent, and `aborted`,
    /// which it is if nothing more becomes of it.
    fn default() -> Self {
        Self {
            id: 0,
            session: None,
            turn: None,
            worker: 0,
            intended: RunNanos::ZERO,
            dequeued: RunNanos::ZERO,
            connected: None,
            connection: None,
            sent: None,
            first_byte: None,
            role_chunk: None,
            first_reasoning: None,
            first_answer: None,
            last_token: None,
            usage: None,
            done: RunNanos::ZERO,
            resent: false,
            outcome: Outcome::Aborted,
            http_status: None,
            error: None,
            finish_reason: None,
            prompt_tokens_planned: None,
            prompt_tokens: None,
            output_tokens_planned: 0,
            output_tokens: None,
            cached_tokens: None,
            stamp_source: StampSource::default(),
            chunks: Vec::new(),
        }
    }
}

impl RequestRow {
    /// The first generated token of any kind: reasoning or answer, whichever came first.
    #[must_use]
    pub fn first_token(&self) -> Option<RunNanos> {
        match (self.first_reasoning, self.first_answer) {
            (Some(reasoning), Some(answer)) => Some(reasoning.min(answer)),
            (one, other) => one.or(other),
        }
    }

    /// `sent - intended`: how late the client was. `None` when the request was never sent.
    #[must_use]
    pub fn schedule_lag(&self) -> Option<Duration> {
        self.sent.map(|sent| sent - self.intended)
    }

    /// Output tokens: by usage where the server gave it, else by the chunks' own counts.
    #[must_use]
    pub fn output_count(&self) -> u64 {
        self.output_tokens.map_or_else(|| self.chunk_token_count(), u64::from)
    }

    /// The sum of the chunks' token counts.
    #[must_use]
    pub fn chunk_token_count(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.tokens)).sum()
    }
}

/// One chunk of a response that carried tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// When its last byte arrived: it, and all bytes before it.
    pub at: RunNanos,
    /// How many tokens it carried. At least 1.
    pub tokens: u32,
    /// Whether `tokens` is the server's own count (`continuous_usage_stats`) or the assumption
    /// that a chunk is a token.
    pub counted: bool,
    /// Whether the tokens are reasoning.
    pub reasoning: bool,
    /// Whether another chunk of the response has the same stamp. They were sent together, or (with
    /// user and socket stamps) came one after the other and waited to be read: then the last of them
    /// arrived at `at` and the others some time before.
    pub shared: bool,
}

/// Whether a request travelled on a new connection or a kept one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionUse {
    /// Opened for this request, after it was due.
    New,
    /// Opened ahead of any request, and this is its first.
    Prewarmed,
    /// Kept from an earlier one.
    Reused,
}

/// Where the stamps of a response come from, the poorest first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StampSource {
    /// The run clock, read right after the read that brought the bytes.
    #[default]
    User,
    /// The kernel's receive time of the bytes of a read (socket time stamps).
    Socket,
    /// The arrival time of each segment (packet capture).
    Packet,
}
