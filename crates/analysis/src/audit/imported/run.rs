//! The imported points of a run together: arrivals that they share, what a client's own delay did to its rates,
//! and what was concluded from them.

use plimsoll_records::{
    Claim, Finding, FindingCode, ImportedRecord, LogRecord, PointFile, Severity,
};

use super::super::finding;
use crate::{Group, PointSummary};

/// Standard deviations from which a correlation is no chance: once in 300,000 tries.
const SURE: f64 = 4.5;

/// Share of the requests whose prompts must be the same, in order, for both to be one sequence.
const ORDER: f64 = 0.9;

const REMEDY: &str = "give every point a seed of its own";

/// Fewest rates from which a client's delay is told from chance.
const RATES: usize = 4;

/// What the imported points say together; `groups` are those of the judgement.
pub(in crate::audit) fn judge_run(
    points: &[PointFile],
    claims: &[Claim],
    groups: &[Group],
) -> Vec<Finding> {
    let logged: Vec<Logged<'_>> = points.iter().filter_map(Logged::of).collect();
    repetitions(&logged)
        .into_iter()
        .chain(ladder(&logged))
        .chain(same_requests(points))
        .chain(claims.iter().filter_map(|claim| claimed(claim, groups)))
        .chain(utilisation(points, groups))
        .collect()
}

/// A point with the arrivals that the server logged.
struct Logged<'a> {
    point: &'a PointFile,
    log: &'a LogRecord,
    rate: f64,
    /// Requests in each whole second, without the first and the last.
    counts: Vec<f64>,
    n: f64,
}

impl<'a> Logged<'a> {
    fn of(point: &'a PointFile) -> Option<Self> {
        let log = point.imported.as_ref()?.log.as_ref()?;
        let rate = point.load.rate_per_s()?;
        let all: Vec<f64> = log.arrivals_per_s.iter().map(|it| f64::from(*it)).collect();
        let n = all.iter().sum();
        let counts = all.get(1..all.len().saturating_sub(1)).filter(|it| it.len() > 2)?.to_vec();
        Some(Self { point, log, rate, counts, n })
    }

    /// The time from the first arrival to the last, s: what n - 1 gaps take at the rate of the whole seconds.
    fn span(&self) -> f64 {
        let per_second = self.counts.iter().sum::<f64>() / self.counts.len() as f64;
        if per_second > 0.0 { (self.n - 1.0) / per_second } else { f64::INFINITY }
    }

    /// Whether another point sent the same prompts in the same order, as far as both logs show them: 90 % of
    /// the places agree, and by chance at most half of them would.
    fn same_prompts(&self, other: &Self) -> bool {
        let (a, b) = (&self.log.prompt_order, &other.log.prompt_order);
        let n = a.len().min(b.len());
        if n < 30 {
            return false;
        }
        let agree = a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / n as f64;
        let mut shares = std::collections::BTreeMap::new();
        a[..n].iter().for_each(|it| *shares.entry(it).or_insert(0.0) += 1.0 / n as f64);
        let by_chance: f64 = shares.values().map(|share: &f64| share * share).sum();
        agree >= ORDER && by_chance <= 0.5
    }
}

