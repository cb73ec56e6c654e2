//! What the GPUs of a point spent, and what came of it.

use std::time::Duration;

use plimsoll_records::{GpuProcess, GpuWindow};

/// The GPUs that a point used, over its window. docs/definitions.md has each formula.
///
/// Sums and means are over the used GPUs, and not known as soon as one of them does not offer the
/// reading, or was lost: a sum over the others would be too small.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuSummary {
    /// Indices of the GPUs that count as used: those on which a process of the server was seen, or any
    /// process where it is not known whose they are, or all where no process is known.
    pub gpus: Vec<u32>,
    /// Share of time in which a kernel ran, mean over the GPUs, percent.
    pub sm_utilisation_mean_pct: Option<f64>,
    /// Power of all of them together, mean over the window, W.
    pub power_mean_w: Option<f64>,
    /// Energy of all of them together by their own counters, J.
    pub energy_j: Option<f64>,
    /// Energy / output tokens delivered in the window, J.
    pub energy_j_per_output_token: Option<f64>,
    /// Energy / requests that ended well in the window, J.
    pub energy_j_per_request: Option<f64>,
    /// Output tokens per second / power.
    pub output_tokens_per_s_per_w: Option<f64>,
    /// Memory in use on the fullest of them, largest sample, bytes.
    pub memory_used_max_bytes: Option<u64>,
    /// Share of the samples in which heat or power held the clocks down, of the worst of them; 0 to
    /// 1.
    pub throttled_share: Option<f64>,
    /// Processes on them that are not the server's.
    pub foreign: Vec<ForeignProcess>,
}

/// A process on a used GPU that is not the measured server's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignProcess {
    /// The GPU's index.
    pub gpu: u32,
    /// Its number.
    pub pid: u32,
    /// Its name, where the system says it.
    pub name: Option<String>,
    /// GPU memory of it, largest sample, bytes.
    pub memory_max_bytes: Option<u64>,
}

/// What was got through in the window that the energy was spent in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Output tokens delivered inside the window.
    pub(crate) output_tokens: f64,
    /// Requests that ended well inside it.
    pub(crate) requests: f64,
    /// Its length.
    pub(crate) window: Duration,
}

impl GpuSummary {
    /// The summary of a window; `None` where no GPU was sampled in it, or the server was seen on none
    /// of those that were.
    pub(crate) fn of(windows: &[GpuWindow], work: Work) -> Option<Self> {
        let used: Vec<&GpuWindow> = GpuWindow::used(windows).collect();
        if used.iter().all(|gpu| gpu.samples == 0) {
            return None;
        }
        let sum = |reading: fn(&GpuWindow) -> Option<f64>| -> Option<f64> {
            used.iter().map(|gpu| reading(gpu)).sum()
        };
        let per = |amount: Option<f64>, by: f64| amount.filter(|_| by > 0.0).map(|it| it / by);
        let energy_j = sum(|gpu| gpu.energy_j);
        let power_mean_w = sum(|gpu| gpu.power_mean_w);
        let tokens_per_s = per(Some(work.output_tokens), work.window.as_secs_f64());
        Some(Self {
            gpus: used.iter().map(|gpu| gpu.gpu).collect(),
            sm_utilisation_mean_pct: per(sum(|gpu| gpu.sm_utilisation_mean_pct), used.len() as f64),
            power_mean_w,
            energy_j,
            energy_j_per_output_token: per(energy_j, work.output_tokens),
            energy_j_per_request: per(energy_j, work.requests),
            output_tokens_per_s_per_w: power_mean_w.and_then(|watts| per(tokens_per_s, watts)),
            memory_used_max_bytes: used.iter().filter_map(|gpu| gpu.memory_used_max_bytes).max(),
            throttled_share: used
                .iter()
                .filter_map(|gpu| gpu.throttled_share)
                .max_by(f64::total_cmp),
            foreign: used
                .iter()
                .flat_map(|gpu| gpu.processes.iter().map(|process| (gpu.gpu, process)))
                .filter(|(_, process)| process.own == Some(false))
                .map(|(gpu, process)| ForeignProcess::of(gpu, process))
                .collect(),
        })
    }
}

