//! The imported points of a run together: arrivals that they share, what a client's own delay did to its rates,
//! and what was concluded from them.

use plimsoll_records::{Claim, Finding, FindingCode, ImportedRecord, PointFile, Severity};

use super::super::finding;
use crate::Group;

/// Level at which arrivals that are too alike are one sequence.
const SURE: f64 = 1e-3;

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
        .collect()
}

/// A point with the arrivals that the server logged.
struct Logged<'a> {
    point: &'a PointFile,
    rate: f64,
    /// Arrivals up to the end of each second, as shares of all.
    curve: Vec<f64>,
    n: f64,
}

impl<'a> Logged<'a> {
    fn of(point: &'a PointFile) -> Option<Self> {
        let log = point.imported.as_ref()?.log.as_ref()?;
        let rate = point.load.rate_per_s()?;
        let n = log.arrivals_per_s.iter().map(|it| f64::from(*it)).sum::<f64>();
        let mut sum = 0.0;
        let curve: Vec<f64> = log
            .arrivals_per_s
            .iter()
            .map(|count| {
                sum += f64::from(*count);
                sum / n
            })
            .collect();
        (n >= 30.0 && curve.len() > 2).then_some(Self { point, rate, curve, n })
    }

    /// The time from the first arrival to the last, s, to half a second on either side.
    fn span(&self) -> f64 {
        self.curve.len() as f64 - 1.0
    }
}

/// Points at one rate whose arrival curves are more alike than independent ones can be.
///
/// Both curves as shares over time; D is the largest distance between them at the ends of seconds, with one
/// second of shift allowed, for the seconds of the two logs begin at different moments. Of independent random
/// sendings of n and m requests D sqrt(n m / (n + m)) follows Kolmogorov's distribution; what counts is its
/// lower tail, P(K <= x) = sqrt(2 pi) / x sum_k exp(-(2 k - 1)^2 pi^2 / (8 x^2)).
fn repetitions(logged: &[Logged<'_>]) -> Option<Finding> {
    let mut best: Option<(f64, f64, &Logged<'_>, &Logged<'_>)> = None;
    let mut pairs = 0;
    for (place, a) in logged.iter().enumerate() {
        for b in logged[place + 1..].iter().filter(|b| b.rate == a.rate) {
            let distance = distance(&a.curve, &b.curve);
            // What the whole seconds leave open counts against it.
            let open = distance + 1.0 / a.span().max(b.span());
            let chance = kolmogorov_below(open * (a.n * b.n / (a.n + b.n)).sqrt());
            if chance < SURE {
                pairs += 1;
                if best.as_ref().is_none_or(|it| chance < it.1) {
                    best = Some((distance, chance, a, b));
                }
            }
        }
    }
    let (distance, chance, a, b) = best?;
    Some(finding(
        FindingCode::SameArrivals,
        Severity::Warning,
        format!(
            "repetitions share one arrival sequence: the shares of the requests that had arrived at {} and \
             {} are never more than {:.1} % apart (independent sendings are as alike once in {:.0e}), so \
             their spread is no measure of noise",
            a.point.id,
            b.point.id,
            100.0 * distance,
            1.0 / chance.max(1e-300)
        ),
        &[("pairs", f64::from(pairs)), ("distance_share", distance), ("chance", chance)],
        "give every repetition a seed of its own",
    ))
}

/// The largest distance between two curves, the shift that brings them closest being a second at most.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let at = |curve: &[f64], place: isize| match usize::try_from(place) {
        Ok(place) => curve.get(place).copied().unwrap_or(1.0),
        Err(_) => 0.0,
    };
    let length = a.len().max(b.len()) as isize;
    let shifted = |shift: isize| {
        (-1..=length).map(|place| (at(a, place) - at(b, place + shift)).abs()).fold(0.0, f64::max)
    };
    (-1..=1).map(shifted).fold(f64::INFINITY, f64::min)
}

/// P(K <= x) for Kolmogorov's distribution.
///
/// Source: Marsaglia, Tsang and Wang, Journal of Statistical Software 8 (18), 2003, equation (1) in the form
/// that converges for small x.
fn kolmogorov_below(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let term = |k: f64| (-((2.0 * k - 1.0) * std::f64::consts::PI).powi(2) / (8.0 * x * x)).exp();
    let sum: f64 = (1..=50).map(|k| term(f64::from(k))).sum();
    (std::f64::consts::TAU.sqrt() / x * sum).min(1.0)
}

/// A ladder of rates that replays one sequence of gaps, sent with a delay after each request.
///
/// The sendings of n requests then last t = s / rate + d n, with one s for all rates and d the delay of each
/// request that the schedule does not know. Independent sendings would scatter around any such line by
/// sqrt(n) / rate; when the sum of squared residuals over that, the log's half second included, lies in the
/// lower 1 in 1,000 of chi-square with two degrees less than rates, they are one sequence.
fn ladder(logged: &[Logged<'_>]) -> Vec<Finding> {
    let mut rates: Vec<f64> = logged.iter().map(|it| it.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    // One point a rate: repetitions are no further sequences where they share theirs.
    let points: Vec<&Logged<'_>> =
        rates.iter().filter_map(|rate| logged.iter().find(|it| it.rate == *rate)).collect();
    let n = points.first().map_or(0.0, |it| it.n);
    if points.len() < RATES || points.iter().any(|it| (it.n - n).abs() > 0.01 * n) {
        return Vec::new();
    }
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|it| (1.0 / it.rate, it.span())).unzip();
    let Some((slope, delay_sum)) = line(&x, &y) else { return Vec::new() };
    let squares: f64 = points
        .iter()
        .map(|it| ((it.span() - slope / it.rate - delay_sum) / (n.sqrt() / it.rate)).powi(2))
        .sum();
    let chance = chi_square_below(squares, points.len() - 2);
    if chance >= SURE {
        return Vec::new();
    }
    let mut findings = vec![finding(
        FindingCode::SameArrivals,
        Severity::Warning,
        format!(
            "points at {} rates replay one sequence of gaps at different speeds: the sending of {n} requests \
             lasted {slope:.0} s / rate + {delay_sum:.1} s at each of them, closer than independent sendings \
             come once in {:.0e}; the ladder is smoother than it is sure",
            points.len(),
            1.0 / chance.max(1e-300)
        ),
        &[("rates", points.len() as f64), ("chance", chance), ("schedule_requests", slope)],
        "give every point arrivals of its own",
    )];
    let delay = 1e3 * delay_sum / n;
    if let Some(highest) = points.last()
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

fn chi_square_below(x: f64, freedom: usize) -> f64 {
    use statrs::distribution::{ChiSquared, ContinuousCDF};
    ChiSquared::new(freedom as f64).map_or(1.0, |it| it.cdf(x))
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
