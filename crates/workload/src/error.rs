//! What can be wrong with a workload, one enum per operation.

mod line;
mod written;

use std::io;
use std::path::PathBuf;

use plimsoll_units::Span;
use thiserror::Error;

pub use self::line::{PromptProblem, ReplayLineProblem};
pub use self::written::{LengthProblem, ReplayProblem, SessionsProblem};

/// Why a workload could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// Nothing says what the requests carry.
    #[error(
        "the workload gives none of `input-tokens`, `prompts` and `trace`; give one of them, \
         like `input-tokens = 512`"
    )]
    NoPrompts,
    /// Two things say it.
    #[error("the workload gives both `input-tokens` and `prompts`; give one of them")]
    BothPrompts,
    /// Nothing says how many tokens to ask for.
    #[error("the workload gives no `output-tokens`; add it, like `output-tokens = 128`")]
    NoOutputTokens,
    /// A length whose numbers make no sense.
    #[error("`{key}`: {problem}")]
    Length {
        /// The key in the `[workload]` table.
        key: &'static str,
        /// What is wrong.
        #[source]
        problem: LengthProblem,
    },
    /// A share that is none.
    #[error("`shared-prefix` is {share}, allowed are shares from 0.0 to 1.0")]
    Share {
        /// The share as given.
        share: f64,
    },
    /// A prefix length without a share of prompts that carry it, or of zero.
    #[error(
        "`shared-prefix-tokens` is {tokens} with `shared-prefix` {share}; allowed are 1 token or \
         more together with a share above 0"
    )]
    PrefixTokens {
        /// The length as given.
        tokens: u32,
        /// The share as given.
        share: f64,
    },
    /// A prefix that no prompt could hold.
    #[error(
        "the shared prefix of {prefix} tokens does not fit into prompts of at most {longest}; \
         lower `shared-prefix-tokens` or raise `input-tokens`"
    )]
    PrefixTooLong {
        /// The prefix length in effect, tokens.
        prefix: u32,
        /// The longest prompt, tokens.
        longest: u32,
    },
    /// A shared prefix asked of prompts that come from a file.
    #[error(
        "`shared-prefix` works on synthetic prompts only; remove it, or replace `prompts` by \
         `input-tokens`"
    )]
    PrefixOfFile,
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A row of a trace that has more or fewer cells than the header.
    #[error("{}, line {line}: the row has {fields} cells, its header {expected}", path.display())]
    TraceRow {
        /// The file.
        path: PathBuf,
        /// The line, from 1 (the header).
        line: u64,
        /// Cells of the row.
        fields: usize,
        /// Cells of the header.
        expected: usize,
    },
    /// A trace without the column.
    #[error("the trace {} has no column `{column}`; its columns are {}", path.display(), found.join(", "))]
    TraceColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The columns there are.
        found: Vec<String>,
    },
    /// A cell that is not what its column holds.
    #[error(
        "{}, line {line}, column `{column}`: {value} is no {what}, allowed are {allowed}",
        path.display()
    )]
    TraceCell {
        /// The file.
        path: PathBuf,
        /// The line, from 1 (the header).
        line: u64,
        /// The column.
        column: String,
        /// What stands there, shortened.
        value: String,
        /// What should stand there.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A whole trace whose keys contradict each other.
    #[error("`trace`: {0}")]
    Replay(#[source] ReplayProblem),
    /// Conversations whose keys contradict each other.
    #[error("`sessions`: {0}")]
    Sessions(#[source] SessionsProblem),
    /// A key that conversations have no use for, or lack.
    #[error("`{key}` {problem}")]
    SessionsAnd {
        /// The key in the `[workload]` table.
        key: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A line of a trace that is no request.
    #[error("{}, line {line}: {problem}", path.display())]
    ReplayLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        #[source]
        problem: ReplayLineProblem,
    },
    /// A part of a trace in which nothing happens.
    #[error(
        "{} has no request in the part from {from} on{}; its last one comes at {last}: choose another \
         `from` or `length`",
        path.display(),
        length.map(|length| format!(" that is {length} long")).unwrap_or_default()
    )]
    ReplayEmpty {
        /// The file.
        path: PathBuf,
        /// Where the part begins.
        from: Span,
        /// How long it is, where that was written.
        length: Option<Span>,
        /// When the last request of the trace comes.
        last: Span,
    },
    /// A part of a trace that takes no time.
    #[error(
        "all requests of {} come at once, so they have no rate; say how long that takes by `length`",
        path.display()
    )]
    ReplayInstant {
        /// The file.
        path: PathBuf,
    },
    /// A key that says what the trace says already.
    #[error("`{key}` and `trace` exclude each other: the trace brings its own; remove one of them")]
    ReplayAnd {
        /// The key in the `[workload]` table.
        key: &'static str,
    },
    /// A trace with a header and no rows, or a prompt file without prompts.
    #[error("{} holds no {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        what: &'static str,
    },
    /// One trace asked for in two orders.
    #[error(
        "input and output come from the same rows of {}, so they must have one `order`; \
         give both the same",
        path.display()
    )]
    TraceOrders {
        /// The file.
        path: PathBuf,
    },
    /// A line of a prompt file that holds no prompt.
    #[error("{}, line {line}: {problem}", path.display())]
    PromptLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        #[source]
        problem: PromptProblem,
    },
}

