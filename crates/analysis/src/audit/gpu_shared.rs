//! `gpu-shared`: processes that are not the server's were on its GPUs.
//!
//! **What.** Processes that are not the server's were on its GPUs. **Warning**; a **note** where they hold at
//! most 64 MiB, as displays and monitors do, or where it is not known whose the processes are and several of
//! them are on one GPU, or more than one GPU counts as the server's.
//! **Why.** They take compute, memory and power; throughput is too low, energy too high, and the next run
//! finds other neighbours.
//! **Evidence.** The processes that the driver lists on each used GPU, against the process tree of the server.
//! GPUs on which the server has no process do not count. A server that was not started here cannot be told
//! from others, nor one whose processes a container hides: then every GPU with a process counts, or, where none
//! is listed, every GPU ([used GPU](definitions.md#used-gpu)). One such GPU with one process passes.
//! **Remedy.** End the others, or give the server GPUs of its own.

use plimsoll_records::{Finding, FindingCode, GpuWindow, Severity};

use crate::{ForeignProcess, GpuSummary};

use super::{Evidence, finding};

/// GPU memory below which a process computes nothing: a display or a monitor. The context of one that
/// computes takes hundreds of MB.
const IDLE_BYTES: u64 = 64 << 20;

/// Names the foreign processes on the used GPUs. Where it is not known whose a process is, more than
/// one of them on a GPU is worth a note, because a server has one there, and so is more than one GPU
/// that counts.
pub(super) fn check(evidence: &Evidence<'_>) -> Option<Finding> {
    foreign(evidence.summary.gpu.as_ref()?).or_else(|| unknown(evidence))
}

fn foreign(gpus: &GpuSummary) -> Option<Finding> {
    if gpus.foreign.is_empty() {
        return None;
    }
    let computes = gpus.foreign.iter().any(|it| it.memory_max_bytes.is_none_or(|b| b > IDLE_BYTES));
    let names: Vec<String> = gpus.foreign.iter().map(in_words).collect();
    let bytes: u64 = gpus.foreign.iter().filter_map(|it| it.memory_max_bytes).sum();
    Some(finding(
        FindingCode::GpuShared,
        if computes { Severity::Warning } else { Severity::Note },
        format!("others were on the server's GPUs: {}", names.join(", ")),
        &[("foreign_processes", gpus.foreign.len() as f64), ("foreign_memory_bytes", bytes as f64)],
        "end the other processes, or give the server GPUs of its own (CUDA_VISIBLE_DEVICES); its \
         energy figures hold theirs, too",
    ))
}

/// GPUs of which it is not known whose their processes are: several of them, or several processes on
/// one.
fn unknown(evidence: &Evidence<'_>) -> Option<Finding> {
    let unknown: Vec<_> =
        GpuWindow::used(&evidence.point.gpus).filter(|gpu| gpu.used.is_none()).collect();
    let crowded = unknown.iter().filter(|gpu| gpu.processes.len() > 1).count();
    let fullest = unknown.iter().max_by_key(|gpu| gpu.processes.len())?;
    let (gpu, most) = (fullest.gpu, fullest.processes.len());
    let message = match (unknown.len(), crowded) {
        (1, 0) => return None,
        (1, _) => format!(
            "{most} processes were on GPU {gpu}, and it is not known whether all are the server's"
        ),
        (counted, crowded) => {
            let words = format!(
                "{counted} GPUs are counted, whose processes the run cannot tell from the server's"
            );
            match crowded {
                0 => words,
                _ => format!("{words}; at most {most} were on one of them, GPU {gpu}"),
            }
        }
    };
    Some(finding(
        FindingCode::GpuShared,
        Severity::Note,
        message,
        &[
            ("unknown_gpus", unknown.len() as f64),
            ("crowded_gpus", crowded as f64),
            ("processes", most as f64),
        ],
        "see in nvidia-smi whose they are; power and energy are those of all GPUs that count, and a \
         server that was not started here cannot be told from others",
    ))
}

