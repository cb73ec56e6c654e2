//! Reads a recorded trace, says what a prefix cache would find of it, and keeps its instants.
//!
//! Run with `cargo run -p plimsoll-examples --example replay -- FILE.jsonl` (Mooncake's format). Without a
//! file it reads the extract of the workload's own tests. Prints the trace's rate and implied prefix
//! hits, then for each of the first requests when it was due and how late it started, ten times as fast.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use plimsoll_load::{Driver, Schedule, Start, Stop, pacing_runtime};
use plimsoll_units::{Clock as _, Rate, RunClock};
use plimsoll_workload::{Workload, WorkloadConfig};

const EXTRACT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/workload/tests/fixtures/mooncake.jsonl");

#[expect(clippy::print_stdout, reason = "an example shows what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| EXTRACT.to_owned());
    // The [workload] table of a matrix, here as JSON.
    let config: WorkloadConfig = serde_json::from_value(serde_json::json!({
        "trace": { "path": path, "format": "mooncake", "spread": "3s", "length": "15s" },
    }))?;
    let workload = Workload::new(&config, Path::new("."), 1)?;
    let replay = workload.replay().ok_or("the workload is a trace")?;
    let rate = replay.rate();
    println!("{} requests, {:.3} a second", replay.len(), rate.per_second());
    let hits = workload.implied_hits(0..replay.len() as u64).unwrap_or_default();
    println!("a cache that forgets nothing finds {:.1} % of their tokens", 100.0 * hits.share());

    let faster = Rate::new(rate.per_second() * 10.0)?;
    let schedule = Schedule::replay(replay.instants(faster, 1).into_iter().take(8))?;
    let starts = Rc::new(RefCell::new(Vec::new()));
    let target = |start: Start| {
        let starts = Rc::clone(&starts);
        async move { starts.borrow_mut().push(start) }
    };
    let clock = RunClock::start();
    let origin = clock.now();
    let driver = Driver::open(schedule.shard(0, 1)?, clock, origin);
    pacing_runtime()?.block_on(driver.run(&target, &Stop::new()))?;
    for start in &*starts.borrow() {
        let (input, output) = workload.lengths(start.index);
        println!(
            "request {}: {:?} + {output} tokens, due at {:?}, {:?} late",
            start.index,
            input.unwrap_or_default(),
            start.intended - origin,
            start.lag()
        );
    }
    Ok(())
}
