//! What it costs to know oneself and the server: a reading of the run's clock, an anchor of the wall
//! clock to it, the run-queue wait of all threads, the server's page of metrics, the GPUs. Each group has
//! a control that must lose.

#![expect(clippy::print_stdout, reason = "a bench says what it measured")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use plimsoll_benches::{Usage, run_queue_wait_ns};
use plimsoll_gpu::{GpuConfig, GpuSampler};
use plimsoll_nvml_stand_in::{Script, ScriptedGpu, Track, install};
use plimsoll_server::{ControlClient, Exposition, MetricsSample, MetricsSampler};
use plimsoll_units::{Clock as _, RunClock, RunNanos};

fn short<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.sample_size(20);
    group
}

/// A stamp is taken for every read, so it must cost nanoseconds: the reading stays out of the kernel.
fn clock(c: &mut Criterion) {
    let clock = RunClock::start();
    let mut group = short(c, "a stamp");
    group.bench_function("run clock", |b| b.iter(|| black_box(clock.now())));
    group.bench_function("anchor: wall clock between two readings", |b| {
        b.iter(|| black_box(RunClock::start()));
    });
    group.bench_function("control: a system call (must lose)", |b| {
        b.iter(|| black_box(nix::unistd::getppid()));
    });
    group.finish();
}

/// Read a few times a second, beside the measured path.
fn accounts(c: &mut Criterion) {
    // Threads as a load generator has them.
    for _ in 0..8 {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(600)));
    }
    let mut group = short(c, "accounts of the process, 9 threads");
    group.bench_function("CPU time and memory", |b| b.iter(|| Usage::now().map(black_box)));
    group.bench_function("run-queue wait, one thread", |b| {
        b.iter(|| black_box(fs::read("/proc/thread-self/schedstat")));
    });
    group.bench_function("run-queue wait, all threads", |b| {
        b.iter(|| run_queue_wait_ns().map(black_box));
    });
    group.bench_function("control: a process that does nothing (must lose)", |b| {
        b.iter(|| black_box(Command::new("true").status()));
    });
    group.finish();
}

/// Lines of the page that is scraped, comments included: as many as vLLM's.
const LINES: usize = 670;

/// A page as long as vLLM's, of histograms whose counts are `number` each.
fn page(number: usize) -> String {
    let mut page = String::new();
    let mut lines = 0;
    for histogram in 0.. {
        let name = format!("vllm:request_phase_{histogram}_time_seconds");
        // Writing to a String cannot fail, so the results are dropped.
        let _ = writeln!(page, "# HELP {name} Histogram of time spent in a phase of a request.");
        let _ = writeln!(page, "# TYPE {name} histogram");
        for bound in 1..=20 {
            let _ = writeln!(
                page,
                "{name}_bucket{{engine=\"0\",le=\"{bound}.0\",model_name=\"qwen3-14b\"}} {number}.0"
            );
        }
        for part in ["count", "sum"] {
            let _ = writeln!(
                page,
                "{name}_{part}{{engine=\"0\",model_name=\"qwen3-14b\"}} {number}.123456789012345"
            );
        }
        lines += 24;
        if lines + 24 > LINES {
            break;
        }
    }
    for (name, value) in [("running", number % 7), ("waiting", number % 5)] {
        let _ = writeln!(page, "# TYPE vllm:num_requests_{name} gauge");
        let _ = writeln!(page, "vllm:num_requests_{name}{{engine=\"0\"}} {value}.0");
    }
    while page.lines().count() < LINES {
        page.push_str("# one line more\n");
    }
    page
}

/// A server whose every answer is the next page; gives its URL.
fn serve_pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback address has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let mut head = [0; 4096];
            let body = page(number);
            let length = body.len();
            // A client that has gone is the bench's end.
            let _ = stream.read(&mut head);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    });
    format!("http://{address}")
}

/// CPU time of the sampler's own thread for `pages` pages, from asking to keeping, each of them asked
/// for singly.
fn scrape(url: &str, pages: u64) -> Duration {
    let control =
        ControlClient::new(url, None, Duration::from_secs(5)).expect("a URL as it must be");
    let clock = RunClock::start();
    let sampler = MetricsSampler::start(control, clock, Duration::from_secs(3_600))
        .expect("the system has a thread to spare");
    let wait_for = |moment| {
        while sampler.latest().is_none_or(|(at, _)| at < moment) {
            std::thread::sleep(Duration::from_micros(200));
        }
    };
    // The one that it reads by itself.
    wait_for(RunNanos::ZERO);
    for _ in 0..pages {
        let now = clock.now();
        sampler.scrape_now();
        wait_for(now);
    }
    let end = clock.now();
    sampler.scrape_now();
    wait_for(end);
    let cpu = sampler.take().cpu;
    // The account of a page follows the page: that of the last one may not be there yet.
    let last = usize::try_from(pages).unwrap_or(usize::MAX).min(cpu.len() - 1);
    cpu[last].1 - cpu[0].1
}

