//! The file of an imported point, from everything that is known of it.

use std::time::Duration;

use plimsoll_gpu::GpuSamples;
use plimsoll_records::{
    ClockRecord, GpuRow, GpuWindow, ImportedRecord, LogRecord, OfferedLoad, Phases, PointEnd,
    PointFile, RequestRow, ServerCounters, ServerStart, SettingRecord, StampsRecord,
    WorkloadRecord,
};
use plimsoll_units::RunNanos;

use crate::stated::Stated;

/// What a point file is made of.
pub(crate) struct Parts<'a> {
    pub(crate) id: String,
    pub(crate) record: ImportedRecord,
    pub(crate) stated: &'a Stated,
    pub(crate) load: OfferedLoad,
    pub(crate) repetition: u32,
    pub(crate) start: RunNanos,
    pub(crate) end: RunNanos,
    pub(crate) rows: &'a [RequestRow],
    pub(crate) counters: ServerCounters,
    pub(crate) settings: Vec<SettingRecord>,
    pub(crate) gpus: &'a [GpuRow],
    /// Which server it was, by its place among the run's targets.
    pub(crate) server: u32,
}

/// The point file.
pub(crate) fn point_file(parts: Parts<'_>) -> PointFile {
    let phases = phases(&parts);
    let record = &parts.record;
    let mean_output_tokens = match (record.output_tokens, record.completed) {
        (Some(tokens), Some(completed)) if completed > 0 => Some(tokens as f64 / completed as f64),
        _ => None,
    };
    let (gpus, gpu_sampling) = match parts.gpus {
        [] => (Vec::new(), None),
        rows => {
            let samples =
                GpuSamples { rows: rows.to_vec(), period: period(rows), ..GpuSamples::default() };
            let (mut windows, mut sampling) =
                samples.window(phases.measure_start_ns, phases.measure_end_ns, None);
            mark_used(&mut windows, gpu_count(parts.stated, &parts.settings));
            sampling.remark =
                Some("sampled by nvidia-smi dmon, whose stamps have whole seconds".into());
            (windows, Some(sampling))
        }
    };
    PointFile {
        id: parts.id,
        factors: parts.stated.point_factors(),
        repetition: parts.repetition,
        load: parts.load,
        phases,
        ended: PointEnd::Complete,
        workers: Vec::new(),
        stamps: StampsRecord::default(),
        clock: ClockRecord::default(),
        server: parts.counters,
        server_sampling: None,
        server_start: ServerStart { number: parts.server, ..ServerStart::default() },
        settings: parts.settings,
        // Nobody was there to stop it: the point is what it is, and the finding says what it is not.
        settings_allowed: true,
        gpus,
        gpu_sampling,
        workload: WorkloadRecord {
            shared_prefix: None,
            exact_output: false,
            exact_input: false,
            mean_output_tokens,
        },
        imported: Some(parts.record),
        probe: None,
    }
}

/// The part in which the load was on.
///
/// By rows: from the median time of a request after the first was due (half of the way at the latest) to
/// the last. By the log: from the second line that saw requests wait to the last such in a row; where fewer
/// than three did, from a mean request after the first arrival to the last arrival. Else from a mean request after the
/// start to the end of the sending as the nominal rate has it.
fn phases(parts: &Parts<'_>) -> Phases {
    let (start, end) = (parts.start, parts.end.max(parts.start));
    let clamp = |at: RunNanos| at.clamp(start, end);
    let mean = Duration::from_secs_f64(parts.record.e2e_mean_ms.unwrap_or(0.0).min(1e9) / 1e3);
    let log = parts.record.log.as_ref();
    let arrivals =
        log.and_then(|log| Some((log.first_arrival_ns?, log.arrivals_per_s.len() as u64)));
    let (window, arrivals_end) = if let Some(last) = parts.rows.iter().map(|it| it.intended).max() {
        let half = start + (last - start) / 2;
        let median = median_duration(parts.rows);
        ((start + median).min(half)..last, last)
    } else if let Some((first, seconds)) = arrivals {
        let last = first + Duration::from_secs(seconds.saturating_sub(1));
        let saturated = log.and_then(LogRecord::saturated).map(|(from, to)| from..to);
        (saturated.unwrap_or((first + mean).min(last)..last), last)
    } else {
        let rate = parts.load.rate_per_s().zip(parts.record.requests);
        let sending = rate.map_or(Duration::ZERO, |(rate, n)| {
            Duration::from_secs_f64((n as f64 / rate).min(1e9))
        });
        let last = clamp(start + sending);
        ((start + mean).min(last)..last, last)
    };
    Phases {
        start_ns: start,
        measure_start_ns: clamp(window.start),
        measure_end_ns: clamp(window.end).max(clamp(window.start)),
        arrivals_end_ns: clamp(arrivals_end),
        end_ns: end,
    }
}

fn median_duration(rows: &[RequestRow]) -> Duration {
    let mut all: Vec<Duration> = rows.iter().map(|row| row.done - row.intended).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The usual time between two samples of a GPU.
fn period(rows: &[GpuRow]) -> Duration {
    let first = rows[0].gpu;
    let stamps: Vec<RunNanos> =
        rows.iter().filter(|row| row.gpu == first).map(|row| row.at).collect();
    let mut gaps: Vec<Duration> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().filter(|gap| !gap.is_zero()).unwrap_or(Duration::from_secs(1))
}

/// The GPUs of the server: as stated, else the product of its parallel sizes.
fn gpu_count(stated: &Stated, settings: &[SettingRecord]) -> Option<usize> {
    let size = |name: &str| {
        let setting = settings.iter().find(|it| it.name == name)?;
        setting.in_effect.as_ref().or(setting.declared.as_ref())?.as_u64()
    };
    let tensor = || size("tensor-parallel-size");
    let product = || Some(tensor()?.saturating_mul(size("data-parallel-size").unwrap_or(1).max(1)));
    stated.gpus.map(u64::from).or_else(product).and_then(|it| usize::try_from(it).ok())
}

/// Marks the busiest devices as the server's, as many as it has; who the others work for is not known.
fn mark_used(windows: &mut [GpuWindow], count: Option<usize>) {
    let Some(count) = count.filter(|&count| count < windows.len()) else { return };
    let busy = |it: &GpuWindow| it.sm_utilisation_mean_pct.unwrap_or(0.0);
    let mut order: Vec<usize> = (0..windows.len()).collect();
    order.sort_by(|a, b| busy(&windows[*b]).total_cmp(&busy(&windows[*a])));
    for (rank, place) in order.into_iter().enumerate() {
        windows[place].used = Some(rank < count);
    }
}
