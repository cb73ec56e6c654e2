//! Request bodies: everything but the prompt and the output length is written once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::EncodeError;

/// Which of the two generating APIs a body is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// `/v1/chat/completions`: messages.
    #[default]
    Chat,
    /// `/v1/completions`: a text.
    Completions,
}

impl Api {
    /// The path below the server's base URL.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }
}

/// Under which name the server takes the output length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`: known everywhere.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's newer name, chat only.
    MaxCompletionTokens,
}

impl MaxTokensField {
    const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// All of a request body but the prompt and the output length.
///
/// Some servers refuse a body with a field they do not know, so whatever is not needed can be left
/// out; the default is what a measurement wants from a server that knows all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BodyTemplate {
    /// The API.
    pub api: Api,
    /// The model's name at the server.
    pub model: String,
    /// Whether tokens are to be streamed.
    pub stream: bool,
    /// Whether the stream is to end with the usage. Nothing without `stream`.
    pub include_usage: bool,
    /// Whether every chunk is to carry the usage so far, which tells how many tokens it brings.
    /// Nothing without `stream`.
    pub continuous_usage: bool,
    /// Whether the model is to go on past its end-of-text token, so that every answer has the length
    /// asked for. An extension of vLLM's that others took over.
    pub ignore_eos: bool,
    /// The sampling temperature, 0 or above; the server's default when `None`.
    pub temperature: Option<f64>,
    /// Under which name the output length goes.
    pub max_tokens_field: MaxTokensField,
    /// Further fields, as they are. None may be one that the template sets.
    pub extra: Map<String, Value>,
}

impl Default for BodyTemplate {
    /// Chat, streamed, with usage at the end and in every chunk, past the end of text. The server's
    /// own temperature: at 0 a small model may fall into a loop, which speculative decoding and
    /// prefix caches reward.
    fn default() -> Self {
        Self {
            api: Api::Chat,
            model: String::new(),
            stream: true,
            include_usage: true,
            continuous_usage: true,
            ignore_eos: true,
            temperature: None,
            max_tokens_field: MaxTokensField::MaxTokens,
            extra: Map::new(),
        }
    }
}

impl BodyTemplate {
    /// One body with `prompt` as the user's only message, asking for `output_tokens`: for probes.
    ///
    /// # Errors
    /// When the template cannot be written; see [`EncodeError`].
    pub fn encode(&self, prompt: &str, output_tokens: u32) -> Result<Bytes, EncodeError> {
        let frame = Frame::new(self)?;
        let mut body = frame.begin(prompt.len());
        frame.text(&mut body, |out| {
            let quoted = Value::from(prompt).to_string();
            out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        });
        Ok(frame.end(body, output_tokens))
    }
}

/// The parts of a body around its prompt and its output length.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// From the opening brace to the prompt's key.
    before: String,
    /// What opens and closes a text that stands for the whole prompt.
    open_text: &'static str,
    close_text: &'static str,
    /// From behind the prompt to the output length.
    between: String,
    /// From behind the output length to the closing brace.
    after: String,
}

impl Frame {
    pub(crate) fn new(template: &BodyTemplate) -> Result<Self, EncodeError> {
        if let Some(temperature) = template.temperature
            && !(temperature.is_finite() && temperature >= 0.0)
        {
            return Err(EncodeError::Temperature { temperature });
        }
        const RESERVED: [&str; 9] = [
            "model",
            "messages",
            "prompt",
            "max_tokens",
            "max_completion_tokens",
            "stream",
            "stream_options",
            "ignore_eos",
            "temperature",
        ];
        if let Some(key) = template.extra.keys().find(|key| RESERVED.contains(&key.as_str())) {
            return Err(EncodeError::ReservedField { key: key.clone() });
        }

        let (key, open_text, close_text) = match template.api {
            Api::Chat => ("messages", "[{\"role\":\"user\",\"content\":\"", "\"}]"),
            Api::Completions => ("prompt", "\"", "\""),
        };
        let mut after = String::new();
        let mut field = |key: &str, value: Value| {
            after.push_str(&format!(",{}:{value}", Value::from(key)));
        };
        field("stream", template.stream.into());
        if template.stream && (template.include_usage || template.continuous_usage) {
            let mut options = Map::new();
            options.insert("include_usage".to_owned(), template.include_usage.into());
            if template.continuous_usage {
                options.insert("continuous_usage_stats".to_owned(), true.into());
            }
            field("stream_options", Value::Object(options));
        }
        if template.ignore_eos {
            field("ignore_eos", true.into());
        }
        if let Some(temperature) = template.temperature {
            field("temperature", json!(temperature));
        }
        for (key, value) in &template.extra {
            field(key, value.clone());
        }
        after.push('}');
        Ok(Self {
            before: format!("{{\"model\":{},\"{key}\":", Value::from(template.model.as_str())),
            open_text,
            close_text,
            between: format!(",\"{}\":", template.max_tokens_field.name()),
            after,
        })
    }

