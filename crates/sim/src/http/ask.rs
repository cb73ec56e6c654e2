//! What a body asks for, checked as vLLM checks it.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::http::failure::Failure;
use crate::{Limits, ModelProfile, words};

/// Which of the two generating routes was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Completions,
}

/// The fields this server reads; others are ignored, as vLLM does.
#[derive(Debug, Default, Deserialize)]
struct Written {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    prompt: Option<Prompt>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    min_tokens: Option<i64>,
    ignore_eos: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<i64>,
    temperature: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Texts(Vec<String>),
}

/// A request for an answer, ready for the engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) api: Api,
    pub(crate) prompt: Vec<u32>,
    /// At least 1, and no more than fits.
    pub(crate) max_tokens: u32,
    pub(crate) min_tokens: u32,
    pub(crate) ignore_eos: bool,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) continuous_usage: bool,
}

/// Tokens of a completion that does not say how many, by the API's definition.
const COMPLETION_DEFAULT: i64 = 16;

impl Ask {
    /// Reads and checks a body.
    pub(crate) fn read(
        api: Api,
        body: &[u8],
        profile: &ModelProfile,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let written: Written = parse(body)?;
        check_model(written.model.as_deref(), profile)?;
        let prompt = match api {
            Api::Chat => {
                let messages = written.messages.as_deref().ok_or_else(|| missing("messages"))?;
                chat_tokens(messages, profile)
            }
            Api::Completions => {
                let prompt = written.prompt.as_ref().ok_or_else(|| missing("prompt"))?;
                prompt_tokens(prompt)?
            }
        };
        if let Some(temperature) = written.temperature
            && temperature < 0.0
        {
            let problem = format!("temperature must be non-negative, got {temperature:?}.");
            return Err(Failure::parameter("temperature", format!("{temperature:?}"), &problem));
        }
        if written.n.is_some_and(|n| n != 1) {
            return Err(Failure::parameter(
                "n",
                written.n.unwrap_or(1),
                "this server gives one answer a request.",
            ));
        }
        let stream = written.stream.unwrap_or(false);
        let options = written.stream_options;
        if options.is_some() && !stream {
            return Err(Failure::validation(
                "body.stream_options",
                "value_error",
                "Stream options can only be defined when `stream=True`.",
            ));
        }
        check_length(prompt.len(), limits)?;
        let room = limits.max_model_len - u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let asked = written.max_completion_tokens.or(written.max_tokens);
        let max_tokens = match (asked, api) {
            (Some(asked), _) => check_max_tokens(asked, limits)?.min(room),
            (None, Api::Chat) => room,
            (None, Api::Completions) => check_max_tokens(COMPLETION_DEFAULT, limits)?.min(room),
        };
        let min_tokens = written.min_tokens.unwrap_or(0);
        if min_tokens < 0 || min_tokens > i64::from(max_tokens) {
            let problem = format!(
                "min_tokens must be between 0 and max_tokens={max_tokens}, got {min_tokens}."
            );
            return Err(Failure::parameter("min_tokens", min_tokens, &problem));
        }
        let asks = |field: fn(&StreamOptions) -> Option<bool>| {
            options.as_ref().and_then(field).unwrap_or(false)
        };
        Ok(Self {
            api,
            prompt,
            max_tokens,
            min_tokens: u32::try_from(min_tokens).unwrap_or(0),
            ignore_eos: written.ignore_eos.unwrap_or(false),
            stream,
            include_usage: asks(|options| options.include_usage),
            continuous_usage: asks(|options| options.include_usage)
                && asks(|options| options.continuous_usage_stats),
        })
    }
}

/// The tokens of `POST /tokenize`, from `prompt` or `messages`.
pub(crate) fn tokenize(body: &[u8], profile: &ModelProfile) -> Result<Vec<u32>, Failure> {
    let written: Written = parse(body)?;
    check_model(written.model.as_deref(), profile)?;
    match (&written.messages, &written.prompt) {
        (Some(messages), _) => Ok(chat_tokens(messages, profile)),
        (None, Some(prompt)) => prompt_tokens(prompt),
        (None, None) => Err(missing("prompt")),
    }
}

fn parse(body: &[u8]) -> Result<Written, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        // Quotes would end the quoted text of the message.
        let problem = error.to_string().replace('\'', "\"");
        if error.is_data() {
            Failure::validation("body", "value_error", &problem)
        } else {
            let location = format!("body.{}", error.column());
            let problem = format!("JSON decode error: {problem}");
            Failure::validation(&location, "json_invalid", &problem)
        }
    })
}

fn missing(field: &str) -> Failure {
    Failure::validation(&format!("body.{field}"), "missing", "Field required")
}

fn check_model(model: Option<&str>, profile: &ModelProfile) -> Result<(), Failure> {
    match model {
        Some(model) if model != profile.name => Err(Failure::new(
            StatusCode::NOT_FOUND,
            "NotFoundError",
            json!("model"),
            &format!("The model `{model}` does not exist. Valid aliases: {}.", profile.name),
        )),
        _ => Ok(()),
    }
}

fn check_length(tokens: usize, limits: &Limits) -> Result<(), Failure> {
    let limit = limits.max_model_len;
    if tokens == 0 {
        return Err(Failure::parameter("prompt", "''", "the prompt must have at least one token."));
    }
    if tokens >= limit as usize {
        let problem = format!(
            "This model's maximum context length is {limit} tokens. However, your prompt contains \
             at least {tokens} input tokens, which exceeds this limit even without any output \
             tokens. Please reduce the length of the input prompt."
        );
        return Err(Failure::parameter("input_tokens", tokens, &problem));
    }
    Ok(())
}