/// Why request bodies cannot be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Synthetic prompts without a calibration.
    #[error("synthetic prompts need a calibration; run `Workload::calibrator` to its end first")]
    NotCalibrated,
    /// A calibration without words, as only a damaged file can hold it.
    #[error("the calibration holds no words; calibrate again")]
    NoWords,
    /// No prompt can be as short as asked.
    #[error(
        "prompts of at most {asked} tokens are asked for, but the shortest this server can be sent \
         has {shortest} (its template takes {overhead}); raise `input-tokens`"
    )]
    PromptTooShort {
        /// The longest length that the workload draws, tokens.
        asked: u32,
        /// The shortest possible, tokens.
        shortest: u32,
        /// What the server adds to every prompt, tokens.
        overhead: u32,
    },
    /// The shared prefix leaves no room for anything else.
    #[error(
        "the shared prefix of {prefix} tokens and the server's template of {overhead} do not fit \
         into prompts of at most {longest} tokens; lower `shared-prefix-tokens`"
    )]
    PrefixTooLong {
        /// The prefix, tokens.
        prefix: u32,
        /// What the server adds to every prompt, tokens.
        overhead: u32,
        /// The longest length that the workload draws, tokens.
        longest: u32,
    },
    /// A conversation for an API that takes a text.
    #[error(
        "{}, line {line} holds `messages`, which the completions API does not take; use the chat \
         API, or lines with `prompt`",
        path.display()
    )]
    MessagesForCompletions {
        /// The prompt file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// Conversations for an API that takes a text.
    #[error(
        "`workload.sessions` are conversations, which the completions API does not take; use the chat API"
    )]
    SessionsForCompletions,
    /// A further field that the template sets itself.
    #[error("the extra field `{key}` is one that the body sets itself; remove it from the extras")]
    ReservedField {
        /// The field.
        key: String,
    },
    /// A temperature that JSON cannot hold, or that no sampler knows.
    #[error("the temperature is {temperature}, allowed are 0 and finite numbers above")]
    Temperature {
        /// The temperature as given.
        temperature: f64,
    },
    /// A shard that does not exist.
    #[error("shard {shard} of {shards} does not exist; shards count from 0")]
    Shard {
        /// The shard asked for.
        shard: u64,
        /// How many there are.
        shards: u64,
    },
    /// The thread that encodes ahead could not be started.
    #[error("cannot start the thread that encodes ahead: {source}")]
    Thread {
        /// What the system says.
        source: io::Error,
    },
}

/// Why a calibration came to no end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// An answer to no question.
    #[error("an answer of {tokens} tokens came, but no probe is open; take `next_probe` first")]
    NoProbeOpen {
        /// The answer.
        tokens: u32,
    },
    /// A count that cannot be.
    #[error("the server counted 0 tokens for a prompt of {words} words; its counts are unusable")]
    NoTokens {
        /// The words in the prompt.
        words: usize,
    },
    /// No word whose count adds up.
    #[error(
        "the server's token counts do not add up word by word ({probes} probes); its \
         `usage.prompt_tokens` may be missing, capped or rounded, so lengths cannot be planned: \
         use a prompt file instead of `input-tokens`"
    )]
    NothingAddsUp {
        /// How many probes were sent.
        probes: u32,
    },
    /// The end was asked for before it was reached.
    #[error("the calibration still has probes to ask; answer them until `next_probe` gives none")]
    Unfinished,
}

/// At most 60 characters of `text`: an error message is no place for a whole prompt.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
