//! The bytes of an answer: chunks of a stream, or one JSON object.
//!
//! Everything that does not change from token to token is formatted once; a token costs one
//! allocation and a few copies.

use bytes::{Bytes, BytesMut};

use crate::http::ask::Api;
use crate::words;

/// Names the server that made an answer, where vLLM names its build.
pub(crate) const FINGERPRINT: &str = concat!("plimsoll-sim-", env!("CARGO_PKG_VERSION"));

/// Token counts for `usage`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u32,
    pub(crate) completion: u32,
    /// Shown only where the server gives details.
    pub(crate) cached: Option<u32>,
}

/// What one answer's chunks have in common.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    api: Api,
    seed: u64,
    prompt_tokens: u32,
    include_usage: bool,
    continuous_usage: bool,
    /// `data: {"id":...,"model":"...","choices":[` up to the choices.
    head: String,
}

impl Chunks {
    /// `id` and `model` must need no JSON escaping.
    pub(crate) fn new(
        api: Api,
        id: &str,
        model: &str,
        created: u64,
        seed: u64,
        prompt_tokens: u32,
    ) -> Self {
        let object = match api {
            Api::Chat => "chat.completion.chunk",
            Api::Completions => "text_completion",
        };
        let head = format!(
            "data: {{\"id\":\"{id}\",\"object\":\"{object}\",\"created\":{created},\
             \"model\":\"{model}\",\"choices\":["
        );
        Self { api, seed, prompt_tokens, include_usage: false, continuous_usage: false, head }
    }

    /// Which usage the client asked for.
    pub(crate) fn with_usage(mut self, include: bool, continuous: bool) -> Self {
        self.include_usage = include;
        self.continuous_usage = continuous;
        self
    }

    /// The chunk that only names the role; completions have none.
    pub(crate) fn role(&self) -> Option<Bytes> {
        if self.api == Api::Completions {
            return None;
        }
        let mut out = BytesMut::with_capacity(self.head.len() + 256);
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(
            b"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\
              \"logprobs\":null,\"finish_reason\":null}]",
        );
        self.running_usage(&mut out, 0);
        out.extend_from_slice(b",\"prompt_token_ids\":null,\"prompt_text\":null}\n\n");
        Some(out.freeze())
    }

    /// The chunk with tokens `from..to` of the answer; `finish` on the last one.
    pub(crate) fn tokens(&self, from: u32, to: u32, finish: Option<&str>) -> Bytes {
        let mut out = BytesMut::with_capacity(self.head.len() + 256 + 5 * (to - from) as usize);
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(match self.api {
            Api::Chat => b"{\"index\":0,\"delta\":{\"content\":\"".as_slice(),
            Api::Completions => b"{\"index\":0,\"text\":\"".as_slice(),
        });
        for index in from..to {
            out.extend_from_slice(words::answer_text(self.seed, index).as_bytes());
        }
        if self.api == Api::Chat {
            out.extend_from_slice(b"\"}");
        } else {
            out.extend_from_slice(b"\"");
        }
        match finish {
            None => out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":null"),
            Some(reason) => {
                out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":\"");
                out.extend_from_slice(reason.as_bytes());
                out.extend_from_slice(b"\"");
            }
        }
        out.extend_from_slice(match (self.api, finish) {
            (Api::Chat, None) => b",\"token_ids\":null}]".as_slice(),
            (Api::Chat, Some(_)) => b",\"stop_reason\":null,\"token_ids\":null}]",
            (Api::Completions, _) => {
                b",\"stop_reason\":null,\"prompt_token_ids\":null,\"token_ids\":null}]"
            }
        });
        self.running_usage(&mut out, to);
        if finish.is_some() && !self.include_usage {
            out.extend_from_slice(b",\"system_fingerprint\":\"");
            out.extend_from_slice(FINGERPRINT.as_bytes());
            out.extend_from_slice(b"\"");
        }
        out.extend_from_slice(b"}\n\n");
        out.freeze()
    }

    /// The chunk without choices that carries the final usage, if it was asked for.
    pub(crate) fn usage(&self, usage: Usage) -> Option<Bytes> {
        self.include_usage.then(|| {
            let details = usage.cached.map_or_else(String::new, |cached| {
                format!(
                    ",\"prompt_tokens_details\":{{\"cached_tokens\":{cached},\
                     \"created_cache_tokens\":0}}"
                )
            });
            Bytes::from(format!(
                "{}],\"usage\":{{\"prompt_tokens\":{},\"total_tokens\":{},\
                 \"completion_tokens\":{}{details}}},\"system_fingerprint\":\"{FINGERPRINT}\"}}\n\n",
                self.head,
                usage.prompt,
                usage.prompt + usage.completion,
                usage.completion
            ))
        })
    }

    /// The whole answer as one JSON object.
    pub(crate) fn whole(&self, usage: Usage, finish: &str) -> Bytes {
        let text: String =
            (0..usage.completion).map(|index| words::answer_text(self.seed, index)).collect();
        let head = self.head.trim_start_matches("data: ").replacen(
            "chat.completion.chunk",
            "chat.completion",
            1,
        );
        let choice = match self.api {
            Api::Chat => format!(
                "{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\
                 \"refusal\":null,\"annotations\":null,\"audio\":null,\"function_call\":null,\
                 \"reasoning\":null}},\"logprobs\":null,\"finish_reason\":\"{finish}\",\
                 \"stop_reason\":null,\"token_ids\":null}}"
            ),
            Api::Completions => format!(
                "{{\"index\":0,\"text\":\"{text}\",\"logprobs\":null,\
                 \"finish_reason\":\"{finish}\",\"stop_reason\":null,\"token_ids\":null,\
                 \"prompt_logprobs\":null,\"prompt_token_ids\":null}}"
            ),
        };
        let details = usage.cached.map_or_else(
            || "null".to_owned(),
            |cached| format!("{{\"cached_tokens\":{cached},\"created_cache_tokens\":0}}"),
        );
        Bytes::from(format!(
            "{head}{choice}],\"service_tier\":null,\"system_fingerprint\":\"{FINGERPRINT}\",\
             \"usage\":{{\"prompt_tokens\":{},\"total_tokens\":{},\"completion_tokens\":{},\
             \"prompt_tokens_details\":{details},\"completion_tokens_details\":null}},\
             \"kv_transfer_params\":null,\"metrics\":null}}",
            usage.prompt,
            usage.prompt + usage.completion,
            usage.completion
        ))
    }

    /// The usage so far, where the client wants it on every chunk.
    fn running_usage(&self, out: &mut BytesMut, completion: u32) {
        if self.continuous_usage {
            let usage = format!(
                ",\"usage\":{{\"prompt_tokens\":{},\"total_tokens\":{},\"completion_tokens\":\
                 {completion},\"completion_tokens_details\":null}}",
                self.prompt_tokens,
                self.prompt_tokens + completion,
            );
            out.extend_from_slice(usage.as_bytes());
        }
    }
}

