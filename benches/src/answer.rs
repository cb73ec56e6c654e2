//! The bytes of an answer in vLLM's form, made before the first of them is due.

use crate::http::Body;
use crate::{PulseSettings, RolePlace};

/// Prompt tokens in every usage. The server does not count, it only has to say something.
const PROMPT_TOKENS: u32 = 20;

/// Which of the two streaming interfaces was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Completions,
}

/// The chunks that streams of one interface share.
#[derive(Debug)]
struct Chunks {
    api: Api,
    /// A token in the middle of a stream without counts.
    token: Vec<u8>,
    /// Tokens 1, 2, ... in the middle of streams with `continuous_usage_stats`.
    counted: Vec<Vec<u8>>,
}

/// Every chunk that more than one answer uses. Grows when an answer is made, never later.
#[derive(Debug)]
pub(crate) struct Texts {
    chat: Chunks,
    completions: Chunks,
}

/// One answer under way: what goes out with the next write.
#[derive(Debug)]
pub(crate) struct Answer {
    api: Api,
    counted: bool,
    /// Tokens in all. At least 1.
    pub(crate) tokens: u32,
    /// Tokens whose write has begun.
    pub(crate) begun: u32,
    /// Goes out when the request has been read; empty if nothing does.
    pub(crate) early: Vec<u8>,
    /// The write of the first token.
    opening: Vec<u8>,
    /// The write of the last token, when it is not the first one too.
    closing: Vec<u8>,
    /// What follows the last token: usage, `[DONE]` and the end of the body. Empty when not streamed.
    pub(crate) tail: Vec<u8>,
}

impl Texts {
    pub(crate) fn new() -> Self {
        let chunks = |api| Chunks { api, token: chunk(&event(api, false, None)), counted: vec![] };
        Self { chat: chunks(Api::Chat), completions: chunks(Api::Completions) }
    }

    fn of(&self, api: Api) -> &Chunks {
        match api {
            Api::Chat => &self.chat,
            Api::Completions => &self.completions,
        }
    }

    /// The answer to a request with `body`.
    pub(crate) fn answer(&mut self, api: Api, body: &Body, settings: &PulseSettings) -> Answer {
        let asked = body.max_completion_tokens.or(body.max_tokens).unwrap_or(settings.tokens);
        let tokens = asked.max(1);
        if !body.stream {
            return Answer { opening: whole(api, tokens), ..Answer::empty(api, 1) };
        }
        let options = body.stream_options.as_ref();
        let counted = options.is_some_and(|options| options.continuous_usage_stats);
        let usage = counted || options.is_some_and(|options| options.include_usage);
        if counted {
            self.count_to(api, tokens);
        }
        let count = |token| counted.then_some(token);
        let mut start = HEAD.to_vec();
        if api == Api::Chat && settings.role != RolePlace::None {
            start.extend_from_slice(&chunk(&role(count(0))));
        }
        let early = settings.role == RolePlace::Early;
        let mut opening = if early { Vec::new() } else { start.clone() };
        opening.extend_from_slice(&chunk(&event(api, tokens == 1, count(1))));
        Answer {
            counted,
            early: if early { start } else { Vec::new() },
            opening,
            closing: chunk(&event(api, true, count(tokens))),
            tail: tail(api, usage.then_some(tokens)),
            ..Answer::empty(api, tokens)
        }
    }

    fn count_to(&mut self, api: Api, tokens: u32) {
        let chunks = match api {
            Api::Chat => &mut self.chat,
            Api::Completions => &mut self.completions,
        };
        for token in chunks.counted.len()..tokens as usize {
            // Below `tokens`, so it fits.
            chunks.counted.push(chunk(&event(chunks.api, false, Some(token as u32 + 1))));
        }
    }
}

impl Answer {
    fn empty(api: Api, tokens: u32) -> Self {
        let nothing = Vec::new;
        Self {
            api,
            counted: false,
            tokens,
            begun: 0,
            early: nothing(),
            opening: nothing(),
            closing: nothing(),
            tail: nothing(),
        }
    }

