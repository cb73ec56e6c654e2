//! What vLLM logs of a request when it arrives: when, how long an answer may be, and the prompt as the
//! server saw it.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::log_line::LogTime;

/// The marks of chat templates: what opens a turn, and what ends it. ChatML (Qwen and others), Llama 3,
/// Gemma, Llama 2 and Mistral.
const TURNS: [(&str, &str); 4] = [
    ("<|im_start|>", "<|im_end|>"),
    ("<|start_header_id|>", "<|eot_id|>"),
    ("<start_of_turn>", "<end_of_turn>"),
    ("[INST]", "[/INST]"),
];

/// A request that the API server logged as received; needs vLLM's request logging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// When, by the server's clock.
    pub time: LogTime,
    /// The longest answer that it asks for, tokens; `None` where the log does not say.
    pub max_tokens: Option<u64>,
    /// A number that equal prompts share; `None` where the log shows no prompt.
    pub prompt: Option<u64>,
    /// The mark that opens a turn inside a turn that it has opened already: the prompt went through the
    /// chat template twice.
    pub doubled_mark: Option<&'static str>,
}

impl ReceivedRequest {
    /// `Received request <id>: prompt: '...', params: SamplingParams(..., max_tokens=256, ...), ...`; newer
    /// versions leave the prompt out.
    pub(super) fn parse(time: LogTime, text: &str) -> Option<Self> {
        let (_id, rest) = text.strip_prefix("Received request ")?.split_once(": ")?;
        // A prompt may quote anything, so the parameters are the last ones.
        let (head, params) = match rest.rsplit_once("params: SamplingParams(") {
            Some((head, params)) => (head, Some(params)),
            None => (rest, None),
        };
        let prompt = head.strip_prefix("prompt: ").map(|it| it.trim_end_matches([' ', ',']));
        let max_tokens = params.and_then(|params| {
            let digits = params.split(", ").find_map(|it| it.strip_prefix("max_tokens="))?;
            digits.trim_end_matches(')').parse().ok()
        });
        Some(Self {
            time,
            max_tokens,
            prompt: prompt.map(|prompt| {
                let mut hasher = DefaultHasher::new();
                prompt.hash(&mut hasher);
                hasher.finish()
            }),
            doubled_mark: prompt.and_then(doubled),
        })
    }
}

/// The mark that stands twice in `prompt` without the end of a turn between.
fn doubled(prompt: &str) -> Option<&'static str> {
    let twice = |opens: &str, ends: &str| {
        let mut turns = prompt.split(opens);
        turns.next();
        // What follows each opening, up to the next one; the last is the turn of the answer.
        let mut turns = turns.peekable();
        while let Some(turn) = turns.next() {
            if turns.peek().is_some() && !turn.contains(ends) {
                return true;
            }
        }
        false
    };
    TURNS.into_iter().find(|&(opens, ends)| twice(opens, ends)).map(|(opens, _)| opens)
}

#[cfg(test)]
mod tests {
    use super::super::log_line::{Line, read};
    use super::*;

    fn received(text: &str) -> Option<ReceivedRequest> {
        let line = format!("INFO 07-20 23:14:43 [logger.py:43] {text}");
        let Line::Message { time, text, .. } = read(&line) else { panic!("{line}") };
        ReceivedRequest::parse(time, text)
    }

    #[test]
    fn the_limit_is_that_of_the_parameters_whatever_the_prompt_quotes() {
        let request = received(
            "Received request cmpl-1: prompt: 'params: SamplingParams(max_tokens=1)', params: \
             SamplingParams(n=1, stop=[], max_tokens=256, min_tokens=0), prompt_token_ids: None.",
        );
        assert_eq!(request.unwrap().max_tokens, Some(256));
        let new =
            received("Received request chatcmpl-9: params: SamplingParams(n=1, max_tokens=16)");
        assert_eq!((new.unwrap().max_tokens, new.unwrap().prompt), (Some(16), None));
        assert_eq!(received("Received request x: nothing known").unwrap().max_tokens, None);
        assert_eq!(received("Received requests"), None);
        assert_eq!(received("Added request x."), None);
    }

    #[test]
    fn equal_prompts_share_their_number() {
        let prompt = |text: &str| {
            received(&format!(
                "Received request a: prompt: {text}, params: \
             SamplingParams(n=1)"
            ))
            .unwrap()
            .prompt
        };
        assert_eq!(prompt("'a, b'"), prompt("'a, b'"));
        assert_ne!(prompt("'a, b'"), prompt("'a, c'"));
    }

    #[test]
    fn a_template_in_a_template_is_seen_and_a_conversation_is_not() {
        for (prompt, mark) in [
            (
                r"<|im_start|>user\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n",
                Some("<|im_start|>"),
            ),
            (
                r"<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
                None,
            ),
            (r"<s>[INST] <s>[INST] Hi [/INST] [/INST]", Some("[INST]")),
            (r"<s>[INST] Hi [/INST] Hello [INST] Bye [/INST]", None),
            (r"<start_of_turn>user\n<start_of_turn>user\nHi<end_of_turn>", Some("<start_of_turn>")),
            (
                r"<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant",
                None,
            ),
            ("plain", None),
            ("", None),
        ] {
            assert_eq!(doubled(prompt), mark, "{prompt}");
        }
    }
}
