//! What the sampler brings home: rows, processes seen, and what went wrong.

use std::time::Duration;

use plimsoll_records::GpuRow;
use plimsoll_units::RunNanos;

/// What was sampled since the last take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSamples {
    /// The period that the sampler kept to.
    pub period: Duration,
    /// The devices that it watched, those that are lost included.
    pub gpus: Vec<u32>,
    /// The samples, in order of time; of one moment in order of devices.
    pub rows: Vec<GpuRow>,
    /// The processes seen, each time that they were asked for: once a second. A row with
    /// [`GpuRow::processes`] tells of every time, with the same stamp.
    pub processes: Vec<GpuSighting>,
    /// The processes of the last look at each device before these samples: what a device that is lost
    /// was used for.
    pub earlier: Vec<GpuSighting>,
    /// The samples of a device that brought nothing.
    pub misses: Vec<GpuMiss>,
    /// The readings that failed, each kind once.
    pub failures: Vec<GpuFailure>,
    /// The devices that were lost since the sampler started, or were never there.
    pub losses: Vec<GpuLoss>,
    /// The CPU time that the sampler's threads had used, sample by sample.
    pub cpu: Vec<CpuReading>,
}

/// A process seen on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSighting {
    /// When: the stamp of the device's row.
    pub at: RunNanos,
    /// The device's index.
    pub gpu: u32,
    /// The process's number, as the driver counts: in a container, not necessarily as this process does.
    pub pid: u32,
    /// Device memory of it, bytes; `None` where the driver does not say.
    pub memory_bytes: Option<u64>,
    /// The first word of its name; `None` where the driver does not say.
    pub name: Option<String>,
}

/// A sample of a device that brought nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuMiss {
    /// When: the middle of the attempt.
    pub at: RunNanos,
    /// The device's index.
    pub gpu: u32,
}

/// A reading that failed, though the device offers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuFailure {
    /// When it first failed since the last take.
    pub at: RunNanos,
    /// The device's index.
    pub gpu: u32,
    /// The reading, in words.
    pub reading: &'static str,
    /// What the driver said.
    pub error: String,
    /// How often since the last take.
    pub count: u64,
}

/// A device that is no longer there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuLoss {
    /// When that was noticed.
    pub at: RunNanos,
    /// The device's index.
    pub gpu: u32,
    /// What the driver said.
    pub error: String,
}

/// The CPU time that the sampler's threads had used at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuReading {
    /// The moment.
    pub at: RunNanos,
    /// The time used since the sampler started.
    pub used: Duration,
}

impl GpuSamples {
    /// Nothing yet, of `gpus` at `period`.
    pub(crate) fn empty(period: Duration, gpus: Vec<u32>) -> Self {
        Self { period, gpus, ..Self::default() }
    }

    /// Everything so far; what stays is only what later samples are understood by.
    pub(crate) fn take(&mut self) -> Self {
        let rest = Self {
            earlier: self.gpus.iter().flat_map(|gpu| self.last_look(*gpu)).cloned().collect(),
            losses: self.losses.clone(),
            cpu: self.cpu.last().copied().into_iter().collect(),
            ..Self::empty(self.period, self.gpus.clone())
        };
        std::mem::replace(self, rest)
    }

    /// The processes of the last look at a device.
    fn last_look(&self, gpu: u32) -> impl Iterator<Item = &GpuSighting> {
        let look = self.rows.iter().rfind(|row| row.gpu == gpu && row.processes.is_some());
        let at = look.map(|row| row.at);
        let (list, at) = at.map_or((&self.earlier, None), |at| (&self.processes, Some(at)));
        list.iter().filter(move |one| one.gpu == gpu && at.is_none_or(|at| one.at == at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_take_leaves_the_last_look_at_each_device() {
        let look = |at, gpu, processes| {
            let at = RunNanos::from_nanos(at);
            GpuRow { at, gpu, processes, ..GpuRow::default() }
        };
        let sighting = |at, gpu, pid| {
            let at = RunNanos::from_nanos(at);
            GpuSighting { at, gpu, pid, ..GpuSighting::default() }
        };
        let pids = |samples: &GpuSamples| -> Vec<(u32, u32)> {
            samples.earlier.iter().map(|one| (one.gpu, one.pid)).collect()
        };
        let mut samples = GpuSamples::empty(Duration::from_millis(100), vec![0, 1, 2]);
        samples.rows = vec![look(1, 0, Some(1)), look(2, 0, Some(2)), look(2, 1, Some(1))];
        samples.rows.push(look(3, 0, None));
        samples.processes = vec![sighting(1, 0, 6), sighting(2, 0, 7), sighting(2, 0, 8)];
        samples.processes.push(sighting(2, 1, 9));
        assert!(samples.take().earlier.is_empty());
        assert_eq!(pids(&samples), [(0, 7), (0, 8), (1, 9)]);
        // Nobody is left on the one; nobody looked at the other.
        samples.rows = vec![look(12, 0, Some(0)), look(12, 1, None)];
        assert_eq!(pids(&samples.take()).len(), 3);
        assert_eq!(pids(&samples), [(1, 9)]);
    }
}
