//! One load on one group of points, its repetitions together: what an experiment on latency has rows of.

use std::collections::BTreeMap;

use plimsoll_records::{OfferedLoad, PointEnd};

use crate::conclusion::Waited;
use crate::failure::together;
use crate::{Failure, Group, PointSummary};

/// One load on one group of points, its repetitions together.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The values of the group's factors.
    pub factors: BTreeMap<String, String>,
    /// What was offered, as of the first repetition.
    pub load: OfferedLoad,
    /// Whether its numbers are the server's.
    pub state: CaseState,
    /// How many repetitions were measured.
    pub repetitions: usize,
    /// Of those, the ones that count: kept up with, not voided, not cut off. Everything below but the
    /// counts of requests, the failures and the memory is of these.
    pub counted: usize,
    /// Requests due in all windows.
    pub due: u64,
    /// Of those: ended well.
    pub ok: u64,
    /// Of those: failed.
    pub failed: u64,
    /// How they failed, the most frequent first.
    pub failures: Vec<Failure>,
    /// Whether the server ended or stopped answering at one of the points.
    pub lost: bool,
    /// First token - intended.
    pub ttft: Waited,
    /// First token - sent: what the request itself took to its first token.
    pub service_ttft: Waited,
    /// Last token - first token.
    pub decode: Waited,
    /// Time per output token after the first.
    pub tpot: Waited,
    /// Done - intended.
    pub e2e: Waited,
    /// Mean prompt tokens that were planned.
    pub input_planned: Option<f64>,
    /// Mean prompt tokens by the server's usage.
    pub input: Option<f64>,
    /// Mean output tokens.
    pub output: Option<f64>,
    /// Prefill by the server's own metrics, mean, ms.
    pub prefill_server_ms: Option<f64>,
    /// Queue by the server's own metrics, mean, ms.
    pub queue_server_ms: Option<f64>,
    /// Requests completed per second: the load's, not the server's.
    pub throughput_per_s: Option<f64>,
    /// Share of time in which a kernel ran on the GPUs, mean, percent.
    pub utilisation_pct: Option<f64>,
    /// Memory in use on the fullest GPU of the server, largest sample, bytes.
    pub vram_max_bytes: Option<u64>,
    /// Largest share of the KV cache in use, 0 to 1.
    pub kv_cache_max: Option<f64>,
    /// Requests that were preempted for want of KV cache; `None` where the server does not say.
    pub preemptions: Option<f64>,
}

/// Whether the numbers of a case are the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseState {
    /// At least one repetition counts.
    Known,
    /// The server kept up with none: what was waited grows with the run.
    Behind,
    /// Nothing ended well.
    Failed,
    /// The audit voided every repetition for something else.
    Void,
}

impl Case {
    /// The cases of a run, group by group in the order of the plan, by rising load.
    pub(crate) fn all(groups: &[Group]) -> Vec<Self> {
        let mut cases = Vec::new();
        for group in groups {
            let mut rest: &[PointSummary] = &group.points;
            while let Some(first) = rest.first() {
                // The points are sorted by load.
                let same = rest.iter().take_while(|point| offered(point) == offered(first)).count();
                let (points, others) = rest.split_at(same);
                cases.push(Self::of(group, points));
                rest = others;
            }
        }
        cases
    }

    /// The case of these points of `group`; there is one at least.
    fn of(group: &Group, points: &[PointSummary]) -> Self {
        let void = |point: &PointSummary| group.saturation.voided.contains(&point.id);
        let cut = |point: &PointSummary| {
            matches!(point.ended, PointEnd::Interrupted | PointEnd::TargetLost)
                || point.window.length().is_zero()
        };
        let counted: Vec<&PointSummary> = points
            .iter()
            .filter(|point| !void(point) && !cut(point) && group.keeps_up(point))
            .filter(|point| point.counts.ok > 0)
            .collect();
        let sum = |of: fn(&PointSummary) -> u64| points.iter().map(of).sum();
        let ok: u64 = sum(|point| point.counts.ok);
        let state = if !counted.is_empty() {
            CaseState::Known
        } else if ok == 0 {
            CaseState::Failed
        } else if points.iter().all(|point| void(point) || cut(point)) {
            CaseState::Void
        } else {
            CaseState::Behind
        };
        let largest =
            |of: fn(&PointSummary) -> Option<f64>| points.iter().filter_map(of).reduce(f64::max);
        Self {
            factors: group.factors.clone(),
            load: points[0].load.clone(),
            state,
            repetitions: points.len(),
            counted: counted.len(),
            due: sum(|point| point.counts.due),
            ok,
            failed: sum(|point| point.counts.failed),
            failures: together(points.iter().flat_map(|point| point.failures.clone())),
            lost: points.iter().any(|point| point.ended == PointEnd::TargetLost),
            ttft: Waited::of(&counted, |point| &point.ttft),
            service_ttft: Waited::of(&counted, |point| &point.service_ttft),
            decode: Waited::of(&counted, |point| &point.decode),
            tpot: Waited::of(&counted, |point| &point.tpot),
            e2e: Waited::of(&counted, |point| &point.e2e),
            input_planned: points.iter().find_map(|point| point.prompt_tokens_planned),
            input: mean(&counted, |point| point.prompt_tokens),
            output: mean(&counted, |point| point.mean_output_tokens),
            prefill_server_ms: mean(&counted, |point| point.server?.prefill_ms),
            queue_server_ms: mean(&counted, |point| point.server?.queue_ms),
            throughput_per_s: mean(&counted, |point| Some(point.throughput_per_s.value)),
            utilisation_pct: mean(&counted, |point| point.gpu.as_ref()?.sm_utilisation_mean_pct),
            vram_max_bytes: points
                .iter()
                .filter_map(|point| point.gpu.as_ref()?.memory_used_max_bytes)
                .max(),
            kv_cache_max: largest(|point| point.server?.kv_cache_usage_max),
            preemptions: points
                .iter()
                .filter_map(|point| point.server?.preemptions)
                .reduce(|sum, more| sum + more),
        }
    }

    /// Requests in flight of a closed loop.
    #[must_use]
    pub const fn concurrency(&self) -> Option<u32> {
        match self.load {
            OfferedLoad::Closed { concurrency } => Some(concurrency),
            OfferedLoad::Open { .. } => None,
        }
    }
}

/// What the points of one case have in common.
fn offered(point: &PointSummary) -> (Option<f64>, u32) {
    match point.load {
        OfferedLoad::Open { rate_per_s, .. } => (Some(rate_per_s), 0),
        OfferedLoad::Closed { concurrency } => (None, concurrency),
    }
}

/// The mean of `of`, by the requests of each point; `None` as soon as one point does not know it.
fn mean(points: &[&PointSummary], of: impl Fn(&PointSummary) -> Option<f64>) -> Option<f64> {
    let (mut sum, mut total) = (0.0, 0.0);
    for point in points {
        let n = point.counts.ok as f64;
        sum += n * of(point)?;
        total += n;
    }
    (total > 0.0).then(|| sum / total)
}

#[cfg(test)]
mod tests;
