//! The NVIDIA driver of this machine, through its NVML library, found at run time.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::{GpuError, GpuMachine};

/// The environment variable that names the library, where none is given.
const VARIABLE: &str = "PLIMSOLL_NVML";

/// The names that the driver installs its library under.
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];

/// The driver of this machine, and the devices that it lets this process see.
///
/// It holds the library until it is dropped.
#[derive(Debug)]
pub struct GpuDriver {
    nvml: Nvml,
    /// The devices that were there at the start, by index, and those that gave an error instead.
    devices: Vec<(u32, Result<(), String>)>,
}

impl GpuDriver {
    /// The driver behind `library`, else behind the one that the environment variable
    /// `PLIMSOLL_NVML` names, else behind `libnvidia-ml.so.1` or `libnvidia-ml.so` as the loader
    /// finds them.
    ///
    /// The first call of a boot may take seconds where the driver keeps no GPU initialised.
    ///
    /// # Errors
    /// When there is no such library, it is none of NVML, the driver is missing, of another version
    /// or closed to this user, or there is no device that can be opened.
    pub fn open(library: Option<&Path>) -> Result<Self, GpuError> {
        let nvml = load(library)?;
        let doing = "counting the GPUs";
        let count =
            nvml.device_count().map_err(|error| GpuError::of_start("NVML", doing, error))?;
        let mut refused = None;
        let mut devices = Vec::new();
        for gpu in 0..count {
            let opened = nvml.device_by_index(gpu).map(drop);
            devices.push((gpu, opened.as_ref().copied().map_err(ToString::to_string)));
            refused = refused.or(opened.err());
        }
        if devices.iter().any(|(_, opened)| opened.is_ok()) {
            return Ok(Self { nvml, devices });
        }
        let doing = "opening the GPUs";
        Err(refused.map_or(GpuError::NoDevice, |error| GpuError::of_start("NVML", doing, error)))
    }

    /// What the driver says of the machine: its devices, versions, and how the devices are joined.
    #[must_use]
    pub fn machine(&self) -> GpuMachine {
        GpuMachine::of(&self.nvml, &self.indices())
    }

    /// The indices of all devices, as the driver counts, those that could not be opened included.
    #[must_use]
    pub fn indices(&self) -> Vec<u32> {
        self.devices.iter().map(|(gpu, _)| *gpu).collect()
    }

    /// The devices that can be read.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (u32, Device<'_>)> {
        let open = self.devices.iter().filter(|(_, opened)| opened.is_ok());
        open.filter_map(|(gpu, _)| Some((*gpu, self.nvml.device_by_index(*gpu).ok()?)))
    }

    /// The devices that could not be opened, and why.
    pub(crate) fn unopened(&self) -> impl Iterator<Item = (u32, &str)> {
        self.devices
            .iter()
            .filter_map(|(gpu, opened)| Some((*gpu, opened.as_ref().err()?.as_str())))
    }

    pub(crate) const fn nvml(&self) -> &Nvml {
        &self.nvml
    }
}

/// Loads and starts the library.
fn load(library: Option<&Path>) -> Result<Nvml, GpuError> {
    let named = library.map(|path| path.as_os_str().to_owned()).or_else(|| env::var_os(VARIABLE));
    let names: Vec<OsString> =
        named.map_or_else(|| NAMES.iter().map(OsString::from).collect(), |name| vec![name]);
    let mut tried = Vec::new();
    let mut reason = String::new();
    for name in &names {
        let shown = name.to_string_lossy().into_owned();
        match Nvml::builder().lib_path(name).init() {
            Ok(nvml) if nvml.lib().nvmlShutdown.is_ok() => return Ok(nvml),
            Ok(nvml) => {
                // It could not be dropped either: that ends with this function.
                std::mem::forget(nvml);
                let reason = "it has no nvmlShutdown".to_owned();
                return Err(GpuError::NotNvml { library: shown, reason });
            }
            Err(NvmlError::LibloadingError(error)) => {
                reason = error.to_string();
                tried.push(shown);
            }
            Err(error) => return Err(GpuError::of_start(&shown, "starting NVML", error)),
        }
    }
    Err(GpuError::NoLibrary { tried: tried.join(" and "), reason })
}
