//! What a person writes about conversations: `[workload] sessions`.

use std::path::PathBuf;

use plimsoll_units::Span;
use serde::{Deserialize, Serialize};

use crate::config::LengthConfig;
use crate::error::SessionsProblem;

/// The most turns that a conversation may have: each has an id of its own, `session * 1000 + turn`.
pub const MOST_TURNS: u32 = 1_000;

/// Conversations of several turns, each of which is due when the answer before it has ended and the
/// user has thought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SessionsConfig {
    /// A JSONL file of conversations, an object with `messages` a line. Without it they are synthetic:
    /// each turn of the user has `input-tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Turns of a synthetic conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<LengthConfig>,
    /// The mean time from the end of an answer to the user's next turn. 0 by default.
    pub think_time: Span,
    /// Its standard deviation / its mean, 0 to 10: 0, the default, is always the mean; above it is
    /// lognormal.
    pub think_time_cv: f64,
    /// What a turn carries as the answers before it.
    pub history: History,
}

/// What a turn carries as the answers before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// What the server answered: its prefix cache knows that. A turn whose answer failed ends the
    /// conversation.
    #[default]
    Answer,
    /// The answers of the file, or synthetic ones of the length asked for: every run sends the same,
    /// whatever the server answered.
    Recorded,
}

impl SessionsConfig {
    /// Whether the numbers make sense, as far as that shows without the file.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), SessionsProblem> {
        let cv = self.think_time_cv;
        if !(0.0..=10.0).contains(&cv) {
            return Err(SessionsProblem::ThinkTimeCv { cv });
        }
        match (&self.path, &self.turns) {
            (None, None) => return Err(SessionsProblem::NoTurns),
            (Some(_), Some(_)) => return Err(SessionsProblem::BothTurns),
            _ => {}
        }
        let Some(turns) = &self.turns else { return Ok(()) };
        turns.check().map_err(SessionsProblem::Turns)?;
        let most = match turns {
            LengthConfig::Constant(turns) => Some(*turns),
            LengthConfig::Uniform(uniform) => Some(uniform.max),
            LengthConfig::Lognormal(lognormal) => lognormal.max,
            LengthConfig::Trace(trace) => trace.max,
        };
        match most {
            Some(most) if most <= MOST_TURNS => Ok(()),
            most => Err(SessionsProblem::MostTurns { most }),
        }
    }
}
