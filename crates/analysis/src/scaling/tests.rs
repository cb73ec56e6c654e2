use proptest::prelude::*;

use super::*;
use crate::scaling::samples::NORMAL;

const SEED: u64 = 20_261_122;

/// A point with a log-normal interval of the relative half width `sd * 1.96`.
fn point(n: f64, value: f64, sd: f64) -> ScalePoint {
    let factor = (NORMAL * sd).exp();
    let capacity = Estimate { value, low: value / factor, high: value * factor };
    ScalePoint { n, capacity, lower_bound: false }
}

fn at_least(point: ScalePoint) -> ScalePoint {
    ScalePoint { lower_bound: true, ..point }
}

/// USL written out, apart from the code under test; kappa = 0 is Amdahl.
fn usl(lambda: f64, sigma: f64, kappa: f64, n: f64) -> f64 {
    lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
}

fn curve(sizes: &[f64], sd: f64, capacity: impl Fn(f64) -> f64) -> Vec<ScalePoint> {
    sizes.iter().map(|&n| point(n, capacity(n), sd)).collect()
}

fn fit_of(scaling: &Scaling, law: Law) -> &Fit {
    scaling.fits.iter().find(|fit| fit.law == law).expect("the law was fitted")
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * b.abs().max(1e-9)
}

#[test]
fn two_points_give_a_speedup_and_no_curve() {
    let (sd1, sd4) = (0.01, 0.02);
    let found = scaling(&[point(4.0, 40.0, sd4), point(1.0, 13.0, sd1)], SEED).unwrap();
    assert!(found.fits.is_empty() && found.chosen.is_none() && found.peak.is_none());
    assert_eq!(found.remarks, [Remark::NoCurve { points: 2, needed: 3 }]);
    let [gain] = found.speedups[..] else { panic!("{found:?}") };
    assert_eq!((gain.n, gain.bound), (4.0, Bound::Measured));
    // The quotient of two log-normal numbers is log-normal; the draws know its ends to a tenth of
    // its width.
    let half = NORMAL * f64::hypot(sd1, sd4);
    let s: f64 = 40.0 / 13.0;
    assert!(close(gain.speedup.value, s, 1e-12));
    assert!(close((gain.speedup.high / s).ln(), half, 0.1), "{gain:?}");
    assert!(close((s / gain.speedup.low).ln(), half, 0.1), "{gain:?}");
    assert!(close(gain.efficiency.value, s / 4.0, 1e-12));
    // (1/S - 1/4) / (3/4) = (4/S - 1) / 3 with S = 40/13: (1.3 - 1) / 3.
    assert!(close(gain.karp_flatt.value, 0.1, 1e-12));
    assert!(close(gain.karp_flatt.low, (4.0 / gain.speedup.high - 1.0) / 3.0, 1e-9));
    assert!(close(gain.karp_flatt.high, (4.0 / gain.speedup.low - 1.0) / 3.0, 1e-9));
}

#[test]
fn the_base_need_not_be_one() {
    let found = scaling(&[point(2.0, 20.0, 0.01), point(8.0, 60.0, 0.01)], SEED).unwrap();
    assert!(found.remarks.contains(&Remark::BaseIsNotOne { n: 2.0 }));
    assert_eq!(found.base, 2.0);
    assert!(close(found.speedups[0].speedup.value, 3.0, 1e-12));
    assert!(close(found.speedups[0].efficiency.value, 0.75, 1e-12));
    // m = 4, S = 3: (1/3 - 1/4) / (3/4) = 1/9.
    assert!(close(found.speedups[0].karp_flatt.value, 1.0 / 9.0, 1e-12));
}

#[test]
fn a_lower_bound_stands_for_no_value() {
    let (one, four) = (point(1.0, 10.0, 0.01), point(4.0, 30.0, 0.01));
    let bound =
        |points: &[ScalePoint]| scaling(points, SEED).unwrap().speedups.first().map(|s| s.bound);
    assert_eq!(bound(&[one, at_least(four)]), Some(Bound::AtLeast));
    assert_eq!(bound(&[at_least(one), four]), Some(Bound::AtMost));
    assert_eq!(bound(&[at_least(one), at_least(four)]), None);
    let neither = scaling(&[at_least(one), at_least(four)], SEED).unwrap();
    assert!(neither.remarks.contains(&Remark::SpeedupUnknown { n: 4.0 }));
    assert!(neither.remarks.contains(&Remark::LowerBound { n: 1.0 }));
}

