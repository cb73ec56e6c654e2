//! The sampler's real code path, down to the C interface, on a library that plays scripts.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its sampler fails")]

use std::path::Path;
use std::time::Duration;
use std::{env, fs, process, thread};

use plimsoll_gpu::{GpuConfig, GpuDriver, GpuError, GpuReader, GpuSampler, GpuSamples};
use plimsoll_nvml_stand_in::{
    Fault, Script, ScriptedGpu, ScriptedProcess, ScriptedXid, Step, Track, install, install_without,
};
use plimsoll_records::GpuRow;
use plimsoll_units::{Clock as _, RunClock, RunNanos};

/// How long a test waits for what must come, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn script(gpus: Vec<ScriptedGpu>) -> Script {
    Script { gpus, ..Script::default() }
}

/// A device that can be told by its samples: the energy counts them.
fn counting() -> ScriptedGpu {
    ScriptedGpu {
        sm_utilisation_pct: Track::always(50),
        memory_utilisation_pct: Track::always(20),
        energy_mj: Track::Ramp { from: 1_000, step: 30 },
        ..ScriptedGpu::named("scripted")
    }
}

/// The samples of `library` until they are `enough`.
fn sample(
    library: &Path,
    period_ms: u64,
    enough: impl Fn(&GpuSamples) -> bool,
) -> (GpuSamples, RunClock) {
    let clock = RunClock::start();
    let period = Duration::from_millis(period_ms);
    let config = GpuConfig { library: Some(library.to_owned()), period, clock };
    let sampler = GpuSampler::start(config).unwrap();
    let mut all = sampler.take();
    while !enough(&all) {
        assert!(clock.now() < RunNanos::ZERO + PATIENCE, "not enough: {all:?}");
        thread::sleep(Duration::from_millis(5));
        add(&mut all, sampler.take());
    }
    add(&mut all, sampler.finish());
    (all, clock)
}

fn add(all: &mut GpuSamples, more: GpuSamples) {
    all.rows.extend(more.rows);
    all.processes.extend(more.processes);
    all.misses.extend(more.misses);
    all.failures.extend(more.failures);
    all.losses = more.losses;
    // The first reading of each take is the last of the one before.
    all.cpu.extend(more.cpu);
}

fn of(samples: &GpuSamples, gpu: u32) -> Vec<&GpuRow> {
    samples.rows.iter().filter(|row| row.gpu == gpu).collect()
}

/// Starts a sampler that must not start.
fn refusal(library: &Path) -> GpuError {
    let config =
        GpuConfig { library: Some(library.to_owned()), ..GpuConfig::new(RunClock::start()) };
    GpuSampler::start(config).unwrap_err()
}

