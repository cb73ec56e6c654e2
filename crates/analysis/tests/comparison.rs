//! Comparisons on servers in virtual time whose difference is known: identical ones are seldom
//! called different, and a true difference of 5 % is found with the repetitions that a pilot
//! recommends. 200 trials each; `cargo bench --bench comparison` has the table of more servers.

#[path = "virtual_time/server.rs"]
mod server;

#[path = "virtual_time/study.rs"]
#[expect(dead_code, reason = "only its cases are used here")]
mod study;

#[path = "comparison/study.rs"]
mod comparison;

use std::time::Duration;

use comparison::Row;
use plimsoll_analysis::{
    Better, Comparing, ComparisonVerdict, Estimate, LatencySeries, TimedLatency, compare,
    latency_quantile,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Gamma};

/// Trials of each study.
const TRIALS: u64 = 200;

/// The study of a server whose machine wanders, with seeds from `first` on.
#[expect(clippy::print_stdout, reason = "a test's figures, shown when it fails")]
fn studies(faster: f64, first: u64) -> Row {
    let row = comparison::run(comparison::ALL[1], faster, first, TRIALS);
    println!("{}\n{row}", comparison::HEADER);
    row
}

#[test]
fn identical_settings_are_called_different_in_at_most_5_percent() {
    let row = studies(1.0, 1);
    assert!(row.better + row.worse <= 10, "{row}");
    assert!(row.equivalent >= 160 && row.undecided <= 40, "{row}");
    assert!(row.covered >= 180, "{row}");
}

#[test]
fn a_difference_of_5_percent_is_found_with_the_recommended_repetitions() {
    let row = studies(1.05, 10_001);
    assert!(row.better >= 180, "{row}");
    assert_eq!(row.worse, 0);
    assert!((8.0..60.0).contains(&row.repetitions), "as many as are needed: {row}");
}

/// The requests of one window of a queue of one server: latencies that remember each other.
fn waits(seconds: f64, rng: &mut ChaCha8Rng) -> LatencySeries {
    let gap = Gamma::new(1.0, 1.0 / 35.0).expect("both are above 0");
    let service = Gamma::new(1.0, 1.0 / 50.0).expect("both are above 0");
    let (mut at, mut latency) = (-5.0, 0.0_f64);
    let mut requests = Vec::new();
    loop {
        let step: f64 = gap.sample(rng);
        at += step;
        latency = (latency - step).max(0.0) + service.sample(rng);
        if at >= seconds {
            break;
        }
        if at >= 0.0 {
            requests.push(TimedLatency {
                at: Duration::from_secs_f64(at),
                latency: Duration::from_secs_f64(latency),
            });
        }
    }
    LatencySeries::new(Duration::from_secs_f64(seconds), requests).expect("all are inside")
}

#[test]
fn quantiles_of_identical_queues_are_seldom_called_different() {
    let trials = 30;
    let mut different = 0;
    for seed in 1..=trials {
        let mut rng = ChaCha8Rng::seed_from_u64(20_000 + seed);
        let mut figures = || -> Vec<Estimate> {
            (0..4)
                .map(|_| waits(10.0, &mut rng))
                .map(|window| latency_quantile(&window, 0.9, seed).expect("0.9 is legal"))
                .map(|figure| figure.expect("hundreds of requests carry it"))
                .collect()
        };
        let comparing = Comparing { better: Better::Lower, ..Comparing::default() };
        let found = compare(&figures(), &figures(), comparing).expect("they are paired").verdict;
        different +=
            usize::from(matches!(found, ComparisonVerdict::Better | ComparisonVerdict::Worse));
    }
    println!("p90: {different} of {trials}");
    assert!(different <= 4, "{different} of {trials}");
}
