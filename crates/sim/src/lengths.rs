//! How long prompts and answers are: constant, uniform or lognormal, with exact moments.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A distribution of token counts; every value is at least 1.
///
/// Text forms: `512`, `uniform(64,512)`, `lognormal(512,0.6,4096)` for mean, coefficient of
/// variation and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// Always this many tokens.
    Constant(u32),
    /// Every count from `min` to `max`, both included, equally often.
    Uniform {
        /// The least count, at least 1.
        min: u32,
        /// The greatest count, at least `min`.
        max: u32,
    },
    /// Rounded to the nearest count, raised to 1 and cut at `max`.
    Lognormal {
        /// The mean before rounding and cutting, above 0.
        mean: f64,
        /// Standard deviation over mean before cutting, above 0.
        cv: f64,
        /// The greatest count.
        max: u32,
    },
}

/// The lengths of a load: what comes in and what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LengthMix {
    /// Prompt tokens as the server counts them, the chat template included.
    pub input: Lengths,
    /// Tokens of the answer.
    pub output: Lengths,
}

/// A text that is no distribution of lengths.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no distribution of token counts: {problem}; write it like 512, \
     \"uniform(64,512)\" or \"lognormal(512,0.6,4096)\""
)]
pub struct LengthsError {
    text: String,
    problem: &'static str,
}

impl Lengths {
    /// Checks the ranges that the variants' fields state.
    ///
    /// # Errors
    /// When a count is zero, a range is empty, or a mean or variation is not above zero.
    pub fn checked(self) -> Result<Self, LengthsError> {
        let problem = match self {
            Self::Constant(0) | Self::Uniform { min: 0, .. } | Self::Lognormal { max: 0, .. } => {
                "counts start at 1"
            }
            Self::Uniform { min, max } if max < min => "the greatest count is below the least",
            Self::Lognormal { mean, cv, .. }
                if !(mean.is_finite() && mean > 0.0 && cv.is_finite() && cv > 0.0) =>
            {
                "mean and coefficient of variation must be finite and above zero"
            }
            _ => return Ok(self),
        };
        Err(LengthsError { text: self.to_string(), problem })
    }

    /// One seeded draw.
    pub fn draw<R: Rng + ?Sized>(&self, random: &mut R) -> u32 {
        match *self {
            Self::Constant(count) => count.max(1),
            Self::Uniform { min, max } => random.random_range(min.max(1)..=max.max(min).max(1)),
            Self::Lognormal { mean, cv, max } => {
                let (mu, sigma) = log_parameters(mean, cv);
                let value = LogNormal::new(mu, sigma)
                    .map_or(mean, |distribution| distribution.sample(random));
                // A float-to-int cast saturates, so an extreme draw is simply cut at `max`.
                (value.round() as u32).clamp(1, max.max(1))
            }
        }
    }

    /// The greatest count a draw can give.
    #[must_use]
    pub fn max(&self) -> u32 {
        match *self {
            Self::Constant(count) => count.max(1),
            Self::Uniform { max, .. } | Self::Lognormal { max, .. } => max.max(1),
        }
    }

    /// The exact mean of the counts, after rounding and cutting.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.expect(|k| k)
    }

    /// The exact mean of the squared counts.
    #[must_use]
    pub fn mean_square(&self) -> f64 {
        self.expect(|k| k * k)
    }

    /// `E[f(L)]` by summing over every count that has a chance.
    pub(crate) fn expect(&self, f: impl Fn(f64) -> f64) -> f64 {
        match *self {
            Self::Constant(count) => f(f64::from(count.max(1))),
            Self::Uniform { min, max } => {
                let (min, max) = (min.max(1), max.max(min).max(1));
                (min..=max).map(|k| f(f64::from(k))).sum::<f64>() / f64::from(max - min + 1)
            }
            Self::Lognormal { mean, cv, max } => {
                let (mu, sigma) = log_parameters(mean, cv);
                // P(L >= k) = P(X >= k - 1/2) for 2 <= k <= max, and 1 for k = 1.
                let at_least = |k: u32| {
                    if k <= 1 {
                        1.0
                    } else if k > max {
                        0.0
                    } else {
                        0.5 * erfc(((f64::from(k) - 0.5).ln() - mu) / (sigma * 2.0_f64.sqrt()))
                    }
                };
                let mut total = 0.0;
                let mut here = 1.0;
                for k in 1..=max.max(1) {
                    let next = at_least(k + 1);
                    total += f(f64::from(k)) * (here - next);
                    here = next;
                }
                total
            }
        }
    }
}

/// mu and sigma of the lognormal with this mean and coefficient of variation.
fn log_parameters(mean: f64, cv: f64) -> (f64, f64) {
    let variance = (1.0 + cv * cv).ln();
    (mean.ln() - variance / 2.0, variance.sqrt())
}

