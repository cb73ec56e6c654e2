//! The formulas, against figures worked out by hand.

use proptest::prelude::*;

use super::*;
use crate::samples::{GpuFailure, GpuLoss, GpuSighting};

const fn ms(ms: u64) -> RunNanos {
    RunNanos::from_nanos(ms * 1_000_000)
}

fn row(at_ms: u64, gpu: u32) -> GpuRow {
    GpuRow { at: ms(at_ms), gpu, ..GpuRow::default() }
}

fn samples(rows: Vec<GpuRow>) -> GpuSamples {
    GpuSamples { rows, ..GpuSamples::empty(Duration::from_millis(100), vec![0]) }
}

fn first(samples: &GpuSamples, start: u64, end: u64) -> GpuWindow {
    samples.window(ms(start), ms(end), None).0.remove(0)
}

/// Energy readings of one device: (ms, mJ).
fn energy(readings: &[(u64, u64)], start: u64, end: u64) -> Option<f64> {
    let rows = readings.iter().map(|&(at, mj)| GpuRow { energy_mj: Some(mj), ..row(at, 0) });
    first(&samples(rows.collect()), start, end).energy_j
}

#[test]
fn means_and_extremes_are_of_the_samples_inside() {
    let power = |at, mw| GpuRow {
        power_mw: Some(mw),
        sm_clock_mhz: Some(mw / 100),
        memory_used_bytes: Some(u64::from(mw) * 7),
        memory_total_bytes: Some(1 << 40),
        ..row(at, 0)
    };
    let nothing = row(250, 0);
    let rows = vec![
        power(99, 900_000),
        power(100, 100_000),
        power(200, 400_000),
        nothing,
        power(299, 160_000),
        power(300, 999_000),
    ];
    let window = first(&samples(rows), 100, 300);
    assert_eq!(window.samples, 4, "the first moment is inside, the end is not");
    assert_eq!(window.power_mean_w, Some(220.0), "(100 + 400 + 160) / 3");
    assert_eq!(window.power_max_w, Some(400.0));
    assert_eq!(window.sm_clock_mean_mhz, Some(2_200.0));
    assert_eq!(window.sm_clock_min_mhz, Some(1_000.0));
    assert_eq!(window.memory_used_max_bytes, Some(2_800_000));
    assert_eq!(window.memory_total_bytes, Some(1 << 40));
}

#[test]
fn what_a_device_does_not_offer_is_none_and_not_zero() {
    let window = first(&samples(vec![row(100, 0), row(200, 0)]), 0, 300);
    let expected = GpuWindow { gpu: 0, samples: 2, ..GpuWindow::default() };
    assert_eq!(window, expected);
}

#[test]
fn energy_is_the_counters_difference_between_the_windows_ends() {
    // 1000 mJ in the first 100 ms, 3000 in the second, 2000 in the third.
    let readings = [(100, 5_000), (200, 6_000), (300, 9_000), (400, 11_000)];
    assert_eq!(energy(&readings, 100, 400), Some(6.0));
    // Half of the first stretch, all of the second, a quarter of the third.
    assert_eq!(energy(&readings, 150, 325), Some(0.5 + 3.0 + 0.5));
    // Inside one stretch.
    assert_eq!(energy(&readings, 210, 220), Some(0.3));
    // Up to two periods beyond the last reading, its stretch goes on.
    assert_eq!(energy(&readings, 300, 450), Some(2.0 + 1.0));
    assert_eq!(energy(&readings, 50, 100), Some(0.5));
    assert_eq!(energy(&readings, 300, 601), None, "too far from the last reading");
    assert_eq!(energy(&readings, 1_000, 2_000), None);
    assert_eq!(energy(&[(100, 5_000)], 50, 150), None, "one reading has no difference");
    assert_eq!(energy(&[], 50, 150), None);
}

#[test]
fn a_counter_that_falls_tells_nothing_of_the_windows_that_it_falls_in() {
    let readings = [(100, 5_000), (200, 6_000), (300, 10), (400, 20)];
    assert_eq!(energy(&readings, 100, 400), None);
    assert_eq!(energy(&readings, 250, 290), None, "it falls between the readings around it");
    assert_eq!(energy(&readings, 100, 200), Some(1.0), "it fell later");
    assert_eq!(energy(&readings, 300, 400), Some(0.01), "it fell before");
    assert_eq!(
        energy(&readings[..3], 310, 350),
        None,
        "it fell just before, and nothing came after"
    );
}

