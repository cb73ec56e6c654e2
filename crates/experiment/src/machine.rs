//! The machine that the client runs on, for the manifest.

use plimsoll_records::Machine;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::limits::Limits;

/// What the system says of itself. What it does not say is empty or zero.
#[must_use]
pub(crate) fn machine(limits: &Limits) -> Machine {
    let system = System::new_with_specifics(
        RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram()),
    );
    let first_cpu = system.as_ref().ok().and_then(|system| system.cpus().first());
    Machine {
        cpu: first_cpu.map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
        cores: cores(),
        memory_bytes: system.as_ref().map(System::total_memory).unwrap_or_default(),
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        open_files: limits.open_files,
        local_ports: limits.local_ports,
    }
}

/// Logical cores that this process may use; 1 when the system does not say.
#[must_use]
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}
