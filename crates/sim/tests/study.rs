//! The built-in `qwen3-14b` against the published study it was fitted to.
//!
//! The study's client sent 1,000 requests of 256 output tokens a run; its four prompts stood in
//! the prefix cache but for a few tokens. It slept after every send, so the rates here are those
//! it reached (nominal 10 to 60 requests per second). The other figures are the study's own
//! summaries, means over its repetitions, of ours over five seeds. The deviations are those of the table in `docs/sim.md`.

use plimsoll_sim::{Arrival, Completion, ModelProfile, Request, Settings, replay};
use plimsoll_units::{RunNanos, Tokens};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One run of the study.
struct Run {
    replicas: u32,
    /// Requests per second that the client reached.
    rate: f64,
    /// First send to last response, s.
    duration: f64,
    /// Mean time per output token, ms.
    tpot: f64,
    /// Mean time to the first token, ms.
    ttft: f64,
}

const RUNS: [Run; 7] = [
    Run { replicas: 4, rate: 9.9, duration: 108.4, tpot: 28.8, ttft: 67.0 },
    Run { replicas: 1, rate: 10.0, duration: 109.8, tpot: 38.4, ttft: 88.0 },
    Run { replicas: 1, rate: 19.0, duration: 81.6, tpot: 69.9, ttft: 6_807.0 },
    Run { replicas: 1, rate: 27.9, duration: 77.9, tpot: 69.5, ttft: 13_025.0 },
    Run { replicas: 1, rate: 36.3, duration: 74.4, tpot: 67.7, ttft: 15_503.0 },
    Run { replicas: 1, rate: 44.3, duration: 73.4, tpot: 67.1, ttft: 16_963.0 },
    Run { replicas: 1, rate: 52.0, duration: 73.2, tpot: 66.8, ttft: 18_013.0 },
];

/// Poisson arrivals of the study's requests, at exactly `rate` altogether: 51 prompt tokens, 48 of
/// them one of four prefixes.
fn arrivals(rate: f64, seed: u64) -> Vec<Arrival> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut at = 0.0;
    let stamps: Vec<f64> = (0..1_000)
        .map(|_| {
            let now = at;
            at += -(1.0 - random.random::<f64>()).ln();
            now
        })
        .collect();
    let scale = 999.0 / rate / stamps[999];
    (0..)
        .zip(stamps)
        .map(|(index, stamp): (u32, f64)| {
            let mut prompt = vec![index % 4; 48];
            prompt.extend([index; 3]);
            let request =
                Request { prompt, output_tokens: Tokens::new(256), seed: u64::from(index) };
            Arrival { at: RunNanos::from_secs_f64(stamp * scale), request }
        })
        .collect()
}

/// What a run of the study's benchmark would have shown: duration in s, mean TPOT and TTFT in ms.
fn shown(run: &Run, seed: u64) -> [f64; 3] {
    let profile = ModelProfile::qwen3_14b();
    let settings = Settings { data_parallel_size: run.replicas, ..Settings::default() };
    let done = replay(&profile, &settings, arrivals(run.rate, seed)).expect("it fits");
    let mean = |f: fn(&Completion) -> f64| done.iter().map(f).sum::<f64>() / done.len() as f64;
    let last = done.iter().map(|c| c.last_token).max().unwrap_or_default();
    let front_end = profile.front_end.as_secs_f64();
    [
        last.as_secs_f64(),
        mean(|c| (c.last_token - c.first_token).as_secs_f64() / 255.0) * 1e3,
        (front_end + mean(|c| (c.first_token - c.arrival).as_secs_f64())) * 1e3,
    ]
}

#[test]
fn the_profile_replays_the_study() {
    const SEEDS: u64 = 5;
    for run in &RUNS {
        let runs: Vec<[f64; 3]> = (1..=SEEDS).map(|seed| shown(run, seed)).collect();
        let mean = |place: usize| runs.iter().map(|run| run[place]).sum::<f64>() / SEEDS as f64;
        let [duration, tpot, ttft] = [0, 1, 2].map(mean);
        let (longer, slower) = (duration / run.duration - 1.0, tpot / run.tpot - 1.0);
        let later = ttft / run.ttft - 1.0;
        println!(
            "{} x {:4} /s: {duration:6.1} s ({longer:+.3}), TPOT {tpot:5.1} ms ({slower:+.3}), \
             TTFT {ttft:8.1} ms ({later:+.3})",
            run.replicas, run.rate
        );
        assert!(longer.abs() < 0.1, "duration at {}/s: {longer:+.3}", run.rate);
        assert!(slower.abs() < 0.1, "TPOT at {}/s: {slower:+.3}", run.rate);
        assert!(later.abs() < 0.1, "TTFT at {}/s: {later:+.3}", run.rate);
    }
}
