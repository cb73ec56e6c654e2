//! What the library answers: the script's file, as types.

use std::collections::BTreeMap;

use nvml_wrapper_sys::bindings as nvml;
use serde::{Deserialize, Serialize};

/// Everything that a stand-in library answers; the content of its `script.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Script {
    /// The driver's version.
    pub driver: String,
    /// The version of CUDA that the driver supports: 12080 for 12.8.
    pub cuda: i32,
    /// What the library answers instead of starting.
    pub init: Option<Fault>,
    /// How long the start takes, ms.
    pub init_sleep_ms: u64,
    /// The devices, in the order of their index.
    pub gpus: Vec<ScriptedGpu>,
    /// Names of processes, by number. Any other process is not found.
    pub process_names: BTreeMap<u32, String>,
}

impl Default for Script {
    /// A driver without devices.
    fn default() -> Self {
        Self {
            driver: "570.86.15".to_owned(),
            cuda: 12_080,
            init: None,
            init_sleep_ms: 0,
            gpus: Vec::new(),
            process_names: BTreeMap::new(),
        }
    }
}

/// What one device answers. Where nothing is scripted, the reading is not supported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScriptedGpu {
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uuid: String,
    /// Its place on the PCI bus: `00000000:18:00.0`.
    pub bus_id: String,
    /// What is answered instead of a handle to it.
    pub handle: Option<Fault>,
    /// Bus ids of what its active NVLinks lead to, link by link.
    pub nvlinks: Vec<String>,
    /// The topology level (`nvmlGpuTopologyLevel_t`) between it and any other device.
    pub ancestor: Option<u32>,
    /// The sample from which on it is lost, counted from 0. A sample is a call for utilisation.
    pub lost_at_sample: Option<u64>,
    /// Limit of its power, mW.
    pub power_limit_mw: Track,
    /// Largest SM clock, MHz.
    pub sm_clock_max_mhz: Track,
    /// Utilisation of the SMs, percent.
    pub sm_utilisation_pct: Track,
    /// Utilisation of the memory, percent. Asked for together with that of the SMs.
    pub memory_utilisation_pct: Track,
    /// Memory in use, bytes.
    pub memory_used_bytes: Track,
    /// Memory of the device, bytes. Asked for together with the memory in use.
    pub memory_total_bytes: Track,
    /// Power, mW.
    pub power_mw: Track,
    /// Energy, mJ.
    pub energy_mj: Track,
    /// Temperature, degrees Celsius.
    pub temperature_c: Track,
    /// SM clock, MHz.
    pub sm_clock_mhz: Track,
    /// Memory clock, MHz.
    pub memory_clock_mhz: Track,
    /// What holds the clocks down, as a bit mask.
    pub throttle_reasons: Track,
    /// Traffic from the device over PCIe, kB/s.
    pub pcie_tx_kb_per_s: Track,
    /// Traffic to the device over PCIe, kB/s.
    pub pcie_rx_kb_per_s: Track,
    /// Memory errors corrected.
    pub ecc_corrected: Track,
    /// Memory errors not corrected.
    pub ecc_uncorrected: Track,
    /// Its compute processes, one list a call; the last one stays. Without any list, processes are
    /// not supported.
    pub compute: Vec<Vec<ScriptedProcess>>,
    /// Its graphics processes, likewise.
    pub graphics: Vec<Vec<ScriptedProcess>>,
    /// Its Xid errors. Without any, and without `offers_xids`, events are not supported.
    pub xids: Vec<ScriptedXid>,
    /// Whether it offers Xid events.
    pub offers_xids: bool,
}

impl ScriptedGpu {
    /// A device of this name that supports no reading.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// A process on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScriptedProcess {
    /// Its number.
    pub pid: u32,
    /// Device memory of it, bytes; `None` where the driver does not know.
    pub memory_bytes: Option<u64>,
}

/// An Xid error of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScriptedXid {
    /// The sample in which it is reported, counted from 0.
    pub sample: u64,
    /// Its number.
    pub xid: u64,
}

/// The answers to one reading, call by call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Track {
    /// The same for ever.
    Always(Step),
    /// One a call; the last one stays.
    Then(Vec<Step>),
    /// `from + step * n` at call `n`, counted from 0.
    Ramp {
        /// At the first call.
        from: u64,
        /// More at each call.
        step: u64,
    },
}

impl Default for Track {
    /// Not supported.
    fn default() -> Self {
        Self::Always(Step::Fault(Fault::NotSupported))
    }
}

impl Track {
    /// The value `value` at every call.
    #[must_use]
    pub fn always(value: u64) -> Self {
        Self::Always(Step::Value(value))
    }

    /// `values`, one a call; the last one stays.
    #[must_use]
    pub fn values(values: &[u64]) -> Self {
        Self::Then(values.iter().copied().map(Step::Value).collect())
    }

