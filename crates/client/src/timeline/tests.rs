//! Each rule of the timeline, on streams written by hand.

use plimsoll_records::StampSource;
use plimsoll_units::RunNanos;

use super::*;
use crate::measured::{Measured, Trail};
use crate::position::Moment;

/// The row of a stream whose events arrive at 1, 2, 3, ... ns and whose body then ends cleanly.
fn row(events: &[&str]) -> RequestRow {
    let mut timeline = Timeline::new(0, Meter::new());
    for (at, data) in (1..).zip(events) {
        let event = SseEvent { name: b"", data: data.as_bytes() };
        timeline.event(Position(at), event);
    }
    let (outcome, error) = timeline.end_of_body();
    let mut row = RequestRow { outcome, error, ..RequestRow::default() };
    let marks = timeline.fill(&mut row);
    let trail = Trail::default();
    let measured = Measured { row, marks, done: Moment::Clock(RunNanos::ZERO), trail };
    measured.settle_with(StampSource::Packet, None, &mut |place| Some(RunNanos::from_nanos(place)))
}

fn chat(delta: &str, finish: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#)
}

fn text(content: &str) -> String {
    chat(&format!(r#"{{"content":"{content}"}}"#), "null")
}

fn usage(completion: u32) -> String {
    format!(r#"{{"choices":[],"usage":{{"prompt_tokens":7,"completion_tokens":{completion}}}}}"#)
}

fn at(nanos: u64) -> Option<RunNanos> {
    Some(RunNanos::from_nanos(nanos))
}

#[test]
fn a_role_chunk_is_a_mark_and_no_token() {
    let role = chat(r#"{"role":"assistant","content":""}"#, "null");
    let stream = [role, text("a"), text("b"), chat("{}", r#""length""#), usage(2), "[DONE]".into()];
    let row = row(&stream.each_ref().map(String::as_str));
    assert_eq!((row.outcome, row.role_chunk, row.first_token()), (Outcome::Ok, at(1), at(2)));
    assert_eq!((row.last_token, row.usage), (at(3), at(5)));
    assert_eq!((row.output_tokens, row.prompt_tokens, row.chunks.len()), (Some(2), Some(7), 2));
    assert_eq!(row.finish_reason.as_deref(), Some("length"));
}

#[test]
fn a_role_that_rides_on_text_is_no_role_chunk() {
    let first = chat(r#"{"content":"a","role":"assistant"}"#, "null");
    let later = chat(r#"{"content":"","role":"assistant"}"#, "null");
    let row = row(&[&first, &later, &chat("{}", r#""stop""#)]);
    assert_eq!((row.role_chunk, row.first_answer, row.chunks.len()), (None, at(1), 2));
    assert_eq!((row.outcome, row.output_tokens), (Outcome::Ok, None));
}

#[test]
fn reasoning_and_answer_have_their_own_marks() {
    for field in ["reasoning", "reasoning_content"] {
        let think = chat(&format!(r#"{{"{field}":"hm","content":null}}"#), "null");
        let row = row(&[&think, &text(""), &text("a"), &chat("{}", r#""stop""#), "[DONE]"]);
        assert_eq!(
            (row.first_reasoning, row.first_answer, row.first_token()),
            (at(1), at(3), at(1))
        );
        let kinds: Vec<bool> = row.chunks.iter().map(|chunk| chunk.reasoning).collect();
        assert_eq!(kinds, [true, true, false], "an empty chunk follows its predecessor");
    }
    let both = row(&[&chat(r#"{"reasoning":"x","content":"y"}"#, r#""stop""#)]);
    assert_eq!((both.first_reasoning, both.first_answer), (at(1), at(1)));
    assert_eq!((both.chunks.len(), both.chunks[0].reasoning), (1, false));
}

#[test]
fn an_empty_finish_chunk_is_a_token_if_the_usage_says_so() {
    let last = chat(r#"{"content":""}"#, r#""length""#);
    let stream = |total| [text("a"), last.clone(), usage(total)];
    let says_two = row(&stream(2).each_ref().map(String::as_str));
    assert_eq!((says_two.chunks.len(), says_two.last_token), (2, at(2)));
    let says_one = row(&stream(1).each_ref().map(String::as_str));
    assert_eq!((says_one.chunks.len(), says_one.last_token), (1, at(1)));
    let silent = row(&[&text("a"), &last]);
    assert_eq!((silent.chunks.len(), silent.outcome), (1, Outcome::Ok));
    // The only token of the response.
    let alone = row(&[&last, &usage(1)]);
    assert_eq!((alone.outcome, alone.first_answer), (Outcome::Ok, at(1)));
}

#[test]
fn every_choice_must_finish() {
    let one = |index: u32, finish: &str| {
        format!(r#"{{"choices":[{{"index":{index},"text":"x","finish_reason":{finish}}}]}}"#)
    };
    let both = [one(0, "null"), one(1, "null"), one(0, r#""stop""#), one(1, r#""stop""#)];
    assert_eq!(row(&both.each_ref().map(String::as_str)).outcome, Outcome::Ok);
    assert_eq!(row(&[&both[0], &both[1], &both[2]]).outcome, Outcome::Truncated);
    assert_eq!(row(&[&both[0], &both[1], "[DONE]"]).outcome, Outcome::Ok);
    let together = r#"{"choices":[{"index":0,"text":"x"},{"index":1,"text":"y"}]}"#;
    assert_eq!(row(&[together, "[DONE]"]).chunks[0].tokens, 2);
}

#[test]
fn a_stream_without_end_or_without_token_is_truncated() {
    assert_eq!(row(&[]).outcome, Outcome::Truncated);
    assert_eq!(row(&[&text("a")]).outcome, Outcome::Truncated);
    let empty = row(&[&chat("{}", r#""stop""#), "[DONE]"]);
    assert_eq!((empty.outcome, empty.first_token()), (Outcome::Truncated, None));
    assert!(empty.error.is_some_and(|error| error.contains("no token")));
    assert_eq!(row(&[&chat("{}", r#""stop""#), &usage(0), "[DONE]"]).outcome, Outcome::Ok);
}

#[test]
fn an_error_ends_the_stream_whatever_follows() {
    let error = r#"{"error":{"message":"Internal server error","code":500}}"#;
    let row = row(&[&text("a"), error, &text("b"), "[DONE]"]);
    assert_eq!((row.outcome, row.chunks.len()), (Outcome::StreamError, 1));
    assert_eq!(row.error.as_deref(), Some("Internal server error"));
    let mut named = Timeline::new(0, Meter::new());
    named.event(Position(0), SseEvent { name: b"error", data: b"" });
    let expected = (Outcome::StreamError, Some("no message".to_owned()));
    assert_eq!(named.end_of_body(), expected);
}

#[test]
fn what_is_no_chunk_is_malformed() {
    for data in ["{", "hello", "[1]", "\"text\"", "{\"choices\":\"x\"}"] {
        assert_eq!(row(&[data]).outcome, Outcome::Malformed, "{data}");
    }
    let mut broken = Timeline::new(0, Meter::new());
    let data = b"{\"choices\":[{\"text\":\"\xc3\"}]}";
    broken.event(Position(0), SseEvent { name: b"", data });
    assert!(broken.is_malformed());
}

#[test]
fn tool_calls_are_answer_and_blank_events_are_nothing() {
    let call = chat(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#, "null");
    let row = row(&["", &call, " ", &chat("{}", r#""tool_calls""#)]);
    assert_eq!((row.outcome, row.first_answer, row.chunks.len()), (Outcome::Ok, at(2), 1));
    assert_eq!(row.finish_reason.as_deref(), Some("tool_calls"));
}
