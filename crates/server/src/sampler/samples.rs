//! What the sampler has gathered, and what it says of a window.

use std::time::Duration;

use plimsoll_records::{SamplingRecord, ServerCounters, ServerRow};
use plimsoll_units::RunNanos;

use super::page::Page;
use crate::metrics::MetricsSample;

/// One page of the server's metrics.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The middle between asking and having the whole answer.
    pub at: RunNanos,
    /// The time between the two.
    pub took: Duration,
    /// What the page said.
    pub sample: MetricsSample,
    /// All of it.
    pub(super) page: Page,
}

/// Everything gathered since the last [`take`](crate::MetricsSampler::take), in order of time.
#[derive(Clone, Debug, Default)]
pub struct ServerSamples {
    /// How often the page was to be read.
    pub period: Duration,
    /// The pages that were read.
    pub scrapes: Vec<Scrape>,
    /// Attempts that brought no page, and why.
    pub failed: Vec<(RunNanos, String)>,
    /// Moments at which a page was due and the sampler was still waiting for the one before.
    pub missed: Vec<RunNanos>,
    /// CPU time of the sampler's thread since its start, read after each attempt; empty where the
    /// system does not say.
    pub cpu: Vec<(RunNanos, Duration)>,
}

impl ServerSamples {
    /// Whether the server has a page at all, as far as was seen: one that failed counts.
    #[must_use]
    pub fn has_page(&self) -> bool {
        !self.scrapes.is_empty() || !self.failed.is_empty()
    }

    /// Every series of each page that had a finite value, page by page, whoever the server is; those
    /// called `..._created` are left out, for they never change.
    ///
    /// A row is made when it is asked for. With its texts it takes hundreds of bytes; in here it takes
    /// eight, for all pages that look alike share the texts.
    pub fn rows(&self) -> impl Iterator<Item = ServerRow> {
        self.scrapes.iter().flat_map(|scrape| scrape.page.rows(scrape.at))
    }

    /// What the server counted from `start` to `end`, and how well it was watched.
    ///
    /// Counters and histograms: the page nearest to `end` less the page nearest to `start`. Each of
    /// them is at most half a period off its moment when the sampler keeps to its period, and
    /// milliseconds when it was told so by [`scrape_now`](crate::MetricsSampler::scrape_now). When
    /// one of them is off by more than a period and more than a tenth of the window, the differences
    /// stay `None`, and the remark says so. They are also `None` when the server was restarted in
    /// between. Gauges: over the pages with `start <= at <= end`.
    #[must_use]
    pub fn window(&self, start: RunNanos, end: RunNanos) -> (ServerCounters, SamplingRecord) {
        let inside: Vec<&Scrape> =
            self.scrapes.iter().filter(|scrape| start <= scrape.at && scrape.at <= end).collect();
        let gauge = |pick: fn(&MetricsSample) -> Option<f64>| {
            Gauge::of(inside.iter().filter_map(|scrape| pick(&scrape.sample)))
        };
        let running = gauge(|sample| sample.running);
        let waiting = gauge(|sample| sample.waiting);
        let kv_cache_usage = gauge(|sample| sample.kv_cache_usage);
        let (counted, off) = self.delta(start, end);
        let counters = ServerCounters {
            running_max: running.max,
            running_mean: running.mean,
            waiting_max: waiting.max,
            waiting_mean: waiting.mean,
            waiting_share: waiting.positive,
            kv_cache_usage_max: kv_cache_usage.max,
            kv_cache_usage_mean: kv_cache_usage.mean,
            ..counted
        };
        (counters, self.sampling(start, end, &inside, off))
    }

    /// The difference over the window; where there is none for want of pages near its ends, how far
    /// the nearest was off.
    fn delta(&self, start: RunNanos, end: RunNanos) -> (ServerCounters, Option<Duration>) {
        let nearest = |moment: RunNanos| {
            let off = |scrape: &Scrape| scrape.at.max(moment) - scrape.at.min(moment);
            let offs = self.scrapes.iter().map(off).enumerate();
            offs.min_by_key(|(_, off)| *off)
        };
        let (Some((first, early)), Some((last, late))) = (nearest(start), nearest(end)) else {
            return (ServerCounters::default(), None);
        };
        let pages = &self.scrapes[first..=last.max(first)];
        let pairs = || pages.windows(2).map(|pair| (&pair[0].sample, &pair[1].sample));
        // Between its ends a server may have been restarted and have counted past where it was.
        if pairs().any(|(before, after)| MetricsSample::delta(before, after).restarted) {
            return (ServerCounters { restarted: true, ..ServerCounters::default() }, None);
        }
        let off = early.max(late);
        if first >= last || off > self.period.max((end - start) / 10) {
            return (ServerCounters::default(), Some(off));
        }
        (MetricsSample::delta(&pages[0].sample, &pages[pages.len() - 1].sample), None)
    }

    fn sampling(
        &self,
        start: RunNanos,
        end: RunNanos,
        inside: &[&Scrape],
        off: Option<Duration>,
    ) -> SamplingRecord {
        let is_inside = |at: RunNanos| start <= at && at <= end;
        let failed: Vec<_> = self.failed.iter().filter(|(at, _)| is_inside(*at)).collect();
        let missed = self.missed.iter().filter(|at| is_inside(**at)).count();
        let mut longest_gap = Duration::ZERO;
        let mut seen = start;
        for at in inside.iter().map(|scrape| scrape.at).chain([end]) {
            longest_gap = longest_gap.max(at - seen);
            seen = at;
        }
        let mut remarks = Vec::new();
        if let Some((_, reason)) = failed.last() {
            remarks.push(format!("the last of {} that failed: {reason}", failed.len()));
        }
        if missed > 0 {
            remarks.push(format!("{missed} were skipped, because the one before took too long"));
        }
        if let Some(off) = off {
            remarks.push(format!(
                "no page near enough to an end of the window, the nearest {:.1} s off: nothing is \
                 counted",
                off.as_secs_f64()
            ));
        }
        SamplingRecord {
            period_ms: self.period.as_secs_f64() * 1e3,
            samples: inside.len() as u64,
            failed: (failed.len() + missed) as u64,
            longest_gap_ms: longest_gap.as_secs_f64() * 1e3,
            cpu_share: self.cpu_share(start, end),
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
        }
    }

    /// CPU time between the readings nearest to `start` and `end` / the time between them.
    fn cpu_share(&self, start: RunNanos, end: RunNanos) -> Option<f64> {
        let nearest = |moment: RunNanos| {
            self.cpu.iter().min_by_key(|(at, _)| (*at).max(moment) - (*at).min(moment))
        };
        let ((first, before), (last, after)) = (nearest(start)?, nearest(end)?);
        let length = *last - *first;
        let used = after.saturating_sub(*before);
        (!length.is_zero()).then(|| (used.as_secs_f64() / length.as_secs_f64()).min(1.0))
    }
}

/// What the readings of a gauge come to; all `None` without one.
#[derive(Default)]
struct Gauge {
    max: Option<f64>,
    mean: Option<f64>,
    /// Share of the readings above zero.
    positive: Option<f64>,
}

impl Gauge {
    fn of(readings: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut sum, mut positive, mut max) = (0.0, 0.0, 0.0, f64::NEG_INFINITY);
        for reading in readings {
            count += 1.0;
            sum += reading;
            max = max.max(reading);
            positive += f64::from(u8::from(reading > 0.0));
        }
        if count == 0.0 {
            return Self::default();
        }
        Self { max: Some(max), mean: Some(sum / count), positive: Some(positive / count) }
    }
}

#[cfg(test)]
mod tests;