/// Points at one rate whose arrivals are more alike than independent ones can be.
///
/// The counts in whole seconds, the first and the last left out, correlated with each other under the best of
/// three shifts, for the seconds of two logs begin at different moments. Of independent sendings atanh(r)
/// sqrt(m - 3) over m seconds is a standard normal variable (Fisher, Metron 1, 1921).
fn repetitions(logged: &[Logged<'_>]) -> Option<Finding> {
    let mut pairs = Vec::new();
    for (place, a) in logged.iter().enumerate() {
        for b in logged[place + 1..].iter().filter(|b| b.rate == a.rate) {
            if let Some((r, seconds)) = correlation(&a.counts, &b.counts) {
                let normal = r.min(1.0 - 1e-12).atanh() * (seconds - 3.0).sqrt();
                pairs.push((normal, r, seconds, a.point, b.point));
            }
        }
    }
    pairs.retain(|(normal, ..)| *normal > SURE);
    let (normal, r, seconds, a, b) = pairs.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(finding(
        FindingCode::SameArrivals,
        Severity::Warning,
        format!(
            "{} pairs of repetitions share one arrival sequence (surest {} and {}: the requests of {seconds} \
             seconds have a correlation of {r:.2}, {normal:.1} standard deviations from chance), so their \
             spread is no measure of noise",
            pairs.len(),
            a.id,
            b.id
        ),
        &[("pairs", pairs.len() as f64), ("correlation", r), ("standard_deviations", normal)],
        REMEDY,
    ))
}

/// The largest correlation of two rows of counts under shifts of a second at most, and of how many seconds;
/// `None` below a dozen, or of counts that are all alike.
fn correlation(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    let shifted = |left: usize, right: usize| {
        let n = a.len().saturating_sub(left).min(b.len().saturating_sub(right));
        if n < 12 {
            return None;
        }
        let (a, b) = (&a[left..left + n], &b[right..right + n]);
        let mean = |it: &[f64]| it.iter().sum::<f64>() / n as f64;
        let (ma, mb) = (mean(a), mean(b));
        let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
            x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
        };
        let spread = (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt();
        (spread > 0.0).then(|| (product(a, ma, b, mb) / spread, n as f64))
    };
    let all = [shifted(0, 0), shifted(1, 0), shifted(0, 1)];
    all.into_iter().flatten().max_by(|a, b| a.0.total_cmp(&b.0))
}

/// A ladder of rates that replays one sequence of prompts, and so one seed, sent with a delay after each request.
///
/// The sendings of n requests then last t = s / rate + d n, with one s for all rates and d the delay of each
/// request that the schedule does not know, by least squares over the points.
fn ladder(logged: &[Logged<'_>]) -> Vec<Finding> {
    let Some(first) = logged.first() else { return Vec::new() };
    let points: Vec<&Logged<'_>> =
        logged.iter().filter(|it| it.n == first.n && first.same_prompts(it)).collect();
    let mut rates: Vec<f64> = points.iter().map(|it| it.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|it| (1.0 / it.rate, it.span())).unzip();
    let Some((slope, delay_sum)) = line(&x, &y).filter(|_| rates.len() >= RATES) else {
        return Vec::new();
    };
    let n = first.n;
    let off = points.iter().map(|it| (it.span() - slope / it.rate - delay_sum).abs());
    let off = off.fold(0.0, f64::max);
    let mut findings = vec![finding(
        FindingCode::SameArrivals,
        Severity::Warning,
        format!(
            "{} points at {} rates sent the same prompts in the same order, so they replay one seed; the \
             sending of {n} requests lasted {slope:.0} s / rate + {delay_sum:.1} s at each of them, to {off:.1} s: \
             one sequence of gaps at different speeds",
            points.len(),
            rates.len()
        ),
        &[("points", points.len() as f64), ("rates", rates.len() as f64), ("off_s", off)],
        REMEDY,
    )];
    let delay = 1e3 * delay_sum / n;
    if let Some(highest) = points.iter().max_by(|a, b| a.rate.total_cmp(&b.rate))
        && delay_sum > 1.0
    {
        let arrived = (n - 1.0) / highest.span();
        findings.push(finding(
            FindingCode::RateMissed,
            Severity::Warning,
            format!(
                "with the chance of the arrivals out of the way, each sending took {delay:.1} ms that the \
                 schedule did not know of: nominal {} req/s was {arrived:.1}, and no rate above {:.0} can be \
                 offered",
                highest.rate,
                1e3 / delay
            ),
            &[("delay_ms", delay), ("stated_per_s", highest.rate), ("arrived_per_s", arrived)],
            "wake for absolute deadlines instead of sleeping after each send",
        ));
    }
    findings
}

/// Intercept and slope of the least-squares line: (slope, intercept); `None` without spread in `x`.
fn line(x: &[f64], y: &[f64]) -> Option<(f64, f64)> {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let squares: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let products: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    (squares > 0.0).then(|| (products / squares, my - products / squares * mx))
}

/// Points without logs whose clients sent the very same prompts.
fn same_requests(points: &[PointFile]) -> Option<Finding> {
    let known: Vec<(&PointFile, &ImportedRecord)> = points
        .iter()
        .filter_map(|point| Some((point, point.imported.as_ref()?)))
        .filter(|(_, record)| record.log.is_none())
        .collect();
    let same = |a: &ImportedRecord, b: &ImportedRecord| {
        a.input_tokens.is_some() && a.input_tokens == b.input_tokens && a.requests == b.requests
    };
    let twins: Vec<(&PointFile, &PointFile, u64)> = known
        .iter()
        .enumerate()
        .flat_map(|(place, a)| known[place + 1..].iter().map(move |b| (a, b)))
        .filter(|(a, b)| a.0.load.rate_per_s() == b.0.load.rate_per_s() && same(a.1, b.1))
        .filter_map(|(a, b)| Some((a.0, b.0, a.1.input_tokens?)))
        .collect();
    let (a, b, tokens) = *twins.first()?;
    Some(finding(
        FindingCode::SameArrivals,
        Severity::Note,
        format!(
            "{} pairs of points sent prompts of the same total length ({} and {}: {tokens} tokens), so they \
             replay one seed, and likely one arrival sequence; their logs, which would show it, are missing",
            twins.len(),
            a.id,
            b.id
        ),
        &[("pairs", twins.len() as f64)],
        "give every point a seed of its own, and keep the server's log",
    ))
}

/// A stated speed-up against what the groups' points can carry.
fn claimed(claim: &Claim, groups: &[Group]) -> Option<Finding> {
    let Claim::Amdahl { source, gpus, speedup, serial_share } = claim else { return None };
    let size = |group: &Group| group.factors.get("gpus").and_then(|it| it.parse::<u32>().ok());
    let sides: Vec<&Group> = groups
        .iter()
        .filter(|group| size(group).is_some_and(|it| it == 1 || it == *gpus))
        .collect();
    let big: Vec<&&Group> = sides.iter().filter(|group| size(group) == Some(*gpus)).collect();
    let limited = |group: &Group| group.saturation.plateau_per_s.is_none();
    if big.is_empty() || !big.iter().any(|group| limited(group)) {
        return None;
    }
    let rates: Vec<f64> = big
        .iter()
        .flat_map(|group| &group.points)
        .filter_map(|point| point.load.rate_per_s())
        .collect();
    let highest = rates.iter().copied().fold(0.0, f64::max);
    let other = sides
        .iter()
        .filter(|group| size(group) == Some(1))
        .filter_map(|group| group.saturation.plateau_per_s)
        .map(|it| it.value)
        .fold(0.0, f64::max);
    let free = if other > 0.0 {
        format!(", where one GPU alone gets through {other:.1}")
    } else {
        String::new()
    };
    Some(finding(
        FindingCode::LoadLimited,
        Severity::Warning,
        format!(
            "{source} states a speed-up of {speedup:.2} on {gpus} GPUs and a serial share of \
             {serial_share:.2}; no point on {gpus} GPUs was saturated: they were offered {highest} req/s at \
             most{free}, so the speed-up is that of the load and the serial share says nothing of the server"
        ),
        &[
            ("speedup", *speedup),
            ("serial_share", *serial_share),
            ("gpus", f64::from(*gpus)),
            ("offered_most_per_s", highest),
        ],
        "offer the larger system more, until it is saturated, and compare plateaus",
    ))
}

/// Load of a GPU, as a share of the plateau of one, up to which it is little.
const LITTLE: f64 = 0.5;

/// Points of percent within which two utilisations are alike.
const ALIKE_PCT: f64 = 10.0;

/// Utilisation of GPUs at a small load each, over all settings, against that at the plateau of one GPU: the
/// settings of a study that spread its load over more GPUs are the low loads that its ladders lack.
fn utilisation(points: &[PointFile], groups: &[Group]) -> Option<Finding> {
    let is_imported =
        |id: &str| points.iter().any(|point| point.id == id && point.imported.is_some());
    let all =
        || groups.iter().flat_map(|group| &group.points).filter(|point| is_imported(&point.id));
    let busy = |point: &PointSummary| {
        let gpu = point.gpu.as_ref()?;
        Some((gpu.sm_utilisation_mean_pct?, gpu.gpus.len().max(1) as f64))
    };
    let plateaus = groups.iter().filter_map(|group| {
        let gpus = group.points.iter().find_map(|point| busy(point).map(|it| it.1))?;
        Some(group.saturation.plateau_per_s?.value / gpus)
    });
    let plateau = plateaus.fold(0.0, f64::max);
    let saturated: Vec<f64> =
        all().filter(|point| !point.stability.stable).filter_map(busy).map(|it| it.0).collect();
    let (point, share, low) = all()
        .filter(|point| point.stability.stable)
        .filter_map(|point| {
            let (busy, gpus) = busy(point)?;
            Some((point, point.achieved_rate_per_s / gpus / plateau, busy))
        })
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let full = saturated.iter().sum::<f64>() / saturated.len() as f64;
    // NaN without a saturated point, which no comparison holds for.
    if !(share <= LITTLE && full - low <= ALIKE_PCT && full >= 2.0 * ALIKE_PCT) {
        return None;
    }
    Some(finding(
        FindingCode::UtilisationFlat,
        Severity::Note,
        format!(
            "GPU utilisation is {low:.0} % where each GPU has {:.0} % of the plateau of one ({}), and \
             {full:.0} % at saturation: it says nothing of head room",
            100.0 * share,
            point.id
        ),
        &[("load_share", share), ("utilisation_low_pct", low), ("utilisation_saturated_pct", full)],
        "read head room from the capacity; of the GPU's own readings, power follows the load",
    ))
}
