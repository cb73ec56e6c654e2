//! What a reader must know with the numbers, and why there are none.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Law;

/// Something that qualifies a [`Scaling`](super::Scaling), or says why a part of it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "remark")]
#[non_exhaustive]
pub enum Remark {
    /// Speed-ups relate to a size other than 1.
    BaseIsNotOne {
        /// The smallest size.
        n: f64,
    },
    /// The point was not saturated: it bounds, and stands for no value.
    LowerBound {
        /// Its size.
        n: f64,
    },
    /// Both points of a speed-up are only known from below, so it is not known at all.
    SpeedupUnknown {
        /// The larger size.
        n: f64,
    },
    /// Too few saturated points for any curve.
    NoCurve {
        /// Saturated points there are.
        points: usize,
        /// And how many it takes.
        needed: usize,
    },
    /// No capacity came with an interval: the noise is what the residuals say.
    NoiseFromResiduals,
    /// Too few saturated points to hold this law against the others.
    NotCompared {
        /// The law.
        law: Law,
        /// Saturated points there are.
        points: usize,
        /// And how many it takes.
        needed: usize,
    },
    /// Fewer than two laws could be compared, so none is chosen.
    NoChoice,
    /// Another law is as good as the chosen one.
    Close {
        /// The chosen law.
        law: Law,
        /// The other.
        other: Law,
        /// How much larger its AICc is.
        difference: f64,
    },
    /// Even the chosen law is off by more than the capacities' intervals explain.
    Misfit {
        /// The chosen law.
        law: Law,
        /// The chance of that.
        chance: f64,
    },
    /// The peak, or a part of its interval, lies too far beyond the points to be stated.
    PeakBeyond {
        /// Lower end of its interval.
        at_least: f64,
        /// Up to where it would be stated.
        reach: f64,
    },
    /// Throughput falls from the smallest size on.
    PeakBelow {
        /// That size.
        smallest: f64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BaseIsNotOne { n } => {
                write!(f, "speed-ups relate to the smallest size, {n}, not to 1")
            }
            Self::LowerBound { n } => {
                write!(f, "n = {n} was not saturated: its capacity is a lower bound")
            }
            Self::SpeedupUnknown { n } => {
                write!(f, "no speed-up at n = {n}: neither it nor the base was saturated")
            }
            Self::NoCurve { points, needed } => {
                write!(f, "no curve: it takes {needed} saturated sizes and there are {points}")
            }
            Self::NoiseFromResiduals => {
                write!(f, "no capacity has an interval: the noise is taken from the residuals")
            }
            Self::NotCompared { law, points, needed } => write!(
                f,
                "{} was not compared: it takes {needed} saturated sizes and there are {points}",
                law.name()
            ),
            Self::NoChoice => write!(f, "no law is chosen: fewer than two can be compared"),
            Self::Close { law, other, difference } => write!(
                f,
                "{} is as good as {}: their AICc differ by {difference:.1}",
                other.name(),
                law.name()
            ),
            Self::Misfit { law, chance } => write!(
                f,
                "even {} is off by more than the intervals explain (p = {chance:.3})",
                law.name()
            ),
            Self::PeakBeyond { at_least, reach } => write!(
                f,
                "no peak: it lies at n = {at_least:.1} or beyond, and the points reach to {reach}"
            ),
            Self::PeakBelow { smallest } => {
                write!(f, "no peak: throughput falls from n = {smallest} on")
            }
        }
    }
}

/// Points of which nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScalingError {
    /// The list is empty.
    #[error("no points: scaling needs a capacity at one size at least")]
    NoPoints,
    /// A size that is none.
    #[error("size {n} is not a number above 0: give the GPUs or replicas of the point")]
    Size {
        /// The size as given.
        n: f64,
    },
    /// A capacity that is none, or cannot be told from none.
    #[error(
        "capacity {value} ({low} to {high}) at n = {n} is not above 0 within its interval: \
         leave the point out or measure it longer"
    )]
    Capacity {
        /// The point's size.
        n: f64,
        /// The capacity.
        value: f64,
        /// Lower end of its interval.
        low: f64,
        /// Upper end of its interval.
        high: f64,
    },
    /// Two points of one size.
    #[error("two points at n = {n}: pool repetitions into one capacity first")]
    SameSize {
        /// The size.
        n: f64,
    },
}
