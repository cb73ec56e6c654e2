//! `sampler-gap`: a sampler missed more of the window than its period.
//!
//! **What.** The sampler of the server's metrics, or of the GPUs, saw nothing for longer than 3 periods (and
//! 250 ms): **note**. For over a fifth of the window, or over a fifth of its attempts failed: **warning**, for
//! each. GPUs that were all lost before the window, with the reason: **note**. GPUs that the run could not begin
//! to sample, for want of a library or a driver, are no finding of a point: the report says why none was
//! sampled.
//! **Why.** Means and largest values hold only what was seen, a limit may have been reached unseen, and
//! interpolated energy is a guess. Latencies and rates come from the requests and do not depend on it.
//! **Evidence.** The longest time without a sample inside the window, its ends included; samples and failures
//! in number; the reason where one is known. Of GPUs those of the worst that the server uses; what became of
//! the others is told and accuses nobody.
//! **Remedy.** A core for the samplers, or a longer period; a metrics page that does not answer under load is
//! a property of the server.

use plimsoll_records::{Finding, FindingCode, SamplingRecord, Severity};

use super::{Evidence, finding};

/// Longest gap that is none: this many periods, and this many ms where the period is short.
const PERIODS: f64 = 3.0;
const SHORTEST_MS: f64 = 250.0;

/// Share of the window, or of the attempts, that is worth a warning when it is missing.
const WARNING: f64 = 0.2;

/// Looks at the sampler of the server's metrics.
pub(super) fn check_server(evidence: &Evidence<'_>) -> Option<Finding> {
    let sampling = evidence.point.server_sampling.as_ref()?;
    check(evidence, sampling, "the server's metrics", "server_")
}

/// Looks at the sampler of the GPUs. Where the server is on none of them nothing rests on it.
pub(super) fn check_gpus(evidence: &Evidence<'_>) -> Option<Finding> {
    let sampling = evidence.point.gpu_sampling.as_ref()?;
    let gpus = &evidence.point.gpus;
    if !gpus.is_empty() && gpus.iter().all(|gpu| gpu.used == Some(false)) {
        return None;
    }
    let unseen = gpus.iter().all(|gpu| gpu.samples == 0);
    if let (true, 0, 0, Some(remark)) =
        (unseen, sampling.samples, sampling.failed, &sampling.remark)
    {
        // All were lost before: nothing of this point rests on it.
        return Some(finding(
            FindingCode::SamplerGap,
            Severity::Note,
            format!("the GPUs were not sampled: {remark}"),
            &[("gpu_samples", 0.0)],
            "repair what it says, or turn the sampling of GPUs off",
        ));
    }
    check(evidence, sampling, "the GPUs", "gpu_")
}

fn check(
    evidence: &Evidence<'_>,
    sampling: &SamplingRecord,
    of_what: &str,
    prefix: &str,
) -> Option<Finding> {
    let window_ms = evidence.window.length().as_secs_f64() * 1e3;
    let attempts = sampling.samples + sampling.failed;
    let failed = sampling.failed as f64 / attempts.max(1) as f64;
    let gap = sampling.longest_gap_ms;
    let is_gap = gap > (PERIODS * sampling.period_ms).max(SHORTEST_MS);
    let grave = failed > WARNING || (is_gap && gap > WARNING * window_ms);
    if !is_gap && !grave {
        return None;
    }
    let remark = sampling.remark.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    let name = |name: &str| format!("{prefix}{name}");
    Some(finding(
        FindingCode::SamplerGap,
        if grave { Severity::Warning } else { Severity::Note },
        format!(
            "{of_what} were not seen for {:.1} s of the window's {:.1} at a stretch, and {} of \
             {attempts} attempts failed{remark}",
            gap / 1e3,
            window_ms / 1e3,
            sampling.failed
        ),
        &[
            (&name("longest_gap_ms"), gap),
            (&name("period_ms"), sampling.period_ms),
            (&name("failed_share"), failed),
            (&name("samples"), sampling.samples as f64),
        ],
        "give the samplers a core, or sample less often; means and largest values hold only what \
         was seen, latencies and rates do not depend on it",
    ))
}

#[cfg(test)]
mod tests {
    use plimsoll_records::GpuWindow;

    use super::super::fixture::{Fixture, gpu};
    use super::*;

