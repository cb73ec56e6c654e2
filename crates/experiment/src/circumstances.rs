//! What is watched beside the load: the server's metrics, the GPUs, and whether the server is still
//! there. The samplers have threads of their own; nothing here waits while a point is measured.

use std::ops::Add;
use std::time::Duration;

use plimsoll_analysis::Window;
use plimsoll_gpu::GpuSampler;
use plimsoll_records::{
    CacheState, GpuWindow, PointDir, SamplingRecord, ServerCounters, ServerStart, SettingRecord,
};
use plimsoll_server::{LaunchError, MetricsSample, MetricsSampler, ServerSamples};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::progress::Vitals;
use crate::replicas::{labelled, together};
use crate::target::Target;

/// Longest wait for a server to become idle between two points.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Wait between two points where the server has no page that says whether it is idle.
const IDLE_BLIND: Duration = Duration::from_millis(1500);
/// How often the server's process is looked at while a point runs.
const CHECK_EVERY: Duration = Duration::from_millis(200);
/// Longest wait, once the load is over, for the scrape of the window's end.
const LAST_SCRAPE: Duration = Duration::from_millis(1600);

/// What is watched beside the points of one target.
pub(crate) struct Circumstances<'a> {
    clock: RunClock,
    /// `None` where nobody wants to know.
    target: Option<&'a mut Target>,
    gpus: Option<&'a GpuSampler>,
    next_check: RunNanos,
    cache: CacheState,
    lost: Option<LaunchError>,
}

/// What was seen over the window of a point.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) server: ServerCounters,
    pub(crate) server_sampling: Option<SamplingRecord>,
    pub(crate) server_start: ServerStart,
    pub(crate) settings: Vec<SettingRecord>,
    pub(crate) gpus: Vec<GpuWindow>,
    pub(crate) gpu_sampling: Option<SamplingRecord>,
    /// How the server ended, if it did.
    pub(crate) lost: Option<LaunchError>,
    /// Which of the server's GPUs could not be watched, if any.
    pub(crate) gpu_lost: Option<String>,
}

impl<'a> Circumstances<'a> {
    /// What is watched beside the points of `target`.
    pub(crate) fn of(
        clock: RunClock,
        target: &'a mut Target,
        gpus: Option<&'a GpuSampler>,
    ) -> Self {
        Self { target: Some(target), gpus, ..Self::none(clock) }
    }

    /// Nothing is watched: a load whose server is of no interest.
    pub(crate) fn none(clock: RunClock) -> Self {
        Self {
            clock,
            target: None,
            gpus: None,
            next_check: RunNanos::ZERO,
            cache: CacheState::default(),
            lost: None,
        }
    }

    /// A point begins whose files are in `dir`. What was sampled before belongs to no point.
    pub(crate) fn begin(&mut self, dir: &PointDir, runtime: &Runtime) -> Result<(), RunError> {
        if let Some(target) = &mut self.target {
            self.cache = target.before_point(&dir.server_log(), runtime)?;
            target.metrics.iter().for_each(|metrics| drop(metrics.take()));
        }
        if let Some(gpus) = self.gpus {
            drop(gpus.take());
        }
        Ok(())
    }

    /// The window begins or ends at this moment.
    pub(crate) fn edge(&self) {
        if let Some(target) = &self.target {
            target.metrics.iter().for_each(MetricsSampler::scrape_now);
        }
    }

    /// Whether the server's process is gone.
    pub(crate) fn is_lost(&mut self, now: RunNanos) -> bool {
        if now >= self.next_check
            && let Some(target) = &mut self.target
        {
            self.next_check = now + CHECK_EVERY;
            self.lost = target.check().err();
        }
        self.lost.is_some()
    }

