//! What the GPUs do while a server is measured.
//!
//! In order of use: [`GpuSampler::start`] opens the driver by a [`GpuConfig`] and samples every
//! device, both on threads of its own; [`GpuSampler::machine`] says what there is, as a
//! [`GpuMachine`]; [`GpuSampler::take`] gives the [`GpuSamples`] since the last take;
//! [`GpuSamples::window`] says what they mean for a window of time: means, energy, throttling, foreign
//! processes; and [`GpuSamples::lost`] whether a device of the server was lost in it. Who wants one
//! sample on a thread of his own takes a [`GpuDriver`] and a [`GpuReader`]. [`Dmon`] reads
//! what `nvidia-smi dmon` wrote for someone else. Whatever keeps the GPUs from being watched is a
//! [`GpuError`] with its remedy.
//!
//! The readings are NVML's, whose library is found at run time: nothing is linked. A reading that a
//! device does not offer is `None`, never zero, and not asked for again. Ten samples a second by
//! default, a hundred at most; PCIe traffic, processes and memory errors are read once a second,
//! because they are slow, and are `None` in the rows between.
//!
//! Units: as NVML has them, in the names of the fields (mW, mJ, MHz, kB/s, bytes, percent). Stamps
//! are nanoseconds since the origin of the run's clock: the middle of the reading of one device.
//!
//! What this crate refuses to do: set anything on a device, share a thread with load or client,
//! make a missing library, a lost device or a driver that stalls anyone's end, or keep the arguments
//! of a process.
//!
//! ```
//! use plimsoll_gpu::{GpuConfig, GpuError, GpuSampler};
//! use plimsoll_units::RunClock;
//!
//! let clock = RunClock::start();
//! let library = Some("/nowhere/libnvidia-ml.so.1".into());
//! let config = GpuConfig { library, ..GpuConfig::new(clock) };
//! let error = GpuSampler::start(config).expect_err("there is no such library");
//! assert!(matches!(error, GpuError::NoLibrary { .. }));
//! assert!(error.to_string().contains("/nowhere/libnvidia-ml.so.1 cannot be loaded"));
//! ```

mod census;
mod dmon;
mod driver;
mod error;
mod machine;
mod pulse;
mod reading;
mod sampler;
mod samples;
mod throttle;
mod window;

pub use dmon::{Dmon, DmonRow};
pub use driver::GpuDriver;
pub use error::GpuError;
pub use machine::GpuMachine;
pub use pulse::GpuReader;
pub use sampler::{GpuConfig, GpuSampler};
pub use samples::{CpuReading, GpuFailure, GpuLoss, GpuMiss, GpuSamples, GpuSighting};
pub use throttle::throttle_words;