    /// A sampler with this period that took all its samples of a window of 20 s.
    fn sampling(period_ms: f64) -> SamplingRecord {
        SamplingRecord {
            period_ms,
            samples: (20_000.0 / period_ms) as u64,
            longest_gap_ms: 1.2 * period_ms,
            ..SamplingRecord::default()
        }
    }

    /// What is found when the metrics, and when the GPUs were sampled so.
    fn found(sampling: &SamplingRecord) -> [Option<Finding>; 2] {
        let mut fixture = Fixture::clean();
        fixture.point.server_sampling = Some(sampling.clone());
        let server = fixture.find(FindingCode::SamplerGap);
        fixture.point.server_sampling = None;
        fixture.point.gpu_sampling = Some(sampling.clone());
        [server, fixture.find(FindingCode::SamplerGap)]
    }

    fn severities(sampling: &SamplingRecord) -> [Option<Severity>; 2] {
        found(sampling).map(|found| found.map(|found| found.severity))
    }

    #[test]
    fn a_gap_is_a_note_and_a_long_one_a_warning() {
        let gap = |ms: f64| SamplingRecord { longest_gap_ms: ms, ..sampling(1000.0) };
        assert_eq!(severities(&gap(3500.0)), [Some(Severity::Note); 2]);
        assert_eq!(severities(&gap(6000.0)), [Some(Severity::Warning); 2]);
        let [server, gpus] = found(&gap(6000.0));
        assert_eq!(server.unwrap().numbers["server_longest_gap_ms"], 6000.0);
        assert!(gpus.unwrap().message.contains("the GPUs were not seen for 6.0 s"));
    }

    #[test]
    fn samplers_that_keep_their_period_pass() {
        assert_eq!(found(&sampling(1000.0)), [None, None]);
        // At 100 Hz a sample late by a few periods is no loss.
        let late = SamplingRecord { longest_gap_ms: 90.0, ..sampling(10.0) };
        assert_eq!(found(&late), [None, None]);
        assert_eq!(Fixture::clean().find(FindingCode::SamplerGap), None);
    }

    #[test]
    fn a_period_that_is_long_against_the_window_makes_no_gap() {
        let seldom = SamplingRecord { longest_gap_ms: 5500.0, ..sampling(5000.0) };
        assert_eq!(found(&seldom), [None, None]);
    }

    #[test]
    fn attempts_that_failed_count_even_without_a_gap() {
        let mut fails = SamplingRecord { failed: 3, ..sampling(1000.0) };
        assert_eq!(severities(&fails), [None, None]);
        (fails.failed, fails.remark) = (6, Some("timed out".to_owned()));
        assert_eq!(severities(&fails), [Some(Severity::Warning); 2]);
        assert!(found(&fails)[0].as_ref().unwrap().message.ends_with("failed (timed out)"));
    }

    #[test]
    fn gpus_that_were_lost_before_the_window_are_worth_a_note() {
        let never = SamplingRecord {
            samples: 0,
            longest_gap_ms: 20_000.0,
            remark: Some("GPU 0 was lost 3.214 s into the run: it fell off the bus".to_owned()),
            ..sampling(100.0)
        };
        let [server, gpus] = found(&never);
        assert_eq!(
            gpus.unwrap().message,
            "the GPUs were not sampled: GPU 0 was lost 3.214 s into the run: it fell off the bus"
        );
        assert_eq!(server.unwrap().severity, Severity::Warning);
        // Only one of the server's two was: half of it was not seen.
        let mut fixture = Fixture::clean();
        let lost = GpuWindow { used: Some(true), ..GpuWindow::default() };
        fixture.point.gpus = vec![lost, gpu(1)];
        fixture.point.gpu_sampling = Some(never);
        let half = fixture.find(FindingCode::SamplerGap).unwrap();
        assert_eq!(half.severity, Severity::Warning);
        assert!(half.message.starts_with("the GPUs were not seen for 20.0 s"), "{}", half.message);
    }

    #[test]
    fn gpus_without_the_server_accuse_nobody() {
        let mut fixture = Fixture::clean();
        fixture.point.gpus = vec![GpuWindow { used: Some(false), ..gpu(0) }];
        let gap = SamplingRecord { longest_gap_ms: 20_000.0, ..sampling(100.0) };
        fixture.point.gpu_sampling = Some(gap);
        assert_eq!(fixture.find(FindingCode::SamplerGap), None);
        fixture.point.gpus[0].used = None;
        assert!(fixture.find(FindingCode::SamplerGap).is_some());
    }
}
