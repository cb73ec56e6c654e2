use super::*;
use crate::conclusion::fixture::{Loop, groups};

/// A profile and a number of GPUs; every GPU takes 2 ms off a step, which is nothing that a server does.
fn of(profile: &'static str, gpus: &'static str, repetition: u32) -> Loop {
    let input = if profile == "long" { 4000 } else { 100 };
    let a_ms = if gpus == "4" { 22.0 } else { 24.0 };
    // Repetitions differ by what all combinations have in common.
    let a_ms = a_ms * (1.0 + 0.01 * f64::from(repetition));
    let factors = vec![("profile", profile), ("server.settings.gpus", gpus)];
    Loop { factors, repetition, input, a_ms, ..Loop::default() }
}

fn design(repetitions: u32) -> Vec<Loop> {
    let all = [("short", "1"), ("short", "4"), ("long", "1"), ("long", "4")];
    let of = |repetition| all.map(|(profile, gpus)| of(profile, gpus, repetition));
    (0..repetitions).flat_map(of).collect()
}

fn effects<'a>(found: &'a LowLoad, latency: &str) -> &'a FactorialEffects {
    &found.effects.iter().find(|(name, _)| *name == latency).unwrap().1
}

#[test]
fn the_factor_that_matters_most_is_found_with_its_ratio() {
    let found = LowLoad::of(&groups(&design(3)));
    assert_eq!((found.cases.len(), &found.no_effects), (4, &None));
    let ttft = effects(&found, "TTFT");
    assert_eq!((ttft.ranking[0].factor.as_str(), ttft.repetitions), ("profile", 3));
    // By the law: the prefills are 24.24 + 640 and 24.24 + 16 (a of the middle repetition), with 4 GPUs
    // 22.22 instead; the ratio is the geometric mean of the two.
    let truth = ((664.24 / 40.24) * (662.22 / 38.22_f64)).sqrt();
    let ratio = ttft.ranking[0].ratio;
    assert!((ratio / truth - 1.0).abs() < 0.01, "{ratio} {truth}");
    let tpot = effects(&found, "TPOT");
    assert_eq!(tpot.ranking[0].factor, "server.settings.gpus");
    assert!((tpot.ranking[0].ratio - 24.0 / 22.0).abs() < 1e-3, "{tpot:?}");
    let gpus = tpot.main.iter().find(|it| it.contrasts[0].level == "4").unwrap();
    assert!(gpus.claimed, "{gpus:?}");
}

#[test]
fn one_repetition_claims_nothing() {
    let found = LowLoad::of(&groups(&design(1)));
    let all = found.effects.iter().flat_map(|(_, effects)| &effects.main);
    assert!(found.effects.len() == 3 && all.clone().all(|it| !it.claimed && it.interval.is_none()));
}

#[test]
fn without_every_combination_there_are_no_effects_and_it_says_why() {
    let why = |loops: &[Loop]| LowLoad::of(&groups(loops)).no_effects.unwrap();
    assert_eq!(why(&[]), "no point was measured");
    assert_eq!(why(&design(1)[..1]), "nothing was varied");
    assert_eq!(
        why(&design(1)[..3]),
        "3 of 4 combinations of the levels were measured, and effects need all"
    );
    let mut refused = design(1);
    refused[2].refused = Some("no");
    assert_eq!(
        why(&refused),
        "the combination profile=long server.settings.gpus=1 1 in flight has no latencies to be held \
         against the others"
    );
}

#[test]
fn several_loads_are_a_factor() {
    let of = |concurrency, repetition| Loop { concurrency, repetition, ..Loop::default() };
    let found = LowLoad::of(&groups(&[of(1, 0), of(2, 0), of(1, 1), of(2, 1)]));
    let ranking = &effects(&found, "E2E").ranking;
    assert_eq!((ranking.len(), ranking[0].factor.as_str()), (1, LOAD));
}
