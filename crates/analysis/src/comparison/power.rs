//! How many repetitions would decide: the power of the tests, and what a pilot knows of the spread.
//!
//! All chances are integrals over u = s / sigma, the sample's standard deviation over the true one,
//! whose law is that of chi / sqrt(degrees): given u, what remains is a normal curve. This is the
//! non-central t distribution, without a series that fails in its tails.

use statrs::distribution::ContinuousCDF;
use statrs::function::erf::erfc;
use statrs::function::gamma::ln_gamma;

use super::log_ratio::student;

/// More repetitions than this are not recommended: the comparison needs less noise instead.
pub(crate) const MOST: usize = 10_000;

/// Intervals of Simpson's rule, in which the integrands change slowly.
const STEPS: u32 = 64;

/// What is to be found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    /// The margin of equivalence on the scale of logarithms, above 0.
    pub(crate) margin: f64,
    /// The chance of a decision that is asked for, 0 to 1.
    pub(crate) power: f64,
    /// The chance of a wrong claim that is allowed to each test, 0 to 1.
    pub(crate) alpha: f64,
}

/// What is known of the standard deviation of one repetition's log-ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// Its estimate.
    pub(crate) deviation: f64,
    /// The degrees of freedom of that estimate; `None` where it is taken as known.
    pub(crate) degrees: Option<f64>,
}

/// The fewest repetitions, an even number, that decide with the aim's power where the truth is no
/// difference at all (by equivalence) and where it is the margin (by a difference).
pub(crate) fn repetitions(aim: Aim, spread: Spread) -> Option<usize> {
    fewest(aim.power, |n| {
        let apart = averaged(spread, |sigma| difference(n, aim.margin / sigma, aim.alpha));
        if apart < aim.power {
            return apart;
        }
        averaged(spread, |sigma| equivalence(n, aim.margin / sigma, 0.0, aim.alpha))
    })
}

/// The same where the truth is `effect`, a log-ratio: by a difference or by equivalence, whichever
/// is the more likely.
pub(crate) fn repetitions_at(aim: Aim, spread: Spread, effect: f64) -> Option<usize> {
    let effect = effect.abs();
    fewest(aim.power, |n| {
        let apart = averaged(spread, |sigma| difference(n, effect / sigma, aim.alpha));
        if apart >= aim.power {
            return apart;
        }
        averaged(spread, |sigma| equivalence(n, aim.margin / sigma, effect / sigma, aim.alpha))
    })
}

/// The smallest even n up to [`MOST`] whose chance reaches `power`; chances rise with n.
fn fewest(power: f64, chance: impl Fn(usize) -> f64) -> Option<usize> {
    let mut high = 1;
    while chance(2 * high) < power {
        if 2 * high >= MOST {
            return None;
        }
        high = (2 * high).min(MOST / 2);
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if chance(2 * middle) >= power { high = middle } else { low = middle }
    }
    Some(2 * high)
}

/// The chance that the two-sided t test of `n` differences finds a true mean of `effect` standard
/// deviations, on its right side. Source: Owen, Technometrics 10, 1968, 445-478.
fn difference(n: usize, effect: f64, alpha: f64) -> f64 {
    let degrees = n as f64 - 1.0;
    let t = student(degrees).inverse_cdf(1.0 - alpha / 2.0);
    let shift = effect.abs() * (n as f64).sqrt();
    over_chi(degrees, |u| normal(shift - t * u))
}

/// The chance that both one-sided tests of `n` differences hold, each at `alpha`, with a true mean
/// of `effect` and a margin of `margin` standard deviations. Source: Phillips, J. Pharmacokinetics
/// and Biopharmaceutics 18, 1990, 137-144.
fn equivalence(n: usize, margin: f64, effect: f64, alpha: f64) -> f64 {
    let degrees = n as f64 - 1.0;
    let t = student(degrees).inverse_cdf(1.0 - alpha);
    let root = (n as f64).sqrt();
    over_chi(degrees, |u| {
        let inside =
            normal((margin - effect) * root - t * u) - normal(t * u - (margin + effect) * root);
        inside.max(0.0)
    })
}

/// The chance averaged over what the standard deviation may truly be: deviation / u, with u from
/// the law of chi / sqrt(degrees). A deviation of 0 counts as a tiny one.
fn averaged(spread: Spread, chance: impl Fn(f64) -> f64) -> f64 {
    let deviation = spread.deviation.max(1e-12);
    match spread.degrees {
        Some(degrees) => over_chi(degrees, |u| chance(deviation / u.max(1e-9))),
        None => chance(deviation),
    }
}

