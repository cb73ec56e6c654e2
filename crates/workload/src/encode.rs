//! The encoder: the body of any index, whoever asks and in whatever order.

mod turns;

use std::sync::Arc;

use bytes::Bytes;

use crate::body::{Api, BodyTemplate, Frame};
use crate::calibrate::Calibration;
use crate::compose::Composer;
use crate::error::EncodeError;
use crate::prompts::Content;
use crate::workload::{Plan, Prompts};

/// A request body, with what it was planned to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRequest {
    /// Index of the arrival it belongs to: of its conversation, where it is a turn of one.
    pub index: u64,
    /// The JSON body.
    pub body: Bytes,
    /// How many tokens the server should count in the prompt, template included; `None` for
    /// prompts from a file, which are as long as they are.
    pub prompt_tokens_planned: Option<u32>,
    /// How many tokens the workload drew for the prompt. Differs from the planned ones where the
    /// server's template alone is longer, or no words add up to it.
    pub prompt_tokens_drawn: Option<u32>,
    /// How many tokens the request asks for.
    pub output_tokens_planned: u32,
    /// The conversation it belongs to, by the index of its arrival; `None` where requests are no turns.
    pub session: Option<u64>,
    /// Its place in the conversation, from 0; `None` as `session`.
    pub turn: Option<u32>,
}

/// Encodes bodies: a pure function of the workload's seed and the index, for any number of threads.
///
/// Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Encoder {
    inner: Arc<Inner>,
    /// What index 0 of this encoder is among all the workload's requests.
    first: u64,
}

#[derive(Debug)]
struct Inner {
    plan: Arc<Plan>,
    frame: Frame,
    /// Present for synthetic prompts.
    composer: Option<Composer>,
}

impl Encoder {
    pub(crate) fn new(
        plan: Arc<Plan>,
        calibration: Option<&Calibration>,
        template: &BodyTemplate,
    ) -> Result<Self, EncodeError> {
        let frame = Frame::new(template)?;
        if plan.sessions.is_some() && template.api == Api::Completions {
            return Err(EncodeError::SessionsForCompletions);
        }
        let composer = match &plan.prompts {
            Prompts::Synthetic { input, prefix } => {
                let vocabulary = calibration.ok_or(EncodeError::NotCalibrated)?.vocabulary();
                if vocabulary.firsts.is_empty() || vocabulary.words.is_empty() {
                    return Err(EncodeError::NoWords);
                }
                let composer = Composer::new(vocabulary, plan.seed, *prefix);
                let shortest = composer.shortest();
                let overhead = shortest.saturating_sub(1);
                if let Some(longest) = input.longest() {
                    if longest < shortest {
                        return Err(EncodeError::PromptTooShort {
                            asked: longest,
                            shortest,
                            overhead,
                        });
                    }
                    if let Some((_, prefix)) = *prefix
                        && overhead.saturating_add(prefix) >= longest
                    {
                        return Err(EncodeError::PrefixTooLong { prefix, overhead, longest });
                    }
                }
                Some(composer)
            }
            Prompts::File { path, prompts, .. } => {
                let messages = |content: &Content| matches!(content, Content::Messages(_));
                if template.api == Api::Completions
                    && let Some(prompt) = prompts.iter().find(|prompt| messages(&prompt.content))
                {
                    return Err(EncodeError::MessagesForCompletions {
                        path: path.clone(),
                        line: prompt.line,
                    });
                }
                None
            }
            Prompts::Conversations => None,
        };
        Ok(Self { inner: Arc::new(Inner { plan, frame, composer }), first: 0 })
    }

    /// The same encoder with its index 0 at `first` of the workload's requests: so that the points of
    /// a run, which each count from 0, never send the same prompt.
    #[must_use]
    pub fn starting_at(&self, first: u64) -> Self {
        Self { inner: Arc::clone(&self.inner), first }
    }

    /// The request of the arrival with this index.
    #[must_use]
    pub fn encode(&self, index: u64) -> EncodedRequest {
        if self.inner.plan.sessions.is_some() {
            return self.encode_turn(index, 0, &[]);
        }
        let Inner { plan, frame, composer } = &*self.inner;
        let place = self.first.wrapping_add(index);
        // The requests of a trace come in its order from the first of every point on.
        let row = if plan.replay.is_some() { index } else { place };
        let (drawn, output_tokens) = plan.lengths(row);
        let blocks = plan.replay.as_ref().and_then(|replay| {
            let pass = place.wrapping_sub(replay.row(index) as u64);
            replay.blocks(index).map(|ids| (pass, ids))
        });
        let mut planned = None;
        let mut body;
        match &plan.prompts {
            Prompts::Synthetic { .. } => {
                let tokens = drawn.unwrap_or_default();
                // Six letters and a space a token at most.
                body = frame.begin(tokens as usize * 7);
                if let Some(composer) = composer {
                    planned = Some(frame.text(&mut body, |out| match blocks {
                        Some((pass, ids)) => composer.write_blocks(out, pass, ids, tokens),
                        None => composer.write(out, place, tokens),
                    }));
                }
            }
            Prompts::File { prompts, cycle, .. } => match &prompts[cycle.position(place)].content {
                Content::Text(json) => {
                    body = frame.begin(json.len());
                    // The text is kept as a JSON string; the frame brings its own quotes.
                    frame.text(&mut body, |out| {
                        out.extend_from_slice(&json.as_bytes()[1..json.len() - 1]);
                    });
                }
                Content::Messages(json) => {
                    body = frame.begin(json.len());
                    body.extend_from_slice(json.as_bytes());
                }
            },
            // Conversations went the other way above.
            Prompts::Conversations => body = frame.begin(0),
        }
        EncodedRequest {
            index,
            body: frame.end(body, output_tokens),
            prompt_tokens_planned: planned,
            prompt_tokens_drawn: drawn,
            output_tokens_planned: output_tokens,
            session: None,
            turn: None,
        }
    }
}
