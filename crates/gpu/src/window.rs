//! What the samples say of a window of time: means, extremes, energy, throttling, processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll_records::{GpuProcess, GpuRow, GpuWindow, SamplingRecord};
use plimsoll_units::RunNanos;

use crate::samples::{CpuReading, GpuMiss, GpuSamples};
use crate::throttle::throttle_words;

mod judged;

use judged::{Kept, judged};

/// How far beyond the readings of a counter its value is still told, in periods.
const REACH_PERIODS: u32 = 2;

impl GpuSamples {
    /// Each GPU over the window `start <= t < end`, and how well they were sampled in it.
    ///
    /// `own` says whether a process belongs to the measured server; `None` where that cannot be told.
    /// A device is listed even without a sample. The formulas, over the samples inside the window that
    /// have the reading (without any, the result is `None`):
    ///
    /// - means are `sum(x_i) / n`: all samples weigh the same;
    /// - `energy_j = (E(end) - E(start)) / 1000`, where `E(t)` is the device's own counter in mJ,
    ///   interpolated linearly between the readings on both sides of `t`. Where the readings begin or
    ///   end at most two periods away from `t`, their outermost two are extended to it; else there is
    ///   no result. Neither is there one when the counter falls on the way;
    /// - `throttled_share` = samples with a reason of heat or power ([`throttle_words`]) / samples with
    ///   the reading;
    /// - memory errors: the counter's last reading before the end less the last one up to the start, or
    ///   else less the first one inside; none without two readings, or when it falls;
    /// - processes: those seen inside the window, or, when nobody looked inside it, those of the last
    ///   look before; of a lost device even where that belongs to an earlier take.
    ///
    /// The sampling record is of the server's devices: those on which it was seen, or, where it is not
    /// known whose a process is, those with a process; where no process is known at all, those with a
    /// sample. When that leaves none, it is of all with a sample, or of all. `samples` and `failed`
    /// are those of the device with the largest `failed / (samples + failed)`, of equal ones of that
    /// with the fewest samples. `longest_gap_ms` is that of the device with the longest, from the
    /// window's start or a sample to the next sample or the window's end. `cpu_share` is that of the
    /// sampler's threads between the samples next to the window's ends. The remark tells of all
    /// devices.
    #[must_use]
    pub fn window(
        &self,
        start: RunNanos,
        end: RunNanos,
        own: Option<&dyn Fn(u32) -> bool>,
    ) -> (Vec<GpuWindow>, SamplingRecord) {
        let cut = Cut { samples: self, start, end };
        let known = self.gpus.iter().copied().chain(self.rows.iter().map(|row| row.gpu));
        let gpus: BTreeSet<u32> = known.collect();
        let mut windows = Vec::new();
        let mut kept: BTreeMap<u32, Kept> = BTreeMap::new();
        for gpu in gpus {
            let rows: Vec<&GpuRow> = self.rows.iter().filter(|row| row.gpu == gpu).collect();
            let inside: Vec<&GpuRow> =
                rows.iter().copied().filter(|row| cut.contains(row.at)).collect();
            let missed = |miss: &&GpuMiss| miss.gpu == gpu && cut.contains(miss.at);
            let samples = inside.len() as u64;
            let failed = self.misses.iter().filter(missed).count() as u64;
            let longest_gap = cut.longest_gap(&inside);
            kept.insert(gpu, Kept { samples, failed, longest_gap });
            windows.push(cut.gpu(gpu, &rows, &inside, own));
        }
        let judged = judged(&windows);
        kept.retain(|gpu, _| judged.contains(gpu));
        let worst = kept.values().copied().max_by(Kept::by_failures).unwrap_or_default();
        let longest = kept.values().map(|kept| kept.longest_gap).max().unwrap_or(end - start);
        let sampling = SamplingRecord {
            period_ms: self.period.as_secs_f64() * 1e3,
            samples: worst.samples,
            failed: worst.failed,
            longest_gap_ms: longest.as_secs_f64() * 1e3,
            cpu_share: cpu_share(&self.cpu, start, end),
            remark: self.remark(&judged),
        };
        (windows, sampling)
    }
}

/// The window, cut out of the samples.
struct Cut<'a> {
    samples: &'a GpuSamples,
    start: RunNanos,
    end: RunNanos,
}

