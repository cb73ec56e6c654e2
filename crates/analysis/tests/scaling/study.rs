//! Points of a known law with known noise, and how well the law is found again.

use std::fmt;

use plimsoll_analysis::{Estimate, Law, ScalePoint, scaling};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// One law, at which sizes, with how much noise.
#[derive(Debug)]
pub(crate) struct Case {
    law: Law,
    sigma: f64,
    kappa: f64,
    sizes: &'static [f64],
    /// Standard deviation of a capacity's logarithm; the interval says so, truly.
    sd: f64,
    pub(crate) in_tests: bool,
}

impl Case {
    /// The true speed-up at size n.
    fn gain(&self, n: f64) -> f64 {
        match self.law {
            Law::Gustafson => n - self.sigma * (n - 1.0),
            Law::Linear | Law::Amdahl | Law::Usl => {
                n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
            }
        }
    }
}

const THREE: &[f64] = &[1.0, 2.0, 4.0];
const FOUR: &[f64] = &[1.0, 2.0, 4.0, 8.0];
const SIX: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

const fn case(law: Law, sigma: f64, kappa: f64, sizes: &'static [f64], sd: f64) -> Case {
    Case { law, sigma, kappa, sizes, sd, in_tests: false }
}

const fn tested(case: Case) -> Case {
    Case { in_tests: true, ..case }
}

pub(crate) const CASES: [Case; 13] = [
    case(Law::Amdahl, 0.05, 0.0, THREE, 0.01),
    tested(case(Law::Amdahl, 0.05, 0.0, FOUR, 0.01)),
    case(Law::Amdahl, 0.05, 0.0, FOUR, 0.03),
    case(Law::Amdahl, 0.3, 0.0, FOUR, 0.01),
    tested(case(Law::Amdahl, 0.0, 0.0, FOUR, 0.01)),
    case(Law::Gustafson, 0.1, 0.0, FOUR, 0.01),
    case(Law::Gustafson, 0.3, 0.0, SIX, 0.03),
    tested(case(Law::Usl, 0.05, 0.002, SIX, 0.01)),
    case(Law::Usl, 0.05, 0.002, SIX, 0.03),
    case(Law::Usl, 0.2, 0.01, SIX, 0.01),
    case(Law::Usl, 0.05, 0.0, SIX, 0.01),
    case(Law::Usl, 0.0, 0.002, SIX, 0.01),
    case(Law::Usl, 0.0, 0.0, SIX, 0.01),
];

/// The points that `seed` would have measured.
pub(crate) fn points(case: &Case, seed: u64) -> Vec<ScalePoint> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let measure = |&n: &f64| {
        let truth = 25.0 * case.gain(n);
        let z: f64 = StandardNormal.sample(&mut random);
        let value = truth * (case.sd * z).exp();
        let factor = (1.959_964 * case.sd).exp();
        let capacity = Estimate { value, low: value / factor, high: value * factor };
        ScalePoint { n, capacity, lower_bound: false }
    };
    case.sizes.iter().map(measure).collect()
}

/// What became of a case.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    pub(crate) sigma_bias: f64,
    sigma_error: f64,
    pub(crate) sigma_covered: f64,
    kappa_bias: Option<f64>,
    pub(crate) kappa_covered: Option<f64>,
    /// Shares of the trials in which each law was chosen, in the order of `Law::ALL`.
    chosen: [f64; 4],
    peaks: usize,
    peak_covered: f64,
    /// Intervals of the largest size's speed-up and Karp-Flatt share that hold the truth.
    pub(crate) speedup_covered: f64,
    pub(crate) karp_flatt_covered: f64,
}

pub(crate) const HEADER: &str = "\
| truth | bias of sigma | rms error | covered | bias of kappa | covered | chosen: linear, Amdahl, Gustafson, USL | peak stated | covered | speed-up covered | Karp-Flatt |
|---|---|---|---|---|---|---|---|---|---|---|";

/// Judges `trials` sets of points, with seeds from 0 on.
pub(crate) fn run(case: &Case, trials: u64) -> Row {
    let (mut sigma, mut square, mut sigma_in, mut kappa, mut kappa_in) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut chosen, mut peaks, mut peaks_in) = ([0.0; 4], 0, 0.0);
    let (mut speedups_in, mut karp_flatt_in) = (0.0, 0.0);
    let largest = case.sizes[case.sizes.len() - 1];
    let gain = case.gain(largest);
    let serial = (1.0 / gain - 1.0 / largest) / (1.0 - 1.0 / largest);
    let truth_peak = ((1.0 - case.sigma) / case.kappa).sqrt();
    let count = trials as f64;
    for seed in 0..trials {
        let found = scaling(&points(case, seed), seed).expect("the points are sound");
        let fit = found.fits.iter().find(|fit| fit.law == case.law).expect("it was fitted");
        let found_sigma = fit.sigma.expect("the law has one");
        sigma += found_sigma.value - case.sigma;
        square += (found_sigma.value - case.sigma).powi(2);
        sigma_in += f64::from(u8::from(found_sigma.contains(case.sigma)));
        if let Some(found) = fit.kappa {
            kappa += found.value - case.kappa;
            kappa_in += f64::from(u8::from(found.contains(case.kappa)));
        }
        for (law, share) in Law::ALL.iter().zip(&mut chosen) {
            *share += f64::from(u8::from(found.chosen == Some(*law))) / count;
        }
        let last = found.speedups.last().expect("every size has one");
        speedups_in += f64::from(u8::from(last.speedup.contains(gain)));
        karp_flatt_in += f64::from(u8::from(last.karp_flatt.contains(serial)));
        if let Some(peak) = found.peak {
            peaks += 1;
            peaks_in += f64::from(u8::from(peak.n.contains(truth_peak)));
        }
    }
    let usl = case.law == Law::Usl;
    Row {
        name: format!(
            "{} sigma {} kappa {}, n to {}, noise {} %",
            case.law.name(),
            case.sigma,
            case.kappa,
            case.sizes[case.sizes.len() - 1],
            100.0 * case.sd
        ),
        sigma_bias: sigma / count,
        sigma_error: (square / count).sqrt(),
        sigma_covered: sigma_in / count,
        kappa_bias: usl.then_some(kappa / count),
        kappa_covered: usl.then_some(kappa_in / count),
        chosen,
        peaks,
        peak_covered: peaks_in / peaks as f64,
        speedup_covered: speedups_in / count,
        karp_flatt_covered: karp_flatt_in / count,
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {:+.4} | {:.4} | {:.1} % |",
            self.name,
            self.sigma_bias,
            self.sigma_error,
            100.0 * self.sigma_covered
        )?;
        match (self.kappa_bias, self.kappa_covered) {
            (Some(bias), Some(covered)) => write!(f, " {bias:+.5} | {:.1} % |", 100.0 * covered)?,
            _ => write!(f, " - | - |")?,
        }
        let [linear, amdahl, gustafson, usl] = self.chosen.map(|share| 100.0 * share);
        write!(f, " {linear:.0}, {amdahl:.0}, {gustafson:.0}, {usl:.0} % |")?;
        if self.peaks == 0 {
            write!(f, " - | - |")?;
        } else {
            write!(f, " {} | {:.1} % |", self.peaks, 100.0 * self.peak_covered)?;
        }
        let [speedup, serial] = [self.speedup_covered, self.karp_flatt_covered].map(|c| 100.0 * c);
        write!(f, " {speedup:.1} % | {serial:.1} % |")
    }
}