fn in_words(process: &ForeignProcess) -> String {
    let name = process.name.as_deref().unwrap_or("a process without a name");
    let memory =
        process.memory_max_bytes.map(|bytes| format!(", {} MiB", bytes >> 20)).unwrap_or_default();
    format!("{name} (pid {} on GPU {}{memory})", process.pid, process.gpu)
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{GpuProcess, GpuWindow};

    use super::super::fixture::{Fixture, gpu};
    use super::*;

    fn process(pid: u32, own: Option<bool>, mib: u64) -> GpuProcess {
        GpuProcess { pid, name: Some("python3".to_owned()), memory_max_bytes: Some(mib << 20), own }
    }

    /// A clean point on one GPU with these processes.
    fn with(processes: Vec<GpuProcess>) -> Fixture {
        let mut fixture = Fixture::clean();
        let used = match processes.iter().any(|process| process.own.is_none()) {
            true => None,
            false => Some(true),
        };
        fixture.point.gpus = vec![GpuWindow { used, processes, ..gpu(0) }];
        fixture
    }

    #[test]
    fn a_foreign_process_is_named() {
        let found = with(vec![process(7, Some(true), 60_000), process(9, Some(false), 2048)])
            .find(FindingCode::GpuShared)
            .unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(
            found.message,
            "others were on the server's GPUs: python3 (pid 9 on GPU 0, 2048 MiB)"
        );
        let display = with(vec![process(9, Some(false), 4)]).find(FindingCode::GpuShared).unwrap();
        assert_eq!(display.severity, Severity::Note);
        let mut nameless = process(9, Some(false), 4);
        (nameless.name, nameless.memory_max_bytes) = (None, None);
        let found = with(vec![nameless]).find(FindingCode::GpuShared).unwrap();
        assert_eq!(found.severity, Severity::Warning);
    }

    #[test]
    fn several_processes_of_unknown_owners_are_worth_a_note() {
        let found = with(vec![process(7, None, 60_000), process(9, None, 2048)])
            .find(FindingCode::GpuShared)
            .unwrap();
        assert_eq!((found.severity, found.numbers["processes"]), (Severity::Note, 2.0));
        assert!(found.message.starts_with("2 processes were on GPU 0, and it is not known"));
    }

    #[test]
    fn several_gpus_of_unknown_owners_are_worth_a_note() {
        let mut fixture = with(vec![process(7, None, 60_000)]);
        let idle = GpuWindow { used: None, ..gpu(1) };
        fixture.point.gpus.push(idle.clone());
        assert_eq!(fixture.find(FindingCode::GpuShared), None, "one of two has a process");
        let mut second = idle.clone();
        second.processes = vec![process(8, None, 60_000)];
        fixture.point.gpus.push(GpuWindow { gpu: 2, ..second });
        let found = fixture.find(FindingCode::GpuShared).unwrap();
        assert_eq!((found.severity, found.numbers["unknown_gpus"]), (Severity::Note, 2.0));
        assert_eq!(
            found.message,
            "2 GPUs are counted, whose processes the run cannot tell from the server's"
        );
        fixture.point.gpus[0].processes.push(process(9, None, 4));
        let found = fixture.find(FindingCode::GpuShared).unwrap();
        assert!(found.message.ends_with("server's; at most 2 were on one of them, GPU 0"));
        // Processes are not known at all: each of them counts.
        fixture.point.gpus = vec![idle.clone(), idle.clone(), idle];
        let found = fixture.find(FindingCode::GpuShared).unwrap();
        assert!(found.message.starts_with("3 GPUs are counted"), "{}", found.message);
        fixture.point.gpus.truncate(1);
        assert_eq!(fixture.find(FindingCode::GpuShared), None);
    }

    #[test]
    fn the_servers_own_processes_and_other_gpus_pass() {
        assert_eq!(with(Vec::new()).find(FindingCode::GpuShared), None);
        assert_eq!(with(vec![process(7, None, 60_000)]).find(FindingCode::GpuShared), None);
        let own = vec![process(7, Some(true), 60_000), process(8, Some(true), 400)];
        assert_eq!(with(own).find(FindingCode::GpuShared), None);
        // The study's case: another job on a GPU that the experiment does not use.
        let mut fixture = with(vec![process(9, Some(false), 2048)]);
        fixture.point.gpus[0].used = Some(false);
        assert_eq!(fixture.find(FindingCode::GpuShared), None);
    }
}
