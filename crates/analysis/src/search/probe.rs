//! What a search keeps of a probe.

use std::time::Duration;

use plimsoll_records::PointEnd;

use crate::{Estimate, Fall, PointSummary};

/// What came of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeResult {
    /// The offered rate, requests per second.
    pub rate_per_s: f64,
    /// Arrivals inside the window / its length, requests per second.
    pub achieved_rate_per_s: f64,
    /// Whether the server kept up, by the window's own test.
    pub stable: bool,
    /// Whether it ended early because overload was certain.
    pub overloaded: bool,
    /// Completions inside the window / its length, requests per second.
    pub throughput_per_s: Estimate,
    /// Its throughput's fall under its own backlog; `None` where there was none.
    pub fall: Option<Fall>,
    /// Output tokens delivered per second; `None` where none are known.
    pub tokens_per_s: Option<Estimate>,
    /// Mean output tokens of a request, its standard error, and how many requests it is from.
    pub length: Option<(f64, f64, u64)>,
    /// Completions inside the window, about.
    pub completions: u64,
    /// Mean end-to-end time of the requests due in the window.
    pub mean_e2e: Option<Duration>,
    /// The shortest of them.
    pub min_e2e: Option<Duration>,
    /// Requests that met every objective and requests that count; `None` without SLO.
    pub goodput: Option<(u64, u64)>,
    /// Standard error of their share, where neighbours may fare alike; `None` where it is not known, and
    /// then that of as many independent requests.
    pub goodput_error: Option<f64>,
    /// Length of the measure window.
    pub window: Duration,
    /// Time that the probe took, warm-up and drain included.
    pub duration: Duration,
    /// Requests that it sent, warm-up and drain included.
    pub requests: u64,
}

impl ProbeResult {
    /// The result of a probe at this rate that saw nothing at all: the start of a struct literal.
    #[must_use]
    pub fn nothing(rate_per_s: f64, window: Duration) -> Self {
        Self {
            rate_per_s,
            achieved_rate_per_s: rate_per_s,
            stable: false,
            overloaded: false,
            throughput_per_s: Estimate::exact(0.0),
            fall: None,
            tokens_per_s: None,
            length: None,
            completions: 0,
            mean_e2e: None,
            min_e2e: None,
            goodput: None,
            goodput_error: None,
            window,
            duration: window,
            requests: 0,
        }
    }

    /// The result that a measured point is, `None` for a closed loop, which has no offered rate;
    /// `duration` is the time from the point's start to its end.
    #[must_use]
    pub fn of(point: &PointSummary, duration: Duration) -> Option<Self> {
        let rate_per_s = point.load.rate_per_s()?;
        let window = point.window.length();
        let tokens = point.long_run_tokens_per_s.unwrap_or(point.output_tokens_per_s);
        let length = point
            .mean_output_tokens
            .filter(|&mean| mean > 0.0)
            .and_then(|mean| Some((mean, point.mean_output_tokens_error?, point.counts.rows)));
        Some(Self {
            rate_per_s,
            achieved_rate_per_s: point.achieved_rate_per_s,
            stable: point.stability.stable,
            overloaded: point.ended == PointEnd::Overloaded,
            throughput_per_s: point.throughput_per_s,
            fall: point.fall,
            tokens_per_s: (tokens.value > 0.0).then_some(tokens),
            length,
            completions: (point.throughput_per_s.value * window.as_secs_f64()).round() as u64,
            mean_e2e: point.e2e.mean,
            min_e2e: point.e2e.min,
            goodput: point.goodput.map(|goodput| (goodput.good, goodput.due)),
            goodput_error: point.goodput.map(|goodput| goodput.share_error),
            window,
            duration,
            requests: point.counts.rows,
        })
    }

    /// Whether the window was long enough for its answer to mean anything: three times what a
    /// request takes at a load that makes none wait, with five that ended.
    pub(super) fn tells(&self, request: Duration) -> bool {
        self.completions >= 5 && self.window >= request * 3
    }

    /// Whether it got more or less through than a plateau, by more than chance makes of nothing,
    /// though it was offered more than that: the throughput depends on the load, and the plateau is
    /// none.
    pub(super) fn contradicts(&self, plateau: Estimate) -> bool {
        let offered_more = self.rate_per_s > plateau.high && self.completions >= 50;
        let more = certainly_less(plateau, self.throughput_per_s);
        let less = !self.stable && certainly_less(self.throughput_per_s, plateau);
        offered_more && (more || less)
    }
}

/// Whether `a` lies below `b` by 1.5 times the half width of their difference (2.9 standard
/// deviations: one in 500 by chance).
pub(super) fn certainly_less(a: Estimate, b: Estimate) -> bool {
    let half = |estimate: Estimate| (estimate.high - estimate.low) / 2.0;
    b.value - a.value > (1.5 * half(a).hypot(half(b))).max(0.02 * b.value)
}

/// Whether two rates are one and the same; a search asks a rate again with the very same number.
pub(super) fn same_rate(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}