    /// The load is over: what was seen over `window`, of which the samples are left in `dir`.
    pub(crate) fn finish(&mut self, window: Window, dir: &PointDir) -> Result<Seen, RunError> {
        let mut seen = Seen { lost: self.lost.take(), ..Seen::default() };
        if let Some(target) = &mut self.target {
            if seen.lost.is_none() {
                wait_for_scrape(self.clock, target, window.end);
                seen.lost = target.check().err();
            }
            let samples: Vec<_> = target.metrics.iter().map(MetricsSampler::take).collect();
            if samples.iter().any(ServerSamples::has_page) {
                let windows = samples.iter().map(|it| it.window(window.start, window.end));
                if let Some((counters, sampling)) = together(windows.collect()) {
                    (seen.server, seen.server_sampling) = (counters, Some(sampling));
                }
                let urls = target.urls();
                let rows = samples.iter().enumerate().flat_map(|(place, samples)| {
                    let url = urls.get(place);
                    samples.rows().map(move |row| match url {
                        Some(url) => labelled(row, url),
                        None => row,
                    })
                });
                dir.write_server(rows)?;
            }
            seen.settings = target.settings_of_note();
            seen.server_start = ServerStart {
                number: target.number,
                prefix_cache: self.cache,
                replicas: u32::try_from(target.metrics.len()).unwrap_or(u32::MAX),
            };
        }
        if let Some(gpus) = self.gpus {
            let samples = gpus.take();
            let own = self.target.as_ref().map(|target| target.processes()).unwrap_or_default();
            // In a container the driver counts processes as its host does: then none is known as own.
            let mut sightings = samples.processes.iter().chain(&samples.earlier);
            let known = sightings.any(|sighting| own.contains(&sighting.pid));
            let is_own = |pid: u32| own.contains(&pid);
            let is_own: Option<&dyn Fn(u32) -> bool> = known.then_some(&is_own);
            let (gpus, sampling) = samples.window(window.start, window.end, is_own);
            // A window may be too short for a sample.
            if window.length() >= 2 * samples.period {
                seen.gpu_lost = samples.lost(&gpus);
            }
            (seen.gpus, seen.gpu_sampling) = (gpus, Some(sampling));
            dir.write_gpu(&samples.rows)?;
        }
        Ok(seen)
    }

    /// What server and GPUs say of themselves just now: what is there already, nobody is asked for it.
    pub(crate) fn vitals(&self) -> Vitals {
        // Of several pages that each tell of a part of the server: the sum, and the fullest cache.
        let samplers = self.target.iter().flat_map(|target| &target.metrics);
        let pages: Vec<_> = samplers.filter_map(|it| Some(it.latest()?.1)).collect();
        let sum =
            |of: fn(&MetricsSample) -> Option<f64>| pages.iter().filter_map(of).reduce(Add::add);
        let rows = self.gpus.map(GpuSampler::latest).unwrap_or_default();
        let busy: Vec<_> = rows.iter().filter_map(|row| row.sm_utilisation_pct).collect();
        Vitals {
            running: sum(|page| page.running),
            waiting: sum(|page| page.waiting),
            kv_cache_usage: pages.iter().filter_map(|page| page.kv_cache_usage).reduce(f64::max),
            gpu_utilisation_pct: (!busy.is_empty())
                .then(|| busy.iter().sum::<u32>() / u32::try_from(busy.len()).unwrap_or(1)),
        }
    }

    /// Waits until the server has nothing left to do, as far as it tells; says whether it got there.
    pub(crate) fn wait_until_idle(&self, interrupt: &Interrupt) -> bool {
        let Some(target) = &self.target else { return true };
        let start = self.clock.now();
        while self.clock.now() - start < IDLE_LIMIT && !interrupt.is_raised() {
            target.metrics.iter().for_each(MetricsSampler::scrape_now);
            std::thread::sleep(Duration::from_millis(100));
            let latest = || target.metrics.iter().filter_map(MetricsSampler::latest);
            // A page that says it but does not come is that of a server with much to do.
            let says = latest().filter(|(_, sample)| sample.idle().is_some()).count();
            let idle =
                latest().filter(|(at, sample)| *at >= start && sample.idle() == Some(true)).count();
            let all_say = says == target.metrics.len();
            if idle == says && (all_say || self.clock.now() - start >= IDLE_BLIND) {
                return true;
            }
        }
        interrupt.is_raised()
    }
}

/// Waits for a scrape from behind the window, for as long as one may take.
fn wait_for_scrape(clock: RunClock, target: &Target, end: RunNanos) {
    let begun = clock.now();
    target.metrics.iter().for_each(MetricsSampler::scrape_now);
    let has_read = |metrics: &MetricsSampler| {
        metrics.is_blind() || metrics.latest().is_some_and(|(at, _)| at >= end)
    };
    while clock.now() - begun < LAST_SCRAPE {
        if target.metrics.iter().all(has_read) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
