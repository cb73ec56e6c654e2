//! What can be wrong with a line of a file.

use thiserror::Error;

use crate::config::MOST_TURNS;

/// What is wrong with a line of a trace of JSON objects.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayLineProblem {
    /// No JSON object.
    #[error(
        "this is no JSON object: {0}; allowed is one a line, like {{\"timestamp\": 27482, \
         \"input_length\": 600, \"output_length\": 50, \"hash_ids\": [0, 1]}}"
    )]
    Json(#[source] serde_json::Error),
    /// A value that is not what its key holds, or missing.
    #[error("`{key}` is {value}, which is no {what}; allowed are {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there, shortened.
        value: String,
        /// What should stand there.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Blocks that do not make up the prompt.
    #[error(
        "`hash_ids` has {found} blocks, but a prompt of {input} tokens has {needed} of 512 tokens (the \
         last may be shorter)"
    )]
    Blocks {
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: u32,
        /// Tokens of the prompt.
        input: u32,
    },
}

/// What is wrong with a line of a prompt file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PromptProblem {
    /// No JSON.
    #[error("this is no JSON: {0}; write one object a line, like {{\"prompt\": \"...\"}}")]
    Json(#[source] serde_json::Error),
    /// JSON, but no object.
    #[error("this is {found}, allowed is one object a line, like {{\"prompt\": \"...\"}}")]
    NoObject {
        /// What kind of value it is.
        found: &'static str,
    },
    /// An object without a prompt.
    #[error("none of `prompt`, `messages` and `turns` is there; its keys are {}", keys.join(", "))]
    NoPrompt {
        /// The keys there are.
        keys: Vec<String>,
    },
    /// An object without a conversation.
    #[error("`messages` is not there, which sessions need; its keys are {}", keys.join(", "))]
    NoMessages {
        /// The keys there are.
        keys: Vec<String>,
    },
    /// An object with two prompts.
    #[error("both `{first}` and `{second}` are there; keep one of them")]
    TwoPrompts {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A value of the wrong kind, or empty.
    #[error("`{key}` must be {allowed}, here it is {found}")]
    Value {
        /// The key, with the place in it.
        key: String,
        /// What is allowed.
        allowed: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// A conversation in which nothing waits for an answer.
    #[error("`messages` holds nothing but answers; add a message of role `user`")]
    OnlyAnswers,
    /// A conversation of more turns than have an id.
    #[error("the conversation has {turns} turns, allowed are at most {MOST_TURNS}")]
    ManyTurns {
        /// How many.
        turns: usize,
    },
    /// Neither the line nor the workload says how many tokens to ask for.
    #[error(
        "neither the line nor the workload says how many tokens to ask for; add `max_tokens` to \
         the line or `output-tokens` to the workload"
    )]
    NoOutputTokens,
}
