//! What watched beside the load, how well it kept to its period, and what it cost.

use plimsoll_records::{PointFile, SamplingRecord};

use super::Instrument;
use super::words::share;
use crate::clean::clean;
use crate::numbers::{in_ms, plain};

impl Instrument<'_> {
    /// The samplers in a few words: `GPUs every 100 ms: 1,200 samples, longest gap 104 ms, at most 0.4 %
    /// of a core`; empty where there were none.
    pub(super) fn samplers(&self) -> String {
        let parts = [
            self.sampler("server's metrics", |file| file.server_sampling.as_ref()),
            self.sampler("GPUs", |file| file.gpu_sampling.as_ref()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn sampler(&self, name: &str, of: fn(&PointFile) -> Option<&SamplingRecord>) -> Option<String> {
        let records: Vec<_> = self.points.iter().filter_map(|point| of(point.file)).collect();
        let largest = |of: fn(&SamplingRecord) -> f64| {
            let known = records.iter().map(|record| of(record)).filter(|value| value.is_finite());
            known.reduce(f64::max)
        };
        let sum = |of: fn(&SamplingRecord) -> u64| {
            records.iter().map(|record| of(record)).fold(0, u64::saturating_add)
        };
        let (samples, failed) = (sum(|record| record.samples), sum(|record| record.failed));
        if records.is_empty() || (samples == 0 && failed == 0) {
            return None;
        }
        let period = largest(|record| record.period_ms)?;
        let mut words = vec![format!("{} samples", plain(samples as f64))];
        if failed > 0 {
            words.push(format!("{} failed", plain(failed as f64)));
        }
        if let Some(gap) = largest(|record| record.longest_gap_ms) {
            words.push(format!("longest gap {} ms", in_ms(gap)));
        }
        let cpu = records.iter().filter_map(|record| record.cpu_share);
        if let Some(cpu) = cpu.filter(|cpu| cpu.is_finite()).reduce(f64::max) {
            words.push(format!("at most {} of a core", share(cpu)));
        }
        let mut text = format!("{name} every {} ms: {}", plain(period), words.join(", "));
        let remark = records.iter().find_map(|record| record.remark.as_deref()).map(clean);
        if let Some(remark) = remark.filter(|remark| !remark.is_empty()) {
            text.push_str(&format!(" ({remark})"));
        }
        Some(text)
    }
}
