//! The machine that the client runs on, for the manifest.

use std::path::Path;

use plimsoll_gpu::GpuSampler;
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
        container: container(Path::new("/"), |name| std::env::var_os(name).is_some()),
        ..Machine::default()
    }
}

/// Adds what is known of the GPUs to `machine`.
pub(crate) fn add_gpus(machine: &mut Machine, sampler: &Result<GpuSampler, String>) {
    match sampler {
        Ok(sampler) => {
            let gpus = sampler.machine();
            machine.gpus.clone_from(&gpus.gpus);
            machine.gpu_driver.clone_from(&gpus.driver);
            machine.cuda.clone_from(&gpus.cuda);
            machine.gpu_links.clone_from(&gpus.links);
        }
        Err(why) => machine.gpu_remark = Some(why.clone()),
    }
}

/// The kind of container that the process runs in, by the traces that each leaves under `root` and in
/// the environment; `None` where there are none.
fn container(root: &Path, is_set: impl Fn(&str) -> bool) -> Option<String> {
    let has = |file: &str| root.join(file).exists();
    let cgroup = std::fs::read_to_string(root.join("proc/1/cgroup")).unwrap_or_default();
    let kind = if is_set("KUBERNETES_SERVICE_HOST") || cgroup.contains("kubepods") {
        "kubernetes"
    } else if has(".dockerenv") || cgroup.contains("docker") {
        "docker"
    } else if has("run/.containerenv") || cgroup.contains("libpod") {
        "podman"
    } else if is_set("SINGULARITY_CONTAINER") || is_set("APPTAINER_CONTAINER") {
        "apptainer"
    } else if cgroup.contains("lxc") {
        "lxc"
    } else {
        return None;
    };
    Some(kind.to_owned())
}

/// Logical cores that this process may use; 1 when the system does not say.
#[must_use]
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_traces() {
        let root = tempfile::tempdir().unwrap();
        let nothing = |_: &str| false;
        assert_eq!(container(root.path(), nothing), None);
        let pod = |name: &str| name == "KUBERNETES_SERVICE_HOST";
        assert_eq!(container(root.path(), pod).as_deref(), Some("kubernetes"));
        std::fs::create_dir_all(root.path().join("proc/1")).unwrap();
        std::fs::write(root.path().join("proc/1/cgroup"), "0::/lxc/one\n").unwrap();
        assert_eq!(container(root.path(), nothing).as_deref(), Some("lxc"));
        std::fs::write(root.path().join(".dockerenv"), "").unwrap();
        assert_eq!(container(root.path(), nothing).as_deref(), Some("docker"));
    }
}