#[test]
fn a_lower_bound_holds_a_curve_up_and_never_pulls_it_down() {
    let sizes = [1.0, 2.0, 4.0, 8.0, 16.0];
    let truth = curve(&sizes, 0.01, |n| usl(10.0, 0.05, 0.0, n));
    let plain = scaling(&truth, SEED).unwrap();
    // Half of what the law says at 32: true, and no news.
    let mut below = truth.clone();
    below.push(at_least(point(32.0, 0.5 * usl(10.0, 0.05, 0.0, 32.0), 0.01)));
    let below = scaling(&below, SEED).unwrap();
    for law in Law::ALL {
        let (a, b) = (fit_of(&plain, law), fit_of(&below, law));
        assert_eq!(b.bound, Bound::Measured);
        assert!(close(a.lambda.value, b.lambda.value, 1e-9));
        assert_eq!(a.residuals.len(), b.residuals.len());
    }
    // More than the law says at 32: the curve rises to it, and says so.
    let mut above = truth;
    above.push(at_least(point(32.0, 1.2 * usl(10.0, 0.05, 0.0, 32.0), 0.01)));
    let above = scaling(&above, SEED).unwrap();
    let (a, b) = (fit_of(&plain, Law::Amdahl), fit_of(&above, Law::Amdahl));
    assert_eq!(b.bound, Bound::AtLeast);
    assert!(b.sigma.unwrap().value < a.sigma.unwrap().value);
}

#[test]
fn exact_data_give_back_their_law() {
    let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    let cases: [(Law, f64, f64); 4] = [
        (Law::Linear, 0.0, 0.0),
        (Law::Amdahl, 0.07, 0.0),
        (Law::Gustafson, 0.3, 0.0),
        (Law::Usl, 0.03, 0.002),
    ];
    for (law, sigma, kappa) in cases {
        let points = curve(&sizes, 0.005, |n| match law {
            Law::Gustafson => 12.5 * (n - sigma * (n - 1.0)),
            _ => usl(12.5, sigma, kappa, n),
        });
        let found = scaling(&points, SEED).unwrap();
        assert_eq!(found.chosen, Some(law), "{:?}", found.remarks);
        let fit = fit_of(&found, law);
        assert!(close(fit.lambda.value, 12.5, 1e-8), "{fit:?}");
        let value = |estimate: Option<Estimate>| estimate.map_or(0.0, |estimate| estimate.value);
        assert!((value(fit.sigma) - sigma).abs() < 1e-8 && (value(fit.kappa) - kappa).abs() < 1e-8);
        assert!(fit.lambda.contains(12.5) && fit.misfit.unwrap() > 0.99);
        assert!(close(
            fit.capacity(5.0),
            if law == Law::Gustafson {
                12.5 * (5.0 - sigma * 4.0)
            } else {
                usl(12.5, sigma, kappa, 5.0)
            },
            1e-8
        ));
        // The peak only where the law has one: sqrt((1 - 0.03) / 0.002) = 22.02.
        assert_eq!(found.peak.is_some(), law == Law::Usl);
        if let Some(peak) = found.peak {
            assert!(close(peak.n.value, 485.0_f64.sqrt(), 1e-6) && peak.n.contains(22.0));
            assert!(close(peak.capacity.value, usl(12.5, 0.03, 0.002, 485.0_f64.sqrt()), 1e-6));
        }
    }
}

