//! The events of one response, with the place of each in the connection's bytes, become the marks and
//! chunks of its row.
//!
//! Rules, each for a difference between real servers:
//! - The role chunk (a role, no text, before the choice's first token) is a mark and no token. A role
//!   that rides on text is no role chunk.
//! - A chunk with text carries tokens; so does one with an empty text that is neither role nor finish
//!   chunk (special tokens, half a character, text held back), and one whose reported total grew.
//! - An empty text on the finish chunk is the last token on some servers and nothing on others. It
//!   counts if the usage, when it comes, says that so many tokens are missing.
//! - Reasoning and answer are told apart by their fields. Text of both kinds in one chunk marks both,
//!   and counts as answer. An empty chunk is of the kind of the chunk before it.
//! - A piece of a tool call or a refusal is answer.
//! - The response is complete after `[DONE]`, or when every choice that appeared has a finish reason
//!   and the HTTP body ended cleanly. A complete response without any token is `truncated`, unless
//!   its usage says that there were none.

use plimsoll_records::{Outcome, RequestRow};

use crate::chunk::{ChoiceSet, Choices, Chunk, Usage, add_answer};
use crate::measured::{MarkedChunk, Marks};
use crate::meter::Meter;
use crate::position::Position;
use crate::problem::error_text;
use crate::sse::SseEvent;
use crate::tally::Tally;

/// The most chunks that room is made for before a response; more grow the list as they come.
const MOST_PLANNED: usize = 4096;

/// The row of one response in the making.
#[derive(Debug)]
pub(crate) struct Timeline {
    marks: Marks,
    finish_reason: Option<String>,
    meter: Meter,
    /// Finish chunks with empty text, which may be tokens.
    empty_finishes: Vec<Position>,
    tally: Tally,
    seen: ChoiceSet,
    started: ChoiceSet,
    finished: ChoiceSet,
    end: Option<End>,
    /// The text of the first choice, where it is wanted.
    answer: Option<String>,
}

/// The event that ended the stream: what comes after it is not looked at.
#[derive(Debug)]
struct End {
    at: Position,
    how: How,
}

#[derive(Debug)]
enum How {
    Done,
    Failed(Outcome, String),
}

impl Timeline {
    /// An empty timeline with room for the chunks of `planned` tokens, which `meter` counts as they
    /// come.
    pub(crate) fn new(planned: u32, meter: Meter) -> Self {
        Self {
            marks: Marks {
                chunks: Vec::with_capacity((planned as usize).min(MOST_PLANNED)),
                ..Marks::default()
            },
            finish_reason: None,
            meter,
            empty_finishes: Vec::new(),
            tally: Tally::default(),
            seen: 0,
            started: 0,
            finished: 0,
            end: None,
            answer: None,
        }
    }

    /// Keeps the answer's text from here on.
    pub(crate) fn keep_answer(&mut self) {
        self.answer = Some(String::new());
    }

    /// The answer's text so far; empty where it is not kept.
    pub(crate) fn take_answer(&mut self) -> String {
        self.answer.take().unwrap_or_default()
    }

    /// Takes the next event, whose last byte arrived at `at`.
    pub(crate) fn event(&mut self, at: Position, event: SseEvent<'_>) {
        if self.end.is_some() {
            return;
        }
        let how = if event.name == b"error" {
            Some(How::Failed(Outcome::StreamError, or_no_message(error_text(event.data))))
        } else {
            match event.data.trim_ascii() {
                b"" => None,
                b"[DONE]" => Some(How::Done),
                data => self.json(at, data),
            }
        };
        self.end = how.map(|how| End { at, how });
    }

    /// Whether a token has arrived.
    pub(crate) fn has_token(&self) -> bool {
        !self.marks.chunks.is_empty()
    }

    /// When the event came that ended the stream.
    pub(crate) fn ended(&self) -> Option<Position> {
        self.end.as_ref().map(|end| end.at)
    }

    /// Whether the stream ended itself in a way after which nothing of it matters: the bytes were not
    /// what the API speaks.
    pub(crate) fn is_malformed(&self) -> bool {
        let how = self.end.as_ref().map(|end| &end.how);
        matches!(how, Some(How::Failed(Outcome::Malformed, _)))
    }

    /// How the stream ended by its own events: `None` when `[DONE]` or an error never came.
    pub(crate) fn own_end(&mut self) -> Option<(Outcome, Option<String>)> {
        match &self.end.as_ref()?.how {
            How::Done => Some(self.complete()),
            How::Failed(outcome, text) => Some((*outcome, Some(text.clone()))),
        }
    }

    /// How the stream ended, after its HTTP body ended cleanly.
    pub(crate) fn end_of_body(&mut self) -> (Outcome, Option<String>) {
        if let Some(end) = self.own_end() {
            return end;
        }
        let unfinished = (self.seen & !self.finished).count_ones();
        if self.seen != 0 && unfinished == 0 {
            return self.complete();
        }
        let text = "the response ended without finish reason and [DONE]";
        (Outcome::Truncated, Some(text.to_owned()))
    }

