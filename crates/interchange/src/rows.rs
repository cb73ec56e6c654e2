//! The row of a request, from the times that other tools keep of it.

use plimsoll_records::{ChunkRow, Outcome, RequestRow, StampSource};
use plimsoll_units::RunNanos;

/// Longest text of an error in a row, characters.
const ERROR_CHARS: usize = 1000;

/// The times of one request, in seconds of any clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// When it was due, as far as the tool says.
    pub(crate) intended: f64,
    /// When the tool started to send it.
    pub(crate) sent: f64,
    /// The first token; `None` where none came.
    pub(crate) first: Option<f64>,
    /// The first token that is no reasoning, where the tool tells them apart.
    pub(crate) first_answer: Option<f64>,
    /// The last token, where the tool says more than its chunks do.
    pub(crate) last: Option<f64>,
    /// The gaps between its chunks.
    pub(crate) gaps: Vec<f64>,
    /// When it was over.
    pub(crate) done: f64,
    /// Prompt tokens by the server's usage.
    pub(crate) prompt_tokens: Option<u64>,
    /// Prompt tokens as the client composed them.
    pub(crate) prompt_tokens_planned: Option<u64>,
    /// Output tokens.
    pub(crate) output_tokens: Option<u64>,
    /// Prompt tokens from the prefix cache.
    pub(crate) cached_tokens: Option<u64>,
    /// How it ended.
    pub(crate) error: Option<(Outcome, String)>,
}

impl Times {
    /// The row of the `id`th request, its stamps counted from `zero`.
    ///
    /// What the tool does not know is null; a chunk counts as one token and is marked as uncounted, or as
    /// all of them where only the first and the last token have a time.
    pub(crate) fn row(&self, id: usize, zero: f64) -> RequestRow {
        let at = |seconds: f64| RunNanos::from_secs_f64(seconds - zero);
        let intended = at(self.intended.min(self.sent));
        let sent = at(self.sent);
        let chunks = self.chunks(zero);
        let first = self.first.map(at);
        let last = self.last.map(at).into_iter().chain(chunks.last().map(|it| it.at)).max();
        let last = last.filter(|_| first.is_some()).max(first);
        let answer = self.first_answer.map(at);
        let tokens = |count: Option<u64>| count.map(|it| u32::try_from(it).unwrap_or(u32::MAX));
        RequestRow {
            id: id as u64,
            intended,
            // Right before it was sent is when these tools get to it.
            dequeued: sent.max(intended),
            sent: Some(sent),
            first_byte: first,
            first_reasoning: first.filter(|first| answer.is_some_and(|answer| answer > *first)),
            first_answer: answer.or(first),
            last_token: last,
            done: at(self.done).max(last.unwrap_or(sent)).max(sent),
            outcome: self.error.as_ref().map_or(Outcome::Ok, |(outcome, _)| *outcome),
            error: self.error.as_ref().map(|(_, text)| text.chars().take(ERROR_CHARS).collect()),
            prompt_tokens_planned: tokens(self.prompt_tokens_planned),
            prompt_tokens: tokens(self.prompt_tokens),
            output_tokens_planned: tokens(self.output_tokens).unwrap_or(0),
            output_tokens: tokens(self.output_tokens),
            cached_tokens: tokens(self.cached_tokens),
            stamp_source: StampSource::User,
            chunks,
            ..RequestRow::default()
        }
    }

    fn chunks(&self, zero: f64) -> Vec<ChunkRow> {
        let Some(first) = self.first else { return Vec::new() };
        let mut at = first;
        let rest = self.gaps.iter().map(|gap| {
            at += gap;
            at
        });
        let stamps: Vec<RunNanos> = std::iter::once(first)
            .chain(rest)
            .map(|seconds| RunNanos::from_secs_f64(seconds - zero))
            .collect();
        let same = |a: Option<&RunNanos>, b: RunNanos| a.is_some_and(|a| *a == b);
        (0..stamps.len())
            .map(|place| ChunkRow {
                at: stamps[place],
                tokens: 1,
                counted: false,
                reasoning: false,
                shared: same(stamps.get(place + 1), stamps[place])
                    || place > 0 && same(stamps.get(place - 1), stamps[place]),
            })
            .collect()
    }
}

