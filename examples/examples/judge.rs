//! Shows how rows become a judgement: three points of a server that can end 30 requests a second.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]
use plimsoll_analysis::{AuditedPoint, Slo, judge};
use plimsoll_records::{ChunkRow, ConnectionUse, Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

/// A request of one token that was due at `at` and answered at `done`, in seconds.
fn row(id: u64, at: f64, done: f64) -> RequestRow {
    let [at, done] = [at, done].map(RunNanos::from_secs_f64);
    RequestRow {
        id,
        intended: at,
        dequeued: at,
        connected: Some(at),
        connection: Some(ConnectionUse::Reused),
        sent: Some(at),
        first_byte: Some(done),
        first_answer: Some(done),
        last_token: Some(done),
        done,
        outcome: Outcome::Ok,
        http_status: Some(200),
        prompt_tokens_planned: Some(8),
        prompt_tokens: Some(8),
        output_tokens_planned: 1,
        output_tokens: Some(1),
        chunks: vec![ChunkRow {
            at: done,
            tokens: 1,
            counted: true,
            reasoning: false,
            shared: false,
        }],
        ..RequestRow::default()
    }
}

fn main() -> Result<(), serde_json::Error> {
    let points = [10.0, 20.0, 40.0].map(|rate| {
        let at = |id: u64| id as f64 / rate;
        let answered = |id: u64| at(id).max(id as f64 / 30.0) + 0.2;
        let rows: Vec<_> = (0..24 * rate as u64).map(|id| row(id, at(id), answered(id))).collect();
        // What a point.json holds: 24 s of regular arrivals, the window from 2 s to 22 s, one busy thread.
        let file: PointFile = serde_json::from_value(serde_json::json!({"id": format!("rate-{rate}"), "factors": {}, "repetition": 0,
            "load": {"kind": "open", "arrivals": "constant", "rate_per_s": rate, "gap_cv": 0.0, "seed": 1, "max_in_flight": null},
            "phases": {"start_ns": 0, "measure_start_ns": 2e9 as u64, "measure_end_ns": 22e9 as u64, "arrivals_end_ns": 24e9 as u64, "end_ns": 40e9 as u64},
            "ended": "complete", "workers": [{"worker": 0, "cpu_share": 0.9, "rows_deferred": 0, "bodies_late": 0}], "server": {},
            "workload": {"shared_prefix": 0.0, "exact_output": true, "exact_input": true, "mean_output_tokens": 1.0}}))?;
        Ok(AuditedPoint::of(&file, &rows, &Slo::default()))
    });
    let judgement = judge(points.into_iter().collect::<Result<_, _>>()?);
    println!("{}: {:?}", judgement.verdict, judgement.groups[0].saturation.capacity_per_s);
    judgement.findings.iter().for_each(|f| println!("{} {}: {}", f.severity, f.code, f.message));
    Ok(())
} // Prints `qualified:`, the capacity (30 a second) with its interval, and that the client's thread was busy.
