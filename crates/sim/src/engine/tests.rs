//! The scheduler's rules, each against figures worked out by hand.

use std::time::Duration;

use plimsoll_units::{RunNanos, Tokens};
use proptest::prelude::*;

use super::*;

/// Distinct prompts: the first token differs.
fn request(seed: u32, prompt: u32, output: u32) -> Request {
    Request {
        prompt: (0..prompt).map(|i| if i == 0 { seed } else { i }).collect(),
        output_tokens: Tokens::new(output),
        seed: u64::from(seed),
    }
}

fn engine(settings: &Settings) -> Engine {
    Engine::new(&ModelProfile::tiny(), settings).unwrap()
}

/// Runs to the end; returns the steps.
fn drain(engine: &mut Engine, mut now: RunNanos) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = engine.step(now) {
        now = step.end;
        steps.push(step.clone());
        assert!(steps.len() < 100_000, "the engine does not come to an end");
    }
    steps
}

fn completions(steps: &[Step]) -> Vec<Completion> {
    let mut done: Vec<Completion> = steps.iter().flat_map(|step| step.finished.clone()).collect();
    done.sort_by_key(|completion| completion.id);
    done
}

/// (sequences, prefill tokens, tokens out) of each step.
fn shape(steps: &[Step]) -> Vec<(u32, u32, usize)> {
    steps.iter().map(|step| (step.sequences, step.prefill_tokens, step.tokens.len())).collect()
}

#[test]
fn the_prefill_step_gives_the_first_token() {
    let mut engine = engine(&Settings::default());
    engine.submit(request(1, 100, 3), RunNanos::ZERO).unwrap();
    let steps = drain(&mut engine, RunNanos::from_nanos(500));
    assert_eq!(shape(&steps), [(1, 100, 1), (1, 0, 1), (1, 0, 1)]);
    assert_eq!(steps[0].end - steps[0].start, Duration::from_micros(2_000 + 20 + 400));
    assert_eq!(steps[0].tokens[0].gap, Duration::from_nanos(2_420_500), "counted from arrival");
    assert_eq!(steps[2].tokens[0].gap, Duration::from_micros(2_020));
    assert!(steps[2].tokens[0].last && steps[2].finished.len() == 1);
    assert_eq!((engine.running(), engine.waiting(), engine.kv_cache_usage()), (0, 0, 0.0));
}

#[test]
fn slots_cap_the_batch_and_the_queue_is_served_in_order() {
    let mut engine = engine(&Settings { max_num_seqs: 2, ..Settings::default() });
    for seed in 0..3 {
        engine.submit(request(seed, 10, 2), RunNanos::ZERO).unwrap();
    }
    let steps = drain(&mut engine, RunNanos::ZERO);
    assert_eq!(shape(&steps), [(2, 20, 2), (2, 0, 2), (1, 10, 1), (1, 0, 1)]);
    assert_eq!(steps[2].admitted[0].queued, steps[1].end - RunNanos::ZERO);
}

#[test]
fn a_long_prompt_is_chunked_by_what_decoding_leaves_of_the_budget() {
    let settings =
        Settings { max_num_seqs: 4, max_num_batched_tokens: Some(64), ..Settings::default() };
    let mut engine = engine(&settings);
    engine.submit(request(1, 10, 5), RunNanos::ZERO).unwrap();
    engine.submit(request(2, 150, 2), RunNanos::ZERO).unwrap();
    let steps = drain(&mut engine, RunNanos::ZERO);
    // 64 - 10 = 54, then twice 64 - 1 = 63 would be too much: 54 + 63 + 33 = 150.
    assert_eq!(
        shape(&steps),
        [(2, 64, 1), (2, 63, 1), (2, 33, 2), (2, 0, 2), (1, 0, 1)],
        "a chunk that does not end the prompt gives no token"
    );
}

