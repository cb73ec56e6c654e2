//! What the driver says of the machine: its devices, their versions, how they are joined.

use nvml_wrapper::enum_wrappers::device::{Clock, TopologyLevel};
use nvml_wrapper::{
    Device, Nvml, cuda_driver_version_major as major, cuda_driver_version_minor as minor,
};
use plimsoll_records::{GpuLink, GpuRecord};

/// More links than any device has; NVML itself counts to 18.
const MOST_LINKS: u32 = 64;

/// The GPUs of a machine, as the driver describes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuMachine {
    /// The devices, by index. One that cannot be opened has an empty name.
    pub gpus: Vec<GpuRecord>,
    /// Version of the driver.
    pub driver: Option<String>,
    /// Highest version of CUDA that the driver supports: `12.8`.
    pub cuda: Option<String>,
    /// How each pair of devices is joined, `a < b`. A pair of which the driver says nothing is left
    /// out.
    pub links: Vec<GpuLink>,
}

impl GpuMachine {
    pub(crate) fn of(nvml: &Nvml, indices: &[u32]) -> Self {
        let devices: Vec<Described<'_>> =
            indices.iter().map(|gpu| Described::of(nvml, *gpu)).collect();
        let mut links = Vec::new();
        for (place, a) in devices.iter().enumerate() {
            for b in &devices[place + 1..] {
                let link = link(a, b, &devices);
                links.extend(link.map(|link| GpuLink { a: a.gpu, b: b.gpu, link }));
            }
        }
        let cuda = nvml.sys_cuda_driver_version().ok();
        Self {
            gpus: devices.iter().map(Described::record).collect(),
            driver: nvml.sys_driver_version().ok(),
            cuda: cuda.map(|version| format!("{}.{}", major(version), minor(version))),
            links,
        }
    }
}

/// A device with what its links need to be known by.
struct Described<'nvml> {
    gpu: u32,
    device: Option<Device<'nvml>>,
    bus_id: Option<String>,
    /// Bus ids of what its active NVLinks lead to.
    remotes: Vec<String>,
}

impl<'nvml> Described<'nvml> {
    fn of(nvml: &'nvml Nvml, gpu: u32) -> Self {
        let device = nvml.device_by_index(gpu).ok();
        let bus_id = device.as_ref().and_then(|device| Some(device.pci_info().ok()?.bus_id));
        let remotes = device.as_ref().map(remotes).unwrap_or_default();
        Self { gpu, device, bus_id, remotes }
    }

    fn record(&self) -> GpuRecord {
        let of = self.device.as_ref();
        GpuRecord {
            gpu: self.gpu,
            name: of.and_then(|device| device.name().ok()).unwrap_or_default(),
            uuid: of.and_then(|device| device.uuid().ok()),
            memory_bytes: of.and_then(|device| Some(device.memory_info().ok()?.total)),
            power_limit_mw: of.and_then(|device| device.enforced_power_limit().ok()),
            sm_clock_max_mhz: of.and_then(|device| device.max_clock_info(Clock::SM).ok()),
        }
    }
}

/// Where the active NVLinks of a device lead.
fn remotes(device: &Device<'_>) -> Vec<String> {
    let links = (0..MOST_LINKS).map(|number| device.link_wrapper_for(number));
    // The first number beyond the device's links, or the first of a device without, is an error.
    let states = links.map_while(|link| link.is_active().ok().map(|active| (link, active)));
    states
        .filter(|(_, active)| *active)
        .filter_map(|(link, _)| Some(link.remote_pci_info().ok()?.bus_id))
        .collect()
}

/// How two devices are joined, in the words of `nvidia-smi topo`.
///
/// `NVn` counts the active NVLinks that lead from the one to the other. Where they lead to switches,
/// that is, to none of the devices, it counts the links to switches of the one that has fewer.
fn link(a: &Described<'_>, b: &Described<'_>, all: &[Described<'_>]) -> Option<String> {
    let is_gpu = |remote: &String| all.iter().any(|other| other.bus_id.as_ref() == Some(remote));
    let to_switches =
        |from: &Described<'_>| from.remotes.iter().filter(|remote| !is_gpu(remote)).count();
    let direct = a.remotes.iter().filter(|remote| b.bus_id.as_ref() == Some(remote)).count();
    let links = if direct > 0 { direct } else { to_switches(a).min(to_switches(b)) };
    if links > 0 {
        return Some(format!("NV{links}"));
    }
    let device = a.device.as_ref()?;
    let level = device.topology_common_ancestor(device.nvml().device_by_index(b.gpu).ok()?).ok()?;
    let word = match level {
        TopologyLevel::Internal | TopologyLevel::Single => "PIX",
        TopologyLevel::Multiple => "PXB",
        TopologyLevel::HostBridge => "PHB",
        TopologyLevel::Node => "NODE",
        TopologyLevel::System => "SYS",
    };
    Some(word.to_owned())
}