/// How a request ended, by the error text of a tool that keeps nothing else of it.
pub(crate) fn outcome_of(text: &str) -> Outcome {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["timeout", "timed out"]) {
        Outcome::Timeout
    } else if has(&["refused", "cannot connect"]) {
        Outcome::Refused
    } else if has(&["reset", "disconnected", "broken pipe", "connection closed", "incompleteread"])
    {
        Outcome::Reset
    } else if has(&["cancel", "abort"]) {
        Outcome::Aborted
    } else if has(&["json", "decode"]) {
        Outcome::Malformed
    } else {
        // What these tools keep of an answer with another status is its reason or its body.
        Outcome::HttpStatus
    }
}

/// The earliest time at which a request was due: the start of the point.
pub(crate) fn zero(all: &[Times]) -> f64 {
    let zero = all.iter().map(|times| times.intended.min(times.sent)).fold(f64::INFINITY, f64::min);
    if zero.is_finite() { zero } else { 0.0 }
}

/// Rows of all requests, from the earliest time at which one was due.
pub(crate) fn rows(all: &[Times]) -> Vec<RequestRow> {
    let zero = zero(all);
    all.iter().enumerate().map(|(id, times)| times.row(id, zero)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_add_up_and_count_from_the_first_due_request() {
        let times = Times {
            intended: 100.0,
            sent: 100.002,
            first: Some(100.052),
            gaps: vec![0.01, 0.0, 0.02],
            done: 100.09,
            output_tokens: Some(4),
            ..Times::default()
        };
        let late = Times { intended: 101.0, sent: 101.0, done: 101.5, ..Times::default() };
        let rows = rows(&[late, times]);
        assert_eq!(rows[0].intended, RunNanos::from_secs_f64(1.0));
        let row = &rows[1];
        assert_eq!(row.intended, RunNanos::ZERO);
        assert_eq!(row.schedule_lag().unwrap().as_millis(), 2);
        assert_eq!(row.first_token(), Some(RunNanos::from_secs_f64(0.052)));
        assert_eq!(row.last_token, Some(RunNanos::from_secs_f64(0.082)));
        assert_eq!(row.done, RunNanos::from_secs_f64(0.09));
        assert_eq!(
            row.chunks.iter().map(|c| c.shared).collect::<Vec<_>>(),
            [false, true, true, false]
        );
        assert_eq!((rows[0].first_token(), rows[0].chunks.len()), (None, 0));
    }

    #[test]
    fn errors_are_sorted_by_their_words() {
        for (text, outcome) in [
            ("Traceback ... TimeoutError", Outcome::Timeout),
            ("Cannot connect to host localhost:8000", Outcome::Refused),
            ("ServerDisconnectedError: Server disconnected", Outcome::Reset),
            ("Bad Request", Outcome::HttpStatus),
            ("CancelledError()", Outcome::Aborted),
            ("json.decoder.JSONDecodeError", Outcome::Malformed),
        ] {
            assert_eq!(outcome_of(text), outcome, "{text}");
        }
    }

    proptest! {
        /// Whatever the times, the stamps of a row are in their order.
        #[test]
        fn stamps_are_in_order(
            intended in 0.0..9e9_f64, lag in -1.0..10.0_f64, first in prop::option::of(0.0..9e9_f64),
            gaps in prop::collection::vec(0.0..9e9_f64, 0..5), done in 0.0..9e9_f64,
        ) {
            let times = Times {
                intended, sent: intended + lag, first: first.map(|it| intended + lag + it), gaps,
                done, ..Times::default()
            };
            let row = rows(&[times]).remove(0);
            prop_assert!(row.intended <= row.dequeued && Some(row.dequeued) <= row.sent);
            prop_assert!(row.sent <= row.last_token.or(row.sent) && row.last_token.unwrap_or_default() <= row.done);
            prop_assert!(row.first_token() <= row.last_token);
        }
    }
}