/// The mean of `of` over the law of chi / sqrt(degrees), by Simpson's rule over nine standard
/// deviations to either side. Where that reaches 0, in steps of sqrt(u): few degrees of freedom
/// meet large values of t, and what matters then lies close to 0.
fn over_chi(degrees: f64, of: impl Fn(f64) -> f64) -> f64 {
    let reach = 9.0 / (2.0 * degrees).sqrt();
    let (from, to) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let scale = 2_f64.ln() + degrees / 2.0 * (degrees / 2.0).ln() - ln_gamma(degrees / 2.0);
    let (mut sum, mut mass) = (0.0, 0.0);
    for i in 0..=STEPS {
        let x = f64::from(i) / f64::from(STEPS);
        let (u, stretch) = if from > 0.0 { (from + (to - from) * x, 1.0) } else { (to * x * x, x) };
        let density =
            if u > 0.0 { scale + (degrees - 1.0) * u.ln() - degrees * u * u / 2.0 } else { -1e3 };
        let simpson = match i {
            0 | STEPS => 1.0,
            i if i % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let weight = simpson * stretch * density.exp();
        mass += weight;
        if weight > 1e-14 {
            sum += weight * of(u);
        }
    }
    sum / mass
}

/// The share of the normal curve below `z`.
fn normal(z: f64) -> f64 {
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    #[test]
    fn published_powers_of_the_t_test() {
        // R's power.t.test(delta = 0.5, sd = 1, power = 0.8, type = "one.sample") says n = 33.367.
        assert!(difference(33, 0.5, 0.05) < 0.8 && difference(34, 0.5, 0.05) > 0.8);
        // Cohen, Statistical Power Analysis, 2nd ed., section 2.3: 0.5 and n = 34 give 0.81.
        assert!((difference(34, 0.5, 0.05) - 0.808).abs() < 1e-3);
    }

    #[test]
    fn without_an_effect_the_power_is_half_the_level() {
        for n in [2, 3, 10, 100, 5000] {
            assert!((difference(n, 0.0, 0.05) - 0.025).abs() < 2e-4, "{n}");
        }
    }

    #[test]
    fn one_degree_of_freedom_has_a_closed_form_at_zero() {
        // With two differences and no true mean, T has the Cauchy law.
        for alpha in [0.01, 0.05, 0.3] {
            assert!((difference(2, 0.0, alpha) - alpha / 2.0).abs() < 1e-3, "{alpha}");
        }
    }

    #[test]
    fn chances_are_those_of_simulated_tests() {
        // 20,000 samples drawn and tested by hand; standard error of a chance at most 0.35 %.
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (n, t_two, t_one, effect, margin) in
            [(4, 3.182_446, 2.353_363, 1.5, 2.0), (10, 2.262_157, 1.833_113, 0.4, 1.2)]
        {
            let (mut apart, mut alike) = (0, 0);
            for _ in 0..20_000 {
                let draws: Vec<f64> = (0..n)
                    .map(|_| -> f64 { StandardNormal.sample(&mut rng) })
                    .map(|z| z + effect)
                    .collect();
                let mean = draws.iter().sum::<f64>() / n as f64;
                let squares: f64 = draws.iter().map(|x| (x - mean).powi(2)).sum();
                let error = (squares / (n as f64 - 1.0) / n as f64).sqrt();
                apart += u32::from(mean > t_two * error);
                alike += u32::from(mean.abs() + t_one * error < margin);
            }
            let (apart, alike) = (f64::from(apart) / 2e4, f64::from(alike) / 2e4);
            assert!((difference(n, effect, 0.05) - apart).abs() < 0.012, "{n}: {apart}");
            let found = equivalence(n, margin, effect, 0.05);
            assert!((found - alike).abs() < 0.012, "{n}: {found} {alike}");
        }
    }

    #[test]
    fn recommendations_grow_with_noise_and_with_doubt_about_it() {
        let aim = Aim { margin: 0.05, power: 0.9, alpha: 0.05 };
        let known = |deviation| repetitions(aim, Spread { deviation, degrees: None });
        // The normal curve's rule for equivalence, (1.645 + 1.645)^2 (sd / margin)^2, from below.
        assert!((44..=48).contains(&known(0.1).unwrap()), "{:?}", known(0.1));
        assert_eq!(known(0.0), Some(2));
        assert_eq!(known(5.0), None);
        let doubtful = repetitions(aim, Spread { deviation: 0.1, degrees: Some(3.0) }).unwrap();
        assert!(doubtful > 60, "{doubtful}");
        let surer = repetitions(aim, Spread { deviation: 0.1, degrees: Some(30.0) }).unwrap();
        assert!(known(0.1).unwrap() <= surer && surer < doubtful, "{surer}");
        // Halfway to the margin neither claim is easy.
        let halfway = repetitions_at(aim, Spread { deviation: 0.1, degrees: None }, 0.025);
        assert!(halfway.unwrap() > 100, "{halfway:?}");
    }
}