#[test]
fn readings_are_the_scripts_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    // No two readings alike, among them the largest that a column holds.
    let value = |gpu: u64, sample: u64, reading: u64| 1 + gpu * 1_000 + sample * 100 + reading;
    let wide = |gpu, sample, reading| (1 << 52) + value(gpu, sample, reading);
    let track = |gpu: u64, of: &dyn Fn(u64) -> u64| {
        let last = (gpu == 1).then_some(u64::from(u32::MAX));
        Track::values(&(0..6).map(of).chain(last).collect::<Vec<_>>())
    };
    let gpu = |gpu: u64| ScriptedGpu {
        sm_utilisation_pct: track(gpu, &|k| value(gpu, k, 1)),
        memory_utilisation_pct: track(gpu, &|k| value(gpu, k, 2)),
        // The start asks for the memory once, to describe the device.
        memory_used_bytes: track(gpu, &|k| wide(gpu, k.saturating_sub(1), 3)),
        memory_total_bytes: track(gpu, &|k| wide(gpu, k.saturating_sub(1), 4)),
        power_mw: track(gpu, &|k| value(gpu, k, 5)),
        energy_mj: track(gpu, &|k| wide(gpu, k, 6)),
        temperature_c: track(gpu, &|k| value(gpu, k, 7)),
        sm_clock_mhz: track(gpu, &|k| value(gpu, k, 8)),
        memory_clock_mhz: track(gpu, &|k| value(gpu, k, 9)),
        throttle_reasons: track(gpu, &|k| 1 << k),
        ..ScriptedGpu::named("scripted")
    };
    let library = install(&script(vec![gpu(0), gpu(1)]), dir.path()).unwrap();
    let (samples, _) = sample(&library, 10, |all| of(all, 1).len() > 7);

    let small = |gpu, k, reading| Some(u32::try_from(value(gpu, k, reading)).unwrap());
    for gpu in [0, 1] {
        let rows = of(&samples, u32::try_from(gpu).unwrap());
        for (k, row) in (0..5).zip(&rows) {
            let expected = GpuRow {
                at: row.at,
                gpu: row.gpu,
                sm_utilisation_pct: small(gpu, k, 1),
                memory_utilisation_pct: small(gpu, k, 2),
                memory_used_bytes: Some(wide(gpu, k, 3)),
                memory_total_bytes: Some(wide(gpu, k, 4)),
                power_mw: small(gpu, k, 5),
                energy_mj: Some(wide(gpu, k, 6)),
                temperature_c: small(gpu, k, 7),
                sm_clock_mhz: small(gpu, k, 8),
                memory_clock_mhz: small(gpu, k, 9),
                throttle_reasons: Some(1 << k),
                ..GpuRow::default()
            };
            assert_eq!(**row, expected);
        }
    }
    let last = of(&samples, 1)[6];
    assert_eq!((last.power_mw, last.sm_clock_mhz), (Some(u32::MAX), Some(u32::MAX)));
    assert!(samples.rows.is_sorted_by_key(|row| row.at));
    assert_eq!((samples.misses.len(), samples.failures.len(), samples.losses.len()), (0, 0, 0));
}

#[test]
fn what_a_device_does_not_offer_is_null_and_not_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let later = |fault| Track::Then(vec![Step::Fault(fault), Step::Value(5)]);
    let gpu = ScriptedGpu {
        temperature_c: Track::always(0),
        power_mw: later(Fault::NotSupported),
        memory_used_bytes: later(Fault::NoPermission),
        ..ScriptedGpu::named("old")
    };
    let library = install(&script(vec![gpu]), dir.path()).unwrap();
    let (samples, _) = sample(&library, 10, |all| all.rows.len() > 5);
    for row in &samples.rows {
        let expected = GpuRow { at: row.at, temperature_c: Some(0), ..GpuRow::default() };
        assert_eq!(*row, expected);
    }
    assert_eq!((samples.failures.len(), samples.misses.len()), (0, 0));
}

#[test]
fn an_older_driver_gives_nulls_where_it_has_no_function() {
    let dir = tempfile::tempdir().unwrap();
    let gpu = ScriptedGpu {
        memory_used_bytes: Track::always(1),
        memory_total_bytes: Track::always(2),
        pcie_tx_kb_per_s: Track::always(3),
        compute: vec![vec![ScriptedProcess { pid: 1, memory_bytes: Some(4) }]],
        offers_xids: true,
        ..counting()
    };
    let missing = [
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlEventSetCreate",
        "nvmlSystemGetCudaDriverVersion_v2",
    ];
    let library = install_without(&script(vec![gpu]), dir.path(), &missing).unwrap();
    let (samples, _) =
        sample(&library, 10, |all| all.rows.iter().any(|row| row.pcie_tx_kb_per_s.is_some()));
    for row in &samples.rows {
        let expected = GpuRow {
            at: row.at,
            sm_utilisation_pct: Some(50),
            memory_utilisation_pct: Some(20),
            pcie_tx_kb_per_s: row.pcie_tx_kb_per_s,
            ..GpuRow::default()
        };
        assert_eq!(*row, expected);
    }
    let machine = GpuDriver::open(Some(&library)).unwrap().machine();
    assert_eq!((machine.cuda, machine.driver.as_deref()), (None, Some("570.86.15")));
}

