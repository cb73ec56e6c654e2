//! What one sample of eight GPUs costs this program, the driver's own work left out: the devices are
//! those of a stand-in library, whose answers cost a lock and a look into a table.
//!
//! The control opens the library anew for each sample, as a program does that runs `nvidia-smi`; the
//! figures are void if it does not lose by far.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_gpu::{GpuDriver, GpuReader};
use plimsoll_nvml_stand_in::{Script, ScriptedGpu, Track, install};
use plimsoll_units::RunClock;

const GPUS: usize = 8;

fn gpu() -> ScriptedGpu {
    let value = Track::always(1_234);
    ScriptedGpu {
        sm_utilisation_pct: value.clone(),
        memory_utilisation_pct: value.clone(),
        memory_used_bytes: value.clone(),
        memory_total_bytes: value.clone(),
        power_mw: value.clone(),
        energy_mj: Track::Ramp { from: 0, step: 30 },
        temperature_c: value.clone(),
        sm_clock_mhz: value.clone(),
        memory_clock_mhz: value.clone(),
        throttle_reasons: Track::always(0),
        offers_xids: true,
        ..ScriptedGpu::named("scripted")
    }
}

fn sample(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let script = Script { gpus: vec![gpu(); GPUS], ..Script::default() };
    let library = install(&script, dir.path()).expect("the stand-in was built with this bench");
    let clock = RunClock::start();
    let open = || GpuDriver::open(Some(&library)).expect("the stand-in opens");

    let mut group = c.benchmark_group("one sample of 8 GPUs");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.sample_size(20).throughput(Throughput::Elements(GPUS as u64));
    let mut rows = Vec::with_capacity(GPUS);
    {
        let driver = open();
        let mut reader = GpuReader::new(&driver, clock);
        group.bench_function("reader", |b| {
            b.iter(|| {
                rows.clear();
                reader.read(black_box(&mut rows));
            });
        });
    }
    group.bench_function("control: the library opened anew (must lose)", |b| {
        b.iter(|| {
            rows.clear();
            let driver = open();
            GpuReader::new(&driver, clock).read(black_box(&mut rows));
        });
    });
    group.finish();
    assert_eq!(rows.len(), GPUS, "every device answers");
}

criterion_group!(benches, sample);
criterion_main!(benches);
