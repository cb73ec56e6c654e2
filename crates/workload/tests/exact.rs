//! Prompts have the length asked for by the server's own count, whatever its tokenizer is like.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashSet;
use std::path::Path;

use plimsoll_workload::{
    Api, BodyTemplate, EncodeError, EncodedRequest, Encoder, LengthConfig, UniformConfig, Workload,
    WorkloadConfig, WorkloadError,
};
use proptest::prelude::*;
use serde_json::Value;

/// A tokenizer of known behaviour: what a server in the tests counts by.
#[derive(Clone, Debug)]
struct Tokenizer {
    /// Chat template, begin-of-text token and the like.
    overhead: u32,
    /// Of 100 words, so many cost two or three tokens. Which ones, a hash of the word decides.
    dear_percent: u64,
    /// Of 100 words, so many cost one more at the start of the prompt, without a space before them.
    odd_first_percent: u64,
}

impl Tokenizer {
    fn count(&self, text: &str) -> u32 {
        let mut words = text.split(' ');
        let first = words.next().expect("split gives one part at least");
        let odd = u32::from(fnv(first.as_bytes(), 77) % 100 < self.odd_first_percent);
        self.overhead + odd + self.cost(first) + words.map(|word| self.cost(word)).sum::<u32>()
    }

    fn cost(&self, word: &str) -> u32 {
        let hash = fnv(word.as_bytes(), 5);
        if hash % 100 < self.dear_percent { 2 + (hash / 100 % 2) as u32 } else { 1 }
    }
}

/// The hash of Fowler, Noll and Vo (FNV-1a), its bits mixed once more at the end.
fn fnv(bytes: &[u8], salt: u64) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ salt, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn config(min: u32, max: u32) -> WorkloadConfig {
    WorkloadConfig {
        input_tokens: Some(LengthConfig::Uniform(UniformConfig { min, max })),
        output_tokens: Some(LengthConfig::Constant(8)),
        ..WorkloadConfig::default()
    }
}

fn build(config: &WorkloadConfig, seed: u64) -> Workload {
    Workload::new(config, Path::new("."), seed).unwrap()
}

fn encoder(workload: &Workload, tokenizer: &Tokenizer, api: Api) -> Encoder {
    let calibrator = workload.calibrator().unwrap();
    let calibration = calibrator.run(|text| tokenizer.count(text)).unwrap();
    let template = BodyTemplate { api, ..BodyTemplate::default() };
    workload.encoder(Some(&calibration), &template).unwrap()
}

fn prompt(request: &EncodedRequest) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let text = body.get("prompt").unwrap_or(&body["messages"][0]["content"]);
    text.as_str().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Drawn, planned and counted tokens are the same number for every request, through either API,
    /// for tokenizers with a template, with words of several tokens and with odd first words.
    #[test]
    fn planned_and_counted_agree(
        overhead in 0_u32..60,
        dear_percent in 0_u64..70,
        odd_first_percent in 0_u64..80,
        seed: u64,
        chat: bool,
    ) {
        let tokenizer = Tokenizer { overhead, dear_percent, odd_first_percent };
        let workload = build(&config(overhead + 20, overhead + 300), seed);
        let calibration =
            workload.calibrator().unwrap().run(|text| tokenizer.count(text)).unwrap();
        prop_assert!(calibration.report().exact, "{:?}", calibration.report());
        let api = if chat { Api::Chat } else { Api::Completions };
        let encoder = encoder(&workload, &tokenizer, api);
        for index in 0..20 {
            let request = encoder.encode(index);
            prop_assert_eq!(request.prompt_tokens_planned, request.prompt_tokens_drawn);
            let counted = tokenizer.count(&prompt(&request));
            prop_assert_eq!(request.prompt_tokens_planned, Some(counted));
        }
    }

    /// Where no word at all costs one token, lengths miss by one token at most, and both the report
    /// and the planned tokens say so.
    #[test]
    fn the_worst_tokenizer_is_told_apart(seed: u64) {
        let tokenizer = Tokenizer { overhead: 5, dear_percent: 100, odd_first_percent: 0 };
        let workload = build(&config(40, 60), seed);
        let calibration =
            workload.calibrator().unwrap().run(|text| tokenizer.count(text)).unwrap();
        prop_assert!(!calibration.report().exact);
        let encoder = encoder(&workload, &tokenizer, Api::Chat);
        for index in 0..20 {
            let request = encoder.encode(index);
            let (planned, drawn) =
                (request.prompt_tokens_planned.unwrap(), request.prompt_tokens_drawn.unwrap());
            prop_assert!(planned.abs_diff(drawn) <= 1);
            prop_assert_eq!(planned, tokenizer.count(&prompt(&request)));
        }
    }

    /// No two prompts of a run, at whatever indexes, share their first eight words.
    #[test]
    fn no_two_prompts_begin_alike(
        indexes in prop::collection::hash_set(0_u64..1 << 50, 2..40),
        seed: u64,
    ) {
        let tokenizer = Tokenizer { overhead: 9, dear_percent: 10, odd_first_percent: 30 };
        let encoder = encoder(&build(&config(30, 90), seed), &tokenizer, Api::Chat);
        let heads: HashSet<Vec<String>> = indexes
            .iter()
            .map(|index| prompt(&encoder.encode(*index)).split(' ').take(8).map(str::to_owned).collect())
            .collect();
        prop_assert_eq!(heads.len(), indexes.len());
    }
}

