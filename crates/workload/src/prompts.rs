//! Prompts from a JSONL file.
//!
//! Each line is an object in one of three shapes: `{"prompt": "..."}`, OpenAI's
//! `{"messages": [{"role": "...", "content": "..."}, ...]}`, or `{"turns": ["...", ...]}`, of which
//! the first turn is sent. `max_tokens` or `output_tokens` beside it says how many tokens that line
//! asks for. Other keys are the data set's own and pass unread; empty lines are skipped.
//!
//! A conversation that ends with an answer would leave the server nothing to say that is not
//! already there, so answers at its end are left out, and counted.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::MAX_LENGTH_TOKENS;
use crate::error::{PromptProblem, WorkloadError, shorten};
use crate::remark::Remark;

/// One prompt, its JSON already written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePrompt {
    /// Its line in the file, from 1.
    pub(crate) line: u64,
    pub(crate) content: Content,
    /// How many tokens this line asks for.
    pub(crate) output_tokens: Option<u32>,
}

/// What a prompt consists of, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// A JSON string.
    Text(Box<str>),
    /// A JSON array of messages.
    Messages(Box<str>),
}

/// All prompts of the file at `path`, with what was noticed.
///
/// # Errors
/// When the file cannot be read, holds no prompt, or a line that is none.
pub(crate) fn read(path: &Path) -> Result<(Vec<FilePrompt>, Vec<Remark>), WorkloadError> {
    let mut prompts = Vec::new();
    let mut seen = HashSet::new();
    let (mut cut, mut later, mut same) = (0, 0, 0);
    numbered_lines(path, |line, text| {
        let parsed = parse(text)?;
        cut += u64::from(parsed.answers_cut);
        later += u64::from(parsed.later_turns);
        same += u64::from(!seen.insert(parsed.content.clone()));
        let (content, output_tokens) = (parsed.content, parsed.output_tokens);
        prompts.push(FilePrompt { line, content, output_tokens });
        Ok(())
    })?;
    if prompts.is_empty() {
        return Err(WorkloadError::Empty { path: path.to_owned(), what: "prompts" });
    }
    let of = prompts.len() as u64;
    let path = || path.to_owned();
    let remarks = [
        (cut > 0).then(|| Remark::AnswersCut { path: path(), lines: cut, of }),
        (later > 0).then(|| Remark::LaterTurnsUnused { path: path(), lines: later, of }),
        (same > 0).then(|| Remark::SamePrompts { path: path(), lines: same, of }),
    ];
    Ok((prompts, remarks.into_iter().flatten().collect()))
}

/// Hands every line that is not empty to `each`, whose problem is told with the line's number.
///
/// # Errors
/// When the file cannot be read, or `each` has a problem.
pub(crate) fn each_line(
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), PromptProblem>,
) -> Result<(), WorkloadError> {
    numbered_lines(path, |_, text| each(text))
}

fn numbered_lines(
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), PromptProblem>,
) -> Result<(), WorkloadError> {
    let unreadable = |source| WorkloadError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        // A byte order mark may open the file.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| line == 1).unwrap_or(&bytes);
        if text.trim_ascii().is_empty() {
            continue;
        }
        each(line, text).map_err(|problem| WorkloadError::PromptLine {
            path: path.to_owned(),
            line,
            problem,
        })?;
    }
    Ok(())
}

/// The messages of a line that is a conversation, and the tokens it asks for.
///
/// # Errors
/// When it is none.
pub(crate) fn conversation(line: &[u8]) -> Result<(Vec<Value>, Option<u32>), PromptProblem> {
    let object = object(line)?;
    let Some(messages) = object.get("messages") else {
        return Err(PromptProblem::NoMessages { keys: keys(&object) });
    };
    Ok((checked(messages)?.to_vec(), output_tokens(&object)?))
}

fn object(line: &[u8]) -> Result<Map<String, Value>, PromptProblem> {
    match serde_json::from_slice(line).map_err(PromptProblem::Json)? {
        Value::Object(object) => Ok(object),
        other => Err(PromptProblem::NoObject { found: kind(&other) }),
    }
}

fn keys(object: &Map<String, Value>) -> Vec<String> {
    object.keys().take(12).map(|key| format!("`{}`", shorten(key))).collect()
}

struct Parsed {
    content: Content,
    output_tokens: Option<u32>,
    answers_cut: bool,
    later_turns: bool,
}

