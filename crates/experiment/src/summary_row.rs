//! The summary of a point as the row of `summary.parquet`.

use std::time::Duration;

use plimsoll_analysis::{LatencySummary, PointSummary};
use plimsoll_records::{OfferedLoad, QuantilesMs, SummaryRow};

use crate::plan::factor_text;

/// The row of `point`.
pub(crate) fn summary_row(point: &PointSummary) -> SummaryRow {
    let server = point.server.unwrap_or_default();
    let gpu = point.gpu.as_ref();
    SummaryRow {
        point: point.id.clone(),
        group: factor_text(&point.factors),
        repetition: point.repetition,
        rate_per_s: point.load.rate_per_s(),
        concurrency: match point.load {
            OfferedLoad::Closed { concurrency } => Some(concurrency),
            OfferedLoad::Open { .. } => None,
        },
        achieved_rate_per_s: point.achieved_rate_per_s,
        window_s: point.window.length().as_secs_f64(),
        due: point.counts.due,
        ok: point.counts.ok,
        failed: point.counts.failed,
        aborted: point.counts.aborted,
        resent: point.counts.resent,
        throughput_per_s: point.throughput_per_s.value,
        throughput_low_per_s: Some(point.throughput_per_s.low),
        throughput_high_per_s: Some(point.throughput_per_s.high),
        output_tokens_per_s: point.output_tokens_per_s.value,
        input_tokens_per_s: point.input_tokens_per_s,
        makespan_throughput_per_s: point.makespan_throughput_per_s,
        goodput_per_s: point.goodput.map(|goodput| goodput.per_s),
        goodput_share: point.goodput.map(|goodput| goodput.share.value),
        stable: point.stability.stable,
        drift_per_s: point.stability.drift_per_s.value,
        in_flight_mean: point.stability.in_flight_mean,
        probe: point.probe.as_ref().map(|probe| probe.record.number),
        ttft: quantiles(&point.ttft),
        service_ttft: quantiles(&point.service_ttft),
        tpot: quantiles(&point.tpot),
        itl: quantiles(&point.itl),
        chunk_gap: quantiles(&point.chunk_gap),
        e2e: quantiles(&point.e2e),
        schedule_lag: quantiles(&point.schedule_lag),
        queue_time_mean_ms: server.queue_ms,
        prefill_time_mean_ms: server.prefill_ms,
        decode_time_mean_ms: server.decode_ms,
        ttft_rest_mean_ms: server.rest_ms,
        prefix_hit_share: server.prefix_hit_share,
        preemptions: server.preemptions,
        running_mean: server.running_mean,
        waiting_mean: server.waiting_mean,
        kv_cache_usage_max: server.kv_cache_usage_max,
        gpus: gpu.map(|gpu| u32::try_from(gpu.gpus.len()).unwrap_or(u32::MAX)),
        gpu_sm_utilisation_mean_pct: gpu.and_then(|gpu| gpu.sm_utilisation_mean_pct),
        gpu_power_mean_w: gpu.and_then(|gpu| gpu.power_mean_w),
        energy_j_per_output_token: gpu.and_then(|gpu| gpu.energy_j_per_output_token),
        energy_j_per_request: gpu.and_then(|gpu| gpu.energy_j_per_request),
        output_tokens_per_s_per_w: gpu.and_then(|gpu| gpu.output_tokens_per_s_per_w),
        gpu_throttled_share: gpu.and_then(|gpu| gpu.throttled_share),
    }
}

fn quantiles(latency: &LatencySummary) -> QuantilesMs {
    let ms = |span: Option<Duration>| span.map(|span| span.as_secs_f64() * 1e3);
    QuantilesMs {
        mean: ms(latency.mean),
        p50: ms(latency.p50.value),
        p90: ms(latency.p90.value),
        p99: ms(latency.p99.value),
    }
}
