//! The machine that the client runs on, for the manifest.

use plimsoll_records::Machine;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// What the system says of itself. What it does not say is empty or zero.
#[must_use]
pub(crate) fn machine() -> Machine {
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
    }
}

/// Logical cores that this process may use; 1 when the system does not say.
#[must_use]
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// Raises this process's limit on open files to what it may have: every request in flight needs a
/// socket. Says what the limit is now; `None` where the system does not tell.
pub(crate) fn raise_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}