#[test]
fn no_peak_far_from_the_points() {
    // It lies at sqrt(0.97 / 0.0008) = 34.8, where only points up to 16 were measured.
    let points = curve(&[1.0, 2.0, 4.0, 8.0, 12.0, 16.0], 0.0005, |n| usl(10.0, 0.03, 0.0008, n));
    let found = scaling(&points, SEED).unwrap();
    assert_eq!((found.chosen, found.peak), (Some(Law::Usl), None));
    let said = found.remarks.iter().find_map(|remark| match *remark {
        Remark::PeakBeyond { at_least, reach } => Some((at_least, reach)),
        _ => None,
    });
    let (at_least, reach) = said.unwrap();
    assert!(reach == 20.0 && (30.0..34.9).contains(&at_least), "{at_least}");
}

#[test]
fn a_choice_needs_the_points_that_aicc_asks_for() {
    let choice = |count: usize| {
        let sizes: Vec<f64> = (1..=count).map(|n| n as f64).collect();
        scaling(&curve(&sizes, 0.01, |n| usl(10.0, 0.1, 0.0, n)), SEED).unwrap()
    };
    let three = choice(3);
    assert_eq!((three.chosen, three.fits.len()), (None, 4));
    assert!(three.remarks.contains(&Remark::NoChoice));
    let four = choice(4);
    assert_eq!(four.chosen, Some(Law::Amdahl));
    let left_out = Remark::NotCompared { law: Law::Usl, points: 4, needed: 5 };
    assert!(four.remarks.contains(&left_out) && fit_of(&four, Law::Usl).aicc.is_none());
    assert!(fit_of(&choice(5), Law::Usl).aicc.is_some());
}

#[test]
fn aicc_by_hand() {
    let points = curve(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.02, |n| 10.0 * n.powf(0.9));
    let found = scaling(&points, SEED).unwrap();
    for fit in &found.fits {
        let k = fit.law.parameters() as f64;
        let squares: f64 = fit
            .residuals
            .iter()
            .zip(&points)
            .map(|(r, p)| {
                let sd = (p.capacity.high - p.capacity.low) / (2.0 * 1.959_963_985);
                ((r.measured - r.fitted) / sd).powi(2)
            })
            .sum();
        let by_hand = squares + 2.0 * k + 2.0 * k * (k + 1.0) / (5.0 - k - 1.0);
        assert!(close(fit.aicc.unwrap(), by_hand, 1e-6), "{fit:?}");
    }
}

#[test]
fn a_serial_share_at_its_limit_has_a_one_sided_interval() {
    // Slightly more than linear: sigma and kappa at 0, with room above.
    let points = curve(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.01, |n| 10.0 * n.powf(1.002));
    let found = scaling(&points, SEED).unwrap();
    assert_eq!(found.chosen, Some(Law::Linear));
    let usl = fit_of(&found, Law::Usl);
    for one in [usl.sigma.unwrap(), usl.kappa.unwrap(), fit_of(&found, Law::Amdahl).sigma.unwrap()]
    {
        assert!(one.low == 0.0 && one.high > 0.0 && one.high < 0.05, "{one:?}");
    }
    // Far more than linear: what the free fit would call -0.02 still does not vanish.
    let points = curve(&[1.0, 2.0, 4.0, 8.0], 0.01, |n| 10.0 * n.powf(1.1));
    let sigma = fit_of(&scaling(&points, SEED).unwrap(), Law::Amdahl).sigma.unwrap();
    assert!(sigma.value == 0.0 && sigma.high > 0.002, "{sigma:?}");
}

#[test]
fn residuals_beyond_the_intervals_are_said_and_widen() {
    let mut points = curve(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.001, |n| usl(10.0, 0.1, 0.0, n));
    let calm = fit_of(&scaling(&points, SEED).unwrap(), Law::Amdahl).sigma.unwrap();
    points[2] = point(4.0, 1.05 * points[2].capacity.value, 0.001);
    let found = scaling(&points, SEED).unwrap();
    assert!(found.remarks.iter().any(|remark| matches!(remark, Remark::Misfit { .. })));
    let fit = fit_of(&found, Law::Amdahl);
    assert!(fit.misfit.unwrap() < 1e-6);
    let wide = fit.sigma.unwrap();
    assert!(wide.high - wide.low > 5.0 * (calm.high - calm.low), "{wide:?} {calm:?}");
}

