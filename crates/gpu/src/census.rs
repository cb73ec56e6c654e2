//! What is read of every device once a second: the readings that are slow, or change seldom.
//!
//! A reading of the PCIe traffic takes 20 ms, because the device counts for so long; asking who uses
//! a device takes long on a busy machine. They have a thread of their own, so that a sample never
//! waits for them: it takes what the census has found since the sample before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nvml_wrapper::Device;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, PcieUtilCounter};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use plimsoll_records::GpuRow;
use plimsoll_units::{Clock as _, RunClock};

use crate::GpuDriver;
use crate::reading::{Asked, Reading, Troubles};
use crate::samples::GpuSighting;

/// Longest name of a process that is asked for.
const LONGEST_NAME: usize = 256;

/// What the census found of one device.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pcie_tx_kb_per_s: Option<u32>,
    pcie_rx_kb_per_s: Option<u32>,
    ecc_corrected: Option<u64>,
    ecc_uncorrected: Option<u64>,
    processes: Option<Vec<Present>>,
}

#[derive(Debug)]
struct Present {
    pid: u32,
    memory_bytes: Option<u64>,
    name: Option<String>,
}

/// Where the census leaves what it found, for the next sample of the device.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    found: Mutex<BTreeMap<u32, Found>>,
    troubles: Mutex<Troubles>,
}

impl Desk {
    /// Adds what was found since the last call to `rows`, each process also to `sightings`, and what
    /// went wrong to `troubles`. It does not wait: what is being written now is for the next sample.
    pub(crate) fn collect(
        &self,
        rows: &mut [GpuRow],
        sightings: &mut Vec<GpuSighting>,
        troubles: &mut Troubles,
    ) {
        if let Ok(mut found) = self.found.try_lock()
            && !found.is_empty()
        {
            for row in rows {
                if let Some(found) = found.remove(&row.gpu) {
                    found.enter(row, sightings);
                }
            }
        }
        if let Ok(mut noted) = self.troubles.try_lock() {
            noted.failures.drain(..).for_each(|failure| troubles.fail(failure));
            noted.losses.drain(..).for_each(|loss| troubles.lose(loss));
        }
    }
}

impl Found {
    fn enter(self, row: &mut GpuRow, sightings: &mut Vec<GpuSighting>) {
        row.pcie_tx_kb_per_s = self.pcie_tx_kb_per_s;
        row.pcie_rx_kb_per_s = self.pcie_rx_kb_per_s;
        row.ecc_corrected = self.ecc_corrected;
        row.ecc_uncorrected = self.ecc_uncorrected;
        let Some(processes) = self.processes else { return };
        row.processes = Some(u32::try_from(processes.len()).unwrap_or(u32::MAX));
        // The sum is known when each of them is.
        let add = |sum: u64, process: &Present| sum.checked_add(process.memory_bytes?);
        row.processes_memory_bytes = processes.iter().try_fold(0, add);
        sightings.extend(processes.into_iter().map(|process| GpuSighting {
            at: row.at,
            gpu: row.gpu,
            pid: process.pid,
            memory_bytes: process.memory_bytes,
            name: process.name,
        }));
    }
}

/// Reads the slow readings of every device.
#[derive(Debug)]
pub(crate) struct Census<'driver> {
    nvml: &'driver Nvml,
    clock: RunClock,
    gpus: Vec<Asked<'driver>>,
    /// Names of the processes of the last round.
    names: BTreeMap<u32, Option<String>>,
}

impl<'driver> Census<'driver> {
    pub(crate) fn new(driver: &'driver GpuDriver, clock: RunClock) -> Self {
        let gpus = driver.devices().map(|(gpu, device)| Asked::new(gpu, device)).collect();
        Self { nvml: driver.nvml(), clock, gpus, names: BTreeMap::new() }
    }

