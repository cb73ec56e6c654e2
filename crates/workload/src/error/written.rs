//! What can be wrong with what a person wrote.

use thiserror::Error;

use crate::config::{MAX_LENGTH_TOKENS, MOST_TURNS};

/// A length whose numbers make no sense.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum LengthProblem {
    /// A bound outside what is allowed.
    #[error("`{field}` is {tokens}, allowed are 1 to {MAX_LENGTH_TOKENS} tokens")]
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// What it is.
        tokens: u32,
    },
    /// Bounds the wrong way round.
    #[error("min {min} is above max {max}; exchange them")]
    Reversed {
        /// The lower bound as given.
        min: u32,
        /// The upper bound as given.
        max: u32,
    },
    /// A mean that clipping would move beyond recognition.
    #[error("`mean` is {mean}, it must lie between min ({min}) and max ({max}) tokens")]
    Mean {
        /// The mean as given.
        mean: f64,
        /// The lower bound in effect.
        min: u32,
        /// The upper bound in effect.
        max: u32,
    },
    /// A coefficient of variation outside what is allowed.
    #[error("`cv` is {cv}, allowed are 0 to 10 (standard deviation / mean)")]
    Cv {
        /// The coefficient as given.
        cv: f64,
    },
}

/// What is wrong with what was written about a whole trace.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ReplayProblem {
    /// A plain CSV file with a column that nobody named.
    #[error(
        "`{key}` is missing; format \"csv\" needs `time`, `time-unit`, `input` and `output`, like time \
         = \"t_ms\", time-unit = \"ms\", input = \"prompt_tokens\", output = \"answer_tokens\""
    )]
    ColumnMissing {
        /// The key.
        key: &'static str,
    },
    /// A column named where the format knows it.
    #[error(
        "`{key}` is for format \"csv\" alone; format \"{format}\" has columns of its own: remove it"
    )]
    ColumnKnown {
        /// The key.
        key: &'static str,
        /// The format.
        format: &'static str,
    },
    /// A span of no length.
    #[error("`{key}` is 0s; give it a length, or remove it")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A speed that is none.
    #[error("`speed` is {speed}, allowed are finite numbers above 0; 2 plays it twice as fast")]
    Speed {
        /// The speed as given.
        speed: f64,
    },
    /// A bound that is no length.
    #[error(transparent)]
    Length(LengthProblem),
}

/// What is wrong with what was written about conversations.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SessionsProblem {
    /// Nothing says how many turns there are.
    #[error("give `path` (a file of conversations) or `turns` (of synthetic ones), like turns = 4")]
    NoTurns,
    /// Two things say it.
    #[error("`path` and `turns` exclude each other: the file says how many turns there are")]
    BothTurns,
    /// A number of turns that is none.
    #[error("`turns`: {0}")]
    Turns(#[source] LengthProblem),
    /// More turns than have an id.
    #[error(
        "`turns` may be {}; allowed are at most {MOST_TURNS}, which a distribution says by `max`",
        most.map_or_else(|| "any number".to_owned(), |most| most.to_string())
    )]
    MostTurns {
        /// The most that there may be; `None` where nothing bounds it.
        most: Option<u32>,
    },
    /// A spread of think times that is none.
    #[error("`think-time-cv` is {cv}, allowed are 0 to 10 (standard deviation / mean)")]
    ThinkTimeCv {
        /// The coefficient as given.
        cv: f64,
    },
}