#[test]
fn throttling_counts_heat_and_power() {
    let mask = |at, mask| GpuRow { throttle_reasons: Some(mask), ..row(at, 0) };
    // Idle; power cap; application clocks with thermal slowdown; nothing; not known.
    let rows = vec![mask(10, 1), mask(20, 4), mask(30, 2 | 0x40), mask(40, 0), row(50, 0)];
    let window = first(&samples(rows), 0, 100);
    assert_eq!(window.throttled_share, Some(0.5));
    assert_eq!(window.throttle_reasons, ["SW Power Cap", "HW Thermal Slowdown"]);
}

#[test]
fn memory_errors_are_those_between_the_looks() {
    let look = |at, errors| GpuRow { ecc_corrected: Some(errors), ..row(at, 0) };
    let of = |rows: Vec<GpuRow>| first(&samples(rows), 100, 200).ecc_corrected;
    assert_eq!(
        of(vec![look(10, 1), look(90, 3), row(100, 0), look(150, 8), look(250, 99)]),
        Some(5)
    );
    assert_eq!(of(vec![look(120, 3), look(150, 8)]), Some(5), "no look before");
    assert_eq!(of(vec![look(90, 3), look(250, 8)]), None, "no look inside");
    assert_eq!(of(vec![look(120, 3)]), None, "one look has no difference");
    assert_eq!(of(vec![look(90, 3), look(150, 0)]), None, "the driver was loaded again");
}

#[test]
fn processes_are_those_of_the_looks_inside_or_of_the_last_before() {
    let look = |at, processes| GpuRow { processes: Some(processes), ..row(at, 0) };
    let sighting = |at_ms, pid, bytes| GpuSighting {
        at: ms(at_ms),
        gpu: 0,
        pid,
        memory_bytes: Some(bytes),
        name: (pid == 7).then(|| "vllm".to_owned()),
    };
    let mut seen = samples(vec![look(50, 1), row(100, 0), look(150, 2), look(250, 0)]);
    seen.processes = vec![sighting(50, 9, 1), sighting(150, 7, 100), sighting(150, 8, 20)];
    let is_own = |pid| pid == 7;
    let at = |start, end, own| seen.window(ms(start), ms(end), own).0.remove(0);

    let window = at(100, 200, Some(&is_own as &dyn Fn(u32) -> bool));
    assert_eq!(window.used, Some(true));
    let pids: Vec<_> = window.processes.iter().map(|one| (one.pid, one.own)).collect();
    assert_eq!(pids, [(7, Some(true)), (8, Some(false))]);
    assert_eq!(window.processes[0].name.as_deref(), Some("vllm"));
    assert_eq!(window.processes[0].memory_max_bytes, Some(100));

    let before = at(60, 100, Some(&is_own));
    assert_eq!((before.used, before.processes[0].pid), (Some(false), 9));
    let after = at(240, 300, Some(&is_own));
    assert_eq!((after.used, after.processes.len()), (Some(false), 0));
    assert_eq!(at(0, 40, Some(&is_own)).used, None, "nobody had looked");
    let unknown = at(100, 200, None);
    assert_eq!((unknown.used, unknown.processes[0].own), (None, None));
}

#[test]
fn gaps_include_the_windows_ends() {
    let mut seen = samples(vec![row(100, 0), row(200, 0), row(450, 0)]);
    seen.misses = vec![GpuMiss { at: ms(300), gpu: 0 }, GpuMiss { at: ms(700), gpu: 0 }];
    let sampling = |seen: &GpuSamples, start, end| seen.window(ms(start), ms(end), None).1;
    let record = sampling(&seen, 50, 500);
    assert_eq!((record.samples, record.failed, record.longest_gap_ms), (3, 1, 250.0));
    assert_eq!((record.period_ms, record.remark), (100.0, None));
    assert_eq!(sampling(&seen, 150, 900).longest_gap_ms, 450.0, "up to the end");
    assert_eq!(sampling(&seen, 460, 470).longest_gap_ms, 10.0, "no sample at all");
    seen.gpus.clear();
    seen.rows.clear();
    assert_eq!(sampling(&seen, 460, 470).longest_gap_ms, 10.0, "no device at all");
}

/// A loss of this device.
fn loss(gpu: u32) -> GpuLoss {
    GpuLoss { at: ms(3_214), gpu, error: "fell off the bus".to_owned() }
}