    /// One round over all devices; `goes_on` is asked between two of them.
    pub(crate) fn round(&mut self, desk: &Desk, goes_on: impl Fn() -> bool) {
        let mut names = BTreeMap::new();
        for gpu in &mut self.gpus {
            if gpu.is_lost() {
                continue;
            }
            if !goes_on() {
                return;
            }
            let mut troubles = Troubles::default();
            let at = self.clock.now();
            let mut ask = |reading, counter| {
                gpu.ask(reading, at, &mut troubles, |device| device.pcie_throughput(counter))
            };
            let pcie_tx_kb_per_s = ask(Reading::PcieSent, PcieUtilCounter::Send);
            let pcie_rx_kb_per_s = ask(Reading::PcieReceived, PcieUtilCounter::Receive);
            let mut ask = |reading, kind| {
                gpu.ask(reading, at, &mut troubles, |device| {
                    device.total_ecc_errors(kind, EccCounter::Volatile)
                })
            };
            let ecc_corrected = ask(Reading::EccCorrected, MemoryError::Corrected);
            let ecc_uncorrected = ask(Reading::EccUncorrected, MemoryError::Uncorrected);
            let compute = gpu.ask(
                Reading::ComputeProcesses,
                at,
                &mut troubles,
                Device::running_compute_processes,
            );
            let graphics = gpu.ask(
                Reading::GraphicsProcesses,
                at,
                &mut troubles,
                Device::running_graphics_processes,
            );
            let processes = merge(compute, graphics).map(|processes| {
                let named = processes.into_iter().map(|(pid, memory_bytes)| {
                    let known = names.get(&pid).or(self.names.get(&pid)).cloned();
                    let name = known.unwrap_or_else(|| name_of(self.nvml, pid));
                    names.insert(pid, name.clone());
                    Present { pid, memory_bytes, name }
                });
                named.collect()
            });
            let found = Found {
                pcie_tx_kb_per_s,
                pcie_rx_kb_per_s,
                ecc_corrected,
                ecc_uncorrected,
                processes,
            };
            lock(&desk.found).insert(gpu.gpu, found);
            let mut noted = lock(&desk.troubles);
            troubles.failures.into_iter().for_each(|failure| noted.fail(failure));
            troubles.losses.into_iter().for_each(|loss| noted.lose(loss));
        }
        // A number that is gone may come back as another process.
        self.names = names;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processes of a device, each once, with its memory. A process that stands in one list several
/// times (once for each instance of a divided device) uses the sum, one that stands in both lists is
/// the same memory seen twice. `None` when neither list is to be had.
fn merge(
    compute: Option<Vec<ProcessInfo>>,
    graphics: Option<Vec<ProcessInfo>>,
) -> Option<BTreeMap<u32, Option<u64>>> {
    if compute.is_none() && graphics.is_none() {
        return None;
    }
    let mut all: BTreeMap<u32, Option<u64>> = BTreeMap::new();
    for list in [compute, graphics].into_iter().flatten() {
        let mut sums: BTreeMap<u32, Option<u64>> = BTreeMap::new();
        for process in list {
            let used = match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            };
            let sum = sums.entry(process.pid).or_default();
            *sum = match (*sum, used) {
                (Some(sum), Some(used)) => Some(sum.saturating_add(used)),
                (sum, used) => sum.or(used),
            };
        }
        for (pid, sum) in sums {
            let known = all.entry(pid).or_default();
            *known = (*known).max(sum);
        }
    }
    Some(all)
}

/// The name of a process, by the driver: its program, or the title that it gave itself. Only the first
/// word is kept, because what follows may be arguments, and those may be secrets.
fn name_of(nvml: &Nvml, pid: u32) -> Option<String> {
    let name = nvml.sys_process_name(pid, LONGEST_NAME).ok()?;
    name.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(processes: &[(u32, Option<u64>)]) -> Option<Vec<ProcessInfo>> {
        let info = |&(pid, bytes): &(u32, Option<u64>)| ProcessInfo {
            pid,
            used_gpu_memory: bytes.map_or(UsedGpuMemory::Unavailable, UsedGpuMemory::Used),
            gpu_instance_id: None,
            compute_instance_id: None,
        };
        Some(processes.iter().map(info).collect())
    }

    #[test]
    fn a_process_in_both_lists_is_counted_once_and_one_in_many_instances_as_a_sum() {
        let compute = list(&[(7, Some(100)), (8, None), (7, Some(20))]);
        let graphics = list(&[(7, Some(90)), (8, Some(5)), (9, None)]);
        let all = merge(compute, graphics).unwrap();
        assert_eq!(all, BTreeMap::from([(7, Some(120)), (8, Some(5)), (9, None)]));
        assert_eq!(merge(None, None), None);
        assert_eq!(merge(Some(Vec::new()), None), Some(BTreeMap::new()));
    }

    #[test]
    fn the_memory_of_all_is_unknown_where_that_of_one_is() {
        let present = |memory_bytes| Present { pid: 1, memory_bytes, name: None };
        let enter = |processes| {
            let (mut row, mut sightings) = (GpuRow::default(), Vec::new());
            Found { processes, ..Found::default() }.enter(&mut row, &mut sightings);
            (row.processes, row.processes_memory_bytes, sightings.len())
        };
        assert_eq!(enter(Some(vec![present(Some(3)), present(Some(4))])), (Some(2), Some(7), 2));
        assert_eq!(enter(Some(vec![present(Some(3)), present(None)])), (Some(2), None, 2));
        assert_eq!(enter(Some(Vec::new())), (Some(0), Some(0), 0));
        assert_eq!(enter(None), (None, None, 0));
    }
}