    fn complete(&mut self) -> (Outcome, Option<String>) {
        self.settle();
        if self.marks.chunks.is_empty() && self.output_tokens() != Some(0) {
            let text = "the stream ended as complete, but carried no token";
            return (Outcome::Truncated, Some(text.to_owned()));
        }
        (Outcome::Ok, None)
    }

    /// Moves what is known into the row, but for the marks, whose times are not.
    pub(crate) fn fill(mut self, row: &mut RequestRow) -> Marks {
        self.settle();
        row.output_tokens = self.output_tokens();
        row.prompt_tokens = self.tally.prompt_tokens();
        row.cached_tokens = self.tally.cached_tokens();
        row.finish_reason = self.finish_reason;
        self.marks
    }

    /// How many reads are to be expected: one a chunk there is room for, and some for head, role, usage
    /// and end.
    pub(crate) fn expected_reads(&self) -> usize {
        self.marks.chunks.capacity() + 8
    }

    fn output_tokens(&self) -> Option<u32> {
        self.tally.output_tokens(self.seen.count_ones())
    }

    fn json(&mut self, at: Position, data: &[u8]) -> Option<How> {
        match serde_json::from_slice::<Chunk<'_>>(data) {
            Ok(chunk) => {
                if let Some(words) = chunk.problem() {
                    let text = or_no_message(words.trim().to_owned());
                    return Some(How::Failed(Outcome::StreamError, text));
                }
                if let Some(answer) = &mut self.answer {
                    add_answer(answer, data);
                }
                let no_choices = Choices::default();
                self.chunk(at, chunk.choices.as_ref().unwrap_or(&no_choices), chunk.usage.as_ref());
                None
            }
            Err(error) => {
                let text = format!("the data of an event is no chunk: {error}");
                Some(How::Failed(Outcome::Malformed, text))
            }
        }
    }

    fn chunk(&mut self, at: Position, choices: &Choices<'_>, usage: Option<&Usage>) {
        if usage.is_some() {
            self.marks.usage = Some(at);
        }
        self.seen |= choices.seen;
        self.finished |= choices.finished;
        if let Some(reason) = choices.finish_reason.text() {
            self.finish_reason = Some(reason.to_owned());
        }
        let text = choices.answer | choices.reasoning;
        let only_role = choices.role & !text & !self.started;
        // A second choice may name its role when the first has tokens already: that marks nothing.
        if only_role != 0 && self.marks.chunks.is_empty() {
            self.marks.role_chunk.get_or_insert(at);
        }
        let visible = text | (choices.empty & !choices.finished & !only_role);
        let carried = self.tally.chunk(choices, usage, text, visible);
        if carried.tokens == 0 {
            if !carried.counted && choices.empty & choices.finished != 0 {
                self.empty_finishes.push(at);
            }
            return;
        }
        self.started |= visible | if carried.counted { choices.seen } else { 0 };
        let reasoning = match (choices.answer, choices.reasoning) {
            (0, 0) => self.last_kind(),
            (answer, _) => answer == 0,
        };
        if reasoning || choices.reasoning != 0 {
            self.marks.first_reasoning.get_or_insert(at);
        }
        if !reasoning {
            self.marks.first_answer.get_or_insert(at);
        }
        let (tokens, counted) = (carried.tokens, carried.counted);
        self.meter.add(tokens);
        self.marks.chunks.push(MarkedChunk { at, tokens, counted, reasoning });
    }

    /// Whether the last token was reasoning.
    fn last_kind(&self) -> bool {
        self.marks.chunks.last().is_some_and(|chunk| chunk.reasoning)
    }

    /// Decides whether the empty finish chunks were tokens. Does nothing the second time.
    fn settle(&mut self) {
        let empty = std::mem::take(&mut self.empty_finishes);
        let counted: u64 = self.marks.chunks.iter().map(|chunk| u64::from(chunk.tokens)).sum();
        let missing = u64::from(self.output_tokens().unwrap_or(0)).saturating_sub(counted);
        if empty.is_empty() || missing < empty.len() as u64 {
            return;
        }
        let reasoning = self.last_kind();
        for at in empty {
            // With several choices one may finish before another begins.
            let first = if reasoning {
                &mut self.marks.first_reasoning
            } else {
                &mut self.marks.first_answer
            };
            *first = Some(first.map_or(at, |first| first.min(at)));
            self.meter.add(1);
            self.marks.chunks.push(MarkedChunk { at, tokens: 1, counted: false, reasoning });
        }
        // With several choices one may finish while another goes on.
        self.marks.chunks.sort_by_key(|chunk| chunk.at);
    }
}

/// `text`, or words for its absence.
fn or_no_message(text: String) -> String {
    if text.is_empty() { "no message".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