#[test]
fn without_chunking_a_prompt_waits_until_it_fits_whole() {
    let settings = Settings {
        max_num_seqs: 4,
        max_model_len: Some(64),
        max_num_batched_tokens: Some(64),
        enable_chunked_prefill: false,
        ..Settings::default()
    };
    let mut engine = engine(&settings);
    engine.submit(request(1, 30, 2), RunNanos::ZERO).unwrap();
    engine.submit(request(2, 40, 1), RunNanos::ZERO).unwrap();
    let steps = drain(&mut engine, RunNanos::ZERO);
    assert_eq!(shape(&steps), [(1, 30, 1), (2, 40, 2)]);
}

#[test]
fn a_repeated_prompt_is_taken_from_the_cache_except_for_its_last_token() {
    let mut engine = engine(&Settings::default());
    engine.submit(request(7, 64, 1), RunNanos::ZERO).unwrap();
    let first = drain(&mut engine, RunNanos::ZERO);
    engine.submit(request(7, 64, 1), RunNanos::ZERO).unwrap();
    let second = drain(&mut engine, RunNanos::ZERO);
    assert_eq!(first[0].prefill_tokens, 64);
    // 64 tokens are 4 full blocks; the last one must be computed for its output's sake.
    assert_eq!(second[0].prefill_tokens, 16);
    assert_eq!(completions(&second)[0].cached_tokens, Tokens::new(48));

    assert!(engine.reset_prefix_cache());
    engine.submit(request(7, 64, 1), RunNanos::ZERO).unwrap();
    assert_eq!(drain(&mut engine, RunNanos::ZERO)[0].prefill_tokens, 64);

    let mut off = self::engine(&Settings { enable_prefix_caching: false, ..Settings::default() });
    for _ in 0..2 {
        off.submit(request(7, 64, 1), RunNanos::ZERO).unwrap();
        assert_eq!(drain(&mut off, RunNanos::ZERO)[0].prefill_tokens, 64);
    }
}

#[test]
fn a_conversation_finds_its_own_answer_in_the_cache() {
    let mut engine = engine(&Settings::default());
    let first = request(3, 20, 30);
    engine.submit(first.clone(), RunNanos::ZERO).unwrap();
    drain(&mut engine, RunNanos::ZERO);
    let mut prompt = first.prompt;
    prompt.extend((0..30).map(|index| crate::words::answer_token(3, index)));
    prompt.extend([9; 10]);
    let next = Request { prompt, output_tokens: Tokens::new(1), seed: 4 };
    engine.submit(next, RunNanos::ZERO).unwrap();
    // 20 + 29 tokens were computed (the last answer token never was): 3 full blocks.
    let done = completions(&drain(&mut engine, RunNanos::ZERO));
    assert_eq!(done[0].cached_tokens, Tokens::new(48));
}

#[test]
fn when_blocks_run_out_the_last_admitted_loses_them_and_recomputes() {
    let settings = Settings {
        num_gpu_blocks_override: Some(4),
        max_model_len: Some(64),
        enable_prefix_caching: false,
        ..Settings::default()
    };
    let mut engine = engine(&settings);
    engine.submit(request(1, 30, 10), RunNanos::ZERO).unwrap();
    engine.submit(request(2, 30, 10), RunNanos::ZERO).unwrap();
    let steps = drain(&mut engine, RunNanos::ZERO);
    // Both hold 2 of the 4 blocks. Token 33 needs a third: after 30 + 2 computed tokens, in the
    // fourth step, the second request gives its blocks to the first.
    let preempted: Vec<u32> = steps.iter().map(|step| step.preempted).collect();
    assert_eq!(preempted[..4], [0, 0, 0, 1]);
    assert_eq!(preempted.iter().sum::<u32>(), 1);
    let done = completions(&steps);
    assert_eq!((done[0].preemptions, done[1].preemptions), (0, 1));
    assert_eq!(done[0].output_tokens, done[1].output_tokens);
    // It had 3 answer tokens when it lost its blocks: it recomputes 30 + 3 tokens, and the step
    // that does so gives its fourth.
    let back = steps.iter().position(|step| step.prefill_tokens == 33).unwrap();
    assert_eq!(steps[back].tokens.last().unwrap().index, 3);
    assert_eq!(steps[back].start, done[0].last_token, "when the first had ended");
}

