//! By which devices the sampler is judged, and what is said of those that fared badly.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll_records::GpuWindow;

use crate::samples::{GpuFailure, GpuLoss, GpuSamples};

impl GpuSamples {
    /// Which of the server's devices were lost, or gave no sample inside the window, in a sentence;
    /// `None` when none was.
    ///
    /// `windows` is what [`window`](Self::window) gave of these samples, and the server's devices are
    /// those that its sampling record is of. A device that is known to be without a process of the
    /// server is left out, whatever became of it. A window shorter than the period may hold no
    /// sample.
    #[must_use]
    pub fn lost(&self, windows: &[GpuWindow]) -> Option<String> {
        let judged = judged(windows);
        let ours =
            windows.iter().filter(|one| one.used != Some(false) && judged.contains(&one.gpu));
        let words = ours.filter_map(|one| {
            let loss = self.losses.iter().find(|loss| loss.gpu == one.gpu);
            let silent = || (one.samples == 0).then(|| format!("GPU {} gave no sample", one.gpu));
            loss.map(|loss| in_words(loss, "")).or_else(silent)
        });
        joined(words)
    }

    /// What went wrong, in a sentence; `None` when nothing did.
    pub(super) fn remark(&self, judged: &BTreeSet<u32>) -> Option<String> {
        let aside = |gpu: u32| {
            if judged.contains(&gpu) { "" } else { ", where no process of the server was seen," }
        };
        let lost = self.losses.iter().map(|loss| in_words(loss, aside(loss.gpu)));
        let failed = self.failures.iter().map(|failure| {
            let GpuFailure { gpu, reading, error, count, .. } = failure;
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            format!(
                "GPU {gpu}{}: {reading} failed {times}: {error}",
                aside(*gpu).trim_end_matches(',')
            )
        });
        joined(lost.chain(failed))
    }
}

/// How one device was sampled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    pub(super) samples: u64,
    pub(super) failed: u64,
    pub(super) longest_gap: Duration,
}

impl Kept {
    /// The largest share of failures, and then the fewest samples, comes last.
    pub(super) fn by_failures(&self, other: &Self) -> Ordering {
        let share = |it: &Self| it.failed as f64 / (it.samples + it.failed).max(1) as f64;
        share(self).total_cmp(&share(other)).then(other.samples.cmp(&self.samples))
    }
}

/// The devices that the sampler is judged by: the server's, as far as they are known.
pub(super) fn judged(windows: &[GpuWindow]) -> BTreeSet<u32> {
    let used: BTreeSet<u32> = GpuWindow::used(windows).map(|gpu| gpu.gpu).collect();
    if !used.is_empty() {
        return used;
    }
    let sampled = windows.iter().any(|gpu| gpu.samples > 0);
    windows.iter().filter(|gpu| !sampled || gpu.samples > 0).map(|gpu| gpu.gpu).collect()
}

fn in_words(loss: &GpuLoss, aside: &str) -> String {
    let GpuLoss { at, gpu, error } = loss;
    format!("GPU {gpu}{aside} was lost {:.3} s into the run: {error}", at.as_secs_f64())
}

fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = words.collect();
    (!all.is_empty()).then(|| all.join("; "))
}
