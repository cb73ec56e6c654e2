//! What a row, a token and a sample take in Parquet. The rows are the same each time, so the sizes are
//! too.

use std::time::Duration;

use plimsoll_records::{GpuRow, RequestRow, ResultsFolder, ServerRow};
use plimsoll_units::RunNanos;

use crate::sample;
use crate::traffic::{Answers, Chance, JITTER, rows};

/// Bytes a request of `requests.parquet`, and a token of `tokens.parquet`.
fn bytes(rows: Vec<RequestRow>) -> (f64, f64) {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    let written = sample::write(&point, rows);
    let size = |name| std::fs::metadata(point.path().join(name)).unwrap().len() as f64;
    (
        size("requests.parquet") / written.requests as f64,
        size("tokens.parquet") / written.tokens as f64,
    )
}

#[test]
fn a_row_takes_at_most_200_bytes_and_a_token_4() {
    let (row, token) = bytes(rows(0, 1_000, Answers::USUAL));
    assert!(row <= 200.0, "{row} bytes a row");
    assert!(token <= 4.0, "{token} bytes a token");
    // No file of stamps in ns can be smaller than what chance put into them: the entropy of a
    // normal distribution, log2(sigma * sqrt(2 pi e)) bits.
    let bits = (JITTER * (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt()).log2();
    assert!(token > bits / 8.0, "{token} bytes a token cannot hold stamps of {bits} bits");
}

#[test]
fn a_token_of_a_short_answer_or_a_slow_server_takes_at_most_4_5_bytes() {
    for answers in [
        Answers { from: 16, to: 16, gap: 1e7 },
        Answers { from: 64, to: 512, gap: 1e8 },
        Answers { from: 128, to: 128, gap: 1e8 },
        Answers { from: 4_000, to: 4_000, gap: 3e7 },
    ] {
        let count = 100_000 / answers.to;
        let (_, token) = bytes(rows(0, count, answers));
        assert!(token <= 4.5, "{answers:?}: {token} bytes a token");
    }
}

/// The series of a busy vLLM server's page, scrape by scrape a second apart: forty histograms of
/// sixteen buckets each with sum and count, of which one in four moves, and twenty gauges.
fn scrapes(count: u64) -> Vec<ServerRow> {
    let mut chance = Chance(1);
    let mut counts = [0_u64; 40];
    let mut rows = Vec::new();
    for scrape in 0..count {
        let at = RunNanos::from_nanos(scrape * 1_000_000_000 + chance.between(0, 2_000_000));
        let mut series = |name: String, labels: String, value: f64| {
            rows.push(ServerRow { at, name, labels, value });
        };
        let model = "engine=\"0\",model_name=\"Qwen/Qwen3-14B\"";
        for (histogram, seen) in counts.iter_mut().enumerate() {
            *seen += if histogram % 4 == 0 { chance.between(20, 60) } else { 0 };
            let name = format!("vllm:histogram_{histogram}_seconds");
            for bucket in 0..16 {
                let below = *seen * (bucket + 1) / 16;
                let labels = format!("{model},le=\"{}\"", 0.001 * 2_f64.powi(bucket as i32));
                series(format!("{name}_bucket"), labels, below as f64);
            }
            series(format!("{name}_sum"), model.to_owned(), *seen as f64 * 0.037);
            series(format!("{name}_count"), model.to_owned(), *seen as f64);
        }
        for gauge in 0..20 {
            let value = chance.between(0, 256) as f64 / 256.0;
            series(format!("vllm:gauge_{gauge}"), model.to_owned(), value);
        }
    }
    rows
}

/// Eight GPUs, ten samples a second each.
fn gpu_samples(seconds: u64) -> Vec<GpuRow> {
    let mut chance = Chance(2);
    let mut energy_mj = [1_000_000_000_u64; 8];
    let mut rows = Vec::new();
    for sample in 0..seconds * 10 {
        for (gpu, energy_mj) in energy_mj.iter_mut().enumerate() {
            let power_mw = chance.between(300_000, 700_000);
            *energy_mj += power_mw / 10;
            rows.push(GpuRow {
                at: RunNanos::from_nanos(sample * 100_000_000 + chance.between(0, 3_000_000))
                    + Duration::from_micros(300 * gpu as u64),
                gpu: gpu as u32,
                sm_utilisation_pct: Some(chance.between(80, 100) as u32),
                memory_utilisation_pct: Some(chance.between(20, 60) as u32),
                memory_used_bytes: Some(70 << 30),
                memory_total_bytes: Some(80 << 30),
                power_mw: Some(power_mw as u32),
                energy_mj: Some(*energy_mj),
                temperature_c: Some(chance.between(50, 70) as u32),
                sm_clock_mhz: Some(chance.between(110, 132) as u32 * 15),
                memory_clock_mhz: Some(2_619),
                throttle_reasons: Some(chance.between(0, 1) * 4),
                pcie_tx_kb_per_s: Some(chance.between(0, 1_000_000) as u32),
                pcie_rx_kb_per_s: Some(chance.between(0, 1_000_000) as u32),
                processes: Some(1),
                processes_memory_bytes: Some(70 << 30),
                ecc_corrected: Some(0),
                ecc_uncorrected: Some(0),
                xid: None,
            });
        }
    }
    rows
}

#[test]
fn a_minute_of_samples_takes_less_than_a_megabyte() {
    let root = tempfile::tempdir().unwrap();
    let point = ResultsFolder::create(root.path(), "run").unwrap().point("p").unwrap();
    let size = |name| std::fs::metadata(point.path().join(name)).unwrap().len();

    let scrapes = scrapes(60);
    assert!(scrapes.len() >= 60 * 670);
    point.write_server(scrapes.iter().cloned()).unwrap();
    let bytes = size("server.parquet");
    println!("server.parquet: {bytes} bytes for {} series in 60 scrapes", scrapes.len() / 60);
    assert!(bytes < 1_000_000, "{bytes} bytes");
    assert_eq!(point.read_server().unwrap().unwrap(), scrapes);

    let samples = gpu_samples(60);
    point.write_gpu(&samples).unwrap();
    let bytes = size("gpu.parquet");
    println!("gpu.parquet: {bytes} bytes for 8 GPUs, 600 samples each");
    assert!(bytes < 1_000_000, "{bytes} bytes");
    assert_eq!(point.read_gpu().unwrap().unwrap(), samples);
}