/// A second from 1 s on of three devices that were looked at 10 ms after its start and sampled every
/// 100 ms: process 7 is on the first, 8 on the second, none on the third.
fn three() -> GpuSamples {
    let at = |k: u64| (0..3).map(move |gpu| row(1_000 + 100 * k + 10, gpu));
    let mut seen = samples((0..10).flat_map(at).collect());
    seen.gpus = vec![0, 1, 2];
    for (row, processes) in seen.rows.iter_mut().zip([1, 1, 0]) {
        row.processes = Some(processes);
    }
    let sighting =
        |gpu, pid| GpuSighting { at: ms(1_010), gpu, pid, memory_bytes: None, name: None };
    seen.processes = vec![sighting(0, 7), sighting(1, 8)];
    seen
}

/// Keeps the rows of a device that satisfy `keep`.
fn keep(seen: &mut GpuSamples, gpu: u32, keep: impl Fn(u64) -> bool) {
    seen.rows.retain(|row| row.gpu != gpu || keep(row.at.as_nanos() / 1_000_000));
}

type Own<'a> = Option<&'a dyn Fn(u32) -> bool>;

/// The sampling of [`three`]'s second, and what is said to be lost.
fn judge(seen: &GpuSamples, own: Own<'_>) -> (SamplingRecord, Option<String>) {
    let (windows, record) = seen.window(ms(1_000), ms(2_000), own);
    (record, seen.lost(&windows))
}

#[test]
fn a_sampler_is_judged_by_the_servers_devices() {
    let is_own = |pid| pid == 7;
    let own: Own<'_> = Some(&is_own);
    let whole = (10, 0, 100.0);
    let short = |record: &SamplingRecord| (record.samples, record.failed, record.longest_gap_ms);

    // A device of somebody else is lost in the middle of the window.
    let mut seen = three();
    keep(&mut seen, 1, |at| at < 1_300);
    seen.losses = vec![loss(1)];
    seen.misses = vec![GpuMiss { at: ms(1_310), gpu: 1 }];
    seen.failures = vec![
        GpuFailure { at: ms(1), gpu: 0, reading: "power", error: "no data".to_owned(), count: 12 },
        GpuFailure { at: ms(1), gpu: 2, reading: "memory", error: "odd".to_owned(), count: 1 },
    ];
    let (record, lost) = judge(&seen, own);
    assert_eq!((short(&record), lost), (whole, None));
    assert_eq!(
        record.remark.unwrap(),
        "GPU 1, where no process of the server was seen, was lost 3.214 s into the run: fell off the \
         bus; GPU 0: power failed 12 times: no data; GPU 2, where no process of the server was \
         seen: memory failed once: odd"
    );
    // Whose it was is not known: a process was on it.
    let (record, lost) = judge(&seen, None);
    assert_eq!(short(&record), (3, 1, 790.0));
    assert_eq!(lost.unwrap(), "GPU 1 was lost 3.214 s into the run: fell off the bus");
    assert!(record.remark.unwrap().starts_with("GPU 1 was lost 3.214 s"));

    // The server's own.
    let is_own = |pid| pid == 8;
    let own: Own<'_> = Some(&is_own);
    let (record, lost) = judge(&seen, own);
    assert_eq!(short(&record), (3, 1, 790.0));
    assert!(lost.unwrap().starts_with("GPU 1 was lost"));
    // It was lost before this take, in which nobody could look at it.
    keep(&mut seen, 1, |_| false);
    seen.earlier = std::mem::take(&mut seen.processes);
    let (windows, _) = seen.window(ms(1_000), ms(2_000), own);
    assert_eq!((windows[1].used, windows[1].samples), (Some(true), 0));
    let (record, lost) = judge(&seen, own);
    assert_eq!(short(&record), (0, 1, 1_000.0));
    assert!(lost.unwrap().starts_with("GPU 1 was lost"));
    // A silent one is not lost, but as good as that.
    seen.processes = std::mem::take(&mut seen.earlier);
    keep(&mut seen, 0, |at| at < 1_000);
    seen.losses.clear();
    seen.rows.push(GpuRow { processes: Some(1), ..row(900, 0) });
    seen.processes.push(GpuSighting { at: ms(900), gpu: 0, pid: 8, ..GpuSighting::default() });
    let (record, lost) = judge(&seen, own);
    assert_eq!((short(&record), lost.unwrap().as_str()), ((0, 0, 1_000.0), "GPU 0 gave no sample"));
}

