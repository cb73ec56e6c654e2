//! The plateau from the unstable probes of a search.

use std::time::Duration;

use super::ProbeResult;
use crate::{Estimate, Fall};

/// Load, as a share of the plateau, from which a probe's queue is taken never to run empty.
const FULL: f64 = 1.04;

/// What the number in flight must grow by within a probe, as a share of what is there at a load that
/// makes none wait: less may not have filled the server.
const FILL: f64 = 0.5;

/// Load up to which overload is mild.
const MILD_TO: f64 = 1.8;

/// Half width, as a share of the value, below which no interval is believed: a server of equal steps
/// shows no scatter at all.
const EDGE: f64 = 0.0005;

/// How many times longer another probe may be before one is too short to be heard.
const SHORT: f64 = 2.5;

/// Least half width of a stretch before a fall, as a share of what the number of its requests would
/// make of it if each were chance.
const CHOSEN: f64 = 0.25;

/// How far two probes may lie apart, in half widths of their difference, and be the same plateau.
const SAME: f64 = 1.8;

/// The throughput of a saturated server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plateau {
    /// Requests per second.
    pub(super) rate: Estimate,
    /// Requests per second by all probes that agree, mild or not: where mild overload is to be looked for.
    pub(super) about: f64,
    /// Windows that it is from, together, s.
    pub(super) seconds: f64,
    /// Whether it is from probes of mild overload.
    pub(super) mild: bool,
    /// The fewest requests in flight at which the throughput of a probe fell; `None` where none did.
    pub(super) backlog: Option<u64>,
}

/// One probe's throughput.
#[derive(Clone, Copy, Debug)]
struct Part {
    offered: f64,
    /// Whether it ended with a backlog that cost throughput: its queue grew, however little more was
    /// offered.
    before_a_fall: bool,
    rate: Estimate,
    seconds: f64,
}

impl Part {
    /// About how many requests it is from.
    fn requests(&self) -> f64 {
        self.seconds * self.rate.value
    }

    fn half(&self) -> f64 {
        ((self.rate.high - self.rate.low) / 2.0).max(EDGE * self.rate.value)
    }
}

/// The plateau, `None` where no unstable probe got anything through.
///
/// Each unstable probe's rate is its tokens per second / the mean output length over all probes
/// (in completions where tokens or lengths are not known). Mild probes (offered 1.1 to 1.6 of the
/// plateau) are taken where there are any, else all. Of those, the ones that agree with the one
/// whose interval begins highest are pooled by the time T_i that they were measured for: rate =
/// sum(T_i r_i) / sum(T_i), half width sqrt(sum((T_i h_i)^2)) / sum(T_i), which for a given server is
/// the least variance there is (each r_i has variance in proportion to 1 / T_i), and which does not
/// favour the probe whose scatter happened to come out small, as weights 1 / h_i^2 would.
pub(super) fn of(probes: &[ProbeResult], request: Duration, z: f64) -> Option<Plateau> {
    let length = mean_length(probes);
    let unstable = |probe: &&ProbeResult| !probe.stable && probe.completions > 0;
    let telling: Vec<&ProbeResult> =
        probes.iter().filter(unstable).filter(|probe| probe.tells(request)).collect();
    let usable =
        if telling.is_empty() { probes.iter().filter(unstable).collect() } else { telling };
    let falls: Vec<Fall> =
        probes.iter().filter_map(|probe| probe.fall.filter(|fall| fall.certain)).collect();
    let mut parts: Vec<Part> = Vec::new();
    if !falls.is_empty() {
        parts.extend(usable.iter().filter_map(|probe| before(probe, length)));
    }
    if parts.is_empty() {
        parts.extend(usable.into_iter().map(|probe| part(probe, length)));
    }
    let longest = parts.iter().map(Part::requests).fold(0.0, f64::max);
    parts.retain(|part| SHORT * part.requests() >= longest);
    let first = agreeing(&parts);
    let anchor = pool(&first)?;
    let is_mild = |part: &&Part| {
        let from = if part.before_a_fall { 1.0 } else { FULL };
        let grew = (part.offered - anchor.value) * part.seconds;
        let filled = grew >= FILL * anchor.value * request.as_secs_f64();
        (from * anchor.value..=MILD_TO * anchor.value).contains(&part.offered)
            && (filled || part.before_a_fall)
    };
    let mild: Vec<Part> = first.iter().filter(is_mild).copied().collect();
    let (used, mild) = if mild.is_empty() { (first, false) } else { (agreeing(&mild), true) };
    let pooled = pool(&used)?;
    let by_length = length.map_or(0.0, |(mean, error)| 1.96 * error / mean * pooled.value);
    let half = ((pooled.high - pooled.low) / 2.0).hypot(by_length) * z / 1.96;
    Some(Plateau {
        rate: Estimate::around(pooled.value, half).not_negative(),
        about: anchor.value,
        seconds: used.iter().map(|part| part.seconds).sum(),
        mild,
        backlog: falls.iter().map(|fall| fall.in_flight).min(),
    })
}

