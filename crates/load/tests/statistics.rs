//! Whether the arrivals are what their process says, judged by tests that know nothing of how they
//! were drawn: distributions from `statrs`, a hand-made Kolmogorov-Smirnov statistic, counts.
//!
//! Seeds are fixed, so a run either always passes or never does. The limits are where the number of
//! rejections over that many seeds would come once in some ten thousand tries if the arrivals are
//! right: a test at level 1 % must reject about one seed in a hundred, neither many more nor none.

#![expect(clippy::print_stdout, reason = "tests print the seeds they used")]

use plimsoll_load::{ArrivalProcess, Schedule};
use plimsoll_units::Rate;
use statrs::distribution::{Binomial, Poisson};
use statrs::distribution::{ContinuousCDF, Discrete, DiscreteCDF, Exp, Gamma};

use oracle::{LEVEL, counts_rejected, gaps_rejected, judge_poisson};

#[path = "statistics/oracle.rs"]
mod oracle;

fn schedule(text: &str, per_second: f64, seed: u64) -> Schedule {
    let process: ArrivalProcess = text.parse().expect("the tests write processes right");
    Schedule::new(process, Rate::new(per_second).expect("rates here are above zero"), seed)
}

/// The offsets of the first `count` arrivals in seconds.
fn offsets(text: &str, per_second: f64, seed: u64, count: usize) -> Vec<f64> {
    schedule(text, per_second, seed).take(count).map(|a| a.offset.as_secs_f64()).collect()
}

/// The gaps before each of the first `count` arrivals in seconds, the first one included.
fn gaps(text: &str, per_second: f64, seed: u64, count: usize) -> Vec<f64> {
    let mut last = 0.0;
    offsets(text, per_second, seed, count)
        .into_iter()
        .map(|at| {
            let gap = at - last;
            last = at;
            gap
        })
        .collect()
}

/// Asserts that the number of rejections over as many seeds is one that a test at 1 % of a true
/// hypothesis has: between the outer 1/20,000 of the binomial distribution on either side.
fn assert_level(what: &str, seeds: u64, rejects: impl Fn(u64) -> bool) {
    let rejected: Vec<u64> = (0..seeds).filter(|seed| rejects(*seed)).collect();
    let found = rejected.len() as u64;
    let binomial = Binomial::new(LEVEL, seeds).expect("the level is a probability");
    let (below, above) = (binomial.cdf(found), 1.0 - binomial.cdf(found) + binomial.pmf(found));
    println!("{what}: {found} of seeds 0..{seeds} rejected at {LEVEL}: {rejected:?}");
    assert!(below > 5e-5, "{what}: only {found} of {seeds} seeds rejected: too regular");
    assert!(above > 5e-5, "{what}: {found} of {seeds} seeds rejected: {rejected:?}");
}

/// Asserts that the arrivals of 1,000 seeds, put together again from so many shards in the order in
/// which they are due, are Poisson: counts in 0.1, 1 and 10 s and gaps, each at its level.
fn assert_poisson(shards: u32) {
    let (rate, length) = (20.0, 100.0);
    let verdicts: Vec<_> = (0..1_000)
        .map(|seed| {
            let mut due = Vec::with_capacity(2_500);
            for shard in 0..shards {
                let shard = schedule("poisson", rate, seed)
                    .shard(shard, shards)
                    .expect("it is one of them");
                due.extend(
                    shard.map(|arrival| arrival.offset.as_secs_f64()).take_while(|at| *at < length),
                );
            }
            due.sort_by(f64::total_cmp);
            judge_poisson(&due, rate, length)
        })
        .collect();
    for (place, test) in oracle::TESTS.into_iter().enumerate() {
        assert_level(&format!("{test} of {shards} shards"), 1_000, |seed| {
            verdicts[seed as usize][place]
        });
    }
}

#[test]
fn one_shard_is_poisson() {
    assert_poisson(1);
}

#[test]
fn two_shards_together_are_poisson() {
    assert_poisson(2);
}

#[test]
fn eight_shards_together_are_poisson() {
    assert_poisson(8);
}

/// The count of a fixed length varies as it must; a schedule stretched to fit a count would not.
#[test]
fn the_count_of_a_run_is_poisson_too() {
    let counts = Poisson::new(100.0).unwrap();
    assert_level("count in 10 s", 1_000, |seed| {
        let count = schedule("poisson", 10.0, seed)
            .take_while(|arrival| arrival.offset.as_secs_f64() < 10.0)
            .count() as u64;
        let (low, high) = (counts.cdf(count), 1.0 - counts.cdf(count) + counts.pmf(count));
        low < LEVEL / 2.0 || high < LEVEL / 2.0
    });
}