#[test]
fn a_reading_that_fails_is_null_once_counted_and_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let fault = |fault| Step::Fault(fault);
    let power = vec![Step::Value(1), fault(Fault::Unknown), fault(Fault::Unknown), Step::Value(4)];
    let gpu = ScriptedGpu { power_mw: Track::Then(power), ..counting() };
    // The second device has nothing but a reading that fails in its first two samples.
    let clock = vec![fault(Fault::InsufficientPower), fault(Fault::Timeout), Step::Value(3)];
    let bare = ScriptedGpu { sm_clock_mhz: Track::Then(clock), ..ScriptedGpu::named("bare") };
    let library = install(&script(vec![gpu, bare]), dir.path()).unwrap();

    let driver = GpuDriver::open(Some(&library)).unwrap();
    let mut reader = GpuReader::new(&driver, RunClock::start());
    let mut rows = Vec::new();
    for _ in 0..4 {
        reader.read(&mut rows);
    }
    let power: Vec<_> = rows.iter().filter(|row| row.gpu == 0).map(|row| row.power_mw).collect();
    assert_eq!(power, [Some(1), None, None, Some(4)]);
    let clocks: Vec<_> =
        rows.iter().filter(|row| row.gpu == 1).map(|row| row.sm_clock_mhz).collect();
    assert_eq!(clocks, [Some(3), Some(3)], "a sample that brought nothing gives no row");

    drop(reader);
    drop(driver);
    let (samples, _) = sample(&library, 10, |all| of(all, 0).len() > 5);
    let misses: Vec<_> = samples.misses.iter().map(|miss| miss.gpu).collect();
    assert_eq!(misses, [1, 1]);
    let named = |gpu, reading| {
        let of_it = samples.failures.iter().filter(|one| one.gpu == gpu && one.reading == reading);
        of_it.map(|failure| failure.count).sum::<u64>()
    };
    assert_eq!((named(0, "power"), named(1, "SM clock")), (2, 2));
}

#[test]
fn a_device_lost_in_the_middle_is_recorded_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let lost = ScriptedGpu { lost_at_sample: Some(3), ..counting() };
    let library = install(&script(vec![counting(), lost, counting()]), dir.path()).unwrap();
    let (samples, clock) = sample(&library, 10, |all| of(all, 2).len() > 10);
    assert_eq!(of(&samples, 1).len(), 3);
    assert!(of(&samples, 0).len() > 10);
    assert_eq!(samples.losses.len(), 1);
    let loss = &samples.losses[0];
    assert_eq!(loss.gpu, 1);
    assert!(loss.at > of(&samples, 1)[2].at && loss.at < clock.now());
    assert!(loss.error.contains("fell off the bus"), "{}", loss.error);
    let end = samples.rows.last().unwrap().at;
    // Nothing is known of processes: each of them may be the server's.
    let (windows, sampling) = samples.window(RunNanos::ZERO, end, None);
    assert_eq!((windows[1].gpu, windows[1].samples, sampling.samples), (1, 3, 3));
    let last = of(&samples, 1)[2].at;
    assert!(sampling.longest_gap_ms >= (end - last).as_secs_f64() * 1e3);
    assert!(sampling.remark.unwrap().starts_with("GPU 1 was lost"));
    assert!(samples.lost(&windows).unwrap().contains("fell off the bus"));
}

