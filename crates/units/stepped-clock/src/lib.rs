//! A wall clock that somebody sets, again and again, while a program runs: for tests of what that does.
//!
//! [`library()`] is the path of a shared library that stands in front of the system's `clock_gettime`:
//! loaded into a process by `LD_PRELOAD`, with [`STEP_MS`] in its environment, it lets the wall clock
//! jump forward by that many milliseconds and back, once in each [`PERIOD`]. Every other clock, and a
//! process without the variable, gets what the system says. Nothing else on the machine notices.
//!
//! What this crate refuses to do: touch a clock of the system, and serve anything but tests. Where there is
//! no Linux, there is nothing in it.
#![cfg(target_os = "linux")]

mod install;
mod symbol;

pub use install::library;
pub use symbol::{PERIOD, STEP_MS};