    /// A body up to its prompt, with room for one of `prompt_bytes`.
    pub(crate) fn begin(&self, prompt_bytes: usize) -> Vec<u8> {
        const LONGEST_NUMBER: usize = 10;
        let around = self.before.len() + self.open_text.len() + self.close_text.len();
        let rest = self.between.len() + LONGEST_NUMBER + self.after.len();
        let mut body = Vec::with_capacity(around + prompt_bytes + rest);
        body.extend_from_slice(self.before.as_bytes());
        body
    }

    /// Appends a prompt that is a text; `write` writes the inside of the JSON string.
    pub(crate) fn text<T>(&self, body: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        body.extend_from_slice(self.open_text.as_bytes());
        let written = write(body);
        body.extend_from_slice(self.close_text.as_bytes());
        written
    }

    /// Appends what follows the prompt.
    pub(crate) fn end(&self, mut body: Vec<u8>, output_tokens: u32) -> Bytes {
        body.extend_from_slice(self.between.as_bytes());
        body.extend_from_slice(output_tokens.to_string().as_bytes());
        body.extend_from_slice(self.after.as_bytes());
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(template: &BodyTemplate, prompt: &str) -> Value {
        serde_json::from_slice(&template.encode(prompt, 7).unwrap()).unwrap()
    }

    #[test]
    fn the_default_asks_for_all_a_measurement_wants() {
        let template = BodyTemplate { model: "a \"b\"".to_owned(), ..BodyTemplate::default() };
        assert_eq!(
            parsed(&template, "hi"),
            json!({
                "model": "a \"b\"", "messages": [{"role": "user", "content": "hi"}],
                "max_tokens": 7, "stream": true, "ignore_eos": true,
                "stream_options": {"include_usage": true, "continuous_usage_stats": true},
            })
        );
    }

    #[test]
    fn every_field_can_be_left_out_or_replaced() {
        let mut template = BodyTemplate {
            api: Api::Completions,
            model: "m".to_owned(),
            stream: false,
            ignore_eos: false,
            temperature: Some(0.5),
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            ..BodyTemplate::default()
        };
        template.extra.insert("min_tokens".to_owned(), json!(7));
        assert_eq!(
            parsed(&template, "hi"),
            json!({
                "model": "m", "prompt": "hi", "max_completion_tokens": 7, "stream": false,
                "temperature": 0.5, "min_tokens": 7,
            })
        );
        template.stream = true;
        template.continuous_usage = false;
        assert_eq!(parsed(&template, "hi")["stream_options"], json!({"include_usage": true}));
        template.include_usage = false;
        assert_eq!(parsed(&template, "hi").get("stream_options"), None);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut template = BodyTemplate { temperature: Some(-3.0), ..BodyTemplate::default() };
        let error = template.encode("a", 1).unwrap_err().to_string();
        assert!(error.contains("-3") && error.contains("0 and finite"), "{error}");
        template.temperature = Some(f64::NAN);
        assert!(template.encode("a", 1).is_err());
        template.temperature = None;
        template.extra.insert("stream".to_owned(), json!(false));
        let error = template.encode("a", 1).unwrap_err().to_string();
        assert!(error.contains("`stream`") && error.contains("remove it"), "{error}");
    }

    proptest! {
        /// Whatever the prompt, the server reads back the same text.
        #[test]
        fn any_prompt_survives(prompt in any::<String>(), chat: bool) {
            let api = if chat { Api::Chat } else { Api::Completions };
            let body = parsed(&BodyTemplate { api, ..BodyTemplate::default() }, &prompt);
            let there = if chat { &body["messages"][0]["content"] } else { &body["prompt"] };
            prop_assert_eq!(there, &Value::from(prompt));
        }
    }
}
