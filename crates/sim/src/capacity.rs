//! How much load a configuration sustains, in closed form and by running the very engine.
//!
//! The closed form is the fluid steady state of an overloaded replica. A request of P prompt and
//! O output tokens is scheduled in `O - 1 + k` steps, k of them prefill (the last of which gives
//! the first token). Whatever is scarce decides how many requests a step completes:
//!
//! ```text
//! limit         requests per step        sequences per step n
//! slots         N / (E[O] - 1 + k)       N = max-num-seqs
//! KV cache      n / (E[O] - 1 + k)       n = blocks / (mean blocks that a request holds)
//! token budget  B / (E[P] + E[O] - 1)    (requests per step) * E[O] + 1
//! ```
//!
//! The least of the three binds. With r requests per step a step takes
//! `T = a + b n + d n^2 + c r E[P] + e (n m - r k)`, so `X = r / T` requests per second, times
//! data-parallel-size, divided by [`Settings::slow_down`]. The last term is for steps in which some
//! prefill beside those that decode: m is how often that is so, `1 - exp(-r k)` where requests end
//! independently of each other (Poisson) and 1 where the token budget binds, and `n m - r k` the mean
//! of those that decode then. Prompts are taken to be distinct: no prefix is ever found in the cache.

use std::fmt;

use plimsoll_units::{Rate, RunNanos, Span, Tokens};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Engine, LengthMix, ModelProfile, Request, Settings, SettingsError};

/// What is scarce when a server is overloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Binding {
    /// `max-num-seqs`.
    Slots,
    /// KV-cache blocks: requests are preempted.
    KvCache,
    /// `max-num-batched-tokens`.
    TokenBudget,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slots => "slots (max-num-seqs)",
            Self::KvCache => "KV cache (num-gpu-blocks)",
            Self::TokenBudget => "token budget (max-num-batched-tokens)",
        })
    }
}

/// The most load a server sustains, all replicas together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests finished per second.
    pub requests_per_s: Rate,
    /// Tokens generated per second.
    pub output_tokens_per_s: Rate,
    /// Mean sequences in a step of one replica.
    pub sequences_per_step: f64,
    /// Mean time of a step.
    pub step: Span,
    /// What is scarce.
    pub binding: Binding,
}

/// The capacity in closed form, see the table of `docs/sim.md`.
///
/// Exact in the limit of many requests where slots bind and prompts are short beside the token
/// budget; where the KV cache binds it leaves out what preemption costs and is an upper estimate.
///
/// # Errors
/// As [`Settings::limits`].
pub fn capacity(
    profile: &ModelProfile,
    settings: &Settings,
    mix: &LengthMix,
) -> Result<Capacity, SettingsError> {
    let limits = settings.limits(profile)?;
    let slots = f64::from(limits.max_num_seqs);
    let budget = f64::from(limits.max_num_batched_tokens);
    let block = f64::from(limits.block_size);
    let (input, output) = (mix.input.mean(), mix.output.mean());

    // Prefill steps of a request: its prompt, cut by the budget that decoding leaves. How many
    // decode depends in turn on the requests per step; the fixed point is reached in a few rounds.
    let by_budget = budget / (input + output - 1.0);
    let mut prefill_steps = 1.0;
    for _ in 0..20 {
        let per_step = (slots / (output - 1.0 + prefill_steps)).min(by_budget);
        let left = (budget - per_step * (output - 1.0)).max(1.0);
        prefill_steps = mix.input.expect(|tokens| (tokens / left).ceil());
    }
    let steps = output - 1.0 + prefill_steps;

    // Blocks held, summed over the steps of a request: ceil(x / s) is x / s + (s - 1) / (2 s) on
    // average, and x runs from P to P + O - 1.
    let block_steps = output * input / block
        + (mix.output.mean_square() - output) / (2.0 * block)
        + output * (block - 1.0) / (2.0 * block);
    let fitting = f64::from(limits.num_gpu_blocks) / (block_steps / output);

    let mut least = (slots / steps, slots, Binding::Slots);
    for candidate in [
        (fitting / steps, fitting, Binding::KvCache),
        (by_budget, by_budget * output + 1.0, Binding::TokenBudget),
    ] {
        if candidate.0 < least.0 {
            least = candidate;
        }
    }
    let (per_step, sequences, binding) = least;
    let prefilling = per_step * prefill_steps;
    let mixed = match binding {
        Binding::TokenBudget => 1.0,
        Binding::Slots | Binding::KvCache => -(-prefilling).exp_m1(),
    };

    let alone = profile.step_base.as_secs_f64()
        + profile.step_per_sequence.as_secs_f64() * sequences
        + profile.step_per_sequence_squared.as_secs_f64() * sequences * sequences
        + profile.step_per_prefill_token.as_secs_f64() * per_step * input
        + profile.mixed_step_per_decode.as_secs_f64() * (sequences * mixed - prefilling).max(0.0);
    let step = alone * settings.slow_down();
    let replicas = f64::from(settings.data_parallel_size);
    Ok(Capacity::new(per_step / step * replicas, output, sequences, step, binding))
}