#[test]
fn what_was_on_a_lost_device_is_known_though_it_was_seen_in_an_earlier_take() {
    let dir = tempfile::tempdir().unwrap();
    let process = |pid| vec![vec![ScriptedProcess { pid, memory_bytes: Some(4) }]];
    // Two seconds are enough for the first look, which comes at once.
    let lost = ScriptedGpu { lost_at_sample: Some(200), compute: process(100), ..counting() };
    let other = ScriptedGpu { compute: process(200), ..counting() };
    let library = install(&script(vec![lost, other]), dir.path()).unwrap();
    let (clock, period) = (RunClock::start(), Duration::from_millis(10));
    let config = GpuConfig { library: Some(library), period, clock };
    let sampler = GpuSampler::start(config).unwrap();
    while sampler.take().losses.is_empty() {
        assert!(clock.now() < RunNanos::ZERO + PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    let start = clock.now();
    let mut all = sampler.take();
    let mut seen = false;
    while !seen {
        assert!(clock.now() < RunNanos::ZERO + PATIENCE);
        thread::sleep(Duration::from_millis(5));
        let more = sampler.take();
        seen = more.rows.iter().any(|row| row.processes.is_some());
        add(&mut all, more);
    }
    for (pid, ours) in [(100, true), (200, false)] {
        let is_own = |one| one == pid;
        let (windows, sampling) = all.window(start, RunNanos::MAX, Some(&is_own));
        let used: Vec<_> = windows.iter().map(|window| window.used).collect();
        assert_eq!(used, [Some(ours), Some(!ours)]);
        assert_eq!((all.lost(&windows).is_some(), sampling.samples == 0), (ours, ours));
    }
}

#[test]
fn a_loss_is_told_by_every_take_and_one_at_the_start_too() {
    let dir = tempfile::tempdir().unwrap();
    let closed = ScriptedGpu { handle: Some(Fault::NoPermission), ..counting() };
    let library = install(&script(vec![closed, counting()]), dir.path()).unwrap();
    let clock = RunClock::start();
    let sampler = GpuSampler::start(GpuConfig {
        library: Some(library),
        period: Duration::from_millis(10),
        clock,
    })
    .unwrap();
    assert_eq!(sampler.machine().gpus.len(), 2);
    while sampler.take().rows.is_empty() {
        assert!(clock.now() < RunNanos::ZERO + PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
    let rest = sampler.finish();
    assert_eq!((rest.losses.len(), rest.losses[0].gpu, rest.gpus), (1, 0, vec![0, 1]));
    assert!(rest.rows.iter().all(|row| row.gpu == 1));
}

#[test]
fn every_reason_not_to_start_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = refusal(&dir.path().join("libnvidia-ml.so.1"));
    assert!(matches!(missing, GpuError::NoLibrary { .. }), "{missing}");
    let text = dir.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    let error = refusal(&text);
    assert!(matches!(error, GpuError::NoLibrary { .. }), "{error}");
    assert!(error.to_string().contains("text.so"), "{error}");

    let library = install_without(&script(vec![counting()]), dir.path(), &["nvmlInit_v2"]).unwrap();
    let error = refusal(&library);
    assert!(matches!(error, GpuError::NotNvml { .. }), "{error}");
    let library =
        install_without(&script(vec![counting()]), dir.path(), &["nvmlShutdown"]).unwrap();
    let error = refusal(&library);
    assert!(matches!(error, GpuError::NotNvml { .. }), "{error}");

    type Is = fn(&GpuError) -> bool;
    let cases: [(Fault, Is); 5] = [
        (Fault::DriverNotLoaded, |error| matches!(error, GpuError::NoDriver { .. })),
        (Fault::VersionMismatch, |error| matches!(error, GpuError::Mismatch { .. })),
        (Fault::NoPermission, |error| matches!(error, GpuError::Permission)),
        (Fault::GpuNotFound, |error| matches!(error, GpuError::NoDevice)),
        (Fault::Unknown, |error| matches!(error, GpuError::Driver { .. })),
    ];
    for (fault, is) in cases {
        let dir = tempfile::tempdir().unwrap();
        let script = Script { init: Some(fault), ..script(vec![counting()]) };
        let error = refusal(&install(&script, dir.path()).unwrap());
        assert!(is(&error), "{fault:?}: {error}");
    }

    let dir = tempfile::tempdir().unwrap();
    let error = refusal(&install(&Script::default(), dir.path()).unwrap());
    assert!(matches!(error, GpuError::NoDevice), "{error}");
    let closed = ScriptedGpu { handle: Some(Fault::NoPermission), ..counting() };
    let dir = tempfile::tempdir().unwrap();
    let error = refusal(&install(&script(vec![closed]), dir.path()).unwrap());
    assert!(matches!(error, GpuError::Permission), "{error}");
}

#[test]
fn a_slow_call_leaves_a_gap_and_moves_no_deadline() {
    const PERIOD_MS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    // Ten periods and two fifths: samples that began anew after it would be off by those.
    let slow = Step::Slow { sleep_ms: 520, then: Box::new(Step::Value(6)) };
    let mut power: Vec<Step> = (0..6).map(Step::Value).collect();
    power.extend([slow, Step::Value(7)]);
    let gpu = ScriptedGpu { power_mw: Track::Then(power), ..counting() };
    let library = install(&script(vec![gpu]), dir.path()).unwrap();
    let (samples, _) = sample(&library, PERIOD_MS, |all| all.rows.len() > 30);

    let power: Vec<_> = samples.rows.iter().take(8).map(|row| row.power_mw.unwrap()).collect();
    assert_eq!(power, [0, 1, 2, 3, 4, 5, 6, 7], "the slow reading is a sample as well");
    let (before, after) = samples.rows.split_at(7);
    let middle = before[6].at - before[5].at;
    assert!(middle > Duration::from_millis(250), "stamped in the middle: {middle:?}");
    let (_, sampling) = samples.window(before[0].at, samples.rows[30].at, None);
    assert!(sampling.longest_gap_ms >= 250.0, "{sampling:?}");

    // Deadlines that began anew would all be off by 20 ms. On a busy machine many samples are late, but
    // not all of them by the same.
    let whole = |from: &GpuRow, to: &GpuRow| {
        let off = (to.at - from.at).as_secs_f64() * 1e3 % PERIOD_MS as f64;
        off.min(PERIOD_MS as f64 - off) < 3.0
    };
    let punctual = |row: &GpuRow| before[..6].iter().any(|from| whole(from, row));
    assert!(after.iter().any(punctual), "no sample stands where it would have stood");
}

#[test]
fn slow_readings_hold_up_no_sample() {
    let dir = tempfile::tempdir().unwrap();
    let slow =
        |value| Track::Always(Step::Slow { sleep_ms: 600, then: Box::new(Step::Value(value)) });
    let gpu = ScriptedGpu {
        pcie_tx_kb_per_s: slow(70),
        pcie_rx_kb_per_s: slow(80),
        ecc_corrected: Track::values(&[3, 5]),
        ecc_uncorrected: Track::always(0),
        ..counting()
    };
    let library = install(&script(vec![gpu]), dir.path()).unwrap();
    let has = |row: &&GpuRow| row.pcie_tx_kb_per_s.is_some();
    let (samples, _) = sample(&library, 10, |all| all.rows.iter().filter(has).count() > 1);
    let places: Vec<usize> =
        (0..samples.rows.len()).filter(|place| has(&&samples.rows[*place])).collect();
    assert!(places[0] >= 2, "samples went on for the 1200 ms of two calls: {places:?}");
    let found = |place: usize| {
        let row = &samples.rows[place];
        (row.pcie_tx_kb_per_s, row.pcie_rx_kb_per_s, row.ecc_corrected, row.ecc_uncorrected)
    };
    assert_eq!(found(places[0]), (Some(70), Some(80), Some(3), Some(0)));
    assert_eq!(found(places[1]), (Some(70), Some(80), Some(5), Some(0)));
    let apart = samples.rows[places[1]].at - samples.rows[places[0]].at;
    assert!(apart > Duration::from_millis(600), "no more than once a second: {apart:?}");
    let window = &samples.window(RunNanos::ZERO, RunNanos::MAX, None).0[0];
    assert_eq!((window.ecc_corrected, window.ecc_uncorrected), (Some(2), Some(0)));
    assert_eq!(window.pcie_rx_mean_mb_per_s, Some(0.08));
}

#[test]
fn a_driver_that_never_answers_holds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let hang = Step::Slow { sleep_ms: 3_600_000, then: Box::new(Step::Value(1)) };
    let power = vec![Step::Value(0), Step::Value(0), hang];
    let gpu = ScriptedGpu { power_mw: Track::Then(power), ..counting() };
    let library = install(&script(vec![gpu]), dir.path()).unwrap();
    // It ends, though the thread is asleep for an hour.
    let (samples, _) = sample(&library, 10, |all| all.rows.len() == 2);
    assert_eq!(samples.rows.len(), 2);
}

#[test]
fn the_newest_sample_is_seen_without_being_taken() {
    let dir = tempfile::tempdir().unwrap();
    let library = install(&script(vec![counting()]), dir.path()).unwrap();
    let clock = RunClock::start();
    let config = GpuConfig { library: Some(library), ..GpuConfig::new(clock) };
    let sampler = GpuSampler::start(config).unwrap();
    let mut seen = sampler.latest();
    while seen.is_empty() {
        assert!(clock.now() < RunNanos::ZERO + PATIENCE);
        thread::sleep(Duration::from_millis(5));
        seen = sampler.latest();
    }
    assert_eq!(seen.len(), 1);
    assert!(sampler.take().rows.contains(&seen[0]), "it is still there");
}

#[test]
fn energy_is_the_counters_difference() {
    let dir = tempfile::tempdir().unwrap();
    let library = install(&script(vec![counting()]), dir.path()).unwrap();
    let (samples, _) = sample(&library, 10, |all| all.rows.len() > 10);
    let at = |place: usize| samples.rows[place].at;
    // The script adds 30 mJ a sample: five samples are 0.15 J, however far apart they came.
    let window = &samples.window(at(2), at(7), None).0[0];
    assert!((window.energy_j.unwrap() - 0.15).abs() < 1e-9, "{:?}", window.energy_j);
    assert_eq!(window.samples, 5);
    // Half-way between two samples the counter stands half-way between its readings.
    let half = at(7) + (at(8) - at(7)) / 2;
    let window = &samples.window(at(2), half, None).0[0];
    assert!((window.energy_j.unwrap() - 0.165).abs() < 1e-6, "{:?}", window.energy_j);
}

#[test]
fn its_own_cost_is_told_and_small() {
    let dir = tempfile::tempdir().unwrap();
    let library = install(&script(vec![counting(); 8]), dir.path()).unwrap();
    let (samples, _) = sample(&library, 10, |all| of(all, 7).len() > 50);
    let (first, last) = (samples.rows[0].at, samples.rows.last().unwrap().at);
    let share = samples.window(first, last, None).1.cpu_share.unwrap();
    // Eight devices at the shortest period, in a build that is not optimised, on any machine: some
    // thousandths. The bound is for what an error would cost: a thread that never sleeps.
    assert!(share > 0.0 && share < 0.2, "{share}");
    println!("{:.3} % of a core for 8 devices at 100 Hz", share * 100.0);
}

#[test]
fn throttling_xids_and_foreign_processes_reach_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let process = |pid, bytes| ScriptedProcess { pid, memory_bytes: bytes };
    let gpu = ScriptedGpu {
        // Power cap in the second and third of every sample from the second on; idle before.
        throttle_reasons: Track::values(&[1, 4, 4 | 0x40, 0]),
        compute: vec![vec![process(100, Some(7_000)), process(200, None)]],
        graphics: vec![Vec::new()],
        xids: vec![ScriptedXid { sample: 2, xid: 79 }],
        ..counting()
    };
    let script = Script {
        process_names: [(100, "VLLM::EngineCore".into()), (200, "thief --key s3cret".into())]
            .into(),
        ..script(vec![gpu])
    };
    let library = install(&script, dir.path()).unwrap();
    let looked = |all: &GpuSamples| all.rows.iter().any(|row| row.processes.is_some());
    let (samples, _) = sample(&library, 10, |all| all.rows.len() > 4 && looked(all));

    let is_own = |pid| pid == 100;
    let four = samples.rows[4].at;
    let window = samples.window(RunNanos::ZERO, four, Some(&is_own)).0.remove(0);
    assert_eq!(window.throttled_share, Some(0.5));
    assert_eq!(window.throttle_reasons, ["SW Power Cap", "HW Thermal Slowdown"]);
    assert_eq!(window.xids, [79]);
    assert_eq!(samples.rows[2].xid, Some(79));

    let window = samples.window(RunNanos::ZERO, RunNanos::MAX, Some(&is_own)).0.remove(0);
    assert_eq!(window.used, Some(true));
    let seen: Vec<_> = window
        .processes
        .iter()
        .map(|one| (one.pid, one.name.as_deref(), one.memory_max_bytes, one.own))
        .collect();
    let expected = [
        (100, Some("VLLM::EngineCore"), Some(7_000), Some(true)),
        // The arguments of a foreign process are nobody's business.
        (200, Some("thief"), None, Some(false)),
    ];
    assert_eq!(seen, expected);
    let row = samples.rows.iter().find(|row| row.processes.is_some()).unwrap();
    assert_eq!((row.processes, row.processes_memory_bytes), (Some(2), None));
}

#[test]
fn the_machine_is_described_with_its_links() {
    let dir = tempfile::tempdir().unwrap();
    let bus = |place: u32| format!("0000000{place}:18:00.0");
    let gpu = |place: u32, nvlinks: Vec<String>, ancestor| ScriptedGpu {
        uuid: format!("GPU-{place}"),
        bus_id: bus(place),
        nvlinks,
        ancestor,
        memory_used_bytes: Track::always(1),
        memory_total_bytes: Track::always(80 << 30),
        power_limit_mw: Track::always(700_000),
        sm_clock_max_mhz: Track::always(1_980),
        ..ScriptedGpu::named("NVIDIA H100")
    };
    let switch = || "00000009:00:00.0".to_owned();
    let gpus = vec![
        // Two links to each other; three and two links to a switch; none at all.
        gpu(0, vec![bus(1), bus(1)], Some(20)),
        gpu(1, vec![bus(0), bus(0)], Some(40)),
        gpu(2, vec![switch(), switch(), switch()], Some(10)),
        gpu(3, vec![switch(), switch()], None),
        ScriptedGpu::named("bare"),
    ];
    let library = install(&script(gpus), dir.path()).unwrap();
    let machine = GpuDriver::open(Some(&library)).unwrap().machine();
    assert_eq!(
        (machine.driver.as_deref(), machine.cuda.as_deref()),
        (Some("570.86.15"), Some("12.8"))
    );
    let links: Vec<_> =
        machine.links.iter().map(|link| (link.a, link.b, link.link.as_str())).collect();
    let expected = [
        (0, 1, "NV2"),
        (0, 2, "PXB"),
        (0, 3, "PXB"),
        (0, 4, "PXB"),
        (1, 2, "NODE"),
        (1, 3, "NODE"),
        (1, 4, "NODE"),
        (2, 3, "NV2"),
        (2, 4, "PIX"),
        // The driver says nothing of the last pair.
    ];
    assert_eq!(links, expected);
    let record = &machine.gpus[0];
    assert_eq!((record.name.as_str(), record.uuid.as_deref()), ("NVIDIA H100", Some("GPU-0")));
    assert_eq!((record.memory_bytes, record.power_limit_mw), (Some(80 << 30), Some(700_000)));
    assert_eq!(record.sm_clock_max_mhz, Some(1_980));
    let bare = &machine.gpus[4];
    assert_eq!((bare.uuid.as_ref(), bare.memory_bytes, bare.power_limit_mw), (None, None, None));
}

#[test]
fn without_a_thread_there_is_an_error() {
    const NAME: &str = "without_a_thread_there_is_an_error";
    const HUGE: &str = "140737488355328";
    if env::var("RUST_MIN_STACK").is_ok_and(|size| size == HUGE) {
        let library = Some("/nowhere/libnvidia-ml.so.1".into());
        let config = GpuConfig { library, ..GpuConfig::new(RunClock::start()) };
        let error = GpuSampler::start(config).unwrap_err();
        assert!(matches!(error, GpuError::Thread(_)), "{error}");
        assert!(error.to_string().starts_with("no thread for the GPU sampler"), "{error}");
        return;
    }
    // In a process whose threads want more stack than there are addresses, no thread starts. The test
    // itself runs on the first one.
    let again = process::Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--test-threads=1"])
        .env("RUST_MIN_STACK", HUGE)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_environment_names_the_library() {
    const NAME: &str = "the_environment_names_the_library";
    if let Some(library) = env::var_os("PLIMSOLL_NVML") {
        if Path::new(&library).exists() {
            GpuSampler::start(GpuConfig::new(RunClock::start())).unwrap();
        } else {
            let error = GpuSampler::start(GpuConfig::new(RunClock::start())).unwrap_err();
            assert!(error.to_string().contains(&*library.to_string_lossy()), "{error}");
        }
        return;
    }
    // The environment belongs to a whole process: this test is run again in others.
    let dir = tempfile::tempdir().unwrap();
    let library = install(&script(vec![counting()]), dir.path()).unwrap();
    for named in [library, dir.path().join("nothing.so")] {
        let again = process::Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env("PLIMSOLL_NVML", &named)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(again.status.success() && said.contains("1 passed"), "{named:?}: {said}");
    }
}
