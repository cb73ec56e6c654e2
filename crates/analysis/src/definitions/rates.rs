//! Throughput and goodput under a tool's rules.

use plimsoll_records::{PointFile, RequestRow};

use super::{Rules, TimeBase};
use crate::{Slo, SloMetric};

impl Rules {
    /// What throughput is divided by, in seconds; `None` without a request, or when they took no time.
    pub(super) fn base_s(&self, point: &PointFile, rows: &[RequestRow]) -> Option<f64> {
        let seen = || rows.iter().filter(|row| self.sees(point, row));
        let completed = || seen().filter(|row| self.is_completed(row));
        let last_end = seen().map(|row| row.done).max()?;
        let (from, to) = match self.time_base {
            TimeBase::RunStartToLastEnd => (point.phases.start_ns, last_end),
            TimeBase::FirstStartToLastEnd => {
                (seen().filter_map(|row| self.zero(row)).min()?, last_end)
            }
            TimeBase::FirstStartToLastContent => (
                completed().filter_map(|row| self.zero(row)).min()?,
                completed().filter_map(|row| self.end_event(row)).max()?,
            ),
            TimeBase::CompletionOrder => {
                (self.zero(seen().min_by_key(|row| (row.done, row.id))?)?, last_end)
            }
            TimeBase::FirstDueToFinalEnd => (
                seen().map(|row| row.intended).min()?,
                seen().max_by_key(|row| (row.intended, row.id))?.done,
            ),
        };
        let seconds = (to - from).as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }

    /// Completed requests per second.
    pub(super) fn request_rate(&self, point: &PointFile, rows: &[RequestRow]) -> Option<f64> {
        let completed = self.completed(point, rows).count();
        // LoadGen: the last request opens an interval that nothing closes.
        let counted = if self.time_base == TimeBase::FirstDueToFinalEnd {
            completed.saturating_sub(1)
        } else {
            completed
        };
        Some(counted as f64 / self.base_s(point, rows)?)
    }

    /// Output tokens of completed requests per second.
    pub(super) fn token_rate(&self, point: &PointFile, rows: &[RequestRow]) -> Option<f64> {
        let tokens: f64 = self.completed(point, rows).map(|row| self.tokens(row)).sum();
        Some(tokens / self.base_s(point, rows)?)
    }

    /// Completed requests that met every objective, per second.
    pub(super) fn goodput(&self, point: &PointFile, rows: &[RequestRow], slo: &Slo) -> Option<f64> {
        let good = self.completed(point, rows).filter(|row| self.is_good(row, slo)).count();
        Some(good as f64 / self.base_s(point, rows)?)
    }

    /// The completed requests of the population.
    pub(super) fn completed<'a>(
        &'a self,
        point: &'a PointFile,
        rows: &'a [RequestRow],
    ) -> impl Iterator<Item = &'a RequestRow> {
        rows.iter().filter(|row| self.sees(point, row) && self.is_completed(row))
    }

    fn is_good(&self, row: &RequestRow, slo: &Slo) -> bool {
        slo.terms.iter().all(|term| {
            let (value, or_else) = match term.metric {
                SloMetric::Ttft => (self.ttft_s(row), false),
                SloMetric::Tpot => (self.tpot_s(row), self.single_token_is_good),
                SloMetric::E2e => (self.e2e_s(row), false),
            };
            value.map_or(or_else, |seconds| seconds <= term.limit.as_secs_f64())
        })
    }
}
