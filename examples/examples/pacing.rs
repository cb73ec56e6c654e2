//! Drives a plain closure at 1,000 starts a second for two seconds and shows how late they were.

#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use plimsoll_load::{ArrivalProcess, Driver, Schedule, Start, Stop, pacing_runtime};
use plimsoll_units::{Clock, Rate, RunClock, Span};

fn main() -> Result<(), Box<dyn Error>> {
    // Another process may be given: `cargo run --example pacing -- constant` or `'gamma(cv=2)'`.
    let process: ArrivalProcess = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => ArrivalProcess::default(),
    };
    let schedule = Schedule::new(process, Rate::new(1_000.0)?, 1);

    // Any closure from a start to a future is a target. This one takes three milliseconds each time,
    // and the driver does not wait for it.
    let ended = Rc::new(Cell::new(0_u64));
    let target = |_: Start| {
        let ended = Rc::clone(&ended);
        async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            ended.set(ended.get() + 1);
        }
    };

    let clock = RunClock::start();
    let origin = clock.now() + Duration::from_millis(10);
    let stop = Stop::new();
    stop.at(origin + Duration::from_secs(2));
    let driver = Driver::open(schedule.shard(0, 1)?, clock, origin);

    let runtime = pacing_runtime()?;
    let report = runtime.block_on(async {
        let report = driver.run(&target, &stop).await;
        while report.as_ref().is_ok_and(|report| ended.get() < report.started) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        report
    })?;

    println!("{process}: {} started, {} ended", report.started, ended.get());
    for q in [0.5, 0.9, 0.99] {
        let lag = report.lag.quantile(q).unwrap_or_default();
        println!("lag p{:<4} {}", q * 100.0, Span::new(lag));
    }
    println!("lag max   {}", Span::new(report.lag.max()));
    Ok(())
}

// Prints the process and the number of starts, then the lag at p50, p90, p99 and its maximum.
