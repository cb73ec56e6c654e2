//! When a request starts: open-loop arrivals, closed loops, and the driver that keeps their time.
//! Never what a request says or how it is sent.
//!
//! In order of use: an [`ArrivalProcess`] (what a configuration names) at a rate and with a seed is a
//! [`Schedule`], an endless sequence of [`Arrival`]s; each worker thread takes its [`Shard`] of it
//! and gives that to a [`Driver`], which calls the [`Target`] you supply, any async task, with a
//! [`Start`] at each due instant until a [`Stop`]. A [`ClosedLoop`] of fixed concurrency goes
//! through the same driver and target; [`OpenLoop`] adds a cap to a shard. What is due only when a task
//! has ended, as the next turn of a conversation, goes through the target's [`FollowUps`]. [`pacing_runtime`] is the
//! runtime to run it on, one to a thread. The [`DriverReport`] has the [`Lags`] of all starts. How far
//! ahead of its instants a driver is awake is its [`Spin`]: by default as long as the machine has
//! lately taken to wake it, so that the median start is a microsecond late and hardly any CPU is
//! spent on waiting.
//!
//! Units and clocks: stamps are [`RunNanos`](plimsoll_units::RunNanos) of the run's one
//! [`RunClock`](plimsoll_units::RunClock); offsets in a schedule are `Duration`s from the origin given
//! to the driver; rates are per second. Deadlines are absolute, by a nanosecond timer of the kernel
//! (on Linux; elsewhere by the runtime's timer and a short spin).
//!
//! What this crate refuses to do: stretch a schedule so that a count fits a length; skip, delay or
//! move an arrival because the ones before it were late; wait for a response, a permit or a lock;
//! hide its own lateness; know what a request is.
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! use plimsoll_load::{ArrivalProcess, Driver, Schedule, Start, Stop, pacing_runtime};
//! use plimsoll_units::{Clock, Rate, RunClock};
//!
//! let process: ArrivalProcess = "poisson".parse()?;
//! let schedule = Schedule::new(process, Rate::new(500.0)?, 7);
//!
//! let starts = Rc::new(RefCell::new(Vec::new()));
//! let target = |start: Start| {
//!     let starts = Rc::clone(&starts);
//!     async move { starts.borrow_mut().push(start) }
//! };
//!
//! let clock = RunClock::start();
//! let origin = clock.now();
//! let stop = Stop::new();
//! stop.at(origin + Duration::from_millis(100));
//! let driver = Driver::open(schedule.clone().shard(0, 1)?, clock, origin);
//! let report = pacing_runtime()?.block_on(driver.run(&target, &stop))?;
//!
//! // The same seed gives the same instants, and every one of them was kept or is accounted for.
//! let due = schedule.take_while(|arrival| arrival.offset < Duration::from_millis(100));
//! for (arrival, start) in due.zip(starts.borrow().iter()) {
//!     assert_eq!(start.intended, origin + arrival.offset);
//!     assert!(start.dequeued >= start.intended);
//! }
//! assert_eq!(report.started, starts.borrow().len() as u64);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod closed;
mod driver;
mod elapsed;
mod follow;
mod open;
mod pacer;
mod process;
mod runtime;
mod schedule;
mod seats;
mod spin;
mod step;
mod stop;
mod target;

pub use closed::ClosedLoop;
pub use driver::{Driver, DriverError, DriverReport};
pub use follow::FollowUps;
pub use open::OpenLoop;
pub use plimsoll_units::Lags;
pub use process::{ArrivalProcess, GapCv, ProcessError};
pub use runtime::pacing_runtime;
pub use schedule::{Arrival, Schedule, ScheduleError, Shard};
pub use spin::Spin;
pub use stop::Stop;
pub use target::{Start, Target};
