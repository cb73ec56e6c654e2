//! What more GPUs or replicas bought: speed-up, serial share, scaling law and peak, with intervals.
//!
//! A point whose capacity is only known from below never stands for a value: it bounds. Which way a
//! result is bounded then depends on where the point stands in it, and [`Bound`] says so.

mod bootstrap;
mod choice;
mod fit;
mod law;
mod least_squares;
mod remark;
mod samples;

use serde::{Deserialize, Serialize};

pub use fit::{Fit, Residual};
pub use law::Law;
pub use remark::{Remark, ScalingError};

use crate::Estimate;
use bootstrap::{Draws, Noise};
use samples::Sample;

/// One size of the system and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalePoint {
    /// GPUs or replicas; above 0.
    pub n: f64,
    /// Capacity with its 95 % interval, per second (requests or tokens, the same in all points); an
    /// interval without width stands for one that is not known.
    pub capacity: Estimate,
    /// The point was not saturated: its capacity is `capacity` or more.
    pub lower_bound: bool,
}

/// Which side of the truth a number lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// An estimate: only saturated points went into it.
    Measured,
    /// The truth is this or more: only `low` of its interval says something of the truth.
    AtLeast,
    /// The truth is this or less: only `high` of its interval says something of the truth.
    AtMost,
}

/// What one size gained over the smallest one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speedup {
    /// GPUs or replicas of the larger point.
    pub n: f64,
    /// C(n) / C(n0), n0 the smallest size.
    pub speedup: Estimate,
    /// Speed-up / (n / n0).
    pub efficiency: Estimate,
    /// Karp-Flatt's serial share, (1/S - 1/m) / (1 - 1/m) with m = n / n0. Below 0: more than linear.
    /// It is bounded the other way round than the speed-up.
    pub karp_flatt: Estimate,
    /// What kind of number speed-up and efficiency are.
    pub bound: Bound,
}

/// The size at which USL's throughput is largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// sqrt((1 - sigma) / kappa), GPUs or replicas.
    pub n: Estimate,
    /// Capacity there, in the unit of the points.
    pub capacity: Estimate,
}

/// What the points say of how the system scales.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The smallest size, to which speed-ups relate.
    pub base: f64,
    /// One entry for each larger size of which something can be said, smallest first.
    pub speedups: Vec<Speedup>,
    /// The laws that the measured points can carry; none with fewer than three of them.
    pub fits: Vec<Fit>,
    /// The law with the least AICc, if at least two of them have one.
    pub chosen: Option<Law>,
    /// Given only where USL was chosen and the whole interval of the peak's size lies inside the
    /// points or within one more step like the last.
    pub peak: Option<Peak>,
    /// What a reader must know with these numbers.
    pub remarks: Vec<Remark>,
}

/// Speed-ups, fits of the four laws, their choice and USL's peak, from capacities at several sizes.
///
/// S(n) = C(n) / C(n0), n0 the smallest size; efficiency = S n0 / n; Karp-Flatt = (1/S - 1/m) /
/// (1 - 1/m), m = n / n0. The laws are those of [`Law`]. Intervals are 95 % quantiles of a
/// parametric bootstrap over the capacities' own intervals, drawn from ChaCha with `seed`; the same
/// input gives the same output to the bit. Capacities without intervals get their noise from the
/// residuals of each law, and the speed-ups none. docs/method.md has the reasons and the sources.
///
/// One point gives nothing but remarks, two give a speed-up, three a curve, and a choice needs as
/// many as AICc asks for.
///
/// # Errors
///
/// No point, a size or capacity that is not above 0 and finite, an interval that does not hold its
/// value, or two points of one size.
pub fn scaling(points: &[ScalePoint], seed: u64) -> Result<Scaling, ScalingError> {
    let samples = samples::of(points)?;
    let mut remarks = Vec::new();
    let base = samples[0];
    if base.n != 1.0 {
        remarks.push(Remark::BaseIsNotOne { n: base.n });
    }
    for sample in samples.iter().filter(|sample| sample.lower_bound) {
        remarks.push(Remark::LowerBound { n: sample.n });
    }
    let speedups = speedups(&samples, seed, &mut remarks);
    let judged = choice::judge(&samples, seed, &mut remarks);
    Ok(Scaling {
        base: base.n,
        speedups,
        fits: judged.fits,
        chosen: judged.chosen,
        peak: judged.peak,
        remarks,
    })
}

/// What each size gained over the first; left out, with a remark, where nothing bounds it.
fn speedups(samples: &[Sample], seed: u64, remarks: &mut Vec<Remark>) -> Vec<Speedup> {
    let (base, larger) = (samples[0], &samples[1..]);
    let draws = Draws::of(samples, Noise::Interval { wider: 1.0 }, seed);
    let mut found = Vec::new();
    for (index, sample) in larger.iter().enumerate() {
        let bound = match (base.lower_bound, sample.lower_bound) {
            (false, false) => Bound::Measured,
            (false, true) => Bound::AtLeast,
            (true, false) => Bound::AtMost,
            (true, true) => {
                remarks.push(Remark::SpeedupUnknown { n: sample.n });
                continue;
            }
        };
        let m = sample.n / base.n;
        let value = sample.y / base.y;
        let mut ratios: Vec<f64> = draws.iter().map(|draw| draw[index + 1] / draw[0]).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let speedup = bootstrap::interval(&ratios, value);
        // Karp-Flatt falls as the speed-up rises, so its interval is the image of the other's.
        found.push(Speedup {
            n: sample.n,
            speedup,
            efficiency: speedup.scaled(1.0 / m),
            karp_flatt: Estimate {
                value: karp_flatt(speedup.value, m),
                low: karp_flatt(speedup.high, m),
                high: karp_flatt(speedup.low, m),
            },
            bound,
        });
    }
    found
}

/// The serial share that a speed-up of `s` on `m` times the machines implies; m > 1.
///
/// (1/s - 1/m) / (1 - 1/m). Source: Karp and Flatt, *Communications of the ACM* 33(5), 1990, 539-543.
fn karp_flatt(s: f64, m: f64) -> f64 {
    (s.recip() - m.recip()) / (1.0 - m.recip())
}

#[cfg(test)]
mod tests;
