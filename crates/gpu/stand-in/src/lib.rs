//! An NVML library that plays a script: the driver's real interface, without a GPU.
//!
//! In order of use: a [`Script`] says what each [`ScriptedGpu`] answers, reading by reading, as a
//! [`Track`] of [`Step`]s: values, [`Fault`]s, calls that take their time. [`install()`] puts the
//! library and its script into a folder and gives the path to load; [`install_without`] takes
//! functions out of it first, so that it is one of an older driver. Every copy of the library finds
//! the script beside itself, so one process may load several, each with a state of its own.
//!
//! The library is a true `libnvidia-ml.so.1` as far as it goes: it exports the C functions that the
//! sampler calls, under their names, and whoever loads it cannot tell. A function that it lacks is
//! one that an old driver lacks.
//!
//! Units: as NVML has them (mW, mJ, MHz, kB/s, bytes, percent). Time is the number of calls, so that
//! a script plays the same on a slow machine.
//!
//! What this crate refuses to do: panic across the C interface, and serve anything but tests.
//!
//! ```
//! use plimsoll_nvml_stand_in::{Fault, Script, ScriptedGpu, Step, Track};
//!
//! let script = Script {
//!     gpus: vec![ScriptedGpu {
//!         power_mw: Track::Then(vec![Step::Value(300_000), Step::Fault(Fault::Unknown)]),
//!         energy_mj: Track::Ramp { from: 5_000, step: 30 },
//!         ..ScriptedGpu::named("NVIDIA H100")
//!     }],
//!     ..Script::default()
//! };
//! let text = serde_json::to_string(&script)?;
//! assert!(text.contains(r#""power-mw":[300000,"unknown"]"#));
//! assert_eq!(serde_json::from_str::<Script>(&text)?, script);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod install;
mod script;
mod stage;
mod symbols;

pub use install::{install, install_without};
pub use script::{Fault, Script, ScriptedGpu, ScriptedProcess, ScriptedXid, Step, Track};
