//! Why the GPUs cannot be watched.

use std::io;
use std::time::Duration;

use nvml_wrapper::error::NvmlError;
use thiserror::Error;

/// Why the GPUs cannot be watched. A caller may go on without: nothing else depends on it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The period is none that GPUs can be sampled at.
    #[error(
        "a GPU sampling period of {period:?} is outside 10ms to 10s: devices renew their readings \
         some ten times a second; use 100ms"
    )]
    Period {
        /// The period asked for.
        period: Duration,
    },
    /// No NVML library could be loaded.
    #[error(
        "no NVML library: {tried} cannot be loaded ({reason}); install the NVIDIA driver, start the \
         container with its GPUs, or name the library in PLIMSOLL_NVML"
    )]
    NoLibrary {
        /// The names and paths tried, in order.
        tried: String,
        /// What the loader said of the last one.
        reason: String,
    },
    /// A library was loaded that is not NVML.
    #[error("{library} is not an NVML library: {reason}; name the driver's libnvidia-ml.so.1")]
    NotNvml {
        /// The library.
        library: String,
        /// What it lacks.
        reason: String,
    },
    /// The library is there, the driver is not.
    #[error(
        "{library} finds no NVIDIA driver loaded: load it (nvidia-smi says why it does not), or \
         start the container with its GPUs"
    )]
    NoDriver {
        /// The library.
        library: String,
    },
    /// The library is of another version than the loaded driver.
    #[error(
        "{library} and the loaded driver are of different versions: reboot after the driver's \
         update, or name the library that belongs to the driver in PLIMSOLL_NVML"
    )]
    Mismatch {
        /// The library.
        library: String,
    },
    /// The driver refuses this user.
    #[error(
        "the NVIDIA driver refuses to talk to this user: give it access to /dev/nvidiactl and \
         /dev/nvidia0 and so on"
    )]
    Permission,
    /// The driver knows no device.
    #[error("the NVIDIA driver knows no GPU: nvidia-smi -L should list one")]
    NoDevice,
    /// The driver was asked to open, and has not answered.
    #[error(
        "the NVIDIA driver has not opened within {waited:?}: a GPU may have fallen off the bus (dmesg \
         says so, and nvidia-smi hangs as well), then reboot; where it is only slow, keep its GPUs \
         initialised by nvidia-smi -pm 1"
    )]
    NoAnswer {
        /// How long was waited for it.
        waited: Duration,
    },
    /// Something else that the driver said.
    #[error("{doing}: {source}")]
    Driver {
        /// What was asked of it.
        doing: &'static str,
        /// What it said.
        source: NvmlError,
    },
    /// The sampler's thread could not be started, or ended before it had opened the driver.
    #[error("no thread for the GPU sampler: {0}")]
    Thread(#[source] io::Error),
}

impl GpuError {
    /// What `error` means when it ends the start of `library`.
    pub(crate) fn of_start(library: &str, doing: &'static str, error: NvmlError) -> Self {
        let library = library.to_owned();
        match error {
            NvmlError::LibloadingError(reason) => {
                Self::NoLibrary { tried: library, reason: reason.to_string() }
            }
            NvmlError::FailedToLoadSymbol(reason) => Self::NotNvml { library, reason },
            NvmlError::DriverNotLoaded | NvmlError::LibraryNotFound => Self::NoDriver { library },
            NvmlError::LibRmVersionMismatch => Self::Mismatch { library },
            NvmlError::NoPermission => Self::Permission,
            // NVML_ERROR_GPU_NOT_FOUND, which the wrapper does not name.
            NvmlError::UnexpectedVariant(28) | NvmlError::NotFound => Self::NoDevice,
            source => Self::Driver { doing, source },
        }
    }
}