#[test]
fn an_abort_frees_slot_and_blocks_at_once() {
    let mut engine = engine(&Settings { max_num_seqs: 1, ..Settings::default() });
    let first = engine.submit(request(1, 40, 1_000), RunNanos::ZERO).unwrap();
    let second = engine.submit(request(2, 40, 1), RunNanos::ZERO).unwrap();
    engine.step(RunNanos::ZERO).unwrap();
    assert!(engine.kv_cache_usage() > 0.0);
    assert!(!engine.reset_prefix_cache(), "a request runs");
    assert!(engine.abort(first) && !engine.abort(first));
    assert_eq!((engine.running(), engine.kv_cache_usage()), (0, 0.0));
    let steps = drain(&mut engine, RunNanos::ZERO);
    assert_eq!(completions(&steps)[0].id, second);
}

#[test]
fn what_cannot_be_served_is_refused_and_what_is_too_much_is_cut() {
    let mut engine = engine(&Settings { max_model_len: Some(20), ..Settings::default() });
    let refuse = |engine: &mut Engine, request| {
        engine.submit(request, RunNanos::ZERO).unwrap_err().to_string()
    };
    assert!(refuse(&mut engine, request(1, 0, 1)).contains("no token"));
    assert!(refuse(&mut engine, request(1, 5, 0)).contains("no output"));
    assert!(refuse(&mut engine, request(1, 20, 1)).contains("fewer than max-model-len = 20"));
    engine.submit(request(1, 15, 100), RunNanos::ZERO).unwrap();
    let done = completions(&drain(&mut engine, RunNanos::ZERO));
    assert_eq!(done[0].output_tokens, Tokens::new(5));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the load and the limits: every request ends with the tokens it asked for, in
    /// order and once each; limits of slots, budget and cache hold in every step; a step takes
    /// what the law says; every block comes back; and the same calls give the same steps.
    #[test]
    fn nothing_is_lost_and_no_limit_is_broken(
        load in prop::collection::vec((0_u32..4, 1_u32..60, 1_u32..40), 1..40),
        seqs in 1_u32..9,
        budget in 9_u32..80,
        blocks in 4_u32..30,
        block_size in prop::sample::select(vec![1_u32, 4, 16]),
        chunked: bool,
        caching: bool,
    ) {
        let max_model_len = (blocks * block_size).min(100);
        let settings = Settings {
            max_num_seqs: seqs,
            max_num_batched_tokens: Some(if chunked { budget } else { budget.max(100) }),
            num_gpu_blocks_override: Some(blocks),
            max_model_len: Some(max_model_len),
            block_size,
            enable_chunked_prefill: chunked,
            enable_prefix_caching: caching,
            ..Settings::default()
        };
        let run = || {
            let mut engine = engine(&settings);
            let mut expected = Vec::new();
            for (seed, prompt, output) in &load {
                let prompt = (*prompt).min(max_model_len - 1);
                engine.submit(request(*seed, prompt, *output), RunNanos::ZERO).unwrap();
                expected.push((*output).min(max_model_len - prompt));
            }
            let steps = drain(&mut engine, RunNanos::ZERO);
            assert_eq!(engine.kv_cache_usage(), 0.0);
            (steps, expected)
        };
        let (steps, expected) = run();
        let profile = ModelProfile::tiny();
        let mut tokens = vec![0; load.len()];
        for step in &steps {
            prop_assert!(step.sequences <= seqs);
            let limits = settings.limits(&profile).unwrap();
            prop_assert!(step.prefill_tokens <= limits.max_num_batched_tokens);
            prop_assert!(step.tokens.len() <= step.sequences as usize);
            prop_assert_eq!(
                step.end - step.start,
                profile.step_time(
                    step.sequences - step.prefilling,
                    step.prefilling,
                    step.prefill_tokens
                )
            );
            for token in &step.tokens {
                let count = &mut tokens[token.id.0 as usize];
                prop_assert_eq!(token.index, *count);
                *count += 1;
                prop_assert_eq!(token.last, *count == expected[token.id.0 as usize]);
            }
        }
        prop_assert_eq!(&tokens, &expected);
        prop_assert_eq!(completions(&steps).len(), load.len());
        prop_assert_eq!(run().0, steps);
    }
}