#[test]
fn a_device_that_cannot_be_opened_accuses_no_sampler() {
    let mut seen = three();
    keep(&mut seen, 2, |_| false);
    seen.losses = vec![loss(2)];
    let nobody = |_| false;
    let all = |_| true;
    // Known processes, unknown ones, none of the server's, and a driver that lists none at all.
    for own in [Some(&all as &dyn Fn(u32) -> bool), None, Some(&nobody)] {
        let (record, lost) = judge(&seen, own);
        assert_eq!((record.samples, record.longest_gap_ms, lost), (10, 100.0, None));
        assert!(record.remark.unwrap().starts_with("GPU 2, where no process of the server"));
    }
    seen.processes.clear();
    seen.rows.iter_mut().for_each(|row| row.processes = None);
    let (record, lost) = judge(&seen, None);
    assert_eq!((record.samples, record.longest_gap_ms, lost), (10, 100.0, None));
    // Nothing is left of anything.
    seen.rows.clear();
    seen.losses = vec![loss(0), loss(1), loss(2)];
    let (record, lost) = judge(&seen, None);
    assert_eq!((record.samples, record.longest_gap_ms), (0, 1_000.0));
    assert_eq!(lost.unwrap().matches("was lost").count(), 3);
}

#[test]
fn failures_are_those_of_the_worst_device() {
    let mut seen = three();
    keep(&mut seen, 0, |at| at < 1_800);
    keep(&mut seen, 1, |at| at < 1_600);
    let misses = [(0, 2), (1, 4)];
    let missed = misses.iter().flat_map(|&(gpu, n)| (0..n).map(move |k| (gpu, 1_990 - k)));
    seen.misses = missed.map(|(gpu, at)| GpuMiss { at: ms(at), gpu }).collect();
    let (record, _) = judge(&seen, None);
    assert_eq!((record.samples, record.failed, record.longest_gap_ms), (6, 4, 490.0));
}

#[test]
fn cpu_share_is_between_the_readings_next_to_the_ends() {
    let mut seen = samples(Vec::new());
    let reading = |at, used| CpuReading { at: ms(at), used: Duration::from_millis(used) };
    seen.cpu = vec![reading(0, 0), reading(100, 10), reading(200, 11), reading(1_100, 20)];
    let share = |start, end| seen.window(ms(start), ms(end), None).1.cpu_share;
    assert_eq!(share(100, 1_100), Some(0.01));
    assert_eq!(share(150, 300), Some(0.01), "from 100 to 1100");
    assert_eq!(share(1_200, 1_300), None, "nothing was measured");
    assert_eq!(samples(Vec::new()).window(ms(0), ms(1), None).1.cpu_share, None);
}

proptest! {
    /// Energy is additive: that of a window is the sum of those of its two parts.
    #[test]
    fn energy_is_additive(
        steps in prop::collection::vec((1_u64..300, 0_u64..50_000), 2..40),
        cuts in (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64),
    ) {
        let mut readings = vec![(1_000, 10_000_000_000)];
        for (span, grown) in steps {
            let &(at, mj) = readings.last().unwrap();
            readings.push((at + span, mj + grown));
        }
        let (from, to) = (readings[0].0, readings.last().unwrap().0);
        let mut at = [cuts.0, cuts.1, cuts.2].map(|cut| from + (cut * (to - from) as f64) as u64);
        at.sort_unstable();
        let of = |a, b| energy(&readings, a, b).unwrap();
        let (whole, parts) = (of(at[0], at[2]), of(at[0], at[1]) + of(at[1], at[2]));
        // The counter stands near 10^10 mJ, where a double has steps of 2 microjoules.
        prop_assert!((whole - parts).abs() < 1e-4, "{whole} {parts}");
        prop_assert!(whole >= 0.0);
    }

    /// The longest gap is no longer than the window, and n samples cannot leave a shorter one than
    /// the window divided by n + 1.
    #[test]
    fn the_longest_gap_has_bounds(at in prop::collection::btree_set(0_u64..1_000, 0..20)) {
        let seen = samples(at.iter().map(|at| row(*at, 0)).collect());
        let (windows, record) = seen.window(ms(100), ms(900), None);
        prop_assert!(record.longest_gap_ms <= 800.0);
        prop_assert!(record.longest_gap_ms >= 800.0 / (windows[0].samples + 1) as f64 - 1e-6);
    }
}