fn check_max_tokens(asked: i64, limits: &Limits) -> Result<u32, Failure> {
    let limit = limits.max_model_len;
    match u32::try_from(asked) {
        Ok(tokens) if (1..=limit).contains(&tokens) => Ok(tokens),
        _ if asked < 1 => Err(Failure::parameter(
            "max_tokens",
            asked,
            &format!("max_tokens must be at least 1, got {asked}."),
        )),
        _ => Err(Failure::parameter(
            "max_tokens",
            asked,
            &format!(
                "max_tokens={asked} cannot be greater than max_model_len={limit}. Please request \
                 fewer output tokens."
            ),
        )),
    }
}

/// The template's tokens, then those of every message. The template comes first as a whole, so
/// that a conversation that goes on keeps its prefix.
fn chat_tokens(messages: &[Message], profile: &ModelProfile) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..profile.template_tokens).collect();
    for message in messages {
        match &message.content {
            Some(Content::Text(text)) => words::tokenize(text, &mut ids),
            Some(Content::Parts(parts)) => {
                for text in parts.iter().filter_map(|part| part.text.as_deref()) {
                    words::tokenize(text, &mut ids);
                }
            }
            None => {}
        }
    }
    ids
}

fn prompt_tokens(prompt: &Prompt) -> Result<Vec<u32>, Failure> {
    let mut ids = Vec::new();
    match prompt {
        Prompt::Text(text) => words::tokenize(text, &mut ids),
        Prompt::Ids(given) => ids.clone_from(given),
        Prompt::Texts(texts) => match texts.as_slice() {
            [text] => words::tokenize(text, &mut ids),
            _ => {
                return Err(Failure::parameter(
                    "prompt",
                    format!("<{} prompts>", texts.len()),
                    "this server takes one prompt a request.",
                ));
            }
        },
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::Settings;

    fn read(api: Api, body: &str) -> Result<Ask, (u16, Value)> {
        let profile = ModelProfile::tiny();
        let limits = Settings::default().limits(&profile).unwrap();
        Ask::read(api, body.as_bytes(), &profile, &limits).map_err(|failure| {
            (failure.status.as_u16(), serde_json::from_slice(&failure.body).unwrap())
        })
    }

    #[test]
    fn a_chat_counts_its_words_and_the_template() {
        let ask = read(
            Api::Chat,
            r#"{"model":"tiny","messages":[{"role":"system","content":"be brief"},
                {"role":"user","content":[{"type":"text","text":"one two three"}]}],
                "max_completion_tokens":7,"max_tokens":3,"ignore_eos":true,"stream":true,
                "stream_options":{"include_usage":true,"continuous_usage_stats":true},"x":1}"#,
        )
        .unwrap();
        assert_eq!(ask.prompt.len(), 9 + 2 + 3);
        assert_eq!(ask.max_tokens, 7, "the newer name wins");
        assert!(ask.stream && ask.include_usage && ask.continuous_usage && ask.ignore_eos);
    }

    #[test]
    fn defaults_and_cuts_follow_the_context() {
        let chat = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(read(Api::Chat, chat).unwrap().max_tokens, 4096 - 10);
        let cut = r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":4096}"#;
        assert_eq!(read(Api::Chat, cut).unwrap().max_tokens, 4096 - 10);
        assert_eq!(read(Api::Completions, r#"{"prompt":"a b"}"#).unwrap().max_tokens, 16);
        assert_eq!(read(Api::Completions, r#"{"prompt":[7,8,9]}"#).unwrap().prompt, [7, 8, 9]);
        assert_eq!(read(Api::Completions, r#"{"prompt":["a b"]}"#).unwrap().prompt.len(), 2);
    }

    #[test]
    fn refusals_say_what_vllm_says() {
        let long = format!(r#"{{"prompt":"{}"}}"#, "w ".repeat(4097));
        let user = r#""messages":[{"role":"user","content":"hi"}]"#;
        for (api, body, status, part) in [
            (Api::Chat, r#"{"model":"tiny", oops"#.to_owned(), 400, "json_invalid"),
            (Api::Chat, r#"{"model":"no","messages":[]}"#.to_owned(), 404, "`no` does not exist"),
            (Api::Chat, r#"{"model":"tiny"}"#.to_owned(), 400, "body.messages"),
            (Api::Completions, "{}".to_owned(), 400, "body.prompt"),
            (Api::Chat, format!(r#"{{{user},"max_tokens":0}}"#), 400, "at least 1, got 0"),
            (Api::Chat, format!(r#"{{{user},"max_tokens":10000000}}"#), 400, "max_model_len=4096"),
            (Api::Chat, format!(r#"{{{user},"temperature":-3}}"#), 400, "non-negative, got -3.0"),
            (Api::Chat, format!(r#"{{{user},"n":2}}"#), 400, "one answer"),
            (Api::Chat, format!(r#"{{{user},"stream_options":{{}}}}"#), 400, "Stream options"),
            (Api::Chat, format!(r#"{{{user},"max_tokens":"many"}}"#), 400, "value_error"),
            (Api::Chat, format!(r#"{{{user},"max_tokens":3,"min_tokens":4}}"#), 400, "min_tokens"),
            (Api::Completions, long, 400, "at least 4097 input tokens"),
            (Api::Completions, r#"{"prompt":""}"#.to_owned(), 400, "at least one token"),
            (Api::Completions, r#"{"prompt":["a","b"]}"#.to_owned(), 400, "one prompt"),
        ] {
            let (code, error) = read(api, &body).unwrap_err();
            assert_eq!(code, status, "{error}");
            assert!(error["error"]["message"].as_str().unwrap().contains(part), "{part}: {error}");
            assert_eq!(error["error"]["code"], status);
        }
    }
}