/// The last event of a stream.
pub(crate) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(bytes: &Bytes) -> Value {
        let text = std::str::from_utf8(bytes).unwrap();
        let data = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
        serde_json::from_str(data).unwrap()
    }

    fn chunks(api: Api) -> Chunks {
        Chunks::new(api, "chatcmpl-1", "tiny", 1_795_294_345, 3, 20)
    }

    #[test]
    fn chat_chunks_have_vllms_shape() {
        let chunks = chunks(Api::Chat).with_usage(true, true);
        assert_eq!(
            event(&chunks.role().unwrap()),
            json!({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1_795_294_345,
                "model":"tiny","choices":[{"index":0,"delta":{"role":"assistant","content":""},
                "logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":20,
                "total_tokens":20,"completion_tokens":0,"completion_tokens_details":null},
                "prompt_token_ids":null,"prompt_text":null})
        );
        let last = event(&chunks.tokens(3, 4, Some("length")));
        assert_eq!(last["choices"][0]["delta"]["content"], words::answer_text(3, 3));
        assert_eq!(last["choices"][0]["finish_reason"], "length");
        assert_eq!(last["usage"]["completion_tokens"], 4);
        let usage = Usage { prompt: 20, completion: 4, cached: Some(16) };
        let end = event(&chunks.usage(usage).unwrap());
        assert_eq!(end["choices"], json!([]));
        assert_eq!(end["usage"]["total_tokens"], 24);
        assert_eq!(end["usage"]["prompt_tokens_details"]["cached_tokens"], 16);
    }

    #[test]
    fn without_usage_the_last_chunk_carries_the_fingerprint() {
        let chunks = chunks(Api::Completions);
        assert_eq!(chunks.role(), None);
        assert!(chunks.usage(Usage { prompt: 1, completion: 1, cached: None }).is_none());
        let several = event(&chunks.tokens(1, 4, None));
        assert_eq!(several["choices"][0]["text"].as_str().unwrap().split(' ').count(), 4);
        assert_eq!(several.get("usage"), None);
        assert_eq!(event(&chunks.tokens(4, 5, Some("stop")))["system_fingerprint"], FINGERPRINT);
    }

    #[test]
    fn a_whole_answer_is_one_object() {
        let usage = Usage { prompt: 20, completion: 3, cached: None };
        let body: Value =
            serde_json::from_slice(&chunks(Api::Chat).whole(usage, "length")).unwrap();
        assert_eq!(body["object"], "chat.completion");
        let text = body["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(text.split(' ').count(), 3);
        assert_eq!(body["usage"]["prompt_tokens_details"], Value::Null);
        let body: Value =
            serde_json::from_slice(&chunks(Api::Completions).whole(usage, "stop")).unwrap();
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
    }
}
