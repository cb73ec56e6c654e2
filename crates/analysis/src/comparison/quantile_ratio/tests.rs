use rand_distr::{Distribution, Exp, StandardUniform};

use super::*;

/// A single server's waiting in virtual time, by Lindley's recursion: `load` of its capacity of 50
/// requests a second for `seconds`, after as long again to settle.
fn queue(load: f64, seconds: f64, seed: u64) -> Vec<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gap = Exp::new(50.0 * load).unwrap();
    let service = Exp::new(50.0).unwrap();
    let (mut at, mut wait, mut last) = (0.0, 0.0_f64, 0.0);
    let mut found = Vec::new();
    loop {
        let step: f64 = gap.sample(&mut rng);
        at += step;
        if at >= 2.0 * seconds {
            return found;
        }
        wait = (wait + last - step).max(0.0);
        last = service.sample(&mut rng);
        if at >= seconds {
            found.push((at - seconds, wait + last));
        }
    }
}

fn series(seconds: f64, requests: &[(f64, f64)]) -> LatencySeries {
    let timed = requests.iter().map(|&(at, latency)| TimedLatency {
        at: Duration::from_secs_f64(at),
        latency: Duration::from_secs_f64(latency),
    });
    LatencySeries::new(Duration::from_secs_f64(seconds), timed).unwrap()
}

/// The ratio with fewer redrawn windows than the public function has.
fn quick(a: &LatencySeries, b: &LatencySeries, q: f64, seed: u64) -> QuantileRatio {
    let drawn = |one: &LatencySeries, seed| {
        Quantile(q).drawn(std::slice::from_ref(one), seed, 199).expect("there are enough")
    };
    drawn(a, 2 * seed).ratio(&drawn(b, 2 * seed + 1))
}

#[test]
fn identical_queues_have_a_ratio_of_one_inside_the_interval() {
    // Load 0.8: a wait is remembered for a second or so. 50 pairs of windows of 60 s.
    let (mut held, mut by_request) = (0, 0);
    for seed in 1..=50 {
        let (a, b) = (queue(0.8, 60.0, seed), queue(0.8, 60.0, 1000 + seed));
        let found = quick(&series(60.0, &a), &series(60.0, &b), 0.9, seed);
        held += usize::from(found.ratio.contains(1.0));
        // The control: the same requests in random order of time, as a bootstrap over requests
        // sees them.
        let shuffled = |requests: &[(f64, f64)], seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let anywhere = requests.iter().map(|&(_, latency)| {
                let at: f64 = StandardUniform.sample(&mut rng);
                (at * 59.9, latency)
            });
            series(60.0, &anywhere.collect::<Vec<_>>())
        };
        let blind = quick(&shuffled(&a, 7 + seed), &shuffled(&b, 9000 + seed), 0.9, seed);
        by_request += usize::from(blind.ratio.contains(1.0));
    }
    println!("held by blocks {held}, by requests {by_request}, of 50");
    assert!(held >= 43, "{held} of 50");
    assert!(by_request <= held - 15, "the control must lose: {by_request}, blocks {held}");
}

#[test]
fn twice_the_latency_is_a_ratio_of_two() {
    let (mut held, mut apart) = (0, 0);
    for seed in 1..=20 {
        let a = series(40.0, &queue(0.5, 40.0, seed));
        let slower: Vec<(f64, f64)> = queue(0.5, 40.0, 100 + seed)
            .into_iter()
            .map(|(at, latency)| (at, 2.0 * latency))
            .collect();
        let found = quick(&a, &series(40.0, &slower), 0.5, seed);
        held += usize::from(found.ratio.contains(2.0));
        apart += usize::from(found.ratio.low > 1.2);
        assert!(found.baseline_block_s >= 1.2, "{found:?}");
    }
    assert!(held >= 17 && apart >= 19, "{held}, {apart} of 20");
}

#[test]
fn independent_latencies_have_the_interval_of_order_statistics() {
    // The oracle: without any dependence the binomial interval of the median holds.
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let service = Exp::new(1.0).unwrap();
    let requests: Vec<(f64, f64)> =
        (0..2000).map(|i| (f64::from(i) * 0.02, service.sample(&mut rng))).collect();
    let found = latency_quantile(&series(40.0, &requests), 0.5, 1).unwrap().unwrap();
    let mut sorted: Vec<f64> = requests.iter().map(|(_, latency)| *latency).collect();
    sorted.sort_by(f64::total_cmp);
    // n = 2000: ranks 1000 -+ 1.96 sqrt(500) = 956 and 1044.
    let width = sorted[1043] - sorted[955];
    assert!((found.value - sorted[999]).abs() < 1e-8, "{found:?}");
    let ratio = (found.high - found.low) / width;
    assert!((0.7..1.5).contains(&ratio), "{ratio}");
}

#[test]
fn the_same_seed_gives_the_same_answer_and_repetitions_pool() {
    let windows: Vec<LatencySeries> =
        (1..=3).map(|seed| series(20.0, &queue(0.6, 20.0, seed))).collect();
    let once = quantile_ratio(&windows, &windows[..2], 0.5, 8).unwrap();
    assert_eq!(once, quantile_ratio(&windows, &windows[..2], 0.5, 8).unwrap());
    let alone = quantile_ratio(&windows[..1], &windows[1..2], 0.5, 8).unwrap().unwrap();
    assert!(once.unwrap().ratio.relative_half_width() < alone.ratio.relative_half_width());
}

#[test]
fn an_interval_reaches_as_far_above_as_below() {
    // Of a hundred redrawn windows ten have half the value and none has more. With many blocks 5 % are left
    // out, so the factor is 2: percentiles would end at the value.
    let drawn: Vec<f64> = (0..100).map(|i| if i % 10 == 0 { 5.0 } else { 10.0 }).collect();
    let found = symmetric(10.0, drawn.clone(), 1e4);
    assert!((found.low - 5.0).abs() < 1e-12 && (found.high - 20.0).abs() < 1e-12, "{found:?}");
    // Where 0.4 % differ, 5 % leave nothing of it; three blocks leave out next to nothing.
    assert_eq!(symmetric(10.0, vec![10.0; 100], 5.0), Estimate::exact(10.0));
    let few: Vec<f64> = (0..1000).map(|i| if i < 4 { 2.5 } else { 10.0 }).collect();
    assert_eq!(symmetric(10.0, few.clone(), 1e4), Estimate::exact(10.0));
    assert!((symmetric(10.0, few, 3.0).high - 40.0).abs() < 1e-9);
}

#[test]
fn too_few_requests_have_no_quantile_and_nonsense_is_refused() {
    let few = series(10.0, &[(1.0, 0.1); 5]);
    assert_eq!(latency_quantile(&few, 0.5, 1), Ok(None));
    let bunch = series(10.0, &[(1.0, 0.1); 6]);
    assert_eq!(latency_quantile(&bunch, 0.5, 1).unwrap().unwrap().value, 0.1);
    assert_eq!(quantile_ratio(&[], std::slice::from_ref(&bunch), 0.5, 1), Ok(None));
    assert_eq!(latency_quantile(&series(10.0, &[(1.0, 0.0); 6]), 0.5, 1), Ok(None));
    for q in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(latency_quantile(&bunch, q, 1).is_err(), "{q}");
    }
    let outside = TimedLatency { at: Duration::from_secs(10), latency: Duration::ZERO };
    let refused = LatencySeries::new(Duration::from_secs(10), [outside]).unwrap_err();
    assert!(refused.to_string().contains("10 s into a window of 10 s"), "{refused}");
    assert!(LatencySeries::new(Duration::ZERO, []).is_ok());
}
