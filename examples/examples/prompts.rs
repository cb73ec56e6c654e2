//! Builds a workload, calibrates it against a tokenizer, and encodes three requests.
//!
//! Run with `cargo run -p plimsoll-examples --example prompts`. Prints what the calibration found,
//! then for each request the planned and the counted prompt tokens and the length of its body.

use std::path::Path;

use plimsoll_workload::{BodyTemplate, Workload, WorkloadConfig};

/// Stands for the server: counts words, and five tokens of chat template.
fn count(prompt: &str) -> u32 {
    prompt.split(' ').count() as u32 + 5
}

#[expect(clippy::print_stdout, reason = "an example shows what it finds")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The [workload] table of a matrix, here as JSON.
    let config: WorkloadConfig = serde_json::from_value(serde_json::json!({
        "input-tokens": { "lognormal": { "mean": 512, "cv": 0.6, "max": 4096 } },
        "output-tokens": 128,
        "shared-prefix": 0.25,
        "shared-prefix-tokens": 64,
    }))?;
    let workload = Workload::new(&config, Path::new("."), 1)?;

    // The calibrator says what to count; a real program asks its server.
    let mut calibrator = workload.calibrator().ok_or("prompts from a file need no calibration")?;
    while let Some(probe) = calibrator.next_probe() {
        let tokens = count(&probe.text);
        calibrator.answer(tokens)?;
    }
    let calibration = calibrator.finish()?;
    let report = calibration.report();
    println!(
        "{} words of one token, template {} tokens, {} probes, exact: {}",
        report.one_token_words, report.overhead_tokens, report.probes, report.exact
    );

    let template = BodyTemplate { model: "my-model".to_owned(), ..BodyTemplate::default() };
    let encoder = workload.encoder(Some(&calibration), &template)?;
    for index in 0..3 {
        let request = encoder.encode(index);
        let body: serde_json::Value = serde_json::from_slice(&request.body)?;
        let prompt = body["messages"][0]["content"].as_str().ok_or("no prompt in the body")?;
        println!(
            "request {index}: planned {:?}, counted {}, body {} bytes",
            request.prompt_tokens_planned,
            count(prompt),
            request.body.len()
        );
    }
    Ok(())
}