fn parse(line: &[u8]) -> Result<Parsed, PromptProblem> {
    let object = object(line)?;
    let mut present =
        ["prompt", "messages", "turns"].into_iter().filter(|key| object.contains_key(*key));
    let Some(shape) = present.next() else {
        return Err(PromptProblem::NoPrompt { keys: keys(&object) });
    };
    if let Some(second) = present.next() {
        return Err(PromptProblem::TwoPrompts { first: shape, second });
    }
    let output_tokens = output_tokens(&object)?;
    let value = &object[shape];
    let (content, answers_cut, later_turns) = match shape {
        "prompt" => (Content::Text(text(value, "prompt")?), false, false),
        "turns" => {
            let turns = list(value, "turns", "a list of texts with at least one")?;
            (Content::Text(text(&turns[0], "turns[0]")?), false, turns.len() > 1)
        }
        _ => {
            let (messages, cut) = messages(value)?;
            (Content::Messages(messages), cut, false)
        }
    };
    Ok(Parsed { content, output_tokens, answers_cut, later_turns })
}

/// `messages` without the answers at its end, and whether there were any.
fn messages(value: &Value) -> Result<(Box<str>, bool), PromptProblem> {
    let messages = checked(value)?;
    let kept = messages
        .iter()
        .rposition(|message| message["role"] != "assistant")
        .ok_or(PromptProblem::OnlyAnswers)?
        + 1;
    let json = Value::Array(messages[..kept].to_vec()).to_string();
    Ok((json.into_boxed_str(), kept < messages.len()))
}

/// `messages`, each of which is one.
fn checked(value: &Value) -> Result<&[Value], PromptProblem> {
    let messages = list(value, "messages", "a list of messages with at least one")?;
    for (place, message) in messages.iter().enumerate() {
        let key = |field: &str| format!("messages[{place}]{field}");
        let allowed = "an object with `role` and `content`";
        let object = message.as_object().ok_or_else(|| wrong(key(""), allowed, message))?;
        match object.get("role") {
            Some(Value::String(_)) => {}
            other => return Err(wrong(key(".role"), "a text", other.unwrap_or(&Value::Null))),
        }
        // Content may be a list of parts, or absent beside a tool call: that is the server's to
        // judge. Anything else no server takes.
        match object.get("content") {
            None | Some(Value::String(_) | Value::Array(_) | Value::Null) => {}
            Some(other) => return Err(wrong(key(".content"), "a text or a list of parts", other)),
        }
    }
    Ok(messages)
}

fn text(value: &Value, key: &str) -> Result<Box<str>, PromptProblem> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(value.to_string().into_boxed_str()),
        other => Err(wrong(key.to_owned(), "a text that is not empty", other)),
    }
}

fn list<'a>(
    value: &'a Value,
    key: &str,
    allowed: &'static str,
) -> Result<&'a [Value], PromptProblem> {
    match value {
        Value::Array(list) if !list.is_empty() => Ok(list),
        other => Err(wrong(key.to_owned(), allowed, other)),
    }
}

/// The line's own output length, under either of its names.
fn output_tokens(object: &Map<String, Value>) -> Result<Option<u32>, PromptProblem> {
    let mut found = None;
    for key in ["max_tokens", "output_tokens"] {
        let Some(value) = object.get(key) else { continue };
        let tokens = value
            .as_u64()
            .and_then(|tokens| u32::try_from(tokens).ok())
            .filter(|tokens| (1..=MAX_LENGTH_TOKENS).contains(tokens))
            .ok_or_else(|| {
                wrong(key.to_owned(), "a whole number of tokens from 1 to 10000000", value)
            })?;
        if found.is_some_and(|other| other != tokens) {
            return Err(PromptProblem::TwoPrompts { first: "max_tokens", second: "output_tokens" });
        }
        found = Some(tokens);
    }
    Ok(found)
}

