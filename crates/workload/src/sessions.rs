//! Conversations: how many turns each has, how long its user thinks, and what a file says in them.

use std::path::Path;
use std::time::Duration;

use rand_distr::{Distribution, LogNormal};
use serde_json::{Value, json};

use crate::chance::{Source, Streams};
use crate::config::{
    History, LengthConfig, MOST_TURNS, SessionsConfig, TraceOrder, WorkloadConfig,
};
use crate::cycle::Cycle;
use crate::error::{PromptProblem, WorkloadError};
use crate::length::Lengths;
use crate::prompts;

/// The conversations of a workload, as a pure function of seed and number.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) history: History,
    pub(crate) turns: Turns,
    think_time: Duration,
    think_times: Option<LogNormal<f64>>,
    streams: Streams,
}

/// Where turns come from.
#[derive(Debug)]
pub(crate) enum Turns {
    /// So many synthetic ones.
    Drawn(Lengths),
    /// Those of a file.
    File { conversations: Vec<Conversation>, cycle: Cycle },
}

/// One conversation of a file.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) turns: Vec<Turn>,
    /// How many tokens each turn asks for, where the line says so.
    pub(crate) output_tokens: Option<u32>,
}

/// One turn: what is said before an answer, and the answer.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// JSON objects with commas between them.
    pub(crate) asked: String,
    /// A JSON object; empty behind the last turn if nobody answered.
    pub(crate) answered: String,
}

impl Sessions {
    /// The conversations that `config`, a workload with a table of them, describes.
    ///
    /// # Errors
    /// When keys contradict each other, or the file is none of conversations.
    pub(crate) fn read(
        config: &WorkloadConfig,
        sessions: &SessionsConfig,
        base_dir: &Path,
        seed: u64,
    ) -> Result<Self, WorkloadError> {
        sessions.check().map_err(WorkloadError::Sessions)?;
        let from_file = sessions.path.is_some();
        let wrong = |key, problem| Err(WorkloadError::SessionsAnd { key, problem });
        let alone = "and `sessions` exclude each other; remove one of them";
        if config.prompts.is_some() {
            return wrong("prompts", alone);
        }
        if config.trace.is_some() {
            return wrong("trace", alone);
        }
        if config.input_tokens.is_some() && from_file {
            return wrong(
                "input-tokens",
                "is for synthetic sessions: `sessions.path` says what is said",
            );
        }
        if config.input_tokens.is_none() && !from_file {
            return wrong(
                "input-tokens",
                "is missing: synthetic sessions need the tokens of each turn",
            );
        }
        if config.output_tokens.is_none() && !from_file {
            return wrong(
                "output-tokens",
                "is missing: synthetic sessions need the tokens of each answer",
            );
        }
        let turns = match (&sessions.path, &sessions.turns) {
            (Some(path), _) => {
                let path = base_dir.join(path);
                let conversations = read(&path, config.output_tokens.is_some())?;
                let cycle =
                    Cycle::new(conversations.len(), TraceOrder::Shuffled, seed, Source::Lines);
                Turns::File { conversations, cycle }
            }
            (None, Some(turns)) => {
                let turns = Lengths::of(turns, seed, Source::Turns).ok_or({
                    WorkloadError::SessionsAnd {
                        key: "sessions.turns",
                        problem: "cannot come from a trace; write a number or a distribution",
                    }
                })?;
                Turns::Drawn(turns)
            }
            (None, None) => return Err(WorkloadError::NoPrompts),
        };
        let (think_time, cv) = (sessions.think_time.get(), sessions.think_time_cv);
        // For X = exp(mu + sigma Z): mean = exp(mu + sigma^2 / 2), cv^2 = exp(sigma^2) - 1.
        let variance = cv.mul_add(cv, 1.0).ln();
        let think_times = (cv > 0.0 && !think_time.is_zero())
            .then(|| {
                LogNormal::new(think_time.as_secs_f64().ln() - variance / 2.0, variance.sqrt())
            })
            .and_then(Result::ok);
        let streams = Streams::new(seed, Source::ThinkTime);
        Ok(Self { history: sessions.history, turns, think_time, think_times, streams })
    }