/// The most that the server got through at rates between two, for a server whose throughput falls
/// under overload: the probes there with 100 completions or more that agree with the best, pooled.
pub(super) fn peak(probes: &[ProbeResult], from: f64, to: f64) -> Option<Estimate> {
    let parts: Vec<Part> = probes
        .iter()
        .filter(|probe| (from..=to).contains(&probe.rate_per_s) && probe.completions >= 100)
        .map(|probe| part(probe, None))
        .collect();
    pool(&agreeing(&parts))
}

/// What each unstable probe got through, requests per second.
pub(super) fn overloaded(probes: &[ProbeResult]) -> impl Iterator<Item = (&ProbeResult, Estimate)> {
    let length = mean_length(probes);
    let unstable = probes.iter().filter(|probe| !probe.stable);
    unstable.map(move |probe| {
        let steady = probe.completions as f64 >= super::FEWEST_REQUESTS;
        (probe, if steady { part(probe, length).rate } else { probe.throughput_per_s })
    })
}

/// Requests per second that a probe got through before its throughput fell.
fn before(probe: &ProbeResult, length: Option<(f64, f64)>) -> Option<Part> {
    let (fall, tokens) = (probe.fall?, probe.tokens_per_s?);
    let of_one = length.map_or(tokens.value / probe.throughput_per_s.value, |(mean, _)| mean);
    let rate = fall.before_tokens_per_s.scaled(1.0 / of_one);
    let seconds = fall.before.as_secs_f64();
    // The stretch was chosen for being high.
    let least = CHOSEN * rate.value / (rate.value * seconds).max(1.0).sqrt();
    let half = ((rate.high - rate.low) / 2.0).max(least);
    let rate = Estimate::around(f64::midpoint(rate.low, rate.high), half);
    Some(Part { offered: probe.rate_per_s, before_a_fall: fall.certain, rate, seconds })
}

/// Requests per second that a probe got through, from its tokens where it has them.
fn part(probe: &ProbeResult, length: Option<(f64, f64)>) -> Part {
    let rate = match (probe.tokens_per_s, length) {
        (Some(tokens), Some((mean, _))) => {
            // The interval's middle is the better estimate: see
            // `PointSummary::output_tokens_per_s`.
            let (middle, half) =
                ((tokens.low + tokens.high) / 2.0, (tokens.high - tokens.low) / 2.0);
            Estimate::around(middle, half).scaled(1.0 / mean)
        }
        _ => probe.throughput_per_s,
    };
    Part {
        offered: probe.rate_per_s,
        before_a_fall: false,
        rate,
        seconds: probe.window.as_secs_f64(),
    }
}

/// The parts that chance may have set apart from the one whose interval begins highest.
fn agreeing(parts: &[Part]) -> Vec<Part> {
    let surest =
        parts.iter().max_by(|a, b| (a.rate.value - a.half()).total_cmp(&(b.rate.value - b.half())));
    let Some(surest) = surest else { return Vec::new() };
    parts
        .iter()
        .filter(|part| {
            surest.rate.value - part.rate.value <= SAME * surest.half().hypot(part.half())
        })
        .copied()
        .collect()
}

