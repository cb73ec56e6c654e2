//! The JSON of one chunk, folded while it is parsed into the little that is measured.
//!
//! No tree is built and no text is kept: whether a piece of text is there, and whether it is empty,
//! is all that a timeline needs. Choices are folded into one bit set per question, so a chunk costs
//! no allocation. Unknown fields, missing ones and `null` in any place are accepted.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::problem::Words;

/// One chunk of a chat or completions stream.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Chunk<'a> {
    /// `None` when the key is missing; `[]` and `null` are an empty fold.
    #[serde(borrow, default)]
    pub(crate) choices: Option<Choices<'a>>,
    #[serde(default)]
    pub(crate) usage: Option<Usage>,
    /// An error object (or text) inside the stream.
    #[serde(borrow, default)]
    pub(crate) error: Words<'a>,
    /// The message of an error that came without the wrapper.
    #[serde(borrow, default)]
    pub(crate) message: Words<'a>,
}

impl Chunk<'_> {
    /// What the chunk says went wrong, if it is an error and no chunk.
    pub(crate) fn problem(&self) -> Option<&str> {
        if self.error.is_present() {
            Some(self.error.text().or(self.message.text()).unwrap_or("no message"))
        } else if self.choices.is_none() && self.message.is_present() {
            Some(self.message.text().unwrap_or("no message"))
        } else {
            None
        }
    }
}

/// The server's counts, as cumulative as the server made them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Usage {
    #[serde(default)]
    pub(crate) prompt_tokens: Option<u32>,
    #[serde(default)]
    pub(crate) completion_tokens: Option<u32>,
    #[serde(default)]
    pub(crate) prompt_tokens_details: Option<PromptDetails>,
}

impl Usage {
    /// Prompt tokens that came from the prefix cache.
    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.prompt_tokens_details.and_then(|details| details.cached_tokens)
    }
}

/// What the server says about the prompt tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

/// A set of choices by index. Indices from 63 on share the last bit.
pub(crate) type ChoiceSet = u64;

/// The choices of one chunk: for each question the set of those that answer yes.
#[derive(Debug, Default)]
pub(crate) struct Choices<'a> {
    /// Named in this chunk.
    pub(crate) seen: ChoiceSet,
    /// With text of the answer, a refusal, or a piece of a tool call.
    pub(crate) answer: ChoiceSet,
    /// With text of reasoning.
    pub(crate) reasoning: ChoiceSet,
    /// With a text field that is there and empty, and no other text.
    pub(crate) empty: ChoiceSet,
    /// With a role.
    pub(crate) role: ChoiceSet,
    /// With a finish reason.
    pub(crate) finished: ChoiceSet,
    /// The last finish reason.
    pub(crate) finish_reason: Words<'a>,
}

impl<'a> Choices<'a> {
    fn add(&mut self, choice: Choice<'a>) {
        let bit = 1 << choice.index.unwrap_or(0).min(63);
        let delta = choice.delta.unwrap_or_default();
        let texts = [choice.text, delta.content, delta.refusal];
        let thoughts = [delta.reasoning_content, delta.reasoning];
        let calls = delta.tool_calls == Text::Some || delta.function_call == Text::Some;
        let answer = calls || texts.contains(&Text::Some);
        let reasoning = thoughts.contains(&Text::Some);
        let empty = texts.contains(&Text::Empty) || thoughts.contains(&Text::Empty);
        self.seen |= bit;
        self.answer |= if answer { bit } else { 0 };
        self.reasoning |= if reasoning { bit } else { 0 };
        self.empty |= if empty && !answer && !reasoning { bit } else { 0 };
        self.role |= if delta.role == Text::Some { bit } else { 0 };
        if choice.finish_reason.text().is_some_and(|reason| !reason.is_empty()) {
            self.finished |= bit;
            self.finish_reason = choice.finish_reason;
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fold;
        impl<'de> Visitor<'de> for Fold {
            type Value = Choices<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Choices::default();
                while let Some(choice) = seq.next_element()? {
                    choices.add(choice);
                }
                Ok(choices)
            }
        }
        deserializer.deserialize_seq(Fold)
    }
}

#[derive(Debug, Default, Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    text: Text,
    #[serde(borrow, default)]
    finish_reason: Words<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    #[serde(default)]
    role: Text,
    #[serde(default)]
    content: Text,
    #[serde(default)]
    refusal: Text,
    // Servers name it in one way, the other, or both; an alias would refuse both.
    #[serde(default)]
    reasoning_content: Text,
    #[serde(default)]
    reasoning: Text,
    #[serde(default)]
    tool_calls: Text,
    #[serde(default)]
    function_call: Text,
}

/// Whether something is there, and whether it is empty. Text, arrays and objects alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    /// The key is missing or `null`.
    #[default]
    Absent,
    Empty,
    Some,
}

impl<'de> Deserialize<'de> for Text {
    /// Looks at the raw JSON: a text with escapes is not unescaped, which would take a buffer.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes() {
            b"null" => Ok(Self::Absent),
            [b'"', b'"'] => Ok(Self::Empty),
            [b'[' | b'{', inside @ .., _] if inside.trim_ascii().is_empty() => Ok(Self::Empty),
            [b'"' | b'[' | b'{', ..] => Ok(Self::Some),
            _ => Err(D::Error::custom(format_args!(
                "`{raw}` where a text, an array, an object or null belongs"
            ))),
        }
    }
}

