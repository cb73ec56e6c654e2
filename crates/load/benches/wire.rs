//! Whether Poisson arrivals are still Poisson when they reach a server, and whether a busy driver tells
//! the lag that the server sees.
//!
//! **Arrivals.** A run is one schedule with a seed of its own, sent by 1, 2 or 8 shards: each a thread
//! with a runtime, a driver and a TCP connection, on which every start writes eight bytes. A server on
//! one thread of its own stamps them when it has read them. Its stamps of all shards together go
//! through tests at level 1 %: dispersion of the counts in 0.1, 1 and 10 s, and Kolmogorov-Smirnov of
//! the gaps. Of 100 runs of a true Poisson process each test rejects at most 4 in 99.7 % of cases;
//! the first line says what the same tests say of the instants as scheduled. *late* is the server's
//! stamp less the intended instant: a busy machine shows there first, and in the gaps next. Since runs must be long,
//! many go on at once, each with its own threads. The control sends the same instants in batches, as
//! a generator with a timer of 10 ms would; if most of its runs are not rejected the tests are void.
//!
//! **Lag.** One driver on a thread that busy tasks leave a tenth of its time, and a server that looks
//! for bytes without ever sleeping: how much later than `dequeued` it read them.
//!
//! Settings by environment: `RUNS` (default 20), `AT_ONCE` (20), `SECONDS` a run, 20 or more (20),
//! `RATE` of a run (50). The figures of the docs: `RUNS=100 SECONDS=60`.

#![expect(clippy::print_stdout, reason = "a bench shows what it found")]

#[path = "../tests/statistics/oracle.rs"]
mod oracle;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plimsoll_load::{ArrivalProcess, Driver, Lags, Schedule, Shard, Start, Stop, pacing_runtime};
use plimsoll_units::{Clock, Rate, RunClock, RunNanos};
use tokio::io::AsyncReadExt;

/// What the control rounds its instants up to.
const BATCH_NS: u128 = 10_000_000;

/// How runs are made.
#[derive(Clone, Copy)]
struct Setting {
    runs: u64,
    at_once: u64,
    length: Duration,
    rate: Rate,
}

impl Setting {
    fn poisson(self, seed: u64) -> Schedule {
        Schedule::new(ArrivalProcess::Poisson, self.rate, seed)
    }

    /// The instants of a run, from its start.
    fn offsets(self, seed: u64) -> Vec<Duration> {
        let length = self.length;
        self.poisson(seed).map(|arrival| arrival.offset).take_while(|at| *at < length).collect()
    }

    /// The same instants in batches.
    fn batched(self, seed: u64) -> Schedule {
        let later = |at: Duration| (at.as_nanos().div_ceil(BATCH_NS) * BATCH_NS) as u64;
        let instants = self.offsets(seed).into_iter().map(|at| Duration::from_nanos(later(at)));
        Schedule::replay(instants).expect("rounding keeps the order")
    }

    /// Prints, and returns, how many of the runs each test rejects.
    fn show(self, what: &str, sight: &Sight) -> [usize; 4] {
        let (rate, length) = (self.rate.per_second(), self.length.as_secs_f64());
        let mut rejected = [0; 4];
        for instants in &sight.runs {
            let verdict = oracle::judge_poisson(instants, rate, length);
            rejected.iter_mut().zip(verdict).for_each(|(count, no)| *count += usize::from(no));
        }
        print!("{what:<27}");
        for (test, count) in oracle::TESTS.into_iter().zip(rejected) {
            print!("  {count:>width$}", width = test.len());
        }
        for q in [0.5, 0.99] {
            match sight.late.quantile(q) {
                Some(late) => print!(" {:>9.1}", late.as_secs_f64() * 1e6),
                None => print!(" {:>9}", "-"),
            }
        }
        println!();
        rejected
    }
}

