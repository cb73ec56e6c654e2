//! Whether completions keep up with arrivals.

use plimsoll_records::{OfferedLoad, PointEnd, PointFile};
use plimsoll_units::RunNanos;

use crate::batch_means::{self, FINE_BINS};
use crate::in_flight::InFlight;
use crate::{Stability, Window};

/// How many times the noise of the arrivals the drift must exceed to count as growth.
const DRIFT_LEVEL: f64 = 1.2;

/// How many times that noise the rise of the fitted line over the window must exceed.
const RISE_LEVEL: f64 = 0.8;

/// The t value that the line's slope must exceed.
const SLOPE_LEVEL: f64 = 3.0;

/// Moments of the window at which the number in flight is looked at, less one.
const STEPS: usize = 120;

/// Lags of the slope's standard error: a fifth of the window.
const LAGS: usize = STEPS / 5;

/// Whether the server kept up over the window.
///
/// Let A be the arrivals and C the departures inside the window, so that D = A - C is what the
/// number in flight grew by, and noise = cv * sqrt(A), where cv is the coefficient of variation of
/// the gaps between arrivals (at least 0.5; 1 where it is not known). A point is unstable when all
/// of
///
/// - D > 1.2 noise: more growth than the arrivals' own chance makes of nothing,
/// - the least-squares line through the number in flight rises by more than 0.8 noise over the
///   window,
/// - its slope has t > 3, with the standard error of Newey and West (Econometrica 55, 1987,
///   703-708) over lags up to a fifth of the window: the growth went on through the window, and is
///   no matter of where its ends happen to lie;
///
/// or when the point was ended because it was certainly overloaded. None alone would do: a
/// stationary queue wanders, a burst can lie at the window's end, and so can a batch server's wave.
/// The levels are from the virtual-time study (benches/coverage.rs); docs/method.md has its table.
///
/// The interval of the drift is from batch means of A - C; waves make it wide, never narrow.
pub(crate) fn stability(point: &PointFile, window: Window, in_flight: &InFlight) -> Stability {
    let drift = Drift::of(window, in_flight, gap_cv(&point.load));
    let grew = drift.requests > DRIFT_LEVEL * drift.noise
        && drift.rise > RISE_LEVEL * drift.noise
        && drift.slope_t > SLOPE_LEVEL;

    let mut growth = [0.0; FINE_BINS];
    for (pair, bin) in sampled(window, in_flight, FINE_BINS).windows(2).zip(&mut growth) {
        *bin = pair[1] - pair[0];
    }
    Stability {
        stable: point.ended != PointEnd::Overloaded && !grew,
        drift_per_s: batch_means::signed_rate(&growth, window.length().as_secs_f64()),
        in_flight_start: in_flight.at(window.start),
        in_flight_end: in_flight.at(window.end),
        in_flight_mean: in_flight.mean(window.start, window.end),
        in_flight_max: in_flight.max(window.start, window.end),
    }
}

/// How far the number in flight may lie apart between two tenths of a stationary window, in units of the
/// arrivals' noise.
const MOVED_LEVEL: f64 = 2.5;

/// Parts of the window whose means are held against each other.
const PARTS: usize = 10;

/// Growth of the number in flight over a window, and how much of it chance alone makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// Arrivals - departures.
    pub(crate) requests: f64,
    /// One standard deviation of the arrivals' count.
    pub(crate) noise: f64,
    /// What the fitted line rises by over the window.
    pub(crate) rise: f64,
    /// The t value of its slope.
    slope_t: f64,
    /// The least and the greatest of the means of ten equal parts of the window.
    pub(crate) tenths: (f64, f64),
}

impl Drift {
    /// Of a window; `cv` is the coefficient of variation of the gaps between arrivals.
    pub(crate) fn of(window: Window, in_flight: &InFlight, cv: f64) -> Self {
        let arrivals = in_flight.arrived(window.end) - in_flight.arrived(window.start);
        let departures = in_flight.departed(window.end) - in_flight.departed(window.start);
        let (slope, slope_t) = slope(&sampled(window, in_flight, STEPS));
        let ends = sampled_at(window, PARTS);
        let means = ends.windows(2).map(|ends| in_flight.mean(ends[0], ends[1]));
        let tenths = means.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), mean| {
            (low.min(mean), high.max(mean))
        });
        Self {
            requests: arrivals as f64 - departures as f64,
            noise: cv * (arrivals as f64).sqrt(),
            rise: slope * STEPS as f64,
            slope_t,
            tenths,
        }
    }

    /// How far the means of two tenths of the window lie apart at most.
    pub(crate) fn moved(&self) -> f64 {
        self.tenths.1 - self.tenths.0
    }

    /// Whether the number in flight moved within the window by more than a server that keeps up makes of
    /// the arrivals' chance: two tenths of the window lie apart by more than 2.5 noise.
    ///
    /// The number in a queue near its capacity wanders like a reflected Brownian motion whose variance over
    /// the window is the noise's, and the services' of the same order beside it (Iglehart and Whitt,
    /// *Advances in Applied Probability* 2, 1970, 150-177); below its capacity it wanders less. So the level
    /// holds without knowing the load. A line would not do: what a backlog leaves behind rises and falls
    /// again. The study is benches/stationarity.rs.
    pub(crate) fn is_stationary(&self) -> bool {
        self.moved() <= MOVED_LEVEL * self.noise
    }
}