/// Adds the text that a chunk has for the first choice, if it has any, to `answer`. What is no chunk
/// adds nothing.
pub(crate) fn add_answer(answer: &mut String, data: &[u8]) {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        choices: Vec<SaidChoice>,
    }
    #[derive(Deserialize)]
    struct SaidChoice {
        #[serde(default)]
        index: u32,
        #[serde(default)]
        delta: SaidDelta,
        #[serde(default)]
        text: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct SaidDelta {
        #[serde(default)]
        content: Option<String>,
    }
    let Ok(said) = serde_json::from_slice::<Said>(data) else { return };
    for choice in said.choices.into_iter().filter(|choice| choice.index == 0) {
        let texts = [choice.delta.content, choice.text];
        texts.into_iter().flatten().for_each(|text| answer.push_str(&text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(json: &str) -> Choices<'_> {
        serde_json::from_str::<Chunk<'_>>(json).unwrap().choices.unwrap()
    }

    fn delta(delta: &str) -> (ChoiceSet, ChoiceSet, ChoiceSet, ChoiceSet) {
        let json = format!("{{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}");
        let choices = choices(&json);
        (choices.answer, choices.reasoning, choices.empty, choices.role)
    }

    #[test]
    fn every_kind_of_delta_is_told_apart() {
        assert_eq!(delta(r#"{"role":"assistant","content":""}"#), (0, 0, 1, 1));
        assert_eq!(delta(r#"{"role":"assistant","content":null}"#), (0, 0, 0, 1));
        assert_eq!(delta(r#"{"content":"x","role":"assistant"}"#), (1, 0, 0, 1));
        assert_eq!(delta(r#"{"content":""}"#), (0, 0, 1, 0));
        assert_eq!(delta(r#"{"content":"a\nb"}"#), (1, 0, 0, 0));
        assert_eq!(delta(r#"{"reasoning_content":"x","content":null}"#), (0, 1, 0, 0));
        assert_eq!(
            delta(r#"{"reasoning":"x","reasoning_content":"x","content":""}"#),
            (0, 1, 0, 0)
        );
        assert_eq!(delta(r#"{"reasoning":"","content":"x"}"#), (1, 0, 0, 0));
        assert_eq!(
            delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#),
            (1, 0, 0, 0)
        );
        assert_eq!(
            delta(r#"{"tool_calls":[],"content":[{"type":"text","text":"x"}]}"#),
            (1, 0, 0, 0)
        );
        assert_eq!(delta("{}"), (0, 0, 0, 0));
        assert_eq!(delta("null"), (0, 0, 0, 0));
    }

    #[test]
    fn the_answer_is_the_text_of_the_first_choice() {
        let mut answer = String::new();
        for data in [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"a\n\"b"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"no","content":null}}]}"#,
            r#"{"choices":[{"index":0,"text":" c"}]}"#,
            r#"{"choices":null}"#,
            r#"{"choices":[],"usage":{}}"#,
            "no json",
        ] {
            add_answer(&mut answer, data.as_bytes());
        }
        assert_eq!(answer, "a\n\"b c");
    }

    #[test]
    fn choices_fold_by_index_and_finish() {
        let two = choices(
            r#"{"choices":[{"index":1,"text":"x","finish_reason":null},
                {"index":0,"text":"","finish_reason":"length"},{"index":70,"text":"y"}]}"#,
        );
        assert_eq!((two.seen, two.answer, two.empty), (0b11 | 1 << 63, 0b10 | 1 << 63, 1));
        assert_eq!((two.finished, two.finish_reason.text()), (1, Some("length")));
        assert_eq!(choices(r#"{"choices":[]}"#).seen, 0);
        assert_eq!(choices(r#"{"choices":[{"finish_reason":""}]}"#).finished, 0);
    }

    #[test]
    fn null_and_missing_are_accepted_anywhere() {
        let chunk: Chunk<'_> =
            serde_json::from_str(r#"{"choices":null,"usage":null,"error":null,"x":[{}]}"#).unwrap();
        assert!(chunk.choices.is_none() && chunk.usage.is_none() && chunk.problem().is_none());
        let usage: Usage = serde_json::from_str(
            r#"{"completion_tokens":4,"prompt_tokens_details":{"audio_tokens":null,"cached_tokens":3},
                "completion_tokens_details":null}"#,
        )
        .unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (None, Some(4)));
        assert_eq!(usage.cached_tokens(), Some(3));
    }

    #[test]
    fn errors_are_found_wrapped_or_not() {
        for json in [
            r#"{"error":{"message":"full","code":500}}"#,
            r#"{"error":"full"}"#,
            r#"{"object":"error","message":"full","code":500}"#,
        ] {
            let chunk: Chunk<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(chunk.problem(), Some("full"), "{json}");
        }
        let chunk: Chunk<'_> = serde_json::from_str(r#"{"error":{"code":500}}"#).unwrap();
        assert_eq!(chunk.problem(), Some("no message"));
    }

    #[test]
    fn broken_json_and_broken_text_are_errors() {
        for bytes in [
            &b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}"[..],
            b"{\"choices\":[{\"delta\":{\"content\":\"\\x\"}}]}",
            b"{\"choices\":[{\"delta\":{\"content\":true}}]}",
            b"{\"choices\":[{\"delta\":{\"content\":7}}]}",
            b"{\"choices\":[{]}",
            b"{\"choices\":7}",
            b"hello",
        ] {
            assert!(serde_json::from_slice::<Chunk<'_>>(bytes).is_err(), "{bytes:?}");
        }
    }
}
