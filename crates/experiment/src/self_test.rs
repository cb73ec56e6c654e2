//! The client's own error on this machine, now: a short load on a simulator of this process, whose log
//! says when it sent what.
//!
//! It goes through the same code as every point: the same workers, stamps, capture and rows. Only the
//! server is another, and what comes out is held against its log.

mod compare;
mod shape;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use plimsoll_client::ClientConfig;
use plimsoll_records::{
    PointEnd, RequestRow, ResultsFolder, SelfTest, SelfTestTime, WorkloadRecord,
};
use plimsoll_sim::{ModelProfile, Settings, SimConfig, SimServer};
use plimsoll_units::{Lags, RunNanos, Span};
use plimsoll_workload::{
    BodyTemplate, Calibration, Encoder, LengthConfig, UniformConfig, Workload, WorkloadConfig,
};

use crate::circumstances::Circumstances;
use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::matrix::{LoadArrivals, Matrix, WarmUp};
use crate::point::{self, PointPlan};
use crate::progress::Silent;
use compare::compare;
pub(crate) use shape::Shape;

/// Longest wait for the last streams of a test.
const DRAIN: Duration = Duration::from_secs(5);
/// Tokens of the simulator's chat template.
const TEMPLATE_TOKENS: u32 = 8;
/// The most sequences of one step of the simulator: twice as many as a test has streams at most.
const MOST_SEQUENCES: u32 = 4096;

/// What a self-test is made from.
pub(crate) struct SelfTestPlan<'a> {
    pub(crate) when: SelfTestTime,
    pub(crate) shape: &'a Shape,
    /// The matrix of the run: its client, and its API.
    pub(crate) matrix: &'a Matrix,
    /// The client of the run, whose server is replaced.
    pub(crate) client: &'a ClientConfig,
    pub(crate) workers: u32,
    pub(crate) seed: u64,
    /// Where it may leave files for as long as it takes.
    pub(crate) folder: &'a Path,
}

/// Makes the test; `None` when it was interrupted.
pub(crate) fn self_test(
    plan: &SelfTestPlan<'_>,
    interrupt: &Interrupt,
) -> Result<Option<SelfTest>, RunError> {
    let folder = ResultsFolder::create(plan.folder, "self-test")?;
    let tested = test(plan, &folder, interrupt);
    // What remains would be of no use to anyone.
    let _ = std::fs::remove_dir_all(folder.path());
    tested
}

fn test(
    plan: &SelfTestPlan<'_>,
    folder: &ResultsFolder,
    interrupt: &Interrupt,
) -> Result<Option<SelfTest>, RunError> {
    let truth = folder.path().join("truth.jsonl");
    let sim = SimServer::start(SimConfig {
        model: profile(plan.shape),
        settings: settings(),
        truth: Some(truth.clone()),
        seed: plan.seed,
        ..SimConfig::default()
    })?;
    let mut matrix = plan.matrix.clone();
    let length = plan.shape.length;
    matrix.load.window.warm_up = WarmUp::Fixed(Span::new(length / 4));
    matrix.load.window.measure = Span::new(length - length / 4);
    matrix.load.window.drain_limit = Span::new(DRAIN);
    matrix.load.arrivals = LoadArrivals::Process(plimsoll_load::ArrivalProcess::Poisson);
    matrix.load.max_in_flight = None;
    let endpoint = sim.url().parse().map_err(|_| {
        RunError::Probe(format!("the simulator of the self-test has no usable URL: {}", sim.url()))
    })?;
    // The key is the server's, and no business of a simulator.
    let client = ClientConfig { endpoint, api_key: None, ..plan.client.clone() };
    let encoder = encoder(plan)?;
    let point = PointPlan {
        id: "self-test",
        ordinal: 0,
        factors: &BTreeMap::new(),
        repetition: 0,
        matrix: &matrix,
        load: plan.shape.load,
        seed: plan.seed,
        clock: client.clock,
        clients: std::slice::from_ref(&client),
        encoder: &encoder,
        workload: WorkloadRecord {
            shared_prefix: Some(0.0),
            exact_output: true,
            exact_input: true,
            mean_output_tokens: None,
        },
        replay: None,
        turns: None,
        workers: plan.workers,
        probe: None,
        after: Duration::ZERO,
    };
    let dir = folder.point(point.id)?;
    let mut unwatched = Circumstances::none(client.clock);
    let measured = point::measure(&point, &dir, &mut unwatched, interrupt, &mut Silent)?;
    // The log is complete when the simulator has stopped.
    sim.stop();
    if measured.file.ended == PointEnd::Interrupted {
        return Ok(None);
    }
    let log = std::fs::read_to_string(&truth).map_err(RunError::io("read the simulator's log"))?;
    let phases = measured.file.phases;
    let window = phases.measure_start_ns..phases.measure_end_ns;
    let due = |row: &&RequestRow| window.contains(&row.intended);
    let rows: Vec<&RequestRow> = measured.rows.iter().filter(due).collect();
    let encoder = point.encoder();
    let compared = compare(&rows, &log, &client.clock, |row| encoder.encode(row.id).body);
    let mut lag = Lags::new();
    rows.iter().filter_map(|row| row.schedule_lag()).for_each(|late| lag.record(late));
    let seconds = (window.end - window.start).as_secs_f64().max(f64::MIN_POSITIVE);
    Ok(Some(SelfTest {
        when: plan.when,
        rate_per_s: rows.len() as f64 / seconds,
        streams: open_seconds(&measured.rows, window.start, window.end) / seconds,
        requests: compared.requests,
        lost: compared.lost,
        stamps: measured.file.stamps.source,
        ttft_error: compared.ttft_error,
        tpot_error: compared.tpot_error,
        schedule_lag: (&lag).into(),
    }))
}

