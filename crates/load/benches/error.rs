//! Start error against rate: how late each start of a constant schedule is, for the driver, for null
//! clients that do nothing but wait, and for a control that must lose.
//!
//! Everyone keeps the same instants on a thread of its own, one after the other and over again
//! (interleaved, so that a noisy minute falls on all of them), and stamps each wake-up with the same
//! clock. For every round: the 50th and 99th percentile (nearest rank) and the maximum of the lags in
//! microseconds; *drift*, the median lag of the last tenth of the starts less that of the first, in
//! microseconds; *cpu*, the thread's CPU time as a share of the round. Shown is the median over the
//! rounds, and of the rounds' ratios of p99 to that of the first null client.
//!
//! The two null clients are loops of blocking calls without a runtime: one reads a timer descriptor,
//! the other sleeps by `clock_nanosleep` with the thread's timer slack set to 1 ns (with the usual
//! slack it would wake 50 us late). The control sleeps by the runtime's millisecond wheel; if its
//! median is not above the driver's, the figures of that rate are void.
//!
//! Settings by environment: `RATES` (default `100,1000,5000,20000`), `SECONDS` a round (1), `ROUNDS`
//! (3). The figures of the docs: `RATES=1000 SECONDS=60 ROUNDS=5`.

#![expect(clippy::print_stdout, reason = "a bench shows what it found")]

use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use plimsoll_load::{ArrivalProcess, Driver, Schedule, Shard, Spin, Start, Stop, pacing_runtime};
use plimsoll_units::{Clock, Rate, RunClock, RunNanos};

/// One round of one contender.
#[derive(Clone, Copy)]
struct Round {
    clock: RunClock,
    origin: RunNanos,
    rate: Rate,
    length: Duration,
}

impl Round {
    fn schedule(self) -> Schedule {
        Schedule::new(ArrivalProcess::Constant, self.rate, 0)
    }

    /// The instants of the round, in order.
    fn instants(self) -> impl Iterator<Item = RunNanos> {
        let (origin, length) = (self.origin, self.length);
        self.schedule()
            .map(|arrival| arrival.offset)
            .take_while(move |at| *at < length)
            .map(move |at| origin + at)
    }

    /// How many instants there are.
    fn count(self) -> usize {
        (self.rate.per_second() * self.length.as_secs_f64()) as usize
    }
}

/// Somebody who keeps instants, and returns the lag of each.
#[derive(Clone, Copy)]
enum Contender {
    NullTimer,
    NullSleep,
    Driver(&'static str, Spin),
    Control,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::NullTimer => "null client, timerfd",
            Self::NullSleep => "null client, clock_nanosleep",
            Self::Driver(name, _) => name,
            Self::Control => "control: millisecond wheel",
        }
    }

    fn run(self, round: Round) -> Vec<Duration> {
        match self {
            Self::NullTimer => null_timer(round),
            Self::NullSleep => null_sleep(round),
            Self::Driver(_, spin) => driver(round, spin),
            Self::Control => control(round),
        }
    }
}

const fn fixed(micros: u64) -> Spin {
    Spin::Fixed(Duration::from_micros(micros))
}

/// What one round showed; microseconds, and a share.
#[derive(Clone, Copy)]
struct Found {
    p50: f64,
    p99: f64,
    max: f64,
    drift: f64,
    cpu: f64,
}