fn main() -> io::Result<()> {
    let setting = Setting {
        runs: setting("RUNS", 20),
        at_once: setting("AT_ONCE", 20).max(1),
        length: Duration::from_secs(setting("SECONDS", 20).max(20)),
        rate: Rate::new(setting("RATE", 50.0)).expect("RATE is above zero"),
    };
    let Setting { runs, at_once, length, rate } = setting;
    println!(
        "{runs} runs of {length:?} at {rate}, {at_once} at once; rejected at {}:",
        oracle::LEVEL
    );
    println!("{:<28} {}   late p50, p99 us", "", oracle::TESTS.join("  "));
    let seconds = |seed| setting.offsets(seed).iter().map(Duration::as_secs_f64).collect();
    let scheduled = Sight { runs: (0..runs).map(seconds).collect(), late: Lags::new() };
    setting.show("as scheduled", &scheduled);
    for shards in [1, 2, 8] {
        let mut sight = Sight::default();
        for first in (0..runs).step_by(at_once as usize) {
            let more = send(setting, first..runs.min(first + at_once), shards, Setting::poisson)?;
            sight.runs.extend(more.runs);
            sight.late.merge(&more.late);
        }
        setting.show(&format!("as seen of {shards} shard(s)"), &sight);
    }
    let control = send(setting, 0..runs.min(at_once), 1, Setting::batched)?;
    let rejected = setting.show(&format!("control, {} runs", control.runs.len()), &control);
    if rejected[3] * 2 <= control.runs.len() {
        println!("void: the control did not lose");
    }
    lag_of_a_busy_thread()
}

/// What a server saw of a number of runs.
#[derive(Default)]
struct Sight {
    /// When it saw the arrivals of each run, in order, in seconds from the start.
    runs: Vec<Vec<f64>>,
    /// Its stamps less the intended instants.
    late: Lags,
}

/// Sends one schedule for each seed, all at once.
fn send(
    setting: Setting,
    seeds: Range<u64>,
    shards: u32,
    schedule: impl Fn(Setting, u64) -> Schedule,
) -> io::Result<Sight> {
    let clock = RunClock::start();
    let connections = (seeds.end - seeds.start) * u64::from(shards);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(listener, connections, clock));
    let origin = clock.now() + Duration::from_secs(1);
    let stop = Stop::new();
    stop.at(origin + setting.length);
    let mut workers = Vec::new();
    for seed in seeds.clone() {
        for shard in 0..shards {
            let shard = schedule(setting, seed).shard(shard, shards).expect("it is one of them");
            let driver = Driver::open(shard, clock, origin);
            let (stop, run) = (stop.clone(), seed - seeds.start);
            workers.push(thread::spawn(move || work(driver, &stop, address, run)));
        }
    }
    for worker in workers {
        worker.join().expect("no worker panics")?;
    }
    let due: Vec<Vec<_>> = seeds
        .map(|seed| schedule(setting, seed).map(|arrival| arrival.offset))
        .map(|offsets| offsets.take_while(|at| *at < setting.length).collect())
        .collect();
    let mut sight = Sight { runs: vec![Vec::new(); due.len()], late: Lags::new() };
    for Seen { run, index, at } in server.join().expect("the server does not panic")? {
        let (run, index) = (run as usize, index as usize);
        sight.runs[run].push((at - origin).as_secs_f64());
        sight.late.record(at - (origin + due[run][index]));
    }
    for (run, due) in sight.runs.iter_mut().zip(&due) {
        run.sort_by(f64::total_cmp);
        assert_eq!(run.len(), due.len(), "every arrival was received");
    }
    Ok(sight)
}

/// One message as the server read it.
struct Seen {
    run: u64,
    index: u64,
    at: RunNanos,
}

/// A worker: says which run it belongs to, then writes eight bytes at each start.
fn work(driver: Driver, stop: &Stop, address: SocketAddr, run: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&run.to_le_bytes())?;
    stream.set_nonblocking(true)?;
    let target = |start: Start| {
        let written = (&stream).write(&start.index.to_le_bytes());
        assert_eq!(written.ok(), Some(8), "so little always fits");
        std::future::ready(())
    };
    pacing_runtime()?.block_on(driver.run(&target, stop)).expect("the system has timers");
    Ok(())
}