    /// The answer to call `n`, counted from 0, and how long it takes.
    pub(crate) fn at(&self, n: u64) -> (u64, Result<u64, Fault>) {
        match self {
            Self::Always(step) => step.answer(),
            Self::Then(steps) => {
                let place = usize::try_from(n).unwrap_or(usize::MAX);
                let step = steps.get(place).or(steps.last());
                step.map_or((0, Err(Fault::NotSupported)), Step::answer)
            }
            Self::Ramp { from, step } => (0, Ok(from.saturating_add(step.saturating_mul(n)))),
        }
    }
}

/// The answer to one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// A value.
    Value(u64),
    /// An error.
    Fault(Fault),
    /// An answer that takes its time.
    Slow {
        /// How long, ms.
        sleep_ms: u64,
        /// The answer.
        then: Box<Step>,
    },
}

impl Step {
    /// The answer, and how long it takes in ms.
    fn answer(&self) -> (u64, Result<u64, Fault>) {
        match self {
            Self::Value(value) => (0, Ok(*value)),
            Self::Fault(fault) => (0, Err(*fault)),
            Self::Slow { sleep_ms, then } => {
                let (more, answer) = then.answer();
                (sleep_ms.saturating_add(more), answer)
            }
        }
    }
}

/// What a call may end with instead of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// `NVML_ERROR_UNINITIALIZED`.
    Uninitialized,
    /// `NVML_ERROR_INVALID_ARGUMENT`.
    InvalidArgument,
    /// `NVML_ERROR_NOT_SUPPORTED`.
    NotSupported,
    /// `NVML_ERROR_NO_PERMISSION`.
    NoPermission,
    /// `NVML_ERROR_NOT_FOUND`.
    NotFound,
    /// `NVML_ERROR_INSUFFICIENT_SIZE`.
    InsufficientSize,
    /// `NVML_ERROR_INSUFFICIENT_POWER`.
    InsufficientPower,
    /// `NVML_ERROR_DRIVER_NOT_LOADED`.
    DriverNotLoaded,
    /// `NVML_ERROR_TIMEOUT`.
    Timeout,
    /// `NVML_ERROR_GPU_IS_LOST`.
    GpuIsLost,
    /// `NVML_ERROR_LIB_RM_VERSION_MISMATCH`.
    VersionMismatch,
    /// `NVML_ERROR_GPU_NOT_FOUND`.
    GpuNotFound,
    /// `NVML_ERROR_UNKNOWN`.
    Unknown,
}

impl Fault {
    /// NVML's number for it.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Uninitialized => nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED,
            Self::InvalidArgument => nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
            Self::NotSupported => nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
            Self::NoPermission => nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
            Self::NotFound => nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND,
            Self::InsufficientSize => nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE,
            Self::InsufficientPower => nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_POWER,
            Self::DriverNotLoaded => nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
            Self::Timeout => nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT,
            Self::GpuIsLost => nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
            Self::VersionMismatch => nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH,
            Self::GpuNotFound => nvml::nvmlReturn_enum_NVML_ERROR_GPU_NOT_FOUND,
            Self::Unknown => nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_plays_by_call_and_its_last_answer_stays() {
        let slow = Step::Slow { sleep_ms: 300, then: Box::new(Step::Value(9)) };
        let track = Track::Then(vec![Step::Value(1), Step::Fault(Fault::Unknown), slow]);
        assert_eq!(track.at(0), (0, Ok(1)));
        assert_eq!(track.at(1), (0, Err(Fault::Unknown)));
        assert_eq!(track.at(2), (300, Ok(9)));
        assert_eq!(track.at(u64::MAX), (300, Ok(9)));
        assert_eq!(Track::Ramp { from: 5, step: 3 }.at(4), (0, Ok(17)));
        assert_eq!(Track::Then(Vec::new()).at(0), (0, Err(Fault::NotSupported)));
        assert_eq!(Track::default().at(7), (0, Err(Fault::NotSupported)));
    }

    #[test]
    fn a_script_is_read_as_a_person_writes_it() {
        let text = r#"{
            "driver": "535.1", "init": null, "init-sleep-ms": 30, "process-names": {"7": "python3"},
            "gpus": [{
                "name": "A", "power-mw": 300000, "energy-mj": {"from": 1, "step": 2},
                "temperature-c": [40, {"sleep_ms": 5, "then": "gpu-is-lost"}],
                "compute": [[{"pid": 7, "memory-bytes": 11}], []]
            }]
        }"#;
        let script: Script = serde_json::from_str(text).unwrap();
        assert_eq!((script.init_sleep_ms, script.process_names[&7].as_str()), (30, "python3"));
        let gpu = &script.gpus[0];
        assert_eq!(gpu.power_mw, Track::always(300_000));
        assert_eq!(gpu.energy_mj, Track::Ramp { from: 1, step: 2 });
        assert_eq!(gpu.temperature_c.at(1), (5, Err(Fault::GpuIsLost)));
        assert_eq!(gpu.compute.len(), 2);
        assert!(serde_json::from_str::<Script>(r#"{"gpu": []}"#).is_err(), "unknown keys");
    }
}