#[test]
fn gamma_gaps_are_gamma_with_the_cv_asked_for() {
    for cv in [0.3, 0.8, 1.0, 2.0, 3.5] {
        let text = format!("gamma(cv={cv})");
        // Mean 1/10 s: shape 1/cv^2, rate shape * 10.
        let shape = 1.0 / (cv * cv);
        let gamma = Gamma::new(shape, shape * 10.0).unwrap();
        assert_level(&text, 300, |seed| {
            gaps_rejected(gaps(&text, 10.0, seed, 200), |gap| gamma.cdf(gap))
        });

        let many = gaps(&text, 10.0, 77, 200_000);
        let n = many.len() as f64;
        let mean = many.iter().sum::<f64>() / n;
        let sd = (many.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n).sqrt();
        println!("{text}: mean {mean} s, cv {}", sd / mean);
        assert!((mean * 10.0 - 1.0).abs() < 5.0 * cv / n.sqrt(), "{text}: mean gap {mean} s");
        assert!((sd / mean / cv - 1.0).abs() < 0.03, "{text}: cv {}", sd / mean);
    }
}

/// Time rescaling, backwards: the integral of the rate between arrivals, here by the trapezoid rule
/// in thin slices, must be exponential with mean 1, up a ramp, down it and beyond it.
#[test]
fn a_ramp_is_poisson_at_its_own_rate() {
    for (from, to) in [(5.0, 60.0), (60.0, 5.0)] {
        let rate = |t: f64| if t < 10.0 { from + (to - from) * t / 10.0 } else { to };
        let unit = Exp::new(1.0).unwrap();
        let text = format!("ramp(to={to}, over=10s)");
        assert_level(&format!("{text} from {from}"), 300, |seed| {
            let mut last = 0.0;
            let rescaled = offsets(&text, from, seed, 500)
                .into_iter()
                .map(|at: f64| {
                    let slices = 16;
                    let width = (at - last) / f64::from(slices);
                    let integral: f64 = (0..slices)
                        .map(|i| {
                            let left = last + f64::from(i) * width;
                            (rate(left) + rate(left + width)) / 2.0 * width
                        })
                        .sum();
                    last = at;
                    integral
                })
                .collect();
            gaps_rejected(rescaled, |value| unit.cdf(value))
        });

        // Arrivals on the ramp and in 10 s after it, over 400 seeds, against their expectation.
        let (mut on, mut after) = (0_u32, 0_u32);
        for seed in 0..400 {
            for arrival in schedule(&text, from, seed) {
                match arrival.offset.as_secs_f64() {
                    at if at < 10.0 => on += 1,
                    at if at < 20.0 => after += 1,
                    _ => break,
                }
            }
        }
        for (count, mean) in [(on, 400.0 * (from + to) / 2.0 * 10.0), (after, 400.0 * to * 10.0)] {
            let deviations = (f64::from(count) - mean) / mean.sqrt();
            assert!(deviations.abs() < 4.0, "{text}: {count} arrivals instead of {mean}");
        }
    }
}

/// The tests above must be able to fail: they reject what is nearly Poisson.
#[test]
fn the_oracle_rejects_what_is_not_poisson() {
    let exponential = Exp::new(25.0).unwrap();
    for text in ["constant", "gamma(cv=1.4)", "gamma(cv=0.7)"] {
        let rejected = (0..50)
            .filter(|seed| {
                gaps_rejected(gaps(text, 25.0, *seed, 1_000), |gap| exponential.cdf(gap))
            })
            .count();
        assert!(rejected >= 45, "{text}: {rejected} of 50");
    }
}

/// Nor do counts pass that are too even, too uneven, or made up to a total.
#[test]
fn the_oracle_rejects_counts_that_are_not_poisson() {
    for (text, windows) in [("gamma(cv=0.7)", 100), ("gamma(cv=1.4)", 100), ("constant", 10)] {
        let length = f64::from(windows);
        let rejected = (0..50)
            .filter(|seed| {
                let due: Vec<_> = offsets(text, 25.0, *seed, 4_000)
                    .into_iter()
                    .filter(|at| *at < length)
                    .collect();
                counts_rejected(&due, 1.0, length)
            })
            .count();
        assert!(rejected >= 45, "{text}: {rejected} of 50");
    }
}