/// The coefficient of variation of the gaps between arrivals, as far as noise goes: at least 0.5,
/// for even perfectly regular arrivals meet a server that is not; 1 where it is not known.
pub(crate) fn gap_cv(load: &OfferedLoad) -> f64 {
    match load {
        OfferedLoad::Open { gap_cv, .. } => gap_cv.unwrap_or(1.0).max(0.5),
        OfferedLoad::Closed { .. } => 1.0,
    }
}

/// `steps + 1` equally spaced moments of the window, both ends included.
fn sampled_at(window: Window, steps: usize) -> Vec<RunNanos> {
    let length = window.length().as_nanos();
    (0..=steps)
        .map(|step| {
            let after = length * step as u128 / steps as u128;
            RunNanos::from_nanos(window.start.as_nanos() + after as u64)
        })
        .collect()
}

/// The number in flight at those moments.
fn sampled(window: Window, in_flight: &InFlight, steps: usize) -> Vec<f64> {
    sampled_at(window, steps).into_iter().map(|at| in_flight.at(at) as f64).collect()
}

/// The least-squares slope of equally spaced values per step, and its t value after Newey and West.
///
/// With x the place less its mean and e the residuals, u = x e: se^2 = (g_0 + 2 sum_{l=1}^{L}
/// (1 - l / (L + 1)) g_l) / (sum x^2)^2, g_l = sum u_i u_{i-l}. t = 0 for a constant series.
fn slope(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let place = |i: usize| i as f64 - middle;
    let squares: f64 = (0..values.len()).map(|i| place(i).powi(2)).sum();
    let slope =
        values.iter().enumerate().map(|(i, y)| place(i) * (y - mean)).sum::<f64>() / squares;
    if slope == 0.0 {
        return (0.0, 0.0);
    }
    let scores: Vec<f64> =
        values.iter().enumerate().map(|(i, y)| place(i) * (y - mean - slope * place(i))).collect();
    let at_lag =
        |lag: usize| -> f64 { scores[lag..].iter().zip(&scores).map(|(a, b)| a * b).sum() };
    let variance = at_lag(0)
        + (1..=LAGS.min(values.len() - 1))
            .map(|lag| 2.0 * (1.0 - lag as f64 / (LAGS as f64 + 1.0)) * at_lag(lag))
            .sum::<f64>();
    // A perfect line has no residual: its slope is beyond doubt, and its t as large as one likes.
    let error = (variance.max(0.0).sqrt() / squares).max(slope.abs() * 1e-6);
    (slope, slope / error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_as_it_is() {
        let line: Vec<f64> = (0..=120).map(|i| 3.0 + 0.25 * f64::from(i)).collect();
        let (found, t) = slope(&line);
        assert!((found - 0.25).abs() < 1e-12 && t > 1000.0);
        assert_eq!(slope(&[7.0; 121]), (0.0, 0.0));
    }

    #[test]
    fn without_lags_the_error_is_whites() {
        // Alternating residuals are uncorrelated with the line; White's error by its textbook form
        // sum (x e)^2 / (sum x^2)^2, less the negative covariances that the lags then add.
        let values: Vec<f64> =
            (0..=120).map(|i| f64::from(i) + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let (found, t) = slope(&values);
        let squares: f64 = (-60..=60).map(|x| f64::from(x * x)).sum();
        let white = found / (squares.sqrt() / squares);
        assert!((found - 1.0).abs() < 1e-3);
        assert!(t > white, "alternating residuals make the slope surer: {t} against {white}");
    }

    #[test]
    fn slow_residuals_make_the_slope_less_sure() {
        let wave = |period: f64| -> f64 {
            let values: Vec<f64> = (0..=120)
                .map(|i| {
                    0.05 * f64::from(i) + (f64::from(i) * std::f64::consts::TAU / period).sin()
                })
                .collect();
            slope(&values).1
        };
        assert!(wave(4.0) > 3.0 * wave(60.0), "{} {}", wave(4.0), wave(60.0));
    }
}