impl Capacity {
    fn new(requests: f64, output: f64, sequences: f64, step: f64, binding: Binding) -> Self {
        let rate = |per_second: f64| {
            Rate::new(per_second).expect("a positive number of requests ends in a finite time")
        };
        Self {
            requests_per_s: rate(requests),
            output_tokens_per_s: rate(requests * output),
            sequences_per_step: sequences,
            step: Span::new(std::time::Duration::from_secs_f64(step)),
            binding,
        }
    }
}

/// The capacity by overloading the engine itself in virtual time, with lengths seeded by `seed`.
///
/// The queue is never empty. Counting starts after each slot has been used twice and ends after
/// `requests` more completions (at least 100); tokens are counted, not requests, so that it does
/// not matter where in a wave of completions the window ends.
///
/// # Errors
/// As [`Settings::limits`].
///
/// # Panics
/// When the mix asks for prompts that fill `max-model-len` by themselves.
pub fn overload_run(
    profile: &ModelProfile,
    settings: &Settings,
    mix: &LengthMix,
    seed: u64,
    requests: u32,
) -> Result<Capacity, SettingsError> {
    let mut engine = Engine::new(profile, settings)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let limits = *engine.limits();
    let wanted_queue = limits.max_num_seqs as usize;
    let mut fresh = 0_u32;
    let mut now = RunNanos::ZERO;
    let mut finished = 0_u64;
    // Counted since the warm-up ended.
    let (mut since, mut steps, mut tokens, mut sequences) = (None, 0_u64, 0_u64, 0_u64);
    let (mut output, mut preempted, mut full_steps, mut counted) = (0_u64, 0_u64, 0_u64, 0_u64);
    let warm_up = 2 * u64::from(limits.max_num_seqs);
    let enough = warm_up + u64::from(requests.max(100));
    while finished < enough {
        while engine.waiting() < wanted_queue {
            let length = mix.input.draw(&mut random);
            // A counter in every block makes the prompts distinct.
            fresh = fresh.wrapping_add(1);
            let request = Request {
                prompt: vec![fresh; length as usize],
                output_tokens: Tokens::new(mix.output.draw(&mut random)),
                seed: u64::from(fresh),
            };
            engine.submit(request, now).expect("the mix's prompts are shorter than the model");
        }
        let Some(step) = engine.step(now) else { break };
        now = step.end;
        finished += step.finished.len() as u64;
        if finished < warm_up {
            continue;
        }
        let Some(_) = since else {
            since = Some(now);
            continue;
        };
        steps += 1;
        tokens += step.tokens.len() as u64;
        sequences += u64::from(step.sequences);
        preempted += u64::from(step.preempted);
        counted += step.finished.len() as u64;
        output += step.finished.iter().map(|done| u64::from(done.output_tokens.get())).sum::<u64>();
        let computed = u64::from(step.prefill_tokens) + u64::from(step.sequences);
        full_steps += u64::from(computed > u64::from(limits.max_num_batched_tokens));
    }
    let span = now.since(since.unwrap_or_default()).as_secs_f64();
    let mean_output = output as f64 / counted.max(1) as f64;
    let mean_sequences = sequences as f64 / steps.max(1) as f64;
    let binding = if preempted > 0 {
        Binding::KvCache
    } else if full_steps * 2 > steps {
        Binding::TokenBudget
    } else {
        Binding::Slots
    };
    let requests_per_s =
        tokens as f64 / span / mean_output * f64::from(settings.data_parallel_size);
    let step = span / steps.max(1) as f64;
    Ok(Capacity::new(requests_per_s, mean_output, mean_sequences, step, binding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lengths;

    fn both(settings: &Settings, input: Lengths, output: Lengths) -> (Capacity, Capacity) {
        let profile = ModelProfile::tiny();
        let mix = LengthMix { input, output };
        (
            capacity(&profile, settings, &mix).unwrap(),
            overload_run(&profile, settings, &mix, 11, 3_000).unwrap(),
        )
    }

    /// How far the closed form lies above the run.
    fn excess(pair: &(Capacity, Capacity)) -> f64 {
        pair.0.requests_per_s.per_second() / pair.1.requests_per_s.per_second() - 1.0
    }

    /// The run shares only the step-time law with the formula, so each is the other's oracle.
    #[test]
    fn formula_and_engine_agree_where_slots_bind() {
        let lognormal = Lengths::Lognormal { mean: 200.0, cv: 0.6, max: 2000 };
        for (seqs, input, output) in [
            (16, Lengths::Constant(100), Lengths::Constant(50)),
            (16, lognormal, Lengths::Constant(128)),
            (64, lognormal, Lengths::Uniform { min: 1, max: 200 }),
            (1, Lengths::Constant(30), Lengths::Constant(10)),
            (8, Lengths::Constant(10), Lengths::Lognormal { mean: 60.0, cv: 1.0, max: 500 }),
        ] {
            let settings = Settings { max_num_seqs: seqs, ..Settings::default() };
            let pair = both(&settings, input, output);
            assert_eq!((pair.0.binding, pair.1.binding), (Binding::Slots, Binding::Slots));
            assert!(excess(&pair).abs() < 0.015, "{seqs} {input} {output}: {pair:?}");
        }
    }

    /// Where all requests are alike they start and end together for ever; these are not.
    #[test]
    fn formula_and_engine_agree_where_mixed_steps_cost_more() {
        let profile = ModelProfile::qwen3_14b();
        let input = Lengths::Lognormal { mean: 128.0, cv: 0.5, max: 1024 };
        let mix = LengthMix { input, output: Lengths::Uniform { min: 24, max: 40 } };
        for seqs in [16, 64] {
            let settings = Settings { max_num_seqs: seqs, ..Settings::default() };
            let form = capacity(&profile, &settings, &mix).unwrap();
            let run = overload_run(&profile, &settings, &mix, 1, 4_000).unwrap();
            let off = form.requests_per_s.per_second() / run.requests_per_s.per_second() - 1.0;
            assert!(off.abs() < 0.008, "{seqs}: {off}");
            // Without the term it would be another capacity.
            let plain = ModelProfile { mixed_step_per_decode: Span::default(), ..profile.clone() };
            let plain = capacity(&plain, &settings, &mix).unwrap();
            assert!(plain.requests_per_s.per_second() > 1.01 * form.requests_per_s.per_second());
        }
    }

    /// Ten servers of 200 ms: 50 a second by arithmetic, by the formula and by the engine.
    #[test]
    fn a_queue_sustains_servers_over_service_time() {
        let settings = Settings { max_num_seqs: 10, ..Settings::default() };
        let mix = LengthMix { input: Lengths::Constant(16), output: Lengths::Constant(20) };
        let form = capacity(&ModelProfile::queue(), &settings, &mix).unwrap();
        let run = overload_run(&ModelProfile::queue(), &settings, &mix, 1, 4_000).unwrap();
        assert!((form.requests_per_s.per_second() - 50.0).abs() < 1e-9, "{form:?}");
        assert!((run.requests_per_s.per_second() - 50.0).abs() < 0.01, "{run:?}");
        assert_eq!((form.binding, run.binding), (Binding::Slots, Binding::Slots));
    }

    #[test]
    fn formula_and_engine_agree_where_the_budget_binds() {
        let settings = Settings { max_num_batched_tokens: Some(256), ..Settings::default() };
        let lognormal = Lengths::Lognormal { mean: 300.0, cv: 0.5, max: 2000 };
        let pair = both(&settings, lognormal, Lengths::Constant(20));
        assert_eq!((pair.0.binding, pair.1.binding), (Binding::TokenBudget, Binding::TokenBudget));
        assert!(excess(&pair).abs() < 0.03, "{pair:?}");
    }

    #[test]
    fn the_formula_is_an_upper_estimate_where_the_cache_binds() {
        let settings = Settings { num_gpu_blocks_override: Some(256), ..Settings::default() };
        let pair = both(&settings, Lengths::Constant(200), Lengths::Constant(200));
        assert_eq!((pair.0.binding, pair.1.binding), (Binding::KvCache, Binding::KvCache));
        assert!((0.0..0.6).contains(&excess(&pair)), "{pair:?}");
    }

    #[test]
    fn replicas_multiply_capacity() {
        let one = Settings { max_num_seqs: 4, ..Settings::default() };
        let four = Settings { data_parallel_size: 4, ..one.clone() };
        let (input, output) = (Lengths::Constant(64), Lengths::Constant(32));
        let ratio = |pick: fn(&(Capacity, Capacity)) -> f64| {
            pick(&both(&four, input, output)) / pick(&both(&one, input, output))
        };
        assert!((ratio(|pair| pair.0.requests_per_s.per_second()) - 4.0).abs() < 1e-9);
        assert!((ratio(|pair| pair.1.requests_per_s.per_second()) - 4.0).abs() < 1e-9);
    }

    /// Formula and engine with planted contention and coherency against the law written out here.
    #[test]
    fn replicas_that_are_in_each_others_way_follow_the_universal_scalability_law() {
        let (sigma, kappa) = (0.08, 0.012);
        let of = |n: u32, sigma: f64, kappa: f64| Settings {
            max_num_seqs: 4,
            data_parallel_size: n,
            scaling_contention: sigma,
            scaling_coherency: kappa,
            ..Settings::default()
        };
        let (input, output) = (Lengths::Constant(64), Lengths::Constant(32));
        let alone = both(&of(1, sigma, kappa), input, output);
        assert_eq!(
            alone,
            both(&of(1, 0.0, 0.0), input, output),
            "one replica has nobody beside it"
        );
        for n in [2, 3, 8, 64] {
            let size = f64::from(n);
            let law = size / (1.0 + sigma * (size - 1.0) + kappa * size * (size - 1.0));
            let pair = both(&of(n, sigma, kappa), input, output);
            let rate = |capacity: &Capacity| capacity.requests_per_s.per_second();
            let off = |with: &Capacity, alone: &Capacity| rate(with) / rate(alone) / law - 1.0;
            assert!(off(&pair.0, &alone.0).abs() < 1e-9, "{n}: {pair:?}");
            // Steps are whole nanoseconds.
            assert!(off(&pair.1, &alone.1).abs() < 1e-6, "{n}: {pair:?}");
        }
    }
}
