//! The built-in `qwen3-14b` against the published study it was fitted to.
//!
//! The study's client sent 1,000 requests of 256 output tokens a run; its four prompts stood in
//! the prefix cache but for a few tokens. It slept after every send, so the rates here are those
//! it reached (nominal 10 to 60 requests per second). The other figures are the study's own
//! summaries, means over its repetitions. The deviations are those of the table in `docs/sim.md`.

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
}

const RUNS: [Run; 7] = [
    Run { replicas: 4, rate: 9.9, duration: 108.4, tpot: 28.8 },
    Run { replicas: 1, rate: 10.0, duration: 109.8, tpot: 38.4 },
    Run { replicas: 1, rate: 19.0, duration: 81.6, tpot: 69.9 },
    Run { replicas: 1, rate: 27.9, duration: 77.9, tpot: 69.5 },
    Run { replicas: 1, rate: 36.3, duration: 74.4, tpot: 67.7 },
    Run { replicas: 1, rate: 44.3, duration: 73.4, tpot: 67.1 },
    Run { replicas: 1, rate: 52.0, duration: 73.2, tpot: 66.8 },
];

/// Poisson arrivals of the study's requests: 51 prompt tokens, 48 of them one of four prefixes.
fn arrivals(rate: f64) -> Vec<Arrival> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut at = 0.0;
    (0..1_000_u32)
        .map(|index| {
            at += -(1.0 - random.random::<f64>()).ln() / rate;
            let mut prompt = vec![index % 4; 48];
            prompt.extend([index; 3]);
            let request =
                Request { prompt, output_tokens: Tokens::new(256), seed: u64::from(index) };
            Arrival { at: RunNanos::from_secs_f64(at), request }
        })
        .collect()
}

#[test]
fn the_profile_replays_the_study() {
    for Run { replicas, rate, duration, tpot } in RUNS {
        let settings = Settings { data_parallel_size: replicas, ..Settings::default() };
        let done = replay(&ModelProfile::qwen3_14b(), &settings, arrivals(rate)).unwrap();
        let mean = |f: fn(&Completion) -> f64| done.iter().map(f).sum::<f64>() / done.len() as f64;
        let ours = mean(|c| (c.last_token - c.first_token).as_secs_f64() / 255.0) * 1e3;
        let ttft = mean(|c| (c.first_token - c.arrival).as_secs_f64()) * 1e3;
        let first = done.iter().map(|c| c.arrival).min().unwrap();
        let last = done.iter().map(|c| c.last_token).max().unwrap();
        let span = (last - first).as_secs_f64();
        let preemptions: u32 = done.iter().map(|c| c.preemptions).sum();
        let (longer, slower) = (span / duration - 1.0, ours / tpot - 1.0);
        println!(
            "{replicas} x {rate:4} /s: {span:6.1} s ({longer:+.3}), TPOT {ours:5.1} ms \
             ({slower:+.3}), TTFT {ttft:8.1} ms, preemptions {preemptions}"
        );
        assert!(longer.abs() < 0.08, "duration at {rate}/s: {span} s, the study {duration} s");
        assert!(slower.abs() < 0.15, "TPOT at {rate}/s: {ours} ms, the study {tpot} ms");
    }
}