/// A page of metrics a second beside the load: what counts is CPU time of the sampler's thread, which
/// criterion is given in place of the time that has passed. `1 Hz` in microseconds a second is also
/// the share of a core in millionths: 1 % would be 10 ms.
fn metrics(c: &mut Criterion) {
    let url = serve_pages();
    let mut group = short(c, "the server's metrics, a page of 670 lines");
    let page = page(3);
    group.bench_function("parsed and read, without the sampler's memory of the last page", |b| {
        b.iter(|| black_box(MetricsSample::from(&Exposition::parse(page.as_bytes()))));
    });
    group.bench_function("CPU time of the sampler for a second at 1 Hz", |b| {
        b.iter_custom(|seconds| scrape(&url, seconds));
    });
    group.bench_function("control: for a second at 100 Hz (must lose)", |b| {
        b.iter_custom(|seconds| scrape(&url, 100 * seconds));
    });
    group.finish();
}

/// Share of a core that the samplers' threads take, of the metrics and of eight GPUs.
fn shares(
    url: &str,
    library: &Path,
    metrics_period: Duration,
    gpu_period: Duration,
    length: Duration,
) -> (f64, f64) {
    let clock = RunClock::start();
    let control =
        ControlClient::new(url, None, Duration::from_secs(5)).expect("a URL as it must be");
    let config = GpuConfig { library: Some(library.to_owned()), period: gpu_period, clock };
    let gpus = GpuSampler::start(config).expect("the stand-in is a library as it must be");
    let metrics = MetricsSampler::start(control, clock, metrics_period)
        .expect("the system has a thread to spare");
    std::thread::sleep(length);
    let metrics: Vec<_> = metrics.take().cpu;
    let gpus: Vec<_> = gpus.take().cpu.iter().map(|reading| (reading.at, reading.used)).collect();
    let share = |cpu: &[(RunNanos, Duration)]| match cpu {
        [(from, before), .., (to, after)] => {
            (*after - *before).as_secs_f64() / (*to - *from).as_secs_f64()
        }
        _ => 1.0,
    };
    (share(&metrics), share(&gpus))
}

/// Both samplers together at their default periods, and a hundred times a second as the control. The
/// GPUs are a library that plays a script: what the real driver adds for a reading is not in here.
fn together(_: &mut Criterion) {
    let url = serve_pages();
    let dir = tempfile::tempdir().expect("the folder for temporary files can be written to");
    let gpu = || ScriptedGpu {
        sm_utilisation_pct: Track::always(97),
        memory_utilisation_pct: Track::always(40),
        power_mw: Track::always(400_000),
        energy_mj: Track::Ramp { from: 0, step: 40_000 },
        temperature_c: Track::always(60),
        sm_clock_mhz: Track::always(1_980),
        memory_clock_mhz: Track::always(2_619),
        throttle_reasons: Track::always(0),
        ..ScriptedGpu::named("scripted")
    };
    let script = Script { gpus: (0..8).map(|_| gpu()).collect(), ..Script::default() };
    let library = install(&script, dir.path()).expect("the stand-in was built with this bench");
    let of = |metrics_ms, gpu_ms, seconds| {
        let ms = Duration::from_millis;
        shares(&url, &library, ms(metrics_ms), ms(gpu_ms), Duration::from_secs(seconds))
    };
    let (metrics, gpus) = of(1_000, 100, 4);
    let (fast_metrics, fast_gpus) = of(10, 10, 2);
    for (what, metrics, gpus) in [
        ("1 Hz and 10 Hz", metrics, gpus),
        ("control: 100 Hz and 100 Hz (must lose)", fast_metrics, fast_gpus),
    ] {
        println!(
            "share of a core, {what}: metrics {:.3} %, 8 GPUs {:.3} %, together {:.3} %",
            metrics * 100.0,
            gpus * 100.0,
            (metrics + gpus) * 100.0
        );
    }
    assert!(metrics + gpus < 0.01, "the samplers take over 1 % of a core at their default periods");
    assert!(fast_metrics + fast_gpus > metrics + gpus, "ten times the readings cost more");
}

criterion_group!(benches, clock, accounts, metrics, together);
criterion_main!(benches);
