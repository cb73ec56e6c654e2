//! Before any load: which fields the server takes, and what words cost there.

use bytes::Bytes;
use plimsoll_server::{ControlClient, TokenizeInput};
use plimsoll_workload::{Api, BodyTemplate, Encoder, Workload};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::matrix::ClientTable;
use crate::target::Target;

/// What preflight found out.
#[derive(Debug)]
pub(crate) struct Preflight {
    pub(crate) encoder: Encoder,
    /// Whether prompt lengths come out exactly as planned.
    pub(crate) exact_input: bool,
    /// Whether the server runs answers to the length asked for.
    pub(crate) exact_output: bool,
    pub(crate) remarks: Vec<String>,
}

/// Probes the server and calibrates the workload against it.
pub(crate) fn preflight(
    target: &Target,
    table: &ClientTable,
    workload: &Workload,
    runtime: &Runtime,
) -> Result<Preflight, RunError> {
    let mut remarks: Vec<String> = workload.remarks().iter().map(ToString::to_string).collect();
    let template = probe_fields(target, table, runtime, &mut remarks)?;
    let mut counter = Counter { target, template: template.clone(), runtime, by_tokenize: true };
    let calibration = match workload.calibrator() {
        None => None,
        Some(mut calibrator) => {
            while let Some(probe) = calibrator.next_probe() {
                let text = probe.text.clone();
                calibrator.answer(counter.count(&text)?).map_err(wrong_counts)?;
            }
            Some(calibrator.finish().map_err(wrong_counts)?)
        }
    };
    if let Some(calibration) = &calibration {
        let report = calibration.report();
        remarks.push(format!(
            "prompt lengths calibrated by {} with {} counts: {} tokens of template, {} words, {}",
            if counter.by_tokenize { "/tokenize" } else { "usage" },
            report.probes,
            report.overhead_tokens,
            report.words,
            if report.exact {
                "exact".to_owned()
            } else {
                format!("off by up to {} tokens", report.max_error_tokens)
            }
        ));
    }
    let encoder = workload
        .encoder(calibration.as_ref(), &template)
        .map_err(|error| RunError::Workload(error.to_string()))?;
    Ok(Preflight {
        encoder,
        exact_input: calibration.is_some_and(|calibration| calibration.report().exact),
        exact_output: template.ignore_eos,
        remarks,
    })
}

fn wrong_counts(error: plimsoll_workload::CalibrationError) -> RunError {
    RunError::Workload(format!("prompt lengths could not be calibrated: {error}"))
}

/// Finds the fullest body that the server takes: some refuse fields that they do not know.
fn probe_fields(
    target: &Target,
    table: &ClientTable,
    runtime: &Runtime,
    remarks: &mut Vec<String>,
) -> Result<BodyTemplate, RunError> {
    let full = BodyTemplate {
        api: table.api,
        model: target.model.id.clone(),
        stream: true,
        include_usage: true,
        continuous_usage: true,
        ignore_eos: table.ignore_eos,
        temperature: table.temperature,
        extra: table.extra_body.clone(),
        ..BodyTemplate::default()
    };
    let mut refusal = None;
    for (continuous_usage, ignore_eos) in
        [(true, true), (false, true), (true, false), (false, false)]
    {
        if ignore_eos && !table.ignore_eos {
            continue;
        }
        let template = BodyTemplate { continuous_usage, ignore_eos, ..full.clone() };
        let body = template
            .encode("Say hello.", 2)
            .map_err(|error| RunError::Workload(error.to_string()))?;
        match post(target, &template, body, runtime)? {
            Ok(_) => {
                if !continuous_usage {
                    remarks.push("the server refuses stream_options.continuous_usage_stats: a chunk counts as one token".to_owned());
                }
                if !ignore_eos && table.ignore_eos {
                    remarks.push(
                        "the server refuses ignore_eos: answers may be shorter than asked"
                            .to_owned(),
                    );
                }
                return Ok(template);
            }
            // The first refusal is the one that names the field or the true reason.
            Err(message) => {
                refusal.get_or_insert(message);
            }
        }
    }
    Err(RunError::Probe(refusal.unwrap_or_default()))
}

/// Sends one request beside the measured path. The inner error is the server's refusal, in its words.
fn post(
    target: &Target,
    template: &BodyTemplate,
    body: Bytes,
    runtime: &Runtime,
) -> Result<Result<Bytes, String>, RunError> {
    let response = runtime.block_on(target.control.post_json(template.api.path(), body))?;
    let text = String::from_utf8_lossy(&response.body);
    if response.status != 200 {
        let start: String = text.chars().take(300).collect();
        return Ok(Err(format!(
            "{} answered status {}: {}",
            template.api.path(),
            response.status,
            start.trim()
        )));
    }
    // An error can hide in a stream that began well.
    if let Some(event) = text.lines().find(|line| {
        line.strip_prefix("data:").is_some_and(|data| data.trim_start().starts_with("{\"error\""))
    }) {
        return Ok(Err(event.chars().take(300).collect()));
    }
    Ok(Ok(response.body))
}

/// Counts prompt tokens as the server does.
struct Counter<'a> {
    target: &'a Target,
    template: BodyTemplate,
    runtime: &'a Runtime,
    /// Whether the server's tokenizer endpoint is still believed to exist.
    by_tokenize: bool,
}

impl Counter<'_> {
    fn count(&mut self, text: &str) -> Result<u32, RunError> {
        if self.by_tokenize {
            let control: &ControlClient = &self.target.control;
            let input = match self.template.api {
                Api::Chat => TokenizeInput::Chat(text),
                Api::Completions => TokenizeInput::Prompt(text),
            };
            if let Some(count) =
                self.runtime.block_on(control.tokenize(&self.template.model, input))?
            {
                return Ok(count.get());
            }
            self.by_tokenize = false;
        }
        // A request for one token: its usage has the count.
        let template = BodyTemplate {
            stream: false,
            include_usage: false,
            continuous_usage: false,
            ..self.template.clone()
        };
        let body =
            template.encode(text, 1).map_err(|error| RunError::Workload(error.to_string()))?;
        let answer = post(self.target, &template, body, self.runtime)?.map_err(RunError::Probe)?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|_| {
            RunError::Probe(format!(
                "{} gave no usage.prompt_tokens, without which prompt lengths can't be calibrated",
                template.api.path()
            ))
        })?;
        Ok(answer.usage.prompt_tokens)
    }
}

#[derive(Deserialize)]
struct Answer {
    usage: Usage,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u32,
}
