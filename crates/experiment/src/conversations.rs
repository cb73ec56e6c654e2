//! The conversations of one worker: what was answered so far, and which turn is due when.

use std::cell::RefCell;
use std::collections::HashMap;

use plimsoll_load::FollowUps;
use plimsoll_units::RunNanos;
use plimsoll_workload::{EncodedRequest, Encoder, History, MOST_TURNS};

/// The conversations of one worker. All of it belongs to the worker's own thread.
#[derive(Debug)]
pub(crate) struct Conversations {
    encoder: Encoder,
    history: History,
    follow_ups: FollowUps,
    open: RefCell<HashMap<u64, Open>>,
}

/// A conversation with a turn to come.
#[derive(Debug)]
struct Open {
    answers: Vec<String>,
    /// The next turn's request, or why there can be none.
    next: Result<EncodedRequest, String>,
}

impl Conversations {
    /// The conversations whose turns `encoder` encodes; `None` where its requests are no turns.
    pub(crate) fn new(encoder: Encoder) -> Option<Self> {
        let history = encoder.history()?;
        let (follow_ups, open) = (FollowUps::new(), RefCell::default());
        Some(Self { encoder, history, follow_ups, open })
    }

    /// Where the driver hears of the next turns.
    pub(crate) const fn follow_ups(&self) -> &FollowUps {
        &self.follow_ups
    }

    /// Whether the answers are needed.
    pub(crate) fn keep_answers(&self) -> bool {
        self.history == History::Answer
    }

    /// The id of a turn's row.
    pub(crate) const fn id(session: u64, turn: u32) -> u64 {
        session * MOST_TURNS as u64 + turn as u64
    }

    /// The request of turn `turn`, above 0, of conversation `session`, or why there can be none.
    pub(crate) fn next(&self, session: u64, turn: u32) -> Result<EncodedRequest, String> {
        let mut open = self.open.borrow_mut();
        let unknown = || Err(format!("turn {turn} follows on no turn of this conversation"));
        let Some(open) = open.get_mut(&session) else { return unknown() };
        std::mem::replace(&mut open.next, unknown())
    }

    /// Turn `turn` of conversation `session` is over at `now`, with its answer or why there is none:
    /// prepares the next one and has it start when the user has thought.
    pub(crate) fn over(
        &self,
        session: u64,
        turn: u32,
        now: RunNanos,
        answer: Result<String, String>,
    ) {
        let mut open = self.open.borrow_mut();
        let next = turn + 1;
        if self.encoder.turns(session).is_none_or(|turns| next >= turns) {
            open.remove(&session);
            return;
        }
        let conversation = open
            .entry(session)
            .or_insert_with(|| Open { answers: Vec::new(), next: Err(String::new()) });
        conversation.next = match answer {
            Err(why) if self.history == History::Answer => Err(why),
            // What was recorded goes on whatever the server did.
            answer => {
                conversation.answers.push(answer.unwrap_or_default());
                Ok(self.encoder.encode_turn(session, next, &conversation.answers))
            }
        };
        let due = now + self.encoder.think_time(session, next);
        self.follow_ups.add(session, next, due);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plimsoll_workload::{BodyTemplate, Calibration, Workload, WorkloadConfig};

    use super::*;

    fn conversations(history: &str) -> Conversations {
        let table = format!(
            "input-tokens = 20\noutput-tokens = 4\nsessions = {{ turns = 3, history = \"{history}\" }}"
        );
        let config: WorkloadConfig = toml::from_str(&table).unwrap();
        let workload = Workload::new(&config, Path::new("."), 1).unwrap();
        let calibration = Calibration::assumed(5);
        let encoder = workload.encoder(Some(&calibration), &BodyTemplate::default()).unwrap();
        Conversations::new(encoder).unwrap()
    }

    fn body(request: Result<EncodedRequest, String>) -> String {
        String::from_utf8(request.unwrap().body.to_vec()).unwrap()
    }

    const NOW: RunNanos = RunNanos::from_nanos(5);

    #[test]
    fn a_turn_carries_the_answers_and_the_last_one_ends_it() {
        let conversations = conversations("answer");
        assert!(conversations.keep_answers());
        conversations.over(7, 0, NOW, Ok("first".to_owned()));
        assert!(body(conversations.next(7, 1)).contains("first"));
        conversations.over(7, 1, NOW, Ok("second".to_owned()));
        let last = body(conversations.next(7, 2));
        assert!(last.contains("first") && last.contains("second"));
        conversations.over(7, 2, NOW, Ok("third".to_owned()));
        assert!(conversations.open.borrow().is_empty());
        assert!(conversations.next(7, 3).is_err());
    }

    #[test]
    fn every_turn_after_one_without_an_answer_says_why_it_cannot_be() {
        let conversations = conversations("answer");
        for turn in 0..2 {
            conversations.over(2, turn, NOW, Err("timeout".to_owned()));
            assert_eq!(conversations.next(2, turn + 1).unwrap_err(), "timeout");
        }
        conversations.over(2, 2, NOW, Err("timeout".to_owned()));
        assert!(conversations.open.borrow().is_empty());
    }

    #[test]
    fn recorded_answers_go_on_whatever_became_of_the_real_ones() {
        let conversations = conversations("recorded");
        assert!(!conversations.keep_answers());
        conversations.over(2, 0, NOW, Err("timeout".to_owned()));
        assert!(body(conversations.next(2, 1)).contains("assistant"));
    }
}