impl Cut<'_> {
    fn contains(&self, at: RunNanos) -> bool {
        self.start <= at && at < self.end
    }

    fn gpu(
        &self,
        gpu: u32,
        rows: &[&GpuRow],
        inside: &[&GpuRow],
        own: Option<&dyn Fn(u32) -> bool>,
    ) -> GpuWindow {
        // Counters are read from all rows: their values on both sides of the window's ends matter.
        let counter = |of: fn(&GpuRow) -> Option<u64>| -> Vec<(RunNanos, u64)> {
            rows.iter().filter_map(|row| Some((row.at, of(row)?))).collect()
        };
        let each = |of: fn(&GpuRow) -> Option<u32>| -> Vec<f64> {
            inside.iter().filter_map(|row| of(row)).map(f64::from).collect()
        };
        let sm = each(|row| row.sm_utilisation_pct);
        let memory = each(|row| row.memory_utilisation_pct);
        let power = each(|row| row.power_mw);
        let sm_clock = each(|row| row.sm_clock_mhz);
        let masks: Vec<u64> = inside.iter().filter_map(|row| row.throttle_reasons).collect();
        let throttled = masks.iter().filter(|mask| throttle_words(**mask).next().is_some()).count();
        let all_masks = masks.iter().fold(0, |all, mask| all | mask);
        let processes = self.processes(gpu, rows, own);
        GpuWindow {
            gpu,
            samples: inside.len() as u64,
            used: own
                .and(processes.as_ref())
                .map(|seen| seen.iter().any(|one| one.own == Some(true))),
            sm_utilisation_mean_pct: mean(&sm),
            sm_utilisation_max_pct: largest(&sm),
            memory_utilisation_mean_pct: mean(&memory),
            memory_utilisation_max_pct: largest(&memory),
            memory_used_max_bytes: inside.iter().filter_map(|row| row.memory_used_bytes).max(),
            memory_total_bytes: inside.iter().filter_map(|row| row.memory_total_bytes).next_back(),
            power_mean_w: mean(&power).map(|mw| mw / 1e3),
            power_max_w: largest(&power).map(|mw| mw / 1e3),
            energy_j: self.energy_j(&counter(|row| row.energy_mj)),
            temperature_max_c: largest(&each(|row| row.temperature_c)),
            sm_clock_mean_mhz: mean(&sm_clock),
            sm_clock_min_mhz: sm_clock.iter().copied().reduce(f64::min),
            memory_clock_mean_mhz: mean(&each(|row| row.memory_clock_mhz)),
            throttled_share: (!masks.is_empty()).then(|| throttled as f64 / masks.len() as f64),
            throttle_reasons: throttle_words(all_masks).map(str::to_owned).collect(),
            pcie_tx_mean_mb_per_s: mean(&each(|row| row.pcie_tx_kb_per_s)).map(|kb| kb / 1e3),
            pcie_rx_mean_mb_per_s: mean(&each(|row| row.pcie_rx_kb_per_s)).map(|kb| kb / 1e3),
            ecc_corrected: self.growth(&counter(|row| row.ecc_corrected)),
            ecc_uncorrected: self.growth(&counter(|row| row.ecc_uncorrected)),
            xids: inside.iter().filter_map(|row| row.xid).collect(),
            processes: processes.unwrap_or_default(),
        }
    }

    /// The processes of one device; `None` when nobody looked.
    fn processes(
        &self,
        gpu: u32,
        rows: &[&GpuRow],
        own: Option<&dyn Fn(u32) -> bool>,
    ) -> Option<Vec<GpuProcess>> {
        let mut looks = rows.iter().filter(|row| row.processes.is_some()).map(|row| row.at);
        let inside = looks.clone().any(|at| self.contains(at));
        let before = looks.rfind(|at| *at < self.start);
        if !inside && before.is_none() {
            return self.before_loss(gpu, own);
        }
        let counts = |at| if inside { self.contains(at) } else { before == Some(at) };
        let mut seen: BTreeMap<u32, GpuProcess> = BTreeMap::new();
        let sightings = self.samples.processes.iter();
        for sighting in sightings.filter(|sighting| sighting.gpu == gpu && counts(sighting.at)) {
            let process = seen.entry(sighting.pid).or_insert_with(|| GpuProcess {
                pid: sighting.pid,
                own: own.map(|own| own(sighting.pid)),
                ..GpuProcess::default()
            });
            process.memory_max_bytes = process.memory_max_bytes.max(sighting.memory_bytes);
            if sighting.name.is_some() {
                process.name.clone_from(&sighting.name);
            }
        }
        Some(seen.into_values().collect())
    }

    /// The processes that a device had when it was last looked at, in an earlier take; `None` when it
    /// is not lost, or had none.
    fn before_loss(&self, gpu: u32, own: Option<&dyn Fn(u32) -> bool>) -> Option<Vec<GpuProcess>> {
        self.samples.losses.iter().find(|loss| loss.gpu == gpu)?;
        let seen = self.samples.earlier.iter().filter(|sighting| sighting.gpu == gpu);
        let processes = seen.map(|sighting| GpuProcess {
            pid: sighting.pid,
            name: sighting.name.clone(),
            memory_max_bytes: sighting.memory_bytes,
            own: own.map(|own| own(sighting.pid)),
        });
        Some(processes.collect()).filter(|processes: &Vec<_>| !processes.is_empty())
    }

    /// The longest time without a sample, the window's ends included.
    fn longest_gap(&self, inside: &[&GpuRow]) -> Duration {
        let ends = inside.iter().map(|row| row.at).chain([self.end]);
        let mut from = self.start;
        ends.map(|to| to - std::mem::replace(&mut from, to)).max().unwrap_or_default()
    }

    /// What an energy counter in mJ grew by between the window's ends, J.
    fn energy_j(&self, readings: &[(RunNanos, u64)]) -> Option<f64> {
        // From the last reading before the window to the first one after it.
        let first = readings.partition_point(|(at, _)| *at <= self.start).saturating_sub(1);
        let after = readings.partition_point(|(at, _)| *at < self.end);
        let used = readings.get(first..(after + 1).min(readings.len()))?;
        if used.is_empty() || !used.is_sorted_by_key(|(_, value)| *value) {
            return None;
        }
        let reach = self.samples.period * REACH_PERIODS;
        let at = |moment| counter_at(readings, moment, reach);
        let grown = (at(self.end)? - at(self.start)?) / 1e3;
        // Beyond the readings, the outermost two may be the ones between which it fell.
        (grown >= 0.0).then_some(grown)
    }

    /// What a counter that is seldom read grew by.
    fn growth(&self, readings: &[(RunNanos, u64)]) -> Option<u64> {
        let before = readings.iter().rposition(|(at, _)| *at <= self.start).unwrap_or(0);
        let last = readings.iter().rposition(|(at, _)| *at < self.end)?;
        let used = readings.get(before..=last)?;
        let ((_, from), (_, to)) = (used.first()?, used.last()?);
        (used.len() > 1 && used.is_sorted_by_key(|(_, value)| *value)).then(|| to - from)
    }
}

