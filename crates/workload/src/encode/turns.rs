//! The bodies of conversations' turns, each with all that was said before it.

use std::time::Duration;

use super::{EncodedRequest, Encoder, Inner};
use crate::config::History;
use crate::sessions::{self, Sessions, turn_place};

/// What stands around the words of a message.
const USER: &[u8] = b"{\"role\":\"user\",\"content\":\"";
const ASSISTANT: &[u8] = b"{\"role\":\"assistant\",\"content\":\"";
const END: &[u8] = b"\"}";

impl Encoder {
    /// Turns of the conversation that arrives at `session`; `None` where requests are no turns.
    #[must_use]
    pub fn turns(&self, session: u64) -> Option<u32> {
        self.sessions().map(|sessions| sessions.count(self.place(session)))
    }

    /// How long the user thinks before turn `turn` of that conversation.
    #[must_use]
    pub fn think_time(&self, session: u64, turn: u32) -> Duration {
        let think_time = |sessions: &Sessions| sessions.think_time(self.place(session), turn);
        self.sessions().map_or(Duration::ZERO, think_time)
    }

    /// What turns carry as the answers before them; `None` where requests are no turns.
    #[must_use]
    pub fn history(&self) -> Option<History> {
        self.sessions().map(|sessions| sessions.history)
    }

    /// The request of turn `turn` of the conversation that arrives at `session`. `answers` are those to
    /// the turns before, which [`History::Recorded`] does without.
    ///
    /// How long a turn's prompt is after the first, only the server knows: it is not planned.
    #[must_use]
    pub fn encode_turn(&self, session: u64, turn: u32, answers: &[String]) -> EncodedRequest {
        let Inner { plan, frame, .. } = &*self.inner;
        let place = self.place(session);
        let mut body = frame.begin(answers.iter().map(String::len).sum::<usize>() + 1_024);
        body.push(b'[');
        let mut planned = None;
        for before in 0..turn {
            self.say(&mut body, place, before);
            body.push(b',');
            let recorded = self.history() == Some(History::Recorded);
            match answers.get(before as usize).filter(|_| !recorded) {
                Some(answer) => body.extend_from_slice(sessions::answer(answer).as_bytes()),
                None => self.answer(&mut body, place, before),
            }
            body.push(b',');
        }
        let tokens = self.say(&mut body, place, turn);
        body.push(b']');
        if turn == 0 {
            planned = tokens;
        }
        let (drawn, usual) = plan.lengths(turn_place(place, turn));
        let own = self.sessions().and_then(|sessions| sessions.conversation(place));
        let output_tokens = own.and_then(|own| own.output_tokens).unwrap_or(usual);
        EncodedRequest {
            index: session,
            body: frame.end(body, output_tokens),
            prompt_tokens_planned: planned,
            prompt_tokens_drawn: drawn.filter(|_| turn == 0),
            output_tokens_planned: output_tokens,
            session: Some(session),
            turn: Some(turn),
        }
    }

    fn sessions(&self) -> Option<&Sessions> {
        self.inner.plan.sessions.as_ref()
    }

    fn place(&self, session: u64) -> u64 {
        self.first.wrapping_add(session)
    }

    /// Appends what is said at `turn`, and returns what that costs by itself, where it was planned.
    fn say(&self, body: &mut Vec<u8>, place: u64, turn: u32) -> Option<u32> {
        let Inner { plan, composer, .. } = &*self.inner;
        if let Some(conversation) =
            self.sessions().and_then(|sessions| sessions.conversation(place))
        {
            let said = conversation.turns.get(turn as usize);
            body.extend_from_slice(said.map_or(b"", |turn| turn.asked.as_bytes()));
            return None;
        }
        let composer = composer.as_ref()?;
        let at = turn_place(place, turn);
        let (tokens, _) = plan.lengths(at);
        body.extend_from_slice(USER);
        let cost = composer.write(body, at, tokens.unwrap_or_default());
        body.extend_from_slice(END);
        Some(cost)
    }

    /// Appends the answer to `turn` that the file has, or one that nobody gave, of the length asked for.
    fn answer(&self, body: &mut Vec<u8>, place: u64, turn: u32) {
        let Inner { plan, composer, .. } = &*self.inner;
        if let Some(conversation) =
            self.sessions().and_then(|sessions| sessions.conversation(place))
        {
            let said = conversation.turns.get(turn as usize);
            body.extend_from_slice(said.map_or(b"", |turn| turn.answered.as_bytes()));
            return;
        }
        let Some(composer) = composer else { return };
        let at = turn_place(place, turn);
        let (_, tokens) = plan.lengths(at);
        body.extend_from_slice(ASSISTANT);
        // From the other end of all indexes, so that no answer begins as a prompt does. The template is
        // the prompt's alone.
        composer.write(body, !at, composer.shortest() - 1 + tokens);
        body.extend_from_slice(END);
    }
}
