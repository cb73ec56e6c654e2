//! The rate at which a share of the requests meets the SLO, from the shares at the rates around it.

use super::{Goal, ProbeResult, bracket};
use crate::Estimate;

/// How far from the edge, as a share of it, a probe's weight has fallen to half.
const NEAR: f64 = 0.08;

/// Widest neighbourhood: a probe further off than this factor says nothing of the edge.
const FAR: f64 = 1.25;

/// What the half width is stretched by: it is from a few probes, whose errors are estimates themselves
/// and miss whatever in a queue lasts longer than a window.
const FEW: f64 = 1.15;

/// Fewest requests from which a share is heard.
const FEWEST_DUE: u64 = 20;

/// One probe's share.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Logarithm of the rate.
    at: f64,
    /// Logarithm of the odds of meeting the SLO.
    odds: f64,
    /// Their variance.
    variance: f64,
}

/// The same around where the rates that pass end.
pub(super) fn of(probes: &[ProbeResult], attainment: f64, z: f64) -> Option<Estimate> {
    let bracket = bracket::of(&bracket::seen(probes, Goal::Slo { attainment }));
    let (low, high) = (bracket.low?, bracket.high?);
    edge(probes, attainment, (low * high).sqrt(), z)
}

/// The rate at which the share is `attainment`, from probes around `about`; `None` where they do not
/// show that the share falls with the rate.
///
/// ln(p / (1 - p)) = a + b ln(rate), by least squares with weights that are 1 / variance, and less the
/// further a probe lies from the edge: w = 1 / (v (1 + (d / 0.08)^2)), d = ln(rate / edge). The edge is
/// where the line meets the attainment's odds, its interval Fieller's, with variances that are widened by
/// chi^2 / (n - 2) where the shares scatter more than their errors say. Sources: Finney, Probit Analysis,
/// 3rd ed., chapters 3 and 4 (dose of a given effect, heterogeneity); Fieller, J. Royal Statistical
/// Society B 16 (1954), 175-185; Cleveland, JASA 74 (1979), 829-836 (local fit).
fn edge(probes: &[ProbeResult], attainment: f64, about: f64, z: f64) -> Option<Estimate> {
    let near = || {
        probes
            .iter()
            .filter(|probe| !probe.overloaded && tells(probe))
            .filter(|probe| (about / FAR..=about * FAR).contains(&probe.rate_per_s))
    };
    let alike = alike(near());
    let shares: Vec<Share> = near().filter_map(|probe| share(probe, alike)).collect();
    let aim = (attainment / (1.0 - attainment)).ln();
    let mut at = about.ln();
    let mut found = None;
    for _ in 0..8 {
        let line = Line::around(&shares, at)?;
        // One step is not believed further than the probes reach.
        at = line.meets(aim)?.clamp(at - 0.3, at + 0.3);
        found = Some(line.interval(aim, FEW * z)?);
    }
    let (low, high) = found?;
    let value = at.exp();
    Some(Estimate { value, low: low.exp().min(value), high: high.exp().max(value) })
}

/// Whether a share is that of a server that had time to settle: it kept up, or what it lost is not most.
fn tells(probe: &ProbeResult) -> bool {
    probe.stable || probe.goodput.is_some_and(|(good, due)| 2 * good >= due)
}

/// By what factor the variance of a share exceeds that of as many independent requests, for those in a
/// queue fare alike: the mean over all probes, weighted by their requests; never below 1. A single
/// probe's own would favour the one whose scatter happened to come out small.
fn alike<'a>(probes: impl Iterator<Item = &'a ProbeResult>) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for probe in probes {
        let Some((good, due)) = probe.goodput.filter(|&(_, due)| due >= FEWEST_DUE) else {
            continue;
        };
        let p = (good as f64 + 0.5) / (due as f64 + 1.0);
        let independent = p * (1.0 - p) / (due as f64 + 1.0);
        let error = probe.goodput_error.unwrap_or_else(|| independent.sqrt());
        sum += due as f64 * (error * error / independent).max(1.0);
        all += due as f64;
    }
    if all > 0.0 { sum / all } else { 1.0 }
}

/// A probe's odds. With half a request added on either side they are finite (Haldane, Annals of Human
/// Genetics 20, 1956, 309-311).
fn share(probe: &ProbeResult, alike: f64) -> Option<Share> {
    let (good, due) = probe.goodput.filter(|&(_, due)| due >= FEWEST_DUE)?;
    let (good, bad) = (good as f64 + 0.5, (due - good) as f64 + 0.5);
    Some(Share {
        at: probe.achieved_rate_per_s.ln(),
        odds: (good / bad).ln(),
        variance: alike * (1.0 / good + 1.0 / bad),
    })
}

/// A line through shares.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Weighted mean of the rates' logarithms, and the odds there with their variance.
    x: f64,
    odds: f64,
    variance: f64,
    /// Odds for each e-fold of the rate, with their variance.
    slope: f64,
    of_slope: f64,
}

