//! Before any load: which fields the server takes, and what words cost there.

use std::time::Duration;

use bytes::Bytes;
use plimsoll_server::{ControlClient, ServerError, TokenizeInput, UnreachableCause};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use plimsoll_workload::{Api, BodyTemplate, Encoder};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::error::RunError;
use crate::interrupt::Interrupt;
use crate::matrix::ClientTable;
use crate::plan::GroupPlan;
use crate::target::{Replica, Target};
use crate::tokenizer::Tokenizer;

/// Where the prompt of a single request is taken from, far from those of any point.
const ASIDE: u64 = u64::MAX / 2;
/// How often a server that is busy is asked again.
const BUSY_TRIES: u32 = 5;

/// What preflight found out.
#[derive(Debug)]
pub(crate) struct Preflight {
    pub(crate) encoder: Encoder,
    /// Whether prompt lengths come out exactly as planned.
    pub(crate) exact_input: bool,
    /// Whether the server runs answers to the length asked for.
    pub(crate) exact_output: bool,
    /// How long a request of the workload takes with nothing beside it, where that was asked.
    pub(crate) one_request: Option<Duration>,
    pub(crate) remarks: Vec<String>,
}

/// What is asked of a preflight besides what every group needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Whether one request of the workload is sent, to see how long it takes.
    pub(crate) one_request: bool,
    /// Whether prompts that the server finds too long are to be sent all the same.
    pub(crate) too_long: bool,
}

