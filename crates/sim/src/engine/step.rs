//! What one engine step did.

use std::time::Duration;

use plimsoll_units::{RunNanos, Tokens};

use crate::engine::RequestId;
use crate::engine::sequence::Sequence;

/// One step: when it ran, what it computed, what it gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// When it began.
    pub start: RunNanos,
    /// When its tokens exist.
    pub end: RunNanos,
    /// Requests scheduled in it, `running` of the step-time law.
    pub sequences: u32,
    /// Those of them that computed their prompt, or what a preemption took from them.
    pub prefilling: u32,
    /// Prompt and recomputed tokens it computed, `prefill-tokens` of the step-time law.
    pub prefill_tokens: u32,
    /// Requests that lost their blocks.
    pub preempted: u32,
    /// Requests admitted for the first time.
    pub admitted: Vec<Admission>,
    /// One entry a token, in the order in which the requests were admitted.
    pub tokens: Vec<TokenOut>,
    /// Requests whose last token is among `tokens`.
    pub finished: Vec<Completion>,
}

/// A request's first way from the queue into the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Which request.
    pub id: RequestId,
    /// Arrival to the start of this step.
    pub queued: Duration,
    /// Tokens of its prompt.
    pub prompt_tokens: Tokens,
    /// How many of them were in the prefix cache.
    pub cached_tokens: Tokens,
}

/// One generated token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenOut {
    /// Which request.
    pub id: RequestId,
    /// 0 for the first token of the answer.
    pub index: u32,
    /// Whether the answer ends with it.
    pub last: bool,
    /// Since the token before it; since arrival for the first.
    pub gap: Duration,
}

/// The whole life of a finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which request.
    pub id: RequestId,
    /// When it was submitted.
    pub arrival: RunNanos,
    /// Start of the first step that computed some of it.
    pub scheduled: RunNanos,
    /// End of the step that gave its first token.
    pub first_token: RunNanos,
    /// End of the step that gave its last token.
    pub last_token: RunNanos,
    /// Tokens of its prompt.
    pub prompt_tokens: Tokens,
    /// Tokens of its answer.
    pub output_tokens: Tokens,
    /// Prompt tokens found in the prefix cache when it first ran.
    pub cached_tokens: Tokens,
    /// How often it lost its blocks.
    pub preemptions: u32,
}

impl Step {
    /// Makes this the empty step that begins at `start`, keeping the buffers.
    pub(super) fn clear(&mut self, start: RunNanos) {
        self.start = start;
        self.end = start;
        self.sequences = 0;
        self.prefilling = 0;
        self.prefill_tokens = 0;
        self.preempted = 0;
        self.admitted.clear();
        self.tokens.clear();
        self.finished.clear();
    }
}

impl Completion {
    /// The life of a sequence that has just given its last token.
    pub(super) fn of(sequence: &Sequence) -> Self {
        Self {
            id: sequence.id,
            arrival: sequence.arrival,
            scheduled: sequence.scheduled.unwrap_or(sequence.arrival),
            first_token: sequence.first_token.unwrap_or(sequence.newest),
            last_token: sequence.newest,
            prompt_tokens: Tokens::new(sequence.prompt_tokens),
            output_tokens: Tokens::new(sequence.generated),
            cached_tokens: Tokens::new(sequence.cached_tokens),
            preemptions: sequence.preemptions,
        }
    }
}
