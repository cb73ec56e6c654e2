use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::{Comparing, compare};

fn factor(name: &str, levels: usize) -> Factor {
    Factor { name: name.to_owned(), levels: (0..levels).map(|i| format!("{name}{i}")).collect() }
}

/// Every combination of `sizes` in `repetitions`, its figure given by `log`.
fn runs(
    sizes: &[usize],
    repetitions: usize,
    mut log: impl FnMut(&[usize], usize) -> f64,
) -> Vec<FactorialRun> {
    let mut all = vec![Vec::new()];
    for &size in sizes {
        all = all
            .iter()
            .flat_map(|levels: &Vec<usize>| {
                (0..size).map(|level| [levels.as_slice(), &[level]].concat())
            })
            .collect();
    }
    let cells = all.into_iter();
    cells
        .flat_map(|levels| (0..repetitions).map(move |repetition| (levels.clone(), repetition)))
        .map(|(levels, repetition)| {
            let figure = log(&levels, repetition).exp();
            FactorialRun { levels, repetition, figure }
        })
        .collect()
}

#[test]
fn planted_effects_come_back() {
    // ln y = 0.3 a + 0.1 b + 0.2 a b + (0.05 a repetition): no noise.
    let factors = [factor("a", 2), factor("b", 2)];
    let found = factorial_effects(
        &factors,
        &runs(&[2, 2], 3, |x, r| {
            let (a, b) = (x[0] as f64, x[1] as f64);
            0.3 * a + 0.1 * b + 0.2 * a * b + 0.05 * r as f64
        }),
    )
    .unwrap();
    // Over both levels of b: 0.3 + 0.2 / 2; over both of a: 0.1 + 0.2 / 2.
    let logs: Vec<f64> = found.main.iter().map(|effect| effect.ratio.ln()).collect();
    assert!((logs[0] - 0.4).abs() < 1e-9 && (logs[1] - 0.2).abs() < 1e-9, "{logs:?}");
    assert_eq!(found.interactions.len(), 1);
    assert!((found.interactions[0].ratio.ln() - 0.2).abs() < 1e-9);
    assert!(found.main.iter().chain(&found.interactions).all(|effect| effect.claimed));
    let names: Vec<&str> = found.ranking.iter().map(|rank| rank.factor.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((found.ranking[0].highest.as_str(), found.ranking[0].lowest.as_str()), ("a1", "a0"));
    // Sums of squares by hand: a 0.16, b 0.04, both 0.01 of 4 cells' (effects / 2)^2 times 4.
    let share = 0.16 / (0.16 + 0.04 + 0.01);
    assert!((found.ranking[0].share - share).abs() < 1e-9, "{found:?}");
}

#[test]
fn three_levels_are_each_held_against_those_before() {
    let factors = [factor("a", 3), factor("b", 2)];
    let by_level = [0.0, 0.2, 0.7];
    let found =
        factorial_effects(&factors, &runs(&[3, 2], 2, |x, _| by_level[x[0]] + 0.01 * x[1] as f64))
            .unwrap();
    let expected = [0.2, 0.7 - 0.1, 0.01];
    assert_eq!(found.main.len(), 3);
    for (effect, expected) in found.main.iter().zip(expected) {
        assert!((effect.ratio.ln() - expected).abs() < 1e-9, "{effect:?}");
    }
    assert_eq!(found.main[1].contrasts[0].against, ["a0", "a1"]);
    assert!(found.interactions.iter().all(|effect| (effect.ratio - 1.0).abs() < 1e-9));
    assert!((found.ranking[0].ratio.ln() - 0.7).abs() < 1e-9);
}

#[test]
fn one_factor_of_two_levels_is_the_comparison_of_pairs() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let runs = runs(&[2], 5, |x, r| {
        let noise: f64 = StandardNormal.sample(&mut rng);
        0.1 * x[0] as f64 + 0.3 * r as f64 + 0.02 * noise
    });
    let figures = |level: usize| -> Vec<Estimate> {
        let of = runs.iter().filter(|run| run.levels[0] == level);
        of.map(|run| Estimate::exact(run.figure)).collect()
    };
    let pairs = compare(&figures(0), &figures(1), Comparing::default()).unwrap();
    let effect = &factorial_effects(&[factor("a", 2)], &runs).unwrap().main[0];
    let (found, expected) = (effect.interval.unwrap(), pairs.interval.unwrap());
    assert!((found.low - expected.low).abs() < 1e-9 && (found.high - expected.high).abs() < 1e-9);
    assert!((effect.p_value.unwrap() - pairs.p_different.unwrap()).abs() < 1e-9);
}

#[test]
fn intervals_hold_the_truth_and_nothing_is_claimed_of_noise() {
    let factors = [factor("a", 2), factor("b", 3)];
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let (mut held, mut all, mut claims) = (0, 0, 0);
    for _ in 0..200 {
        let passes: Vec<f64> = (0..4).map(|_| StandardNormal.sample(&mut rng)).collect();
        let found = factorial_effects(
            &factors,
            &runs(&[2, 3], 4, |_, r| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                0.05 * noise + passes[r]
            }),
        )
        .unwrap();
        let effects: Vec<&Effect> = found.main.iter().chain(&found.interactions).collect();
        assert_eq!(effects.len(), 5);
        held += effects.iter().filter(|effect| effect.interval.unwrap().contains(1.0)).count();
        all += effects.len();
        claims += usize::from(effects.iter().any(|effect| effect.claimed));
    }
    let share = held as f64 / all as f64;
    assert!((0.93..0.97).contains(&share), "{share}");
    assert!(claims <= 16, "{claims} of 200 designs without any effect");
}

#[test]
fn one_repetition_has_ratios_and_no_claims() {
    let factors = [factor("a", 2), factor("b", 2)];
    let found = factorial_effects(&factors, &runs(&[2, 2], 1, |x, _| x[0] as f64)).unwrap();
    assert!((found.main[0].ratio.ln() - 1.0).abs() < 1e-9);
    for effect in found.main.iter().chain(&found.interactions) {
        assert_eq!((effect.interval, effect.p_value, effect.claimed), (None, None, false));
    }
}

#[test]
fn what_is_no_full_factorial_is_refused() {
    let factors = [factor("a", 2), factor("b", 2)];
    let whole = runs(&[2, 2], 2, |_, _| 0.0);
    let refused = |runs: &[FactorialRun]| factorial_effects(&factors, runs).unwrap_err();
    assert!(matches!(refused(&whole[1..]), ComparisonError::NotFactorial { times: 0, .. }));
    let twice = [whole.clone(), vec![whole[0].clone()]].concat();
    assert!(matches!(refused(&twice), ComparisonError::NotFactorial { times: 2, .. }));
    let mut far = whole.clone();
    far[0].levels[1] = 2;
    assert!(matches!(refused(&far), ComparisonError::UnknownLevel { .. }));
    far[0].levels = vec![0];
    assert!(matches!(refused(&far), ComparisonError::UnknownLevel { .. }));
    let mut gap = whole.clone();
    gap[0].repetition = usize::MAX - 1;
    assert!(matches!(refused(&gap), ComparisonError::NotFactorial { .. }));
    let mut zero = whole;
    zero[0].figure = 0.0;
    assert!(matches!(refused(&zero), ComparisonError::NotPositive { .. }));
    assert!(factorial_effects(&[], &[]).is_err());
    assert!(factorial_effects(&[factor("a", 1)], &[]).is_err());
    assert!(factorial_effects(&factors, &[]).is_err());
}