/// The server: the run and the stamp of each message, until all connections have ended.
fn serve(listener: TcpListener, connections: u64, clock: RunClock) -> io::Result<Vec<Seen>> {
    pacing_runtime()?.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut readers = Vec::new();
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            readers.push(tokio::task::spawn_local(async move {
                let run = stream.read_u64_le().await?;
                let mut seen = Vec::new();
                while let Ok(index) = stream.read_u64_le().await {
                    seen.push(Seen { run, index, at: clock.now() });
                }
                Ok::<_, io::Error>(seen)
            }));
        }
        let mut seen = Vec::new();
        for reader in readers {
            seen.extend(reader.await.expect("no reader panics")?);
        }
        Ok(seen)
    })
}

/// How much later than the driver says a server reads what was written at each start.
fn lag_of_a_busy_thread() -> io::Result<()> {
    let clock = RunClock::start();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    let (server_stream, _) = listener.accept()?;
    server_stream.set_nonblocking(true)?;
    let ended = Arc::new(AtomicBool::new(false));
    let server_ended = Arc::clone(&ended);
    let server = thread::spawn(move || watch(server_stream, clock, &server_ended));

    let origin = clock.now() + Duration::from_millis(20);
    let stop = Stop::new();
    stop.at(origin + Duration::from_secs(4));
    let (sender, starts) = mpsc::channel();
    let target = |start: Start| {
        let written = (&stream).write(&start.index.to_le_bytes());
        assert_eq!(written.ok(), Some(8), "so little always fits");
        assert!(sender.send(start).is_ok(), "the receiver is here");
        std::future::ready(())
    };
    let rate = Rate::new(1_000.0).expect("above zero");
    let shard = Shard::from(Schedule::new(ArrivalProcess::Poisson, rate, 1));
    let driver = Driver::open(shard, clock, origin);
    let report = pacing_runtime()?
        .block_on(async {
            tokio::task::spawn_local(async move {
                loop {
                    let begun = clock.now();
                    while clock.now() < begun + Duration::from_millis(13) {
                        std::hint::spin_loop();
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            driver.run(&target, &stop).await
        })
        .expect("the system has timers");
    // Loopback hands bytes over inside the write, so they are all in the server's socket by now.
    ended.store(true, Ordering::Release);
    let received = server.join().expect("the server does not panic")?;
    let starts: Vec<_> = starts.try_iter().collect();
    assert_eq!(starts.len(), received.len(), "every arrival was received");
    let mut beyond: Vec<_> = starts.iter().zip(&received).map(|(s, at)| *at - s.dequeued).collect();
    beyond.sort_unstable();
    let rank = |q: f64| beyond[(q * beyond.len() as f64).ceil() as usize - 1];
    println!(
        "\nlag on a busy thread, by the driver: p50 {:?}, p99 {:?}; the server saw p50 {:?}, p90 {:?}, \
         p99 {:?} more",
        report.lag.quantile(0.5).unwrap_or_default(),
        report.lag.quantile(0.99).unwrap_or_default(),
        rank(0.5),
        rank(0.9),
        rank(0.99),
    );
    Ok(())
}

/// A server that never sleeps: the stamp of each message when it was there to be read.
fn watch(mut stream: TcpStream, clock: RunClock, ended: &AtomicBool) -> io::Result<Vec<RunNanos>> {
    let (mut seen, mut message) = (Vec::new(), [0; 8]);
    loop {
        let last_look = ended.load(Ordering::Acquire);
        match stream.read(&mut message) {
            // Messages of eight bytes are written whole, so they are read whole.
            Ok(_) => seen.push(clock.now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last_look {
                    return Ok(seen);
                }
                std::hint::spin_loop();
            }
            Err(error) => return Err(error),
        }
    }
}

/// The environment's value of a setting, or the default.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