/// The complementary error function, relative error below 1.2e-7 (Chebyshev fit of Numerical
/// Recipes, section 6.2).
fn erfc(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x.abs());
    let series = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = t * (-x * x + series).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(count) => write!(f, "{count}"),
            Self::Uniform { min, max } => write!(f, "uniform({min},{max})"),
            Self::Lognormal { mean, cv, max } => write!(f, "lognormal({mean},{cv},{max})"),
        }
    }
}

impl FromStr for Lengths {
    type Err = LengthsError;

    fn from_str(text: &str) -> Result<Self, LengthsError> {
        let wrong = |problem| LengthsError { text: text.to_owned(), problem };
        let trimmed = text.trim();
        let read = if let Some((kind, rest)) = trimmed.split_once('(') {
            let inner =
                rest.strip_suffix(')').ok_or_else(|| wrong("the closing `)` is missing"))?;
            let numbers: Vec<f64> = inner
                .split(',')
                .map(|number| number.trim().parse().map_err(|_| wrong("a number cannot be read")))
                .collect::<Result<_, _>>()?;
            let count = |number: f64| {
                if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
                    Ok(number as u32)
                } else {
                    Err(wrong("a token count must be a whole number"))
                }
            };
            match (kind.trim(), numbers.as_slice()) {
                ("uniform", [min, max]) => Self::Uniform { min: count(*min)?, max: count(*max)? },
                ("lognormal", [mean, cv, max]) => {
                    Self::Lognormal { mean: *mean, cv: *cv, max: count(*max)? }
                }
                ("uniform", _) => return Err(wrong("uniform takes a least and a greatest count")),
                ("lognormal", _) => return Err(wrong("lognormal takes mean, variation, maximum")),
                _ => return Err(wrong("the kind is none of uniform, lognormal")),
            }
        } else {
            Self::Constant(trimmed.parse().map_err(|_| wrong("it is no whole number"))?)
        };
        read.checked().map_err(|error| wrong(error.problem))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const LOGNORMAL: Lengths = Lengths::Lognormal { mean: 512.0, cv: 0.6, max: 4096 };

    #[test]
    fn reads_what_people_write_and_refuses_the_rest() {
        assert_eq!("512".parse(), Ok(Lengths::Constant(512)));
        assert_eq!("uniform(64, 512)".parse(), Ok(Lengths::Uniform { min: 64, max: 512 }));
        assert_eq!("lognormal(512,0.6,4096)".parse(), Ok(LOGNORMAL));
        for (text, reason) in [
            ("0", "start at 1"),
            ("-3", "whole number"),
            ("uniform(9,3)", "below the least"),
            ("uniform(9)", "least and a greatest"),
            ("uniform(1.5,3)", "whole number"),
            ("lognormal(0,1,9)", "above zero"),
            ("zipf(1,2)", "none of"),
            ("uniform(1,2", "closing"),
        ] {
            let error = text.parse::<Lengths>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }

    /// The oracle of the summed moments is the mean of many draws.
    #[test]
    fn moments_agree_with_draws() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for lengths in [
            Lengths::Constant(5),
            Lengths::Uniform { min: 3, max: 90 },
            LOGNORMAL,
            Lengths::Lognormal { mean: 200.0, cv: 1.5, max: 400 },
        ] {
            let n = 200_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..n {
                let k = f64::from(lengths.draw(&mut random));
                sum += k;
                squares += k * k;
            }
            let (mean, square) = (sum / f64::from(n), squares / f64::from(n));
            assert!((mean / lengths.mean() - 1.0).abs() < 0.01, "{lengths}: {mean}");
            assert!((square / lengths.mean_square() - 1.0).abs() < 0.02, "{lengths}: {square}");
        }
    }

    #[test]
    fn the_error_function_has_its_known_values() {
        for (x, value) in
            [(0.0, 1.0), (0.5, 0.479_500_12), (1.0, 0.157_299_21), (-1.0, 1.842_700_8)]
        {
            assert!((erfc(x) - value).abs() < 2e-7, "erfc({x}) = {}", erfc(x));
        }
    }

    proptest! {
        /// No draw lies outside 1..=max, whatever the parameters.
        #[test]
        fn draws_stay_in_range(mean in 0.1_f64..5000.0, cv in 0.01_f64..5.0, max in 1_u32..9000) {
            let mut random = ChaCha8Rng::seed_from_u64(u64::from(max));
            let lengths = Lengths::Lognormal { mean, cv, max };
            for _ in 0..50 {
                prop_assert!((1..=max).contains(&lengths.draw(&mut random)));
            }
        }
    }
}
