//! Which points a limit is read from.

use plimsoll_records::{Finding, FindingCode, OfferedLoad, Severity};

use crate::saturation::usable;
use crate::{Group, PointSummary, Saturation};

use super::seen::BEYOND;

/// Findings that say that the client could not offer what it meant to.
const OF_THE_CLIENT: [FindingCode; 4] = [
    FindingCode::RateMissed,
    FindingCode::ClientLate,
    FindingCode::ClientBusy,
    FindingCode::ConcurrencyCapped,
];

/// The points that a group's limit is read from, at one load.
pub(super) struct Reading<'a> {
    /// The points at that load: one a repetition. Empty where none was valid.
    pub(super) at: Vec<&'a PointSummary>,
    /// Whether the server did not keep up with it.
    pub(super) is_past: bool,
    /// Valid points at the highest load that the server kept up with.
    pub(super) kept_up: Vec<&'a PointSummary>,
    /// Valid points at the next lower one.
    pub(super) below: Vec<&'a PointSummary>,
    /// A valid point at the lowest load that was kept up with.
    pub(super) lowest: Option<&'a PointSummary>,
    /// What the audit says of the client at points beyond the highest load that was kept up with, and at
    /// those that are read; by rising load.
    pub(super) client: Vec<(&'a PointSummary, &'a Finding)>,
}

impl<'a> Reading<'a> {
    /// What can be read of a group: each load past saturation, by rising load; where there is none, the
    /// highest load that was kept up with; where nothing is valid, what is known of the client.
    ///
    /// The first loads past saturation, because there the limit has just been reached and nothing else has
    /// been overrun yet. Unstable points below the capacity's interval were called so by chance and are
    /// asked only when there are no others. In a closed loop, which cannot be unstable, the highest
    /// concurrency is asked once throughput is flat.
    pub(super) fn all(group: &'a Group, findings: &'a [Finding]) -> Vec<Self> {
        let points = &group.points;
        let usable: Vec<&PointSummary> = usable(points, &group.saturation.voided)
            .filter(|point| load(point).abs() < BEYOND)
            .collect();
        let mut stable: Vec<&PointSummary> =
            usable.iter().filter(|point| point.stability.stable).copied().collect();
        stable.sort_by(|a, b| load(a).total_cmp(&load(b)));
        let mut levels = stable.chunk_by(|a, b| load(a) == load(b)).rev().map(<[_]>::to_vec);
        let kept_up = levels.next().unwrap_or_default();
        let below = levels.next().unwrap_or_default();
        let lowest = stable.first().copied();
        let past = past_saturation(&usable, &group.saturation);
        let reading = |at: Vec<&'a PointSummary>, is_past: bool| Self {
            client: client(points, findings, kept_up.first().map_or(0.0, |it| load(it)), &at),
            at,
            is_past,
            kept_up: kept_up.clone(),
            below: below.clone(),
            lowest,
        };
        if past.is_empty() {
            return vec![reading(kept_up.clone(), false)];
        }
        past.chunk_by(|a, b| load(a) == load(b)).map(|at| reading(at.to_vec(), true)).collect()
    }

    /// The load in words; empty where none is read.
    pub(super) fn load_in_words(&self) -> String {
        self.at.first().map(|point| in_words(point)).unwrap_or_default()
    }
}

/// The points past saturation, by rising load.
fn past_saturation<'a>(
    usable: &[&'a PointSummary],
    saturation: &Saturation,
) -> Vec<&'a PointSummary> {
    let is_open = |point: &PointSummary| matches!(point.load, OfferedLoad::Open { .. });
    let mut past: Vec<&PointSummary> = if usable.iter().any(|point| is_open(point)) {
        usable.iter().filter(|it| is_open(it) && !it.stability.stable).copied().collect()
    } else if saturation.lower_bound {
        Vec::new()
    } else {
        let most = usable.iter().map(|point| load(point)).fold(0.0, f64::max);
        usable.iter().filter(|point| load(point) == most).copied().collect()
    };
    past.sort_by(|a, b| load(a).total_cmp(&load(b)));
    let low = saturation.capacity_per_s.map_or(0.0, |capacity| capacity.low);
    let by_chance =
        past.iter().filter(|it| it.load.rate_per_s().is_some_and(|rate| rate < low)).count();
    if by_chance < past.len() {
        past.drain(..by_chance);
    }
    past
}

/// The findings about the client at points beyond `kept_up`, and at those `at` that are read.
fn client<'a>(
    points: &'a [PointSummary],
    findings: &'a [Finding],
    kept_up: f64,
    at: &[&PointSummary],
) -> Vec<(&'a PointSummary, &'a Finding)> {
    let mut found: Vec<(&PointSummary, &Finding)> = points
        .iter()
        .filter(|point| load(point).abs() < BEYOND)
        .filter(|point| load(point) > kept_up || at.iter().any(|it| it.id == point.id))
        .flat_map(|point| {
            let about = |finding: &&Finding| finding.point.as_deref() == Some(point.id.as_str());
            findings.iter().filter(about).map(move |finding| (point, finding))
        })
        .filter(|(_, it)| it.severity >= Severity::Warning && OF_THE_CLIENT.contains(&it.code))
        .collect();
    // A cap makes the rate missed, too: it is the cause of the two.
    let capped = |it: &Finding| it.code == FindingCode::ConcurrencyCapped;
    found.sort_by(|a, b| {
        let by_load = load(a.0).total_cmp(&load(b.0));
        b.1.severity.cmp(&a.1.severity).then(by_load).then(capped(b.1).cmp(&capped(a.1)))
    });
    found
}

/// What a point is ordered by: its rate, or its concurrency.
pub(super) fn load(point: &PointSummary) -> f64 {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => rate_per_s,
        OfferedLoad::Closed { concurrency } => f64::from(concurrency),
    }
}

/// A point's load in words.
pub(super) fn in_words(point: &PointSummary) -> String {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => format!("{} req/s offered", short(rate_per_s)),
        OfferedLoad::Closed { concurrency } => format!("{concurrency} requests in flight"),
    }
}

/// A number with as many decimals, at most two, as it needs.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
