//! What the client itself costs, and how far its figures are from the truth.
//!
//! In order of use: a [`Pulse`] is a server whose every write is stamped, so that what it did is
//! known; a [`NullClient`] is the floor, which only reads, counts and stamps; [`drive`] sends the same
//! load through the whole Plimsoll client. Both hand back [`Seen`] requests; [`fetch`] gets the server's
//! [`Truth`] of them, and [`compare()`] joins the two into [`Figures`]. The binaries `pulse` and `overhead`
//! wrap these, the script `benches/overhead` repeats the published study with them, and BENCHMARKING.md
//! says how to read what they print.
//!
//! Units and clocks: every stamp that crosses a process is ns of `CLOCK_MONOTONIC`, which all
//! processes of one machine share. The server and the client under test must therefore run on one machine.
//!
//! What this package refuses to do: use the client or the simulator in the server or in the null client
//! (a bug that both sides had would hide), and judge a figure.
//!
//! ```
//! use std::time::Duration;
//!
//! use plimsoll_benches::{
//!     Bodies, BodyShape, Load, NullClient, Pace, Pulse, PulseSettings, compare, fetch,
//! };
//!
//! let quick = PulseSettings { ttft: Duration::from_millis(2), ..PulseSettings::default() };
//! let address = Pulse::spawn(quick)?;
//! let load = Load {
//!     address,
//!     bodies: Bodies::new(BodyShape { tokens: 3, bytes: 500, counted: false }, 8),
//!     pace: Pace::Closed(4),
//!     length: Duration::from_millis(50),
//!     prewarm: 4,
//!     keep: usize::MAX,
//! };
//! let run = NullClient::new(&load)?.run()?;
//! let figures = compare(&run, &fetch(address)?, Duration::ZERO);
//! assert_eq!((figures.joined as u64, figures.failed), (run.ended, 0));
//! assert!(figures.one_way_ms.min >= 0.0, "nobody reads a token before it was written");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod bodies;
mod client;
mod compare;
mod figures;
mod http;
mod load;
mod machine;
mod null_client;
mod poll;
mod pulse;
mod pulse_log;
mod seen;

pub use bodies::{Bodies, BodyShape};
pub use client::{DriveError, Stamps, drive};
pub use compare::compare;
pub use figures::{Figures, Spread};
pub use load::{Load, Pace};
pub use machine::{Usage, monotonic_ns, pin, raise_file_limit, run_queue_wait_ns};
pub use null_client::NullClient;
pub use pulse::{Pulse, PulseSettings, RolePlace};
pub use pulse_log::{LogError, Truth, fetch, parse};
pub use seen::{OwnDelay, Run, Seen};