impl Line {
    /// The one around `edge`; `None` for fewer than two rates.
    fn around(shares: &[Share], edge: f64) -> Option<Self> {
        let weight = |s: &Share| 1.0 / (s.variance * (1.0 + ((s.at - edge) / NEAR).powi(2)));
        let sum =
            |of: &dyn Fn(&Share) -> f64| shares.iter().map(|s| weight(s) * of(s)).sum::<f64>();
        let total = sum(&|_| 1.0);
        let (x, odds) = (sum(&|s| s.at) / total, sum(&|s| s.odds) / total);
        let squares = sum(&|s| (s.at - x).powi(2));
        if shares.len() < 2 || squares <= 1e-12 * total {
            return None;
        }
        let slope = sum(&|s| (s.at - x) * (s.odds - odds)) / squares;
        let residual = |s: &Share| s.odds - odds - slope * (s.at - x);
        // How many shares are heard, each by its weight next to that of one at the edge.
        let heard = sum(&|s| s.variance);
        let scatter = (sum(&|s| residual(s).powi(2)) / (heard - 2.0).max(1.0)).max(1.0);
        Some(Self {
            x,
            odds,
            variance: scatter * sum(&|s| weight(s) * s.variance) / (total * total),
            slope,
            of_slope: scatter * sum(&|s| weight(s) * (s.at - x).powi(2) * s.variance)
                / (squares * squares),
        })
    }

    /// Where it comes down to the odds `aim`; `None` when it does not fall.
    fn meets(&self, aim: f64) -> Option<f64> {
        (self.slope < 0.0).then(|| self.x + (aim - self.odds) / self.slope)
    }

    /// Fieller's interval of that; `None` where the slope is not known to differ from 0.
    fn interval(&self, aim: f64, z: f64) -> Option<(f64, f64)> {
        let (d, b) = (aim - self.odds, self.slope);
        let a = b * b - z * z * self.of_slope;
        let root = b * b * d * d - a * (d * d - z * z * self.variance);
        if a <= 0.0 || root < 0.0 {
            return None;
        }
        let (middle, half) = (b * d / a, root.sqrt() / a);
        Some((self.x + middle - half, self.x + middle + half))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// `due` requests at a rate of which this share was good.
    fn probe(rate: f64, share: f64, due: u64) -> ProbeResult {
        ProbeResult {
            stable: true,
            goodput: Some(((share * due as f64).round() as u64, due)),
            ..ProbeResult::nothing(rate, Duration::from_secs(10))
        }
    }

    /// Odds of 9 to 1 at 40 a second, falling with the tenth power of the rate.
    fn share(rate: f64) -> f64 {
        let odds = 9.0 * (rate / 40.0_f64).powi(-10);
        odds / (1.0 + odds)
    }

    #[test]
    fn a_line_of_odds_is_met_where_it_is() {
        let at = |rates: &[f64], due: u64| {
            let probes: Vec<ProbeResult> =
                rates.iter().map(|&rate| probe(rate, share(rate), due)).collect();
            of(&probes, 0.9, 1.96)
        };
        let found = at(&[37.0, 39.0, 41.0, 43.0], 100_000).expect("it falls");
        assert!((found.value - 40.0).abs() < 0.01 && found.contains(40.0), "{found:?}");
        // A hundredth of the requests, about ten times the width (the slope is less sure, too).
        let less = at(&[37.0, 39.0, 41.0, 43.0], 1000).expect("it falls");
        let ratio = less.relative_half_width() / found.relative_half_width();
        assert!((ratio - 10.0).abs() < 0.6, "{ratio}");
        // Two probes alike at 40 a second: se(odds) = 1 / sqrt(n p q), so the edge's is a tenth of it.
        let two = at(&[39.9, 40.1], 1_000_000_000).expect("it falls");
        let expected = FEW * 1.96 / (2e9_f64 * 0.09).sqrt() / 10.0;
        assert!((two.relative_half_width() / expected - 1.0).abs() < 0.01, "{two:?}");
    }

    #[test]
    fn no_fall_is_no_edge() {
        let flat: Vec<ProbeResult> =
            [38.0, 40.0, 42.0].iter().map(|&rate| probe(rate, 0.9, 1000)).collect();
        assert_eq!(edge(&flat, 0.9, 40.0, 1.96), None);
        assert_eq!(edge(&flat[..1], 0.9, 40.0, 1.96), None);
        assert_eq!(edge(&[], 0.9, 40.0, 1.96), None);
        // All pass, or all fail: there is nothing between.
        assert_eq!(of(&[probe(30.0, 0.99, 1000), probe(35.0, 0.95, 1000)], 0.9, 1.96), None);
    }

    #[test]
    fn requests_that_fare_alike_count_for_fewer() {
        let probes = |alike: f64| -> Vec<ProbeResult> {
            [38.0, 39.0, 41.0, 42.0]
                .iter()
                .map(|&rate| {
                    let p = share(rate);
                    let error = alike * (p * (1.0 - p) / 2000.0).sqrt();
                    ProbeResult { goodput_error: Some(error), ..probe(rate, p, 2000) }
                })
                .collect()
        };
        let width =
            |alike: f64| of(&probes(alike), 0.9, 1.96).expect("it falls").relative_half_width();
        assert!((width(2.0) / width(1.0) - 2.0).abs() < 0.2);
        assert_eq!(width(0.1), width(1.0), "no share is surer than that of independent requests");
    }
}