fn wrong(key: String, allowed: &'static str, found: &Value) -> PromptProblem {
    PromptProblem::Value { key, allowed, found: format!("`{}`", shorten(&found.to_string())) }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_text(text: &[u8]) -> Result<(Vec<FilePrompt>, Vec<Remark>), String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        read(file.path()).map_err(|error| {
            let error = error.to_string();
            assert!(error.contains(&file.path().display().to_string()), "{error}");
            error
        })
    }

    #[test]
    fn reads_all_three_shapes() {
        let (prompts, remarks) = read_text(
            "\u{feff}{\"prompt\": \"a \\\"b\\\"\\n\u{e9}\", \"uid\": 7}\r\n\
             \n\
             {\"messages\": [{\"role\": \"user\", \"content\": \"c\"}], \"max_tokens\": 9}\n\
             {\"turns\": [\"d\", \"e\"], \"output_tokens\": 8, \"max_tokens\": 8}"
                .as_bytes(),
        )
        .unwrap();
        let lines: Vec<u64> = prompts.iter().map(|prompt| prompt.line).collect();
        assert_eq!(lines, [1, 3, 4]);
        assert_eq!(prompts[0].content, Content::Text("\"a \\\"b\\\"\\n\u{e9}\"".into()));
        assert_eq!(prompts[2].content, Content::Text("\"d\"".into()));
        let Content::Messages(messages) = &prompts[1].content else { panic!() };
        let messages: Value = serde_json::from_str(messages).unwrap();
        assert_eq!(messages, serde_json::json!([{"role": "user", "content": "c"}]));
        let outputs: Vec<_> = prompts.iter().map(|prompt| prompt.output_tokens).collect();
        assert_eq!(outputs, [None, Some(9), Some(8)]);
        assert!(matches!(remarks[..], [Remark::LaterTurnsUnused { lines: 1, of: 3, .. }]));
    }

    #[test]
    fn answers_at_the_end_and_repeated_prompts_are_counted() {
        let (prompts, remarks) = read_text(
            br#"{"messages": [{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}
                {"messages": [{"role":"user","content":"a"}]}"#,
        )
        .unwrap();
        assert_eq!(prompts[0].content, prompts[1].content);
        assert!(matches!(
            remarks[..],
            [
                Remark::AnswersCut { lines: 1, of: 2, .. },
                Remark::SamePrompts { lines: 1, of: 2, .. }
            ]
        ));
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_told_what_is_allowed() {
        for (line, parts) in [
            ("{\"prompt\": \"a\"", ["no JSON", "write one object a line"]),
            ("{\"prompt\": \"\u{1}\"}", ["no JSON", "control character"]),
            ("17", ["a number", "one object a line"]),
            ("{\"text\": \"a\", \"id\": 3}", ["`prompt`, `messages`", "`id`, `text`"]),
            ("{\"prompt\": \"a\", \"messages\": []}", ["both `prompt` and `messages`", "keep one"]),
            ("{\"prompt\": 3}", ["`prompt` must be a text", "`3`"]),
            ("{\"prompt\": \"\"}", ["not empty", "`\"\"`"]),
            ("{\"turns\": []}", ["`turns` must be", "`[]`"]),
            ("{\"turns\": [4]}", ["`turns[0]` must be", "`4`"]),
            ("{\"messages\": [{\"content\": \"a\"}]}", ["`messages[0].role`", "`null`"]),
            ("{\"messages\": [\"a\"]}", ["`messages[0]`", "`role` and `content`"]),
            ("{\"messages\": [{\"role\": \"user\", \"content\": 1}]}", ["[0].content", "parts"]),
            ("{\"messages\": [{\"role\": \"assistant\"}]}", ["nothing but answers", "add"]),
            ("{\"prompt\": \"a\", \"max_tokens\": 0}", ["`max_tokens`", "1 to 10000000"]),
            ("{\"prompt\": \"a\", \"max_tokens\": \"9\"}", ["`max_tokens`", "`\"9\"`"]),
            (
                "{\"prompt\": \"a\", \"max_tokens\": 9, \"output_tokens\": 8}",
                ["`max_tokens`", "`output_tokens`"],
            ),
        ] {
            let text = format!("{{\"prompt\": \"fine\"}}\n\n{line}\n");
            let error = read_text(text.as_bytes()).unwrap_err();
            assert!(error.contains("line 3"), "{line}: {error}");
            for part in parts {
                assert!(error.contains(part), "{line}: {part}: {error}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_and_long_values_shortened() {
        let error = read_text(b"{\"prompt\": \"\xff\"}\n").unwrap_err();
        assert!(error.contains("line 1"), "{error}");
        let text = format!("{{\"turns\": [\"a\"], \"prompt\": \"{}\"}}", "b".repeat(9_000));
        assert!(read_text(text.as_bytes()).unwrap_err().len() < 400);
        assert!(read_text(b"\n\n").unwrap_err().contains("no prompts"));
    }
}
