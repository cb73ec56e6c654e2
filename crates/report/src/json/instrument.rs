//! What the client knows of itself, for scripts.

use plimsoll_records::{ErrorRecord, LagRecord, SelfTest, WorkerRecord};
use serde_json::{Map, Value, json};

use super::{number, optional};
use crate::instrument::{Figures, Instrument, Part};

/// The value of `instrument`.
pub(super) fn instrument(instrument: &Instrument<'_>) -> Value {
    let mut object = match &instrument.all {
        Some(all) => figures(all),
        None => Map::new(),
    };
    let remark = Some(&instrument.remark).filter(|remark| !remark.is_empty());
    object.insert("stamps".to_owned(), json!(instrument.stamps));
    object.insert("stamps_remark".to_owned(), json!(remark));
    let tests = instrument.tests.iter().map(self_test).collect();
    object.insert("self_tests".to_owned(), Value::Array(tests));
    let points = instrument.points.iter().map(point).collect();
    object.insert("points".to_owned(), Value::Array(points));
    Value::Object(object)
}

fn self_test(test: &SelfTest) -> Value {
    json!({
        "when": test.when,
        "rate_per_s": number(test.rate_per_s),
        "streams": number(test.streams),
        "requests": test.requests,
        "lost": test.lost,
        "stamps": test.stamps,
        "ttft_error_ms": error(&test.ttft_error),
        "tpot_error_ms": error(&test.tpot_error),
        "schedule_lag_ms": lag(&test.schedule_lag),
    })
}

fn point(point: &Part<'_>) -> Value {
    let mut object = figures(&point.figures);
    object.insert("id".to_owned(), json!(point.file.id));
    let workers = point.file.workers.iter().map(worker).collect();
    object.insert("workers".to_owned(), Value::Array(workers));
    Value::Object(object)
}

fn worker(worker: &WorkerRecord) -> Value {
    json!({
        "worker": worker.worker,
        "cpu_share": optional(worker.cpu_share),
        "run_queue_share": optional(worker.run_queue_share),
        "wake_up_ms": lag(&worker.wake_up),
        "connections_opened": worker.connections_opened,
        "rows_deferred": worker.rows_deferred,
        "bodies_late": worker.bodies_late,
    })
}

fn figures(figures: &Figures) -> Map<String, Value> {
    let (stamps, clock) = (&figures.stamps, &figures.clock);
    let object = json!({
        "stamps": stamps.source,
        "read_delay_ms": lag(&figures.read_delay),
        "wake_up_ms": lag(&figures.wake_up),
        "cpu_share_max": optional(figures.cpu_share),
        "run_queue_share_max": optional(figures.run_queue_share),
        "chunks": figures.chunks.map(|chunks| chunks.all),
        "chunks_shared": figures.chunks.map(|chunks| chunks.shared),
        "uncounted_responses": figures.chunks.map(|chunks| chunks.uncounted_responses),
        "socket_fallbacks": stamps.socket_fallbacks,
        "packet_fallbacks": stamps.packet_fallbacks,
        "packets": stamps.packets,
        "packets_dropped": stamps.packets_dropped,
        "clock_steps": clock.steps,
        "clock_stepped_ms": number(clock.stepped_ms),
        "clock_slew_ppm": optional(clock.slew_ppm),
    });
    match object {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn lag(lag: &LagRecord) -> Value {
    let known = |value: f64| if lag.count == 0 { Value::Null } else { number(value) };
    json!({
        "count": lag.count,
        "mean": known(lag.mean_ms),
        "p50": known(lag.p50_ms),
        "p99": known(lag.p99_ms),
        "max": known(lag.max_ms),
    })
}

fn error(error: &ErrorRecord) -> Value {
    let known = |value: f64| if error.count == 0 { Value::Null } else { number(value) };
    json!({
        "count": error.count,
        "mean": known(error.mean_ms),
        "p50": known(error.p50_ms),
        "p99": known(error.p99_ms),
        "max": known(error.max_ms),
    })
}
