//! One clock per run, and the quantities every other crate speaks in.
//!
//! In order of use: [`RunClock`] is made once when a run begins; every stamp of the run is a
//! [`RunNanos`], nanoseconds since that clock's origin; [`Span`], [`Rate`] and [`Tokens`] are the
//! quantities of configuration, with the text forms a person writes (`"30s"`, `"12.5/s"`). [`Wall`]
//! turns the kernel's wall-clock stamps into stamps of the run; [`Lags`] holds how late things were.
//!
//! Units: stamps are `u64` nanoseconds, rates are per second, lengths are tokens. Wall-clock time
//! appears where a stamp is shown as a date, and where the kernel's own stamps come in.
//!
//! What this crate refuses to do: sleep, schedule, or format anything for a report.
//!
//! ```
//! use plimsoll_units::{Clock, Rate, RunClock, Span};
//!
//! let clock = RunClock::start();
//! let a = clock.now();
//! let b = clock.now();
//! assert!(b >= a);
//!
//! let window: Span = "1m30s".parse()?;
//! let rate: Rate = "12.5/s".parse()?;
//! assert_eq!(window.as_secs_f64() * rate.per_second(), 1125.0);
//! # Ok::<(), plimsoll_units::ParseQuantityError>(())
//! ```

mod anchor;
mod clock;
mod lags;
mod rate;
mod span;
mod stamp;
mod text;
mod tokens;

pub use anchor::{Step, Wall, WallAnchor};
pub use clock::{Clock, ManualClock, RunClock};
pub use lags::Lags;
pub use rate::Rate;
pub use span::Span;
pub use stamp::RunNanos;
pub use text::ParseQuantityError;
pub use tokens::Tokens;