#[test]
fn what_is_no_point_is_refused() {
    let good = point(1.0, 10.0, 0.01);
    let no_size = ScalePoint { n: 0.0, ..good };
    let no_capacity = ScalePoint { capacity: Estimate { value: 1.0, low: 0.0, high: 3.0 }, ..good };
    let not_a_number = ScalePoint { capacity: Estimate::exact(f64::NAN), ..good };
    assert_eq!(scaling(&[], SEED), Err(ScalingError::NoPoints));
    assert_eq!(scaling(&[no_size], SEED), Err(ScalingError::Size { n: 0.0 }));
    assert!(matches!(scaling(&[no_capacity], SEED), Err(ScalingError::Capacity { .. })));
    assert!(matches!(scaling(&[not_a_number], SEED), Err(ScalingError::Capacity { .. })));
    assert_eq!(scaling(&[good, good], SEED), Err(ScalingError::SameSize { n: 1.0 }));
    let alone = scaling(&[good], SEED).unwrap();
    assert!(alone.speedups.is_empty() && alone.fits.is_empty());
}

/// The weighted squares of USL at (sigma, kappa) with the best lambda, which has a closed form.
fn profile(points: &[ScalePoint], sigma: f64, kappa: f64) -> f64 {
    let (mut yg, mut gg) = (0.0, 0.0);
    let weight =
        |p: &ScalePoint| (2.0 * 1.959_963_985 / (p.capacity.high - p.capacity.low)).powi(2);
    for p in points {
        let g = usl(1.0, sigma, kappa, p.n);
        yg += weight(p) * p.capacity.value * g;
        gg += weight(p) * g * g;
    }
    let lambda = yg / gg;
    points
        .iter()
        .map(|p| weight(p) * (p.capacity.value - usl(lambda, sigma, kappa, p.n)).powi(2))
        .sum()
}

/// The least of `profile` on a grid over all that is allowed, refined around its best cell.
fn grid(points: &[ScalePoint], with_kappa: bool) -> f64 {
    let (mut sigma, mut kappa, mut least) = (0.0, 0.0, f64::INFINITY);
    let (mut wide_s, mut wide_k) = (1.0, if with_kappa { 0.5 } else { 0.0 });
    for _ in 0..16 {
        let (s0, k0) = (sigma, kappa);
        for i in -20..=20 {
            for j in if with_kappa { -20..=20 } else { 0..=0 } {
                let s = (s0 + wide_s * f64::from(i) / 20.0).clamp(0.0, 1.0);
                let k = (k0 + wide_k * f64::from(j) / 20.0).max(0.0);
                let squares = profile(points, s, k);
                if squares < least {
                    (sigma, kappa, least) = (s, k, squares);
                }
            }
        }
        wide_s *= 0.5;
        wide_k *= 0.5;
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No sigma and kappa that are allowed fit better than the ones found, and those are allowed.
    #[test]
    fn no_allowed_parameters_fit_better(
        noise in prop::collection::vec(-0.15_f64..0.15, 6),
        sigma in 0.0_f64..0.4,
        kappa in 0.0_f64..0.02,
    ) {
        let sizes = [1.0, 2.0, 3.0, 4.0, 8.0, 12.0];
        let points: Vec<ScalePoint> = sizes
            .iter()
            .zip(&noise)
            .map(|(&n, noise)| point(n, usl(20.0, sigma, kappa, n) * noise.exp(), 0.05))
            .collect();
        let samples = samples::of(&points).unwrap();
        let y: Vec<f64> = samples.iter().map(|sample| sample.y).collect();
        for (law, with_kappa) in [(Law::Amdahl, false), (Law::Usl, true)] {
            let (found, squares) = fit::best(law, &samples, &y).unwrap();
            prop_assert!(found.allowed());
            prop_assert!((profile(&points, found.sigma, found.kappa) - squares).abs() < 1e-6 * squares);
            let by_search = grid(&points, with_kappa);
            prop_assert!(squares <= by_search * (1.0 + 1e-6), "{law:?}: {squares} {by_search}");
        }
    }
}
