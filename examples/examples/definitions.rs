//! Shows one measurement in the words of three tools: a server with a role chunk, and a client that is late.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]
use plimsoll_analysis::{Latency, Measure, PeerTool, Slo, Stat, summarise};
use plimsoll_records::{ChunkRow, Outcome, PointFile, RequestRow};
use plimsoll_units::RunNanos;

/// A request due at `due` s: taken up 20 ms late, a role chunk after 60 ms, ten tokens from 100 ms on.
fn row(id: u64, due: f64) -> RequestRow {
    let at = |ms: f64| RunNanos::from_secs_f64(due + ms / 1e3);
    let token = |k: u32| ChunkRow {
        at: at(100.0 + 10.0 * f64::from(k)),
        tokens: 1,
        counted: true,
        reasoning: false,
        shared: false,
    };
    RequestRow {
        id,
        intended: at(0.0),
        dequeued: at(20.0),
        connected: Some(at(20.0)),
        sent: Some(at(20.0)),
        role_chunk: Some(at(60.0)),
        first_answer: Some(at(100.0)),
        last_token: Some(at(190.0)),
        done: at(190.0),
        outcome: Outcome::Ok,
        output_tokens: Some(10),
        output_tokens_planned: 10,
        chunks: (0..10).map(token).collect(),
        ..RequestRow::default()
    }
}

fn main() -> Result<(), serde_json::Error> {
    // What a point.json holds: 24 s of regular arrivals, the window from 2 s to 22 s.
    let point: PointFile = serde_json::from_value(
        serde_json::json!({"id": "rate-20", "factors": {}, "repetition": 0,
        "load": {"kind": "open", "arrivals": "constant", "rate_per_s": 20.0, "gap_cv": 0.0, "seed": 1, "max_in_flight": null},
        "phases": {"start_ns": 0, "measure_start_ns": 2e9 as u64, "measure_end_ns": 22e9 as u64, "arrivals_end_ns": 24e9 as u64, "end_ns": 25e9 as u64},
        "ended": "complete", "workers": [], "server": {},
        "workload": {"shared_prefix": 0.0, "exact_output": true, "exact_input": true, "mean_output_tokens": 10.0}}),
    )?;
    let rows: Vec<RequestRow> = (0..480).map(|id| row(id, id as f64 / 20.0)).collect();
    let summary = summarise(&point, &rows, &Slo::default());
    for tool in [PeerTool::Vllm, PeerTool::Guidellm, PeerTool::Mlperf] {
        let printed = tool.printed(&point, &rows, &Slo::default(), &summary);
        let ttft = Measure::Latency(Latency::Ttft, Stat::Mean);
        for figure in printed.figures.iter().filter(|figure| figure.measure == ttft) {
            let because: Vec<_> = figure.because.iter().map(|why| why.as_str()).collect();
            let name = figure.name.as_deref().unwrap_or("none");
            println!(
                "{tool}: {name} = {:?}, ours {:?}, because {because:?}",
                figure.value, figure.ours
            );
        }
    }
    Ok(())
} // Prints 40 ms for vLLM (role chunk and lateness), 80 for guidellm (lateness) and 100 for LoadGen, as ours.