    /// The bytes of the write that carries the next token.
    pub(crate) fn next<'a>(&'a self, texts: &'a Texts) -> &'a [u8] {
        let middle = texts.of(self.api);
        match self.begun {
            0 => &self.opening,
            begun if begun + 1 == self.tokens => &self.closing,
            begun if self.counted => &middle.counted[begun as usize],
            _ => &middle.token,
        }
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nserver: pulse\r\n\
    content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

/// `event` as one chunk of a chunked body.
fn chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

fn object(api: Api) -> &'static str {
    match api {
        Api::Chat => r#""id":"chatcmpl-93a76c756ecbee6d","object":"chat.completion.chunk""#,
        Api::Completions => r#""id":"cmpl-9dd15f97b16d2288","object":"text_completion""#,
    }
}

fn usage(tokens: u32) -> String {
    let total = u64::from(PROMPT_TOKENS) + u64::from(tokens);
    format!(
        r#","usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{total},"completion_tokens":{tokens}}}"#
    )
}

/// The chunk that only names the role.
fn role(count: Option<u32>) -> String {
    format!(
        "data: {{{},\"created\":1795294345,\"model\":\"pulse\",\"choices\":[{{\"index\":0,\
         \"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\"logprobs\":null,\"finish_reason\":null}}]{}}}\n\n",
        object(Api::Chat),
        count.map(usage).unwrap_or_default(),
    )
}

/// The event of one token; `count` is how many there are up to it, where that is told.
fn event(api: Api, last: bool, count: Option<u32>) -> String {
    let finish = if last { "\"length\",\"stop_reason\":null" } else { "null" };
    let text = match api {
        Api::Chat => "\"delta\":{\"content\":\" word\"}",
        Api::Completions => "\"text\":\" word\"",
    };
    format!(
        "data: {{{},\"created\":1795294345,\"model\":\"pulse\",\"choices\":[{{\"index\":0,{text},\
         \"logprobs\":null,\"finish_reason\":{finish},\"token_ids\":null}}]{}}}\n\n",
        object(api),
        count.map(usage).unwrap_or_default(),
    )
}

/// The end of a stream: the usage if asked for, `[DONE]`, and the last chunk.
fn tail(api: Api, tokens: Option<u32>) -> Vec<u8> {
    let mut tail = Vec::new();
    if let Some(tokens) = tokens {
        tail = chunk(&format!(
            "data: {{{},\"created\":1795294345,\"model\":\"pulse\",\"choices\":[]{}}}\n\n",
            object(api),
            usage(tokens)
        ));
    }
    tail.extend_from_slice(&chunk("data: [DONE]\n\n"));
    tail.extend_from_slice(b"0\r\n\r\n");
    tail
}

/// An answer that is not streamed.
fn whole(api: Api, tokens: u32) -> Vec<u8> {
    let text = " word".repeat(tokens as usize);
    let (object, choice) = match api {
        Api::Chat => {
            ("chat.completion", format!(r#""message":{{"role":"assistant","content":"{text}"}}"#))
        }
        Api::Completions => ("text_completion", format!(r#""text":"{text}""#)),
    };
    json(&format!(
        r#"{{"id":"pulse","object":"{object}","created":1795294345,"model":"pulse","choices":[{{"index":0,{choice},"finish_reason":"length"}}]{}}}"#,
        usage(tokens)
    ))
}

/// A whole response with a JSON body.
pub(crate) fn json(body: &str) -> Vec<u8> {
    full("200 OK", "application/json", body)
}

/// A whole response.
pub(crate) fn full(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nserver: pulse\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The events of a chunked stream, checked chunk by chunk.
    fn events(mut body: &[u8]) -> Vec<String> {
        let mut events = Vec::new();
        loop {
            let line = body.windows(2).position(|two| two == b"\r\n").unwrap();
            let size =
                usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
            body = &body[line + 2..];
            assert_eq!(&body[size..size + 2], b"\r\n");
            if size == 0 {
                assert_eq!(body, b"\r\n", "nothing follows the last chunk");
                return events;
            }
            events.push(String::from_utf8(body[..size].to_vec()).unwrap());
            body = &body[size + 2..];
        }
    }

    fn stream(text: &str, api: Api, role: RolePlace) -> (Vec<u8>, u32) {
        let mut texts = Texts::new();
        let settings = PulseSettings { role, ..PulseSettings::default() };
        let mut answer = texts.answer(api, &Body::read(text.as_bytes()).unwrap(), &settings);
        let mut all = answer.early.clone();
        let mut writes = 0;
        while answer.begun < answer.tokens {
            all.extend_from_slice(answer.next(&texts));
            answer.begun += 1;
            writes += 1;
        }
        all.extend_from_slice(&answer.tail);
        let head = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        (all.split_off(head), writes)
    }

    #[test]
    fn a_stream_has_role_tokens_finish_usage_and_end() {
        for role in [RolePlace::WithFirst, RolePlace::Early] {
            let asked = r#"{"max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#;
            let (body, writes) = stream(asked, Api::Chat, role);
            let events = events(&body);
            assert_eq!((events.len(), writes), (1 + 3 + 1 + 1, 3));
            assert!(events[0].contains("\"role\":\"assistant\""));
            assert!(events[3].contains("\"finish_reason\":\"length\""));
            assert!(events[4].contains("\"completion_tokens\":3"));
            assert_eq!(events[5], "data: [DONE]\n\n");
            for event in &events[..5] {
                let json = event.strip_prefix("data: ").unwrap();
                assert!(serde_json::from_str::<Value>(json).is_ok(), "{json}");
            }
        }
    }

    #[test]
    fn continuous_usage_counts_every_token() {
        let asked =
            r#"{"max_tokens":4,"stream":true,"stream_options":{"continuous_usage_stats":true}}"#;
        let (body, _) = stream(asked, Api::Completions, RolePlace::WithFirst);
        let events = events(&body);
        assert_eq!(events.len(), 4 + 1 + 1, "completions have no role chunk");
        for (at, event) in events[..4].iter().enumerate() {
            let json: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(json["usage"]["completion_tokens"], at + 1);
            assert_eq!(json["choices"][0]["text"], " word");
        }
    }

    #[test]
    fn without_a_role_the_first_event_is_a_token_and_one_token_is_first_and_last() {
        let (body, writes) =
            stream(r#"{"max_tokens":1,"stream":true}"#, Api::Chat, RolePlace::None);
        let events = events(&body);
        assert_eq!((events.len(), writes), (2, 1));
        assert!(events[0].contains("\"content\":\" word\"") && events[0].contains("length"));
    }

    #[test]
    fn an_answer_without_stream_is_one_document() {
        let (body, writes) = stream(r#"{"max_tokens":2}"#, Api::Chat, RolePlace::WithFirst);
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["choices"][0]["message"]["content"], " word word");
        assert_eq!((json["usage"]["completion_tokens"].as_u64(), writes), (Some(2), 1));
    }
}
