//! What limits the server at the knee: the verdict, and which points it is read from.

mod seen;

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_records::{Finding, FindingCode, OfferedLoad, Severity};

use crate::saturation::usable;
use crate::{PointSummary, Saturation};

use seen::{Seen, Slowed};

/// Findings that, as errors, say that the client could not offer what it meant to.
const OF_THE_CLIENT: [FindingCode; 3] =
    [FindingCode::RateMissed, FindingCode::ClientLate, FindingCode::ClientBusy];

/// What limits the server of a group, with the evidence. docs/method.md says by which rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLimit {
    /// What it is.
    pub by: LimitedBy,
    /// One sentence with the evidence in it.
    pub sentence: String,
    /// The evidence by name; names end in their unit.
    pub numbers: BTreeMap<String, f64>,
}

/// What a server can be limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitedBy {
    /// The number of requests that may run at once (`max-num-seqs`).
    Slots,
    /// The memory for the KV cache.
    KvCache,
    /// The tokens that a step may have (`max-num-batched-tokens`).
    TokenBudget,
    /// The steps themselves: the processor or GPU.
    Compute,
    /// The way to the engine: requests were neither running nor waiting in it.
    FrontEnd,
    /// Not the server: the client could not offer more.
    Client,
    /// Nothing that was measured: the ladder has no valid point beyond what the server keeps up with.
    NotReached,
    /// Something that the evidence does not name.
    Unknown,
}

impl LimitedBy {
    /// The word for it in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::KvCache => "kv-cache",
            Self::TokenBudget => "token-budget",
            Self::Compute => "compute",
            Self::FrontEnd => "front-end",
            Self::Client => "client",
            Self::NotReached => "not-reached",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What limits the server of a group, read from its first points past saturation; `None` where the
/// server does not say enough.
///
/// The first ones, because there the limit has just been reached and nothing else has been overrun
/// yet; where they leave it open the next higher load is asked. Unstable points below the capacity's
/// interval were called so by chance and are asked only when there are no others. In a closed loop,
/// which cannot be unstable, the highest concurrency is asked once throughput is flat.
pub(crate) fn limit(
    points: &[PointSummary],
    saturation: &Saturation,
    findings: &[Finding],
) -> Option<ServerLimit> {
    let usable: Vec<&PointSummary> = usable(points, &saturation.voided).collect();
    let highest_stable = usable
        .iter()
        .filter(|point| point.stability.stable)
        .max_by(|a, b| load(a).total_cmp(&load(b)))
        .copied();
    let past = past_saturation(&usable, saturation);
    if past.is_empty() {
        return by_client(points, saturation, findings, highest_stable)
            .or_else(|| Some(Seen::of(&[highest_stable?])?.not_reached()));
    }
    let slowed = Slowed::since(&usable);
    let mut open = None;
    for at_one_load in past.chunk_by(|a, b| load(a) == load(b)) {
        let Some(seen) = Seen::of(at_one_load) else { continue };
        let limit = seen.limit(slowed.as_ref());
        if limit.by != LimitedBy::Unknown {
            return Some(limit);
        }
        open = Some(limit);
    }
    open
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

/// The client, where the audit voided points beyond the highest stable one because of it.
fn by_client(
    points: &[PointSummary],
    saturation: &Saturation,
    findings: &[Finding],
    highest_stable: Option<&PointSummary>,
) -> Option<ServerLimit> {
    let kept_up = highest_stable.map_or(0.0, load);
    let (point, code) = points
        .iter()
        .filter(|point| saturation.voided.contains(&point.id) && load(point) > kept_up)
        .filter_map(|point| {
            let about = |finding: &&Finding| finding.point.as_deref() == Some(point.id.as_str());
            let finding = findings.iter().filter(about).find(|finding| {
                finding.severity == Severity::Error && OF_THE_CLIENT.contains(&finding.code)
            })?;
            Some((point, finding.code))
        })
        .min_by(|a, b| load(a.0).total_cmp(&load(b.0)))?;
    let mut numbers = BTreeMap::new();
    if let Some(stable) = highest_stable {
        numbers.insert(load_name(stable).replacen("offered", "highest_stable", 1), kept_up);
    }
    numbers.insert(load_name(point).to_owned(), load(point));
    Some(ServerLimit {
        by: LimitedBy::Client,
        sentence: format!(
            "the client gave out before the server: the audit voided the point at {} ({code})",
            in_words(point)
        ),
        numbers,
    })
}

/// What a point is ordered by: its rate, or its concurrency.
fn load(point: &PointSummary) -> f64 {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => rate_per_s,
        OfferedLoad::Closed { concurrency } => f64::from(concurrency),
    }
}

/// The name of that number.
fn load_name(point: &PointSummary) -> &'static str {
    match point.load {
        OfferedLoad::Open { .. } => "offered_per_s",
        OfferedLoad::Closed { .. } => "offered_concurrency",
    }
}

/// A point's load in words.
fn in_words(point: &PointSummary) -> String {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => format!("{} req/s offered", short(rate_per_s)),
        OfferedLoad::Closed { concurrency } => format!("{concurrency} requests in flight"),
    }
}

/// A number with as many decimals, at most two, as it needs.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
