//! The model a simulated server serves: its step-time law and its limits.

use std::time::Duration;

use plimsoll_units::Span;
use serde::{Deserialize, Serialize};

use crate::Lengths;

/// A model on one GPU: how long an engine step takes, and what fits.
///
/// One step takes `step_base + step_per_sequence * sequences + step_per_sequence_squared *
/// sequences^2 + step_per_prefill_token * tokens`, where `sequences` are all the requests scheduled in
/// the step and `tokens` are the prompt (or recomputed) tokens among what the step computes. A step
/// that prefills and decodes at once takes `mixed_step_per_decode * decoding` more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelProfile {
    /// The served name.
    pub name: String,
    /// The time every step takes, `a` of the law.
    pub step_base: Span,
    /// The time each scheduled sequence adds to a step, `b` of the law.
    pub step_per_sequence: Span,
    /// What makes steps of many sequences longer than a straight line says, `d` of the law.
    #[serde(default)]
    pub step_per_sequence_squared: Span,
    /// The time each prefilled token adds to a step, `c` of the law.
    pub step_per_prefill_token: Span,
    /// The time that each sequence which decodes adds to a step in which others prefill, `e` of the law.
    #[serde(default)]
    pub mixed_step_per_decode: Span,
    /// The time from the end of reading a request until the engine has it: HTTP, template, tokenizer. It
    /// delays every request alike and takes nothing from the engine's time.
    #[serde(default)]
    pub front_end: Span,
    /// The longest prompt plus answer, tokens.
    pub max_model_len: u32,
    /// KV-cache blocks of one replica, where `num-gpu-blocks-override` does not say otherwise.
    pub num_gpu_blocks: u32,
    /// Tokens that the chat template adds to the words of a chat request.
    pub template_tokens: u32,
    /// When set, an answer without `ignore_eos` ends by itself after a seeded draw of this many
    /// tokens, unless `max_tokens` comes first. Without it every answer runs to `max_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_stop: Option<Lengths>,
}

/// Microseconds as the unit of the built-in laws.
const fn micros(count: u64) -> Span {
    Span::new(Duration::from_micros(count))
}

/// The same in nanoseconds.
const fn nanos(count: u64) -> Span {
    Span::new(Duration::from_nanos(count))
}

impl ModelProfile {
    /// The names [`ModelProfile::built_in`] knows.
    pub const BUILT_IN: [&'static str; 4] = ["qwen3-14b", "tiny", "tiny-128k", "queue"];

    /// The built-in profile called `name`, `None` when there is none.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "qwen3-14b" => Some(Self::qwen3_14b()),
            "tiny" => Some(Self::tiny()),
            "tiny-128k" => Some(Self::tiny_128k()),
            "queue" => Some(Self::queue()),
            _ => None,
        }
    }

    /// Qwen3-14B in bfloat16 on one 40 GB GPU under vLLM 0.9.2, fitted to a published study.
    ///
    /// `docs/sim.md` tells how the law was fitted and how far the study's own runs lie from it.
    #[must_use]
    pub fn qwen3_14b() -> Self {
        Self {
            name: "qwen3-14b".to_owned(),
            step_base: micros(26_200),
            step_per_sequence: nanos(70_600),
            step_per_sequence_squared: nanos(157),
            step_per_prefill_token: micros(160),
            mixed_step_per_decode: micros(130),
            front_end: micros(19_000),
            max_model_len: 32_768,
            num_gpu_blocks: 2_990,
            template_tokens: 8,
            natural_stop: None,
        }
    }

    /// A model so fast that a test of thousands of requests ends in seconds: steps of 2 ms.
    #[must_use]
    pub fn tiny() -> Self {
        Self {
            name: "tiny".to_owned(),
            step_base: micros(2_000),
            step_per_sequence: micros(20),
            step_per_sequence_squared: micros(0),
            step_per_prefill_token: micros(4),
            mixed_step_per_decode: micros(0),
            front_end: micros(0),
            max_model_len: 4_096,
            num_gpu_blocks: 8_192,
            template_tokens: 9,
            natural_stop: None,
        }
    }

    /// As fast as [`ModelProfile::tiny`], with a context of 131,072 tokens and room for eight of them:
    /// for recorded traces of long prompts.
    #[must_use]
    pub fn tiny_128k() -> Self {
        Self {
            name: "tiny-128k".to_owned(),
            max_model_len: 131_072,
            num_gpu_blocks: 65_536,
            ..Self::tiny()
        }
    }

    /// A queue: `max-num-seqs` servers, first come first served, each of which takes 10 ms for a token
    /// of the answer, whatever the others do and however long the prompt is.
    ///
    /// With c servers and answers of o tokens it sustains c / (o * 10 ms) requests a second: ten
    /// servers and 20 tokens, 50. Prompts cost no time as long as those that begin within 10 ms fit
    /// into `max-num-batched-tokens` together.
    #[must_use]
    pub fn queue() -> Self {
        Self {
            name: "queue".to_owned(),
            step_base: micros(10_000),
            step_per_sequence: micros(0),
            step_per_sequence_squared: micros(0),
            step_per_prefill_token: micros(0),
            mixed_step_per_decode: micros(0),
            front_end: micros(0),
            max_model_len: 4_096,
            num_gpu_blocks: 65_536,
            template_tokens: 4,
            natural_stop: None,
        }
    }

    /// How long a step takes in which `decoding` requests decode and `prefilling` others compute
    /// `prefill_tokens` tokens.
    #[must_use]
    pub fn step_time(&self, decoding: u32, prefilling: u32, prefill_tokens: u32) -> Duration {
        let sequences = decoding + prefilling;
        let mixed = if prefilling > 0 { decoding } else { 0 };
        self.step_base.get()
            + (self.step_per_sequence.get() + self.step_per_sequence_squared.get() * sequences)
                * sequences
            + self.step_per_prefill_token.get() * prefill_tokens
            + self.mixed_step_per_decode.get() * mixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_costs_base_plus_sequences_plus_prefill() {
        let profile = ModelProfile::tiny();
        assert_eq!(profile.step_time(0, 0, 0), Duration::from_micros(2_000));
        assert_eq!(profile.step_time(7, 3, 100), Duration::from_micros(2_000 + 200 + 400));
    }

    #[test]
    fn the_law_bends_where_the_model_does() {
        let profile = ModelProfile::qwen3_14b();
        let step = 26_200_000 + 70_600 * 256 + 157 * 256 * 256;
        assert_eq!(profile.step_time(256, 0, 0), Duration::from_nanos(step));
    }

    #[test]
    fn a_step_that_prefills_and_decodes_at_once_costs_more_than_both() {
        let profile = ModelProfile::qwen3_14b();
        let apart = 26_200_000 + 70_600 * 10 + 157 * 100 + 160_000 * 50;
        assert_eq!(profile.step_time(0, 10, 50), Duration::from_nanos(apart));
        assert_eq!(profile.step_time(8, 2, 50), Duration::from_nanos(apart + 8 * 130_000));
    }

    #[test]
    fn every_listed_name_is_there_under_its_own_name() {
        for name in ModelProfile::BUILT_IN {
            assert_eq!(ModelProfile::built_in(name).unwrap().name, name);
        }
        assert_eq!(ModelProfile::built_in("gpt-2"), None);
    }

    #[test]
    fn a_profile_is_written_in_kebab_case_with_units() {
        let text = serde_json::to_string(&ModelProfile::tiny()).unwrap();
        assert!(text.contains(r#""step-base":"2ms""#), "{text}");
        assert_eq!(serde_json::from_str::<ModelProfile>(&text).unwrap(), ModelProfile::tiny());
    }
}