#[test]
fn a_shared_prefix_is_as_long_as_asked_for() {
    let mut config = config(200, 200);
    config.shared_prefix = 0.5;
    config.shared_prefix_tokens = Some(64);
    let workload = build(&config, 3);
    assert_eq!(workload.shared_token_share(), Some(0.5 * 64.0 / 200.0));
    let tokenizer = Tokenizer { overhead: 10, dear_percent: 20, odd_first_percent: 20 };
    let encoder = encoder(&workload, &tokenizer, Api::Chat);
    let prompts: Vec<String> = (0..200).map(|index| prompt(&encoder.encode(index))).collect();
    assert!(prompts.iter().all(|prompt| tokenizer.count(prompt) == 200));
    // Words that each prompt has in common with the one before it, in a list sorted by the text:
    // neighbours share what a prefix cache would find.
    let mut sorted = prompts.clone();
    sorted.sort_unstable();
    let common =
        |a: &str, b: &str| a.split(' ').zip(b.split(' ')).take_while(|(a, b)| a == b).count();
    let shared: Vec<usize> = sorted
        .windows(2)
        .map(|pair| common(&pair[0], &pair[1]))
        .filter(|common| *common > 8)
        .collect();
    // 100 of 200 expected, standard deviation 7; the seed is fixed.
    assert!((75..125).contains(&shared.len()), "{}", shared.len());
    // All of them share the prefix, and none more than the prefix and a few words of its head.
    assert!(shared.iter().all(|common| (64..71).contains(common)), "{shared:?}");
}

#[test]
fn templates_differ_between_the_apis_and_so_do_the_calibrations() {
    let workload = build(&config(100, 100), 1);
    for (api, overhead) in [(Api::Chat, 23), (Api::Completions, 1)] {
        let tokenizer = Tokenizer { overhead, dear_percent: 0, odd_first_percent: 0 };
        let encoder = encoder(&workload, &tokenizer, api);
        let prompt = prompt(&encoder.encode(0));
        assert_eq!(prompt.split(' ').count() as u32, 100 - overhead);
    }
}

#[test]
fn lengths_below_the_template_are_refused_or_told() {
    let tokenizer = Tokenizer { overhead: 23, dear_percent: 0, odd_first_percent: 0 };
    let workload = build(&config(5, 20), 1);
    let calibration = workload.calibrator().unwrap().run(|text| tokenizer.count(text)).unwrap();
    let template = BodyTemplate::default();
    let error = workload.encoder(Some(&calibration), &template).unwrap_err();
    assert!(
        matches!(error, EncodeError::PromptTooShort { asked: 20, shortest: 24, overhead: 23 }),
        "{error}"
    );
    assert!(error.to_string().contains("raise `input-tokens`"), "{error}");

    // Only some of the lengths are too short: those prompts are the shortest possible, and differ
    // from what was drawn.
    let workload = build(&config(5, 60), 1);
    let encoder = encoder(&workload, &tokenizer, Api::Chat);
    let raised = (0..100)
        .map(|index| encoder.encode(index))
        .filter(|request| request.prompt_tokens_planned != request.prompt_tokens_drawn)
        .inspect(|request| assert_eq!(request.prompt_tokens_planned, Some(24)))
        .count();
    assert!((10..60).contains(&raised), "{raised}");

    // A prefix that fits the prompt alone, but not beside the template.
    let mut config = config(100, 100);
    (config.shared_prefix, config.shared_prefix_tokens) = (0.5, Some(90));
    let workload = build(&config, 1);
    let error = workload.encoder(Some(&calibration), &template).unwrap_err();
    assert!(matches!(error, EncodeError::PrefixTooLong { prefix: 90, overhead: 23, longest: 100 }));
    config.shared_prefix_tokens = Some(100);
    let error = Workload::new(&config, Path::new("."), 1).unwrap_err();
    assert!(matches!(error, WorkloadError::PrefixTooLong { prefix: 100, longest: 100 }), "{error}");

    assert!(matches!(workload.encoder(None, &template), Err(EncodeError::NotCalibrated)));
}
