//! What the client knows of itself: figures of each point, and the largest of each over the run.
//!
//! Quantiles of several threads or points cannot be joined without their samples. Where one number has
//! to stand for many, it is the largest: the quantile of all of them together is at most that.

mod samplers;
mod tables;
mod words;

use plimsoll_analysis::ChunkCounts;
use plimsoll_records::{
    ClockRecord, LagRecord, PointFile, SelfTest, StampSource, StampsRecord, WorkerRecord,
};

use crate::clean::clean;
use crate::input::ReportInput;
use crate::ladder::Ladder;

/// What the client knows of itself.
pub(crate) struct Instrument<'a> {
    /// The best source of stamps that was in effect.
    pub(crate) stamps: StampSource,
    /// Why it was not a better one, cleaned but not escaped; empty where nothing was said.
    pub(crate) remark: String,
    /// Its error, measured on this machine.
    pub(crate) tests: &'a [SelfTest],
    /// Its points in the order of the ladders, then those that are in no ladder.
    pub(crate) points: Vec<Part<'a>>,
    /// The largest figures of all points, and the sums of what is counted; `None` without points.
    pub(crate) all: Option<Figures>,
}

/// What the client knows of itself at one point.
pub(crate) struct Part<'a> {
    /// What the point is called: `20 req/s`, with its group where there are several.
    pub(crate) label: String,
    /// Its file.
    pub(crate) file: &'a PointFile,
    /// Its figures.
    pub(crate) figures: Figures,
}

/// Figures of one point, or the largest of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    /// How long bytes waited to be read.
    pub(crate) read_delay: LagRecord,
    /// How late a thread woke for a start.
    pub(crate) wake_up: LagRecord,
    /// Of the busiest thread: CPU time / time.
    pub(crate) cpu_share: Option<f64>,
    /// Of the thread that waited most: time ready to run without a core / time.
    pub(crate) run_queue_share: Option<f64>,
    /// Chunks of the answers that count; `None` for a point that was not summarised.
    pub(crate) chunks: Option<ChunkCounts>,
    /// Fallbacks and losses, summed.
    pub(crate) stamps: StampsRecord,
    /// Steps summed, and the slew that is furthest from 0.
    pub(crate) clock: ClockRecord,
}

impl<'a> Instrument<'a> {
    /// The instrument of a run.
    pub(crate) fn of(input: &ReportInput<'a>, ladders: &[Ladder<'a>]) -> Self {
        let named = ladders.iter().flat_map(|ladder| {
            ladder.rungs.iter().filter_map(move |rung| {
                let file = input.file(&rung.point.id)?;
                let label = ladder.name_of(rung, ladders.len() > 1);
                Some(Part { label, file, figures: Figures::of(file, Some(rung.point.chunks)) })
            })
        });
        let mut points: Vec<_> = named.collect();
        for file in input.points {
            if !points.iter().any(|point| point.file.id == file.id) {
                points.push(Part {
                    label: clean(&file.id),
                    file,
                    figures: Figures::of(file, None),
                });
            }
        }
        Self {
            stamps: input.manifest.stamps,
            remark: input.manifest.stamps_remark.as_deref().map(clean).unwrap_or_default(),
            tests: &input.manifest.self_tests,
            all: points.iter().map(|point| point.figures).reduce(Figures::join),
            points,
        }
    }
}

impl Figures {
    fn of(point: &PointFile, chunks: Option<ChunkCounts>) -> Self {
        let workers = &point.workers;
        let wake_up =
            workers.iter().map(|worker| worker.wake_up).reduce(larger).unwrap_or_default();
        let share = |of: fn(&WorkerRecord) -> Option<f64>| {
            workers.iter().filter_map(of).filter(|share| share.is_finite()).reduce(f64::max)
        };
        Self {
            read_delay: point.stamps.read_delay,
            wake_up,
            cpu_share: share(|worker| worker.cpu_share),
            run_queue_share: share(|worker| worker.run_queue_share),
            chunks,
            stamps: point.stamps,
            clock: point.clock,
        }
    }

    fn join(self, other: Self) -> Self {
        let (a, b) = (self.stamps, other.stamps);
        let read_delay = larger(self.read_delay, other.read_delay);
        let stamps = StampsRecord {
            source: a.source.max(b.source),
            read_delay,
            socket_fallbacks: a.socket_fallbacks.saturating_add(b.socket_fallbacks),
            packet_fallbacks: a.packet_fallbacks.saturating_add(b.packet_fallbacks),
            packets: both(a.packets, b.packets, u64::saturating_add),
            packets_dropped: both(a.packets_dropped, b.packets_dropped, u64::saturating_add),
        };
        let further = |a: f64, b: f64| if b.abs() > a.abs() { b } else { a };
        let clock = ClockRecord {
            steps: self.clock.steps.saturating_add(other.clock.steps),
            stepped_ms: self.clock.stepped_ms + other.clock.stepped_ms,
            slew_ppm: both(self.clock.slew_ppm, other.clock.slew_ppm, further),
        };
        let chunks = both(self.chunks, other.chunks, |a, b| ChunkCounts {
            all: a.all.saturating_add(b.all),
            shared: a.shared.saturating_add(b.shared),
            uncounted_responses: a.uncounted_responses.saturating_add(b.uncounted_responses),
        });
        Self {
            read_delay,
            wake_up: larger(self.wake_up, other.wake_up),
            cpu_share: both(self.cpu_share, other.cpu_share, f64::max),
            run_queue_share: both(self.run_queue_share, other.run_queue_share, f64::max),
            chunks,
            stamps,
            clock,
        }
    }
}

/// What both say, or the one that says something.
fn both<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (one, other) => one.or(other),
    }
}

/// The larger of each figure of two lags; occasions are summed, and the mean is that of all.
fn larger(a: LagRecord, b: LagRecord) -> LagRecord {
    let (n, m) = (a.count as f64, b.count as f64);
    if a.count == 0 {
        return b;
    }
    if b.count == 0 {
        return a;
    }
    LagRecord {
        count: a.count.saturating_add(b.count),
        mean_ms: (a.mean_ms * n + b.mean_ms * m) / (n + m),
        p50_ms: a.p50_ms.max(b.p50_ms),
        p99_ms: a.p99_ms.max(b.p99_ms),
        max_ms: a.max_ms.max(b.max_ms),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nearest_rank(sorted: &[f64], q: f64) -> f64 {
        sorted[((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1]
    }

    fn record(values: &[f64]) -> LagRecord {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        match sorted.last() {
            None => LagRecord::default(),
            Some(&max_ms) => LagRecord {
                count: sorted.len() as u64,
                mean_ms: sorted.iter().sum::<f64>() / sorted.len() as f64,
                p50_ms: nearest_rank(&sorted, 0.5),
                p99_ms: nearest_rank(&sorted, 0.99),
                max_ms,
            },
        }
    }

    proptest! {
        /// Two lags as one: count, mean and maximum are those of all samples together, and no
        /// quantile of them is above the one that is given.
        #[test]
        fn the_larger_of_two_lags_bounds_both(
            a in prop::collection::vec(0.0..100.0_f64, 0..40),
            b in prop::collection::vec(0.0..100.0_f64, 0..40),
        ) {
            let joined = larger(record(&a), record(&b));
            let all = record(&[a, b].concat());
            prop_assert_eq!(joined.count, all.count);
            prop_assert_eq!(joined.max_ms, all.max_ms);
            prop_assert!((joined.mean_ms - all.mean_ms).abs() < 1e-9);
            prop_assert!(joined.p50_ms >= all.p50_ms && joined.p99_ms >= all.p99_ms);
        }
    }
}