fn main() {
    let seconds = setting("SECONDS", 1.0);
    let rounds = setting("ROUNDS", 3_usize);
    let rates = std::env::var("RATES").unwrap_or_else(|_| "100,1000,5000,20000".to_owned());
    let contenders = [
        Contender::NullTimer,
        Contender::NullSleep,
        Contender::Driver("driver, no spin", Spin::NONE),
        Contender::Driver("driver, spin 50 us", fixed(50)),
        Contender::Driver("driver, spin 100 us", fixed(100)),
        Contender::Driver("driver as it comes", Spin::default()),
        Contender::Control,
    ];
    let clock = RunClock::start();
    for rate in rates.split(',').filter_map(|rate| rate.trim().parse::<f64>().ok()) {
        let rate = Rate::new(rate).expect("RATES are above zero");
        let length = Duration::from_secs_f64(seconds);
        println!("\n{rate}, {rounds} rounds of {seconds} s");
        println!(
            "{:<30} {:>8} {:>8} {:>9} {:>7} {:>6} {:>9}",
            "", "p50 us", "p99 us", "max us", "drift", "cpu %", "p99/null"
        );
        let mut found = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for (contender, found) in contenders.iter().zip(&mut found) {
                let origin = clock.now() + Duration::from_millis(20);
                let round = Round { clock, origin, rate, length };
                let of_contender = *contender;
                let thread = std::thread::spawn(move || watch(of_contender, round));
                found.push(thread.join().expect("no contender panics"));
            }
        }
        for (contender, of_contender) in contenders.iter().zip(&found) {
            let middle = |figure: fn(&Found) -> f64| median(of_contender.iter().map(figure));
            let ratio =
                median(of_contender.iter().zip(&found[0]).map(|(own, null)| own.p99 / null.p99));
            println!(
                "{:<30} {:>8.1} {:>8.1} {:>9.1} {:>7.1} {:>6.1} {:>9.2}",
                contender.name(),
                middle(|found| found.p50),
                middle(|found| found.p99),
                middle(|found| found.max),
                middle(|found| found.drift),
                100.0 * middle(|found| found.cpu),
                ratio,
            );
        }
        let p50 = |at: usize| median(found[at].iter().map(|found| found.p50));
        if p50(6) <= p50(5) {
            println!("void: the control did not lose");
        }
    }
}

/// Runs a contender on this thread and looks at what it did.
fn watch(contender: Contender, round: Round) -> Found {
    let cpu_before = thread_cpu();
    let begun = round.clock.now();
    let mut lags = contender.run(round);
    let cpu = (thread_cpu() - cpu_before).as_secs_f64();
    let lasted = (round.clock.now() - begun).as_secs_f64();
    assert_eq!(lags.len(), round.instants().count(), "every instant was kept");
    let tenth = lags.len().div_ceil(10);
    let middle = |lags: &[Duration]| median(lags.iter().map(|lag| micros(*lag)));
    let drift = middle(&lags[lags.len() - tenth..]) - middle(&lags[..tenth]);
    lags.sort_unstable();
    let rank = |q: f64| micros(lags[(q * lags.len() as f64).ceil() as usize - 1]);
    Found { p50: rank(0.5), p99: rank(0.99), max: rank(1.0), drift, cpu: cpu / lasted }
}

fn null_timer(round: Round) -> Vec<Duration> {
    let timer = TimerFd::new(TimerClock::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)
        .expect("the system has timers");
    wait_for_each(round, |instant| {
        let at = TimeSpec::from_duration(round.clock.monotonic(instant));
        timer
            .set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .and_then(|()| timer.wait())
    })
}

fn null_sleep(round: Round) -> Vec<Duration> {
    set_timerslack(1).expect("every thread may set its slack");
    wait_for_each(round, |instant| {
        let at = TimeSpec::from_duration(round.clock.monotonic(instant));
        clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at).map(drop)
    })
}

/// Calls `wait` with each instant until it has come, and notes how late that was.
fn wait_for_each(round: Round, wait: impl Fn(RunNanos) -> Result<(), Errno>) -> Vec<Duration> {
    let mut lags = Vec::with_capacity(round.count());
    for instant in round.instants() {
        let mut now = round.clock.now();
        while now < instant {
            wait(instant).expect("a sleep without signals is not interrupted");
            now = round.clock.now();
        }
        lags.push(now - instant);
    }
    lags
}

fn driver(round: Round, spin: Spin) -> Vec<Duration> {
    let lags = Rc::new(RefCell::new(Vec::with_capacity(round.count())));
    let target = |start: Start| {
        lags.borrow_mut().push(start.lag());
        std::future::ready(())
    };
    let stop = Stop::new();
    stop.at(round.origin + round.length);
    let driver = Driver::open(Shard::from(round.schedule()), round.clock, round.origin).spin(spin);
    let runtime = pacing_runtime().expect("the system has a poll descriptor");
    runtime.block_on(driver.run(&target, &stop)).expect("the system has timers");
    lags.take()
}

fn control(round: Round) -> Vec<Duration> {
    let mut lags = Vec::with_capacity(round.count());
    let runtime = pacing_runtime().expect("the system has a poll descriptor");
    runtime.block_on(async {
        for instant in round.instants() {
            let mut now = round.clock.now();
            while now < instant {
                tokio::time::sleep(instant - now).await;
                now = round.clock.now();
            }
            lags.push(now - instant);
        }
    });
    lags
}

/// CPU time that this thread has used.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The environment's value of a setting, or the default.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
