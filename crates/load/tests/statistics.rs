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
use statrs::distribution::{ChiSquared, ContinuousCDF, Discrete, DiscreteCDF, Exp, Gamma};

const LEVEL: f64 = 0.01;

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

/// Whether Kolmogorov-Smirnov rejects, at 1 %, that `values` come from `cdf`. The critical value is
/// the asymptotic one with Stephens' correction for finite n. Steps of the empirical distribution
/// below 100 ns are not looked at: offsets are whole nanoseconds, and of gamma gaps with a large cv a
/// good part is smaller than that.
fn ks_rejects(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> bool {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = values.iter().enumerate().fold(0.0_f64, |worst, (i, value)| {
        if *value < 1e-7 {
            return worst;
        }
        let p = cdf(*value);
        worst.max(p - i as f64 / n).max((i + 1) as f64 / n - p)
    });
    distance * (n.sqrt() + 0.12 + 0.11 / n.sqrt()) > 1.6276
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

#[test]
fn poisson_gaps_are_exponential() {
    let exponential = Exp::new(25.0).unwrap();
    assert_level("exponential gaps", 1_000, |seed| {
        ks_rejects(gaps("poisson", 25.0, seed, 400), |gap| exponential.cdf(gap))
    });
}

#[test]
fn poisson_counts_are_dispersed_as_poisson_in_windows_of_any_length() {
    // Sum of (count - mean)^2 / mean over the windows: chi-squared, one degree less than windows.
    for (window, windows) in [(0.1, 1_000), (1.0, 100), (10.0, 10)] {
        let chi = ChiSquared::new(f64::from(windows - 1)).unwrap();
        assert_level(&format!("dispersion in {window} s"), 1_000, |seed| {
            let mut counts = vec![0.0; windows as usize];
            let length = window * f64::from(windows);
            for arrival in schedule("poisson", 20.0, seed) {
                let at = arrival.offset.as_secs_f64();
                if at >= length {
                    break;
                }
                counts[(at / window) as usize] += 1.0;
            }
            let mean = counts.iter().sum::<f64>() / counts.len() as f64;
            let dispersion = counts.iter().map(|c| (c - mean) * (c - mean) / mean).sum::<f64>();
            let p = chi.cdf(dispersion);
            !(LEVEL / 2.0..=1.0 - LEVEL / 2.0).contains(&p)
        });
    }
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
            ks_rejects(gaps(&text, 10.0, seed, 200), |gap| gamma.cdf(gap))
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
            ks_rejects(rescaled, |value| unit.cdf(value))
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
            .filter(|seed| ks_rejects(gaps(text, 25.0, *seed, 1_000), |gap| exponential.cdf(gap)))
            .count();
        assert!(rejected >= 45, "{text}: {rejected} of 50");
    }
}
