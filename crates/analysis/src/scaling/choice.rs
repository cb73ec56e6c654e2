//! All laws through the points, the one that is chosen, and where its throughput is largest.

use super::bootstrap::{self, quantile};
use super::fit::{self, Fit};
use super::law::Parameters;
use super::samples::Sample;
use super::{Law, Peak, Remark};

/// Saturated points below which no curve is drawn.
const CURVE: usize = 3;

/// A difference of AICc below which two laws are as good as each other: Burnham and Anderson, *Model
/// Selection and Multimodel Inference*, 2nd ed., Springer 2002, section 2.6.
const CLOSE: f64 = 2.0;

/// What the laws say.
pub(super) struct Judged {
    pub(super) fits: Vec<Fit>,
    pub(super) chosen: Option<Law>,
    pub(super) peak: Option<Peak>,
}

/// Fits every law that the samples can carry and chooses between those that have an AICc.
pub(super) fn judge(samples: &[Sample], seed: u64, remarks: &mut Vec<Remark>) -> Judged {
    let measured = samples.iter().filter(|sample| !sample.lower_bound).count();
    if measured < CURVE {
        remarks.push(Remark::NoCurve { points: measured, needed: CURVE });
        return Judged { fits: Vec::new(), chosen: None, peak: None };
    }
    let known = samples.iter().any(|sample| !sample.lower_bound && sample.has_interval());
    if !known {
        remarks.push(Remark::NoiseFromResiduals);
    }
    let mut usl = Vec::new();
    let mut fits = Vec::new();
    for law in Law::ALL {
        if let Some(fitted) = fit::fit(law, samples, seed) {
            if law == Law::Usl {
                usl = fitted.draws;
            }
            fits.push(fitted.fit);
        }
        let needed = fit::points_for_aicc(law, known);
        if measured < needed {
            remarks.push(Remark::NotCompared { law, points: measured, needed });
        }
    }
    let chosen = choose(&fits, remarks);
    if let Some(chosen) = chosen {
        remarks.extend(fits.iter().filter(|fit| fit.law == chosen.law).filter_map(|fit| {
            let chance = fit.misfit.filter(|&chance| chance < 0.05)?;
            Some(Remark::Misfit { law: fit.law, chance })
        }));
    }
    let peak = chosen
        .filter(|fit| fit.law == Law::Usl)
        .and_then(|fit| peak(fit, &usl, samples).map_err(|remark| remarks.push(remark)).ok());
    let chosen = chosen.map(|fit| fit.law);
    Judged { fits, chosen, peak }
}

/// The law with the least AICc, if there is any to compare it with.
fn choose<'a>(fits: &'a [Fit], remarks: &mut Vec<Remark>) -> Option<&'a Fit> {
    let mut ranked: Vec<(f64, &Fit)> =
        fits.iter().filter_map(|fit| Some((fit.aicc?, fit))).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [(best, first), (next, second), ..] = ranked[..] else {
        remarks.push(Remark::NoChoice);
        return None;
    };
    if next - best < CLOSE {
        let difference = next - best;
        remarks.push(Remark::Close { law: first.law, other: second.law, difference });
    }
    Some(first)
}

/// Where USL's throughput is largest, or why that is not said.
fn peak(fit: &Fit, draws: &[Parameters], samples: &[Sample]) -> Result<Peak, Remark> {
    let least = samples[0].n;
    let (last, most) = (samples[samples.len() - 2].n, samples[samples.len() - 1].n);
    // One more step like the last: 4, 8 -> 12.
    let reach = most + (most - last);
    let at = |parameters: &Parameters| {
        let Parameters { sigma, kappa, .. } = parameters.clamped();
        if kappa > 0.0 { ((1.0 - sigma) / kappa).sqrt() } else { f64::INFINITY }
    };
    let value = |estimate: Option<crate::Estimate>| estimate.map_or(0.0, |estimate| estimate.value);
    let best =
        Parameters { lambda: fit.lambda.value, sigma: value(fit.sigma), kappa: value(fit.kappa) };
    let mut sizes: Vec<f64> = draws.iter().map(at).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let n = at(&best);
    if quantile(&sizes, 0.975).max(n) > reach {
        return Err(Remark::PeakBeyond { at_least: quantile(&sizes, 0.025).min(n), reach });
    }
    if n < least {
        return Err(Remark::PeakBelow { smallest: least });
    }
    let mut heights: Vec<f64> =
        draws.iter().map(|draw| draw.clamped().capacity(Law::Usl, at(draw).min(reach))).collect();
    heights.sort_unstable_by(f64::total_cmp);
    Ok(Peak {
        n: bootstrap::interval(&sizes, n),
        capacity: bootstrap::interval(&heights, best.capacity(Law::Usl, n)),
    })
}