/// Probes the server and calibrates the workload against it.
pub(crate) fn preflight(
    target: &Target,
    table: &ClientTable,
    group: &GroupPlan,
    Wanted { one_request, too_long }: Wanted,
    runtime: &Runtime,
    interrupt: &Interrupt,
) -> Result<Preflight, RunError> {
    let workload = &group.workload;
    let mut remarks: Vec<String> = workload.remarks().iter().map(ToString::to_string).collect();
    let ask = Ask { target, control: &target.control, runtime, interrupt };
    let template = probe_fields(&ask, table, &mut remarks)?;
    for Replica { url, control } in &target.replicas {
        let body = template.encode("Say hello.", 2)?;
        Ask { control, ..ask }
            .patiently(&template, &body)?
            .map_err(|refusal| RunError::Probe(format!("{url}: {}", refusal.message)))?;
    }
    let mut counter = Counter {
        ask: &ask,
        template: template.clone(),
        by_tokenize: true,
        here: group.tokenizer.as_ref(),
        around: None,
    };
    let calibration = match workload.calibrator() {
        None => None,
        Some(mut calibrator) => {
            let mut last = String::new();
            while let Some(probe) = calibrator.next_probe() {
                last.clone_from(&probe.text);
                match counter.count(&last) {
                    Ok(count) => calibrator.answer(count)?,
                    Err(RunError::Probe(why)) if too_long && calibrator.pass_over() => {
                        remarks.push(format!("prompts this long are measured all the same: {why}"));
                    }
                    Err(error) => return Err(error),
                }
            }
            // The last ones are whole prompts.
            counter.check(&last)?;
            Some(calibrator.finish()?)
        }
    };
    if let Some(calibration) = &calibration {
        let report = calibration.report();
        remarks.push(format!(
            "prompt lengths calibrated by {} with {} counts: {} tokens of template, {} words, {}",
            counter.name(),
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
    let encoder = workload.encoder(calibration.as_ref(), &template)?;
    let one_request = if one_request {
        let (took, remark) = time_one(&ask, &template, &encoder, workload.mean_output_tokens())?;
        remarks.push(remark);
        Some(took)
    } else {
        None
    };
    Ok(Preflight {
        one_request,
        encoder,
        exact_input: calibration.is_some_and(|calibration| calibration.report().exact),
        exact_output: template.ignore_eos,
        remarks,
    })
}

/// How long a request of the workload takes with nothing beside it: of one request, more in proportion
/// where its answer is shorter than the mean. A remark says what was seen.
fn time_one(
    ask: &Ask<'_>,
    template: &BodyTemplate,
    encoder: &Encoder,
    mean_output_tokens: f64,
) -> Result<(Duration, String), RunError> {
    let request = encoder.starting_at(ASIDE).encode(0);
    let clock = RunClock::start();
    let took = match ask.patiently(template, &request.body) {
        Ok(Ok(_)) => clock.now() - RunNanos::ZERO,
        Ok(Err(refusal)) => return Err(RunError::Probe(refusal.message)),
        // Slower than anybody waits before a load is known: then that is known.
        Err(RunError::Target(ServerError::Unreachable {
            cause: UnreachableCause::Timeout,
            ..
        })) => {
            let took = clock.now() - RunNanos::ZERO;
            return Ok((
                took,
                format!("one request alone took more than {:.0} s", took.as_secs_f64()),
            ));
        }
        Err(error) => return Err(error),
    };
    let tokens = request.output_tokens_planned;
    let remark = format!("one request alone took {:.3} s for {tokens} tokens", took.as_secs_f64());
    Ok((took.mul_f64((mean_output_tokens / f64::from(tokens.max(1))).max(1.0)), remark))
}

/// Finds the fullest body that the server takes: some refuse fields that they do not know.
fn probe_fields(
    ask: &Ask<'_>,
    table: &ClientTable,
    remarks: &mut Vec<String>,
) -> Result<BodyTemplate, RunError> {
    let full = BodyTemplate {
        api: table.api,
        model: ask.target.model.id.clone(),
        stream: true,
        include_usage: true,
        continuous_usage: true,
        ignore_eos: table.ignore_eos,
        temperature: table.temperature,
        extra: table.extra_body.clone(),
        ..BodyTemplate::default()
    };
    let mut first = None;
    for (continuous_usage, ignore_eos) in
        [(true, true), (false, true), (true, false), (false, false)]
    {
        if ignore_eos && !table.ignore_eos {
            continue;
        }
        let template = BodyTemplate { continuous_usage, ignore_eos, ..full.clone() };
        let body = template.encode("Say hello.", 2)?;
        match ask.patiently(&template, &body)? {
            Ok(_) => {
                if !continuous_usage {
                    remarks.push(
                        "the server refuses stream_options.continuous_usage_stats: a chunk counts as one token"
                            .to_owned(),
                    );
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
            Err(refusal) if refusal.may_be_a_field() => {
                first.get_or_insert(refusal);
            }
            Err(refusal) => return Err(RunError::Probe(refusal.message)),
        }
    }
    Err(RunError::Probe(first.map(|refusal| refusal.message).unwrap_or_default()))
}

/// A refusal of the server, in its words.
struct Refusal {
    status: u16,
    message: String,
}

impl Refusal {
    /// Whether it may be about a field that the server does not know; an error inside a stream that
    /// began well counts too.
    const fn may_be_a_field(&self) -> bool {
        matches!(self.status, 200 | 400 | 422)
    }

    /// Whether the server only has too much to do just now.
    const fn is_passing(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

/// How the server is asked before any load.
#[derive(Clone, Copy)]
struct Ask<'a> {
    target: &'a Target,
    /// The one of its replicas that is asked.
    control: &'a ControlClient,
    runtime: &'a Runtime,
    interrupt: &'a Interrupt,
}

impl Ask<'_> {
    /// Waits for `answer`, or for Ctrl-C.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, ServerError>>) -> Result<T, RunError> {
        Ok(self.runtime.block_on(self.interrupt.unless(answer))??)
    }

    /// As [`Ask::post`], again after a second where the server is only busy: a few times.
    fn patiently(
        &self,
        template: &BodyTemplate,
        body: &Bytes,
    ) -> Result<Result<Bytes, Refusal>, RunError> {
        for _ in 0..BUSY_TRIES {
            match self.post(template, body.clone())? {
                Err(refusal) if refusal.is_passing() => {
                    let pause = async {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        Ok(())
                    };
                    self.wait(pause)?;
                }
                answer => return Ok(answer),
            }
        }
        self.post(template, body.clone())
    }

    /// Sends one request. The inner error is the server's refusal.
    fn post(
        &self,
        template: &BodyTemplate,
        body: Bytes,
    ) -> Result<Result<Bytes, Refusal>, RunError> {
        let path = template.api.path();
        let response = self.wait(self.control.post_json(path, body))?;
        let text = String::from_utf8_lossy(&response.body);
        let refused = |message: String| Ok(Err(Refusal { status: response.status, message }));
        let quote = |text: &str| self.target.quote(text, 300);
        if response.status != 200 {
            return refused(format!(
                "{path} answered status {}: {}",
                response.status,
                quote(&text)
            ));
        }
        // An error can hide in a stream that began well.
        let is_error = |line: &&str| {
            let data = line.strip_prefix("data:").map(str::trim_start);
            data.is_some_and(|data| data.starts_with("{\"error\""))
        };
        if let Some(event) = text.lines().find(is_error) {
            return refused(format!("{path} answered {}", quote(event)));
        }
        if template.stream && !text.lines().any(|line| line.starts_with("data:")) {
            return refused(format!("{path} answered what is no event stream: {}", quote(&text)));
        }
        Ok(Ok(response.body))
    }
}

/// Counts prompt tokens as the server does.
struct Counter<'a> {
    ask: &'a Ask<'a>,
    template: BodyTemplate,
    /// Whether the server's tokenizer endpoint is still believed to exist.
    by_tokenize: bool,
    /// The model's tokenizer in this process, which then counts instead of the server.
    here: Option<&'a Tokenizer>,
    /// What the server puts around a text, in tokens, once that is known.
    around: Option<u32>,
}

impl Counter<'_> {
    /// By what it counts.
    fn name(&self) -> &'static str {
        match (self.here, self.by_tokenize) {
            (Some(_), _) => "workload.tokenizer",
            (None, true) => "/tokenize",
            (None, false) => "usage",
        }
    }

    fn count(&mut self, text: &str) -> Result<u32, RunError> {
        let Some(here) = self.here else { return self.ask_for(text) };
        let tokens = here.count(text)?;
        let around = match self.around {
            Some(around) => around,
            None => self.ask_for(text)?.saturating_sub(tokens),
        };
        self.around = Some(around);
        Ok(tokens + around)
    }

    /// Refuses a tokenizer that counts otherwise than the server, asking for `text`.
    fn check(&mut self, text: &str) -> Result<(), RunError> {
        if self.here.is_none() {
            return Ok(());
        }
        let (counted, told) = (self.count(text)?, self.ask_for(text)?);
        if counted == told {
            return Ok(());
        }
        Err(RunError::Probe(format!(
            "workload.tokenizer counts {counted} tokens (the template's included) where the server counts \
             {told}: it is another model's"
        )))
    }

    /// The count of the server.
    fn ask_for(&mut self, text: &str) -> Result<u32, RunError> {
        if self.by_tokenize {
            let control = self.ask.control;
            let input = match self.template.api {
                Api::Chat => TokenizeInput::Chat(text),
                Api::Completions => TokenizeInput::Prompt(text),
            };
            match self.ask.wait(control.tokenize(&self.template.model, input)) {
                Ok(Some(count)) => return Ok(count.get()),
                // No such route, or one that is not for us: the count comes from usage instead.
                Ok(None) | Err(RunError::Target(ServerError::Status { .. })) => {}
                Err(error) => return Err(error),
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
        let body = template.encode(text, 1)?;
        let answer = self
            .ask
            .patiently(&template, &body)?
            .map_err(|refusal| RunError::Probe(refusal.message))?;
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
