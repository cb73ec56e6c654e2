//! Comparisons on servers in virtual time whose difference is known: identical ones are seldom
//! called different, and a true difference of 5 % is found with the repetitions that a pilot
//! recommends. 200 trials each, seeds 1 to 200; shares no code with the analysis.

use std::time::Duration;

use plimsoll_analysis::{
    Better, Comparing, ComparisonVerdict, Estimate, LatencySeries, TimedLatency, compare,
    interleaving, latency_quantile,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Gamma, StandardNormal};

/// Trials of each study.
const TRIALS: u64 = 200;

/// A saturated server of eight slots, whose services are gamma with a mean of `service` and a
/// coefficient of variation of 0.5: requests a second that end in a window of 8 s, after 2 s.
fn throughput(service: f64, rng: &mut ChaCha8Rng) -> f64 {
    let law = Gamma::new(4.0, service / 4.0).expect("both are above 0");
    let mut free = [0.0_f64; 8];
    for slot in &mut free {
        *slot = law.sample(rng);
    }
    let mut ended = 0;
    loop {
        let next = free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("eight slots");
        if *next >= 10.0 {
            return f64::from(ended) / 8.0;
        }
        ended += u32::from(*next >= 2.0);
        *next += law.sample(rng);
    }
}

/// A slow machine state that goes through all turns: a chain with correlation 0.8 and a deviation
/// of 2 %, which all settings share.
struct Machine {
    state: f64,
}

impl Machine {
    fn turn(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        let shock: f64 = StandardNormal.sample(rng);
        self.state = 0.8 * self.state + 0.02 * 0.6 * shock;
        self.state.exp()
    }
}

/// Figures of two settings in `repetitions` interleaved turns; the second serves `faster` times as
/// fast as the first.
fn measured(
    faster: f64,
    repetitions: usize,
    machine: &mut Machine,
    rng: &mut ChaCha8Rng,
) -> [Vec<Estimate>; 2] {
    let mut figures = [vec![], vec![]];
    for turn in interleaving(2, repetitions) {
        let service = if turn.setting == 0 { 0.25 } else { 0.25 / faster };
        let slowed = service * machine.turn(rng);
        figures[turn.setting].push(Estimate::exact(throughput(slowed, rng)));
    }
    figures
}

/// What a person does with the tool: six repetitions; where they leave it undecided, as many more
/// as it recommends; the last word. It is judged twice at most, and says so. With the repetitions
/// of each setting.
fn study(faster: f64, seed: u64) -> (ComparisonVerdict, usize) {
    let comparing = Comparing { looks: 2, ..Comparing::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut machine = Machine { state: 0.0 };
    let mut figures = measured(faster, 6, &mut machine, &mut rng);
    let judged = |figures: &[Vec<Estimate>; 2]| {
        compare(&figures[0], &figures[1], comparing).expect("they are paired").verdict
    };
    let pilot = judged(&figures);
    let ComparisonVerdict::Undecided { repetitions_that_would_decide: Some(n) } = pilot else {
        return (pilot, 6);
    };
    for (all, more) in figures.iter_mut().zip(measured(faster, n - 6, &mut machine, &mut rng)) {
        all.extend(more);
    }
    (judged(&figures), n)
}

/// How often each verdict came, and the mean number of repetitions.
#[expect(clippy::print_stdout, reason = "a test's figures, shown when it fails")]
fn studies(faster: f64, first_seed: u64) -> ([u32; 4], f64) {
    let (mut counts, mut repetitions) = ([0; 4], 0);
    for seed in first_seed..first_seed + TRIALS {
        let (verdict, n) = study(faster, seed);
        repetitions += n;
        counts[match verdict {
            ComparisonVerdict::Better => 0,
            ComparisonVerdict::Worse => 1,
            ComparisonVerdict::Equivalent => 2,
            ComparisonVerdict::Undecided { .. } => 3,
        }] += 1;
    }
    let mean = repetitions as f64 / TRIALS as f64;
    println!("better, worse, equivalent, undecided: {counts:?}; {mean} repetitions");
    (counts, mean)
}

#[test]
fn identical_settings_are_called_different_in_at_most_5_percent() {
    let ([better, worse, equivalent, _], _) = studies(1.0, 1);
    assert!(better + worse <= 10, "{better} better, {worse} worse of {TRIALS}");
    assert!(equivalent >= 160, "{equivalent} of {TRIALS}");
}

#[test]
fn a_difference_of_5_percent_is_found_with_the_recommended_repetitions() {
    let ([better, worse, ..], repetitions) = studies(1.05, 10_001);
    assert!(better >= 180, "{better} of {TRIALS}");
    assert_eq!(worse, 0);
    assert!((8.0..60.0).contains(&repetitions), "as many as are needed: {repetitions}");
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