    /// Turns of conversation `place`, at least 1.
    pub(crate) fn count(&self, place: u64) -> u32 {
        match &self.turns {
            Turns::Drawn(turns) => turns.draw(place),
            Turns::File { .. } => {
                self.conversation(place).map_or(1, |conversation| conversation.turns.len() as u32)
            }
        }
    }

    /// The mean number of turns.
    pub(crate) fn mean_count(&self) -> f64 {
        match &self.turns {
            Turns::Drawn(turns) => turns.mean(),
            Turns::File { conversations, .. } => {
                let turns: usize = conversations.iter().map(|one| one.turns.len()).sum();
                turns as f64 / conversations.len() as f64
            }
        }
    }

    /// The conversation of a file at `place`.
    pub(crate) fn conversation(&self, place: u64) -> Option<&Conversation> {
        match &self.turns {
            Turns::Drawn(_) => None,
            Turns::File { conversations, cycle, .. } => conversations.get(cycle.position(place)),
        }
    }

    /// How long the user thinks before turn `turn` of conversation `place`.
    pub(crate) fn think_time(&self, place: u64, turn: u32) -> Duration {
        let Some(think_times) = &self.think_times else { return self.think_time };
        let mut rng = self.streams.at(turn_place(place, turn));
        Duration::try_from_secs_f64(think_times.sample(&mut rng)).unwrap_or(Duration::MAX)
    }
}

/// The place of a turn among all turns.
pub(crate) const fn turn_place(place: u64, turn: u32) -> u64 {
    place.wrapping_mul(MOST_TURNS as u64).wrapping_add(turn as u64)
}

/// The tokens of a turn where a workload gives a distribution.
pub(crate) fn lengths(
    config: Option<&LengthConfig>,
    seed: u64,
    source: Source,
) -> Result<Option<Lengths>, WorkloadError> {
    let Some(config) = config else { return Ok(None) };
    match Lengths::of(config, seed, source) {
        Some(lengths) => Ok(Some(lengths)),
        None => Err(WorkloadError::SessionsAnd {
            key: "sessions",
            problem: "cannot take lengths from a trace; write a number or a distribution",
        }),
    }
}

/// The conversations of a file.
fn read(path: &Path, has_output_tokens: bool) -> Result<Vec<Conversation>, WorkloadError> {
    let mut conversations = Vec::new();
    prompts::each_line(path, |line| {
        let conversation = parse(line)?;
        if conversation.output_tokens.is_none() && !has_output_tokens {
            return Err(PromptProblem::NoOutputTokens);
        }
        conversations.push(conversation);
        Ok(())
    })?;
    if conversations.is_empty() {
        return Err(WorkloadError::Empty { path: path.to_owned(), what: "conversations" });
    }
    Ok(conversations)
}

fn parse(line: &[u8]) -> Result<Conversation, PromptProblem> {
    let (messages, output_tokens) = prompts::conversation(line)?;
    let mut turns = vec![Turn::default()];
    for message in messages {
        let is_answer = message["role"] == "assistant";
        // A turn is over with its answer; what is said after that is the next one's.
        if !is_answer && turns.last().is_some_and(|turn| !turn.answered.is_empty()) {
            turns.push(Turn::default());
        }
        if let Some(turn) = turns.last_mut() {
            let said = if is_answer { &mut turn.answered } else { &mut turn.asked };
            if !said.is_empty() {
                said.push(',');
            }
            said.push_str(&message.to_string());
        }
    }
    if turns.iter().any(|turn| turn.asked.is_empty()) {
        return Err(PromptProblem::OnlyAnswers);
    }
    if turns.len() > MOST_TURNS as usize {
        return Err(PromptProblem::ManyTurns { turns: turns.len() });
    }
    Ok(Conversation { turns, output_tokens })
}

/// An answer as a message.
pub(crate) fn answer(text: &str) -> String {
    let message: Value = json!({"role": "assistant", "content": text});
    message.to_string()
}

#[cfg(test)]
mod tests;