impl ForeignProcess {
    fn of(gpu: u32, process: &GpuProcess) -> Self {
        Self {
            gpu,
            pid: process.pid,
            name: process.name.clone(),
            memory_max_bytes: process.memory_max_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::fixture::gpu;

    /// 20 s in which 12,000 tokens were delivered and 400 requests ended.
    const WORK: Work =
        Work { output_tokens: 12_000.0, requests: 400.0, window: Duration::from_secs(20) };

    #[test]
    fn two_gpus_add_up() {
        let mut second = gpu(3);
        second.sm_utilisation_mean_pct = Some(70.0);
        second.memory_used_max_bytes = Some(70 << 30);
        second.throttled_share = Some(0.5);
        let found = GpuSummary::of(&[gpu(1), second], WORK).unwrap();
        assert_eq!(found.gpus, [1, 3]);
        assert_eq!(found.sm_utilisation_mean_pct, Some(60.0));
        assert_eq!((found.power_mean_w, found.energy_j), (Some(600.0), Some(12_000.0)));
        assert_eq!(found.energy_j_per_output_token, Some(1.0));
        assert_eq!(found.energy_j_per_request, Some(30.0));
        // 600 tokens a second at 600 W.
        assert_eq!(found.output_tokens_per_s_per_w, Some(1.0));
        assert_eq!(found.memory_used_max_bytes, Some(70 << 30));
        assert_eq!(found.throttled_share, Some(0.5));
        assert!(found.foreign.is_empty());
    }

    #[test]
    fn a_gpu_without_the_servers_processes_counts_for_nothing() {
        let mut idle = gpu(1);
        idle.used = Some(false);
        idle.processes = vec![GpuProcess { own: Some(false), ..GpuProcess::default() }];
        let found = GpuSummary::of(&[gpu(0), idle.clone()], WORK).unwrap();
        assert_eq!((found.gpus, found.energy_j), (vec![0], Some(6000.0)));
        assert!(found.foreign.is_empty(), "what runs there disturbs nobody");
        assert_eq!(GpuSummary::of(&[idle.clone()], WORK), None);
        // Nothing is known of any: all count.
        idle.used = None;
        let found = GpuSummary::of(&[idle.clone(), idle.clone()], WORK).unwrap();
        assert_eq!((found.gpus.len(), found.foreign.len()), (2, 2));
        idle.samples = 0;
        assert_eq!(GpuSummary::of(&[idle], WORK), None, "it was not seen");
    }

    /// A GPU of which it is not known whose its processes are.
    fn unknown(index: u32, processes: usize) -> GpuWindow {
        let processes = vec![GpuProcess::default(); processes];
        GpuWindow { used: None, processes, ..gpu(index) }
    }

    #[test]
    fn idle_gpus_beside_a_server_of_unknown_processes_count_for_nothing() {
        let mut eight: Vec<GpuWindow> = (0..8).map(|index| unknown(index, 0)).collect();
        eight[3] = unknown(3, 1);
        let found = GpuSummary::of(&eight, WORK).unwrap();
        assert_eq!((found.gpus, found.energy_j_per_output_token), (vec![3], Some(0.5)));
        eight[5] = unknown(5, 2);
        assert_eq!(GpuSummary::of(&eight, WORK).unwrap().gpus, [3, 5]);
        // The only one with a process was lost: nothing of the others is the server's.
        eight[5] = unknown(5, 0);
        (eight[3].samples, eight[3].energy_j) = (0, None);
        assert_eq!(GpuSummary::of(&eight, WORK), None);
        // No process is known at all.
        eight[3] = unknown(3, 0);
        assert_eq!(GpuSummary::of(&eight, WORK).unwrap().gpus, [0, 1, 2, 3, 4, 5, 6, 7]);
        eight[0].samples = 0;
        eight[1].used = Some(false);
        assert_eq!(GpuSummary::of(&eight, WORK).unwrap().gpus, [2, 3, 4, 5, 6, 7]);
        // The server is known on one: the rest is unknown, and its processes are not looked for.
        eight[7].used = Some(true);
        assert_eq!(GpuSummary::of(&eight, WORK).unwrap().gpus, [7]);
    }

    #[test]
    fn the_sums_of_a_server_that_lost_a_gpu_are_not_known() {
        let lost = GpuWindow { used: Some(true), gpu: 1, ..GpuWindow::default() };
        let found = GpuSummary::of(&[gpu(0), lost], WORK).unwrap();
        assert_eq!((found.gpus, found.energy_j, found.power_mean_w), (vec![0, 1], None, None));
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_not_known() {
        let mut old = gpu(1);
        (old.energy_j, old.throttled_share) = (None, None);
        let found = GpuSummary::of(&[gpu(0), old], WORK).unwrap();
        assert_eq!((found.energy_j, found.energy_j_per_request), (None, None));
        assert_eq!(found.power_mean_w, Some(600.0));
        assert_eq!(found.throttled_share, Some(0.0));
    }

    #[test]
    fn nothing_got_through_costs_nothing_a_piece() {
        let nothing = Work { output_tokens: 0.0, requests: 0.0, window: Duration::ZERO };
        let found = GpuSummary::of(&[gpu(0)], nothing).unwrap();
        assert_eq!((found.energy_j_per_output_token, found.energy_j_per_request), (None, None));
        assert_eq!(found.output_tokens_per_s_per_w, None);
    }
}
