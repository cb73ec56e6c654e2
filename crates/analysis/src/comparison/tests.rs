use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use super::*;

fn exact(values: &[f64]) -> Vec<Estimate> {
    values.iter().map(|&value| Estimate::exact(value)).collect()
}

fn judged(baseline: &[f64], candidate: &[f64], comparing: Comparing) -> Comparison {
    compare(&exact(baseline), &exact(candidate), comparing).unwrap()
}

#[test]
fn one_case_of_each_verdict() {
    let higher = Comparing::default();
    let lower = Comparing { better: Better::Lower, ..higher };
    let base = [100.0, 101.0, 99.0, 100.0];
    let more = [121.0, 119.0, 120.0, 120.0];
    let same = [100.5, 100.2, 99.4, 100.1];
    let wild = [140.0, 80.0, 130.0, 75.0];
    assert_eq!(judged(&base, &more, higher).verdict, ComparisonVerdict::Better);
    assert_eq!(judged(&base, &more, lower).verdict, ComparisonVerdict::Worse);
    assert_eq!(judged(&more, &base, higher).verdict, ComparisonVerdict::Worse);
    assert_eq!(judged(&base, &same, higher).verdict, ComparisonVerdict::Equivalent);
    let open = judged(&base, &wild, higher);
    let ComparisonVerdict::Undecided { repetitions_that_would_decide: Some(n) } = open.verdict
    else {
        panic!("{open:?}")
    };
    assert!(n > 4 && n % 2 == 0, "{n}");
    let interval = open.interval.unwrap();
    assert!(interval.contains(open.ratio) && interval.contains(1.0));
}

#[test]
fn a_certain_difference_that_does_not_matter_is_equivalent() {
    // 1 % more in every pass: certain, and inside 5 %.
    let base = [100.0, 104.0, 98.0, 101.0];
    let more = [101.0, 105.05, 98.99, 102.0];
    let found = judged(&base, &more, Comparing::default());
    assert!(found.interval.unwrap().low > 1.0);
    assert_eq!(found.verdict, ComparisonVerdict::Equivalent);
    // Held to a margin of 0.5 % it is better.
    let strict = Comparing { margin: 0.005, ..Comparing::default() };
    assert_eq!(judged(&base, &more, strict).verdict, ComparisonVerdict::Better);
}

#[test]
fn one_repetition_claims_nothing() {
    let found = judged(&[100.0], &[200.0], Comparing::default());
    assert!(found.is_single_run());
    assert_eq!((found.ratio, found.interval, found.p_different), (2.0, None, None));
    let nothing = ComparisonVerdict::Undecided { repetitions_that_would_decide: None };
    assert_eq!(found.verdict, nothing);
    // Where each figure has an interval, that is the least that repetitions can scatter by.
    let known = compare(
        &[Estimate::around(100.0, 5.0)],
        &[Estimate::around(200.0, 10.0)],
        Comparing::default(),
    );
    let ComparisonVerdict::Undecided { repetitions_that_would_decide: Some(n) } =
        known.unwrap().verdict
    else {
        panic!("a recommendation is due")
    };
    assert!((4..40).contains(&n), "{n}");
}

#[test]
fn what_a_common_drift_does_is_no_difference_of_settings() {
    // 2 % slower with each turn of A B B A A B B A..., and nothing else.
    let turns = interleaving(2, 8);
    let mut figures = [vec![0.0; 8], vec![0.0; 8]];
    for (place, turn) in turns.into_iter().enumerate() {
        figures[turn.setting][turn.repetition] = 100.0 * (-0.02 * place as f64).exp();
    }
    let found = judged(&figures[0], &figures[1], Comparing::default());
    assert!((found.ratio - 1.0).abs() < 1e-9, "{found:?}");
    assert_eq!(found.verdict, ComparisonVerdict::Equivalent);
}

#[test]
fn several_candidates_share_one_chance_of_error() {
    // Twelve identical candidates a trial: some pair differs by chance in far more than 5 % of the
    // trials without adjustment.
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draw = || -> Vec<f64> {
        (0..6)
            .map(|_| -> f64 { StandardNormal.sample(&mut rng) })
            .map(|z| 100.0 * (0.2 * z).exp())
            .collect()
    };
    let (mut together, mut alone) = (0, 0);
    for _ in 0..200 {
        let baseline = exact(&draw());
        let candidates: Vec<Vec<Estimate>> = (0..12).map(|_| exact(&draw())).collect();
        let raw =
            candidates.iter().map(|one| LogMean::of_pairs(&baseline, one).unwrap().p_different());
        let raw: Vec<f64> = raw.collect();
        together += usize::from(holm(&raw).iter().any(|&p| p <= ALPHA));
        alone += usize::from(raw.iter().any(|&p| p <= ALPHA));
    }
    assert!(together <= 16, "{together} of 200");
    assert!(alone >= 40, "{alone} of 200");
}

#[test]
fn looks_make_each_claim_harder() {
    let base = [100.0, 101.0, 99.0, 100.0];
    let more = [108.0, 104.0, 107.0, 103.0];
    let once = judged(&base, &more, Comparing { margin: 0.01, ..Comparing::default() });
    let thrice = judged(&base, &more, Comparing { margin: 0.01, looks: 3, ..Comparing::default() });
    let (once_p, thrice_p) = (once.p_different.unwrap(), thrice.p_different.unwrap());
    assert!((thrice_p - 3.0 * once_p).abs() < 1e-12);
    assert_eq!(once.interval, thrice.interval);
    assert_eq!(once.verdict, ComparisonVerdict::Better);
    assert!(matches!(thrice.verdict, ComparisonVerdict::Undecided { .. }), "{thrice:?}");
}

#[test]
fn refusals_name_the_value_and_what_is_allowed() {
    let good = exact(&[1.0, 2.0]);
    let refused = |a: &[f64], b: &[f64], comparing| {
        compare(&exact(a), &exact(b), comparing).unwrap_err().to_string()
    };
    let plain = Comparing::default();
    assert!(refused(&[1.0], &[1.0, 2.0], plain).contains("1 repetitions and the candidate 2"));
    assert!(refused(&[], &[], plain).contains("1 or more"));
    assert!(refused(&[1.0, 0.0], &[1.0, 2.0], plain).contains("a figure of 0"));
    assert!(refused(&[1.0, 1.0], &[f64::NAN, 2.0], plain).contains("NaN"));
    for (comparing, word) in [
        (Comparing { margin: 0.0, ..plain }, "margin is 0"),
        (Comparing { margin: f64::NAN, ..plain }, "margin is NaN"),
        (Comparing { power: 1.0, ..plain }, "power is 1"),
        (Comparing { looks: 0, ..plain }, "1 or more"),
    ] {
        let message = compare(&good, &good, comparing).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}
