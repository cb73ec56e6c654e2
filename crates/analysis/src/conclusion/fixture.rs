//! Points of a server of a known law, one request after the other, for the tests of conclusions.

use plimsoll_records::{AuditPolicy, Manifest, OfferedLoad, Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

use crate::audit::fixture::{Fixture, MS, row};
use crate::{AuditedPoint, Group, Question, Slo, judge_for};

/// Output tokens of every request.
pub(crate) const OUTPUT: u32 = 33;

/// Requests of a closed loop of one at a time, at a server that prefills in `a + c * input` ms and gives a
/// token every `a` ms.
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    pub(crate) factors: Vec<(&'static str, &'static str)>,
    pub(crate) concurrency: u32,
    pub(crate) repetition: u32,
    pub(crate) input: u32,
    pub(crate) a_ms: f64,
    pub(crate) c_ms: f64,
    /// Which start of the server it was.
    pub(crate) server: u32,
    /// What every request is answered, if none ends well.
    pub(crate) refused: Option<&'static str>,
}

impl Default for Loop {
    fn default() -> Self {
        Self {
            factors: Vec::new(),
            concurrency: 1,
            repetition: 0,
            input: 1000,
            a_ms: 24.0,
            c_ms: 0.16,
            server: 0,
            refused: None,
        }
    }
}

impl Loop {
    /// Its time to first token by the law, ms.
    pub(crate) fn prefill_ms(&self) -> f64 {
        self.a_ms + self.c_ms * f64::from(self.input)
    }

    /// Its whole time by the law, ms.
    pub(crate) fn e2e_ms(&self) -> f64 {
        self.prefill_ms() + self.a_ms * f64::from(OUTPUT - 1)
    }

    /// 16 requests from 2 s on, each a little off the law in turn (by 0, +2, 0 and -2 ms).
    fn point(&self) -> AuditedPoint {
        let mut fixture = Fixture::clean();
        let nanos = |ms: f64| (ms * MS as f64) as u64;
        let mut at = 2_000.0;
        let mut rows: Vec<RequestRow> = Vec::new();
        for id in 0..16 {
            let off = [0.0, 2.0, 0.0, -2.0][id as usize % 4];
            let first = nanos(self.prefill_ms() + off);
            let mut next =
                row(id, RunNanos::from_nanos(nanos(at)), first, nanos(self.a_ms), OUTPUT);
            (next.prompt_tokens, next.prompt_tokens_planned) = (Some(self.input), Some(self.input));
            // What was sent was due then.
            next.sent = Some(next.intended);
            if let Some(words) = self.refused {
                next.outcome = Outcome::HttpStatus;
                (next.http_status, next.error) = (Some(400), Some(words.to_owned()));
                (next.first_answer, next.last_token, next.output_tokens) = (None, None, None);
                next.chunks.clear();
            }
            at += self.e2e_ms() + off;
            rows.push(next);
        }
        let factors = self.factors.iter();
        let point = PointFile {
            id: format!("{:?} {} rep{}", self.factors, self.concurrency, self.repetition),
            factors: factors.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            repetition: self.repetition,
            load: OfferedLoad::Closed { concurrency: self.concurrency },
            ..fixture.point.clone()
        };
        fixture.point = point;
        fixture.point.phases.measure_end_ns = RunNanos::from_nanos(nanos(at));
        fixture.point.phases.arrivals_end_ns = RunNanos::from_nanos(nanos(at));
        fixture.point.server_start.number = self.server;
        fixture.point.workload.mean_output_tokens = Some(f64::from(OUTPUT));
        AuditedPoint::of(&fixture.point, &rows, &Slo::default())
    }
}

/// The groups of a run of these loops.
pub(crate) fn groups(loops: &[Loop]) -> Vec<Group> {
    let points = loops.iter().map(Loop::point).collect();
    judge_for(Question::Latency, points, &AuditPolicy::default()).groups
}

/// A manifest of `experiment` whose servers, by their number, were declared with these settings.
pub(crate) fn manifest(experiment: &str, servers: &[serde_json::Value]) -> Manifest {
    let target = |settings: &serde_json::Value| {
        serde_json::json!({
            "launch": "sim", "url": "", "model": "qwen3-14b", "server": null, "version": null,
            "max_model_len": null, "settings_declared": settings,
        })
    };
    let targets: Vec<serde_json::Value> = servers.iter().map(target).collect();
    serde_json::from_value(serde_json::json!({
        "format": "1.3", "tool": {"name": experiment, "version": "0.1.0", "commit": null},
        "experiment": experiment, "clock": {"origin_monotonic_ns": 0, "origin_unix_ns": 0},
        "started": "2026-01-01T00:00:00Z", "status": "complete", "seed": 1, "matrix_written": "",
        "overrides": [], "matrix_resolved": {"factors": {"scenario": [
            {"name": "short", "workload.input-tokens": 1000},
            {"name": "long", "workload.input-tokens": 6000},
        ]}},
        "machine": {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "kernel": ""},
        "target": targets[0], "targets": targets,
        "points": [], "left_out": [], "stamps": "user", "remarks": []
    }))
    .unwrap()
}