/// The value of a counter at `moment`, by its readings in order of time; `None` when they end further
/// than `reach` away from it, or are fewer than two.
fn counter_at(readings: &[(RunNanos, u64)], moment: RunNanos, reach: Duration) -> Option<f64> {
    let next = readings.partition_point(|(at, _)| *at < moment);
    let (first, last) = (readings.first()?.0, readings.last()?.0);
    if first > moment + reach || last + reach < moment {
        return None;
    }
    // The two readings around the moment, or the outermost two next to it.
    let upper = next.min(readings.len() - 1).max(1);
    let ((at_a, a), (at_b, b)) = (*readings.get(upper - 1)?, *readings.get(upper)?);
    let span = at_b.signed_nanos_since(at_a) as f64;
    let share = moment.signed_nanos_since(at_a) as f64 / span;
    (span > 0.0).then_some(a as f64 + (b as f64 - a as f64) * share)
}

/// CPU time used / time gone by, between the readings next to the window's ends.
fn cpu_share(readings: &[CpuReading], start: RunNanos, end: RunNanos) -> Option<f64> {
    let from = readings.iter().rfind(|reading| reading.at <= start).or(readings.first())?;
    let to = readings.iter().find(|reading| reading.at >= end).or(readings.last())?;
    let length = (to.at - from.at).as_secs_f64();
    (length > 0.0).then(|| to.used.saturating_sub(from.used).as_secs_f64() / length)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

#[cfg(test)]
mod tests;
