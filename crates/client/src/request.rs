//! What `send` is given: which arrival is due, and the body that goes out for it.

use bytes::Bytes;
use plimsoll_units::RunNanos;

/// One arrival of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Index of the arrival in the point's one schedule, from 0.
    pub id: u64,
    /// The worker thread, from 0.
    pub worker: u32,
    /// When the schedule said it should start.
    pub intended: RunNanos,
    /// When the driver got to it. Not before `intended`.
    pub dequeued: RunNanos,
}

impl Due {
    /// Arrival `id` of worker 0, due and dequeued at `now`: for sending without a schedule.
    #[must_use]
    pub const fn now(id: u64, now: RunNanos) -> Self {
        Self { id, worker: 0, intended: now, dequeued: now }
    }
}

/// A request ready to go: nothing of it is formatted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The encoded JSON body. It should ask for a stream (`"stream": true`); what the server makes
    /// of it otherwise is `malformed`.
    pub body: Bytes,
    /// Prompt tokens that the workload planned, for the row; `None` where nobody planned them.
    pub prompt_tokens_planned: Option<u32>,
    /// Output tokens that the body asks for, for the row; room for that many chunks is made before
    /// the request goes out.
    pub output_tokens_planned: u32,
    /// The conversation it belongs to, for the row.
    pub session: Option<u64>,
    /// Its place in the conversation, from 0, for the row.
    pub turn: Option<u32>,
    /// Whether the answer's text is to be kept; see [`Client::converse`](crate::Client::converse).
    pub keep_answer: bool,
}

impl Request {
    /// The request with `body`, without planned lengths or session.
    #[must_use]
    pub const fn new(body: Bytes) -> Self {
        Self {
            body,
            prompt_tokens_planned: None,
            output_tokens_planned: 0,
            session: None,
            turn: None,
            keep_answer: false,
        }
    }
}