/// Their common rate, weighted by time.
fn pool(parts: &[Part]) -> Option<Estimate> {
    let seconds: f64 = parts.iter().map(|part| part.seconds).sum();
    if seconds <= 0.0 {
        return None;
    }
    let value = parts.iter().map(|part| part.seconds * part.rate.value).sum::<f64>() / seconds;
    let half =
        parts.iter().map(|part| (part.seconds * part.half()).powi(2)).sum::<f64>().sqrt() / seconds;
    (value > 0.0).then(|| Estimate::around(value, half.max(EDGE * value)))
}

/// The mean output length and its standard error over the probes that know it, by their requests.
fn mean_length(probes: &[ProbeResult]) -> Option<(f64, f64)> {
    let known = || probes.iter().filter_map(|probe| probe.length);
    let total = known().map(|(_, _, n)| n as f64).sum::<f64>();
    if total <= 0.0 {
        return None;
    }
    let mean = known().map(|(mean, _, n)| n as f64 * mean).sum::<f64>() / total;
    let error = known().map(|(_, error, n)| (n as f64 * error).powi(2)).sum::<f64>().sqrt() / total;
    Some((mean, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(offered: f64, rate: f64, half: f64, seconds: u64) -> ProbeResult {
        ProbeResult {
            throughput_per_s: Estimate::around(rate, half),
            completions: 100,
            ..ProbeResult::nothing(offered, Duration::from_secs(seconds))
        }
    }

    #[test]
    fn probes_of_one_plateau_are_weighed_by_time() {
        let probes = [probe(12.5, 10.0, 1.0, 20), probe(12.6, 10.4, 0.5, 30)];
        let found = of(&probes, Duration::ZERO, 1.96).expect("there are two");
        assert!((found.rate.value - 10.24).abs() < 1e-12 && found.mild);
        // sqrt((20 * 1)^2 + (30 * 0.5)^2) / 50 = 0.5.
        assert!((found.rate.high - found.rate.value - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!(found.seconds, 50.0);
    }

    #[test]
    fn a_probe_that_cannot_have_filled_the_server_says_nothing_of_its_plateau() {
        // Each request takes 2 s where none waits: 20 are there then. At 0.7 a second more 28 come in
        // 40 s, but 7 in 10 s.
        let request = Duration::from_secs(2);
        let mild = |seconds| {
            of(&[probe(10.7, 10.0, 0.2, seconds)], request, 1.96).expect("there is one").mild
        };
        assert!(mild(40) && !mild(10));
    }

    #[test]
    fn heavy_overload_counts_only_while_there_is_nothing_milder() {
        let heavy = probe(30.0, 8.0, 0.2, 10);
        let alone = of(std::slice::from_ref(&heavy), Duration::ZERO, 1.96).expect("it is one");
        assert!(!alone.mild && alone.rate.value == 8.0);
        let both = of(&[heavy, probe(12.5, 10.0, 0.2, 10)], Duration::ZERO, 1.96).expect("two");
        assert!(both.mild && both.rate.value == 10.0);
        assert_eq!(of(&[], Duration::ZERO, 1.96), None);
    }

    #[test]
    fn tokens_over_the_pooled_length_are_the_rate_and_its_error_widens_it() {
        let tokens = |mean: f64, error: f64| ProbeResult {
            tokens_per_s: Some(Estimate::around(1000.0, 20.0)),
            length: Some((mean, error, 100)),
            ..probe(12.5, 3.0, 1.0, 10)
        };
        let sure = of(&[tokens(100.0, 0.0)], Duration::ZERO, 1.96).expect("it has tokens");
        assert!((sure.rate.value - 10.0).abs() < 1e-12);
        assert!((sure.rate.high - 10.0 - 0.2).abs() < 1e-12);
        let unsure = of(&[tokens(100.0, 2.0)], Duration::ZERO, 1.96).expect("it has tokens");
        // 1.96 * 2 % of 10 is 0.392, with 0.2: 0.44.
        assert!((unsure.rate.high - 10.0 - 0.44).abs() < 0.001, "{unsure:?}");
    }

    #[test]
    fn another_confidence_scales_the_interval() {
        let at = |z| of(&[probe(12.5, 10.0, 0.5, 10)], Duration::ZERO, z).expect("it is one").rate;
        let ratio = at(2.5758).relative_half_width() / at(1.96).relative_half_width();
        assert!((ratio - 1.314).abs() < 1e-3);
    }
}