/// A model whose steps take one gap between tokens, whatever they compute.
fn profile(shape: &Shape) -> ModelProfile {
    let longest = shape.input_tokens + TEMPLATE_TOKENS + shape.output_tokens.1;
    let blocks = longest.div_ceil(Settings::default().block_size) + 1;
    ModelProfile {
        name: "self-test".to_owned(),
        step_base: Span::new(shape.gap),
        step_per_sequence: Span::new(Duration::ZERO),
        step_per_sequence_squared: Span::new(Duration::ZERO),
        step_per_prefill_token: Span::new(Duration::ZERO),
        mixed_step_per_decode: Span::new(Duration::ZERO),
        front_end: Span::new(Duration::ZERO),
        max_model_len: longest,
        num_gpu_blocks: blocks * MOST_SEQUENCES,
        template_tokens: TEMPLATE_TOKENS,
        natural_stop: None,
    }
}

/// Settings with which nothing is ever queued.
fn settings() -> Settings {
    Settings {
        max_num_seqs: MOST_SEQUENCES,
        max_num_batched_tokens: Some(1 << 24),
        enable_prefix_caching: false,
        ..Settings::default()
    }
}

fn encoder(plan: &SelfTestPlan<'_>) -> Result<Encoder, RunError> {
    let (min, max) = plan.shape.output_tokens;
    let config = WorkloadConfig {
        input_tokens: Some(LengthConfig::Constant(plan.shape.input_tokens + TEMPLATE_TOKENS)),
        output_tokens: Some(LengthConfig::Uniform(UniformConfig { min, max })),
        ..WorkloadConfig::default()
    };
    let workload = Workload::new(&config, plan.folder, plan.seed)
        .map_err(|error| RunError::Probe(format!("the self-test has no workload: {error}")))?;
    let template = BodyTemplate {
        api: plan.matrix.client.api,
        model: "self-test".to_owned(),
        ..BodyTemplate::default()
    };
    // The simulator counts words, which is all that the calibration would find out.
    Ok(workload.encoder(Some(&Calibration::assumed(TEMPLATE_TOKENS)), &template)?)
}

/// The time that streams were open between `start` and `end`, summed over all of them, seconds.
fn open_seconds(rows: &[RequestRow], start: RunNanos, end: RunNanos) -> f64 {
    rows.iter()
        .filter_map(|row| {
            let (from, to) = (row.sent?.max(start), row.done.min(end));
            (to > from).then(|| (to - from).as_secs_f64())
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_count_for_the_part_that_lies_in_the_window() {
        let second = |second: f64| RunNanos::from_secs_f64(second);
        let stream = |sent: Option<f64>, done: f64| RequestRow {
            sent: sent.map(second),
            done: second(done),
            ..RequestRow::default()
        };
        let rows = [
            stream(Some(0.0), 5.0),
            stream(Some(1.5), 2.0),
            stream(Some(2.5), 9.0),
            stream(Some(0.0), 0.9),
            stream(None, 2.0),
        ];
        let open = open_seconds(&rows, second(1.0), second(3.0));
        assert!((open - 3.0).abs() < 1e-9, "2 + 0.5 + 0.5, not {open}");
    }

    #[test]
    fn the_simulator_takes_the_profile_of_any_shape() {
        use crate::offered::PointLoad;
        for load in [PointLoad::Closed(5000), PointLoad::Closed(1)] {
            let shape = Shape::new(load, Some(1e9), 1e9, Duration::from_secs(60), None);
            settings().limits(&profile(&shape)).unwrap();
        }
    }
}
