//! Waiting until a server can be measured.
//!
//! Ready is: `/health` says so, where there is one; `/v1/models` lists the model; and one real token
//! has been streamed. A port that is open, and even a health that is fine, say little: servers listen
//! before they have loaded, and some compile at the first request.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use serde_json::{Value, json};

use super::Owned;
use super::cause::likely_cause;
use super::error::LaunchError;
use super::process::{QUOTED_LINES, SEARCHED_LINES};
use crate::control::{ControlClient, Health};
use crate::http::{MAX_QUOTE, message};
use crate::model::choose_model;
use crate::{ServerError, UnreachableCause};

/// How often the server is asked, and looked at.
const PERIOD: Duration = Duration::from_millis(150);
/// How long a server that answers may go on refusing: some list their model, or open a route, a
/// moment after they say that they are well.
const REFUSAL_LIMIT: Duration = Duration::from_secs(5);

/// What became of the wait for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// From the call to the end of the first answer.
    pub took: Duration,
    /// From the request for the first token to the end of its answer. A server that compiles at its
    /// first request shows it here.
    pub first_answer: Duration,
    /// The model that was asked.
    pub model: String,
}

/// Waits until `owned` has streamed a token of `model`, or of the first model that it lists.
///
/// `control` asks the questions; its timeout bounds each, the one for the token included. A 404 from
/// `/health` means that it is not offered, and it is passed over. The token is asked for by
/// `/v1/chat/completions`, and by `/v1/completions` of a server that refuses that. `cancelled` is asked
/// several times a second. Needs a tokio runtime with time and I/O enabled.
///
/// # Errors
/// [`LaunchError::Died`] as soon as the server ends by itself; [`LaunchError::NotReady`] after
/// `limit`, with what was being waited for; [`LaunchError::Server`] when it refuses for good: it does
/// not list the model, or does not take the key; [`LaunchError::Cancelled`].
pub async fn wait_ready(
    owned: &mut dyn Owned,
    control: &ControlClient,
    model: Option<&str>,
    limit: Duration,
    cancelled: &dyn Fn() -> bool,
) -> Result<Ready, LaunchError> {
    let clock = RunClock::start();
    let began = clock.now();
    let probe = Probe {
        control,
        model,
        clock,
        waiting_for: RefCell::new("its /health has not answered".to_owned()),
    };
    let asking = probe.until_ready();
    tokio::pin!(asking);
    loop {
        tokio::select! {
            ready = &mut asking => {
                let (model, first_answer) = ready?;
                // What answered may have been another one, if this one is dead.
                owned.check()?;
                let took = clock.now().since(began);
                tracing::info!(?took, ?first_answer, model, "the server is ready");
                return Ok(Ready { took, first_answer, model });
            }
            () = tokio::time::sleep(PERIOD) => {}
        }
        owned.check()?;
        if cancelled() {
            return Err(LaunchError::Cancelled);
        }
        if clock.now().since(began) >= limit {
            return Err(LaunchError::NotReady {
                limit,
                waiting_for: probe.waiting_for.take(),
                cause: likely_cause(&owned.last_lines(SEARCHED_LINES), None),
                last_lines: owned.last_lines(QUOTED_LINES),
            });
        }
    }
}

/// The questions, asked until they are answered.
struct Probe<'a> {
    control: &'a ControlClient,
    model: Option<&'a str>,
    clock: RunClock,
    /// What did not come yet, and what came instead.
    waiting_for: RefCell<String>,
}

/// What one round of questions gave.
enum Round {
    Ready(String, Duration),
    /// Not yet.
    Wait(String),
    /// It answers, and refuses.
    Refused(ServerError),
}

impl Probe<'_> {
    async fn until_ready(&self) -> Result<(String, Duration), LaunchError> {
        let mut refused_since: Option<RunNanos> = None;
        loop {
            match self.round().await {
                Round::Ready(model, first_answer) => return Ok((model, first_answer)),
                Round::Wait(waiting_for) => {
                    refused_since = None;
                    self.waiting_for.replace(waiting_for);
                }
                Round::Refused(error) => {
                    let now = self.clock.now();
                    let since = *refused_since.get_or_insert(now);
                    if is_final(&error) || now.since(since) > REFUSAL_LIMIT {
                        return Err(error.into());
                    }
                    self.waiting_for.replace(error.to_string());
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn round(&self) -> Round {
        match self.control.health().await {
            // One who refuses the key there does so everywhere, and the list of models says it better.
            Ok(Health::Ready | Health::NotOffered | Health::NotReady(401 | 403)) => {}
            Ok(Health::NotReady(status)) => {
                return Round::Wait(format!("its /health answers {status}"));
            }
            Err(error) => return of(error),
        }
        self.waiting_for.replace("its /v1/models has not answered".to_owned());
        let models = match self.control.models().await {
            Ok(models) => models,
            Err(error) => return of(error),
        };
        // A frontend without a worker yet: it would refuse every name.
        if models.is_empty() {
            return Round::Wait("it lists no model yet".to_owned());
        }
        let model = match choose_model(&models, self.model) {
            Ok(model) => model.id,
            Err(error) => return Round::Refused(error),
        };
        self.waiting_for.replace(format!("it has not streamed a token of `{model}`"));
        let began = self.clock.now();
        match self.stream_token(&model).await {
            Ok(()) => Round::Ready(model, self.clock.now().since(began)),
            Err(round) => round,
        }
    }

    /// Asks for one token in a stream, in either way.
    async fn stream_token(&self, model: &str) -> Result<(), Round> {
        let chat = json!({
            "model": model, "messages": [{ "role": "user", "content": "Hello" }],
            "max_tokens": 1, "stream": true,
        });
        let plain = json!({ "model": model, "prompt": "Hello", "max_tokens": 1, "stream": true });
        let mut last = Ok(());
        for (path, body) in [("/v1/chat/completions", chat), ("/v1/completions", plain)] {
            let answer = self.control.post_json(path, Bytes::from(body.to_string())).await;
            let answer = answer.map_err(of)?;
            last = match answer.status {
                200 => match first_token(&answer.body) {
                    Ok(()) => return Ok(()),
                    Err(instead) => {
                        let instead = self.control.quote(&instead, MAX_QUOTE);
                        Err(Round::Wait(format!("{path} streamed no token: {instead}")))
                    }
                },
                status @ (429 | 500..) => Err(Round::Wait(format!("{path} answers {status}"))),
                status => Err(Round::Refused(ServerError::Status {
                    url: format!("{}{path}", self.control.base_url()),
                    status,
                    message: self.control.quote(&message(&answer.body), MAX_QUOTE),
                })),
            };
        }
        last
    }
}

/// What a question that failed means for the wait.
fn of(error: ServerError) -> Round {
    match &error {
        ServerError::Unreachable { cause: UnreachableCause::Refused, .. } => {
            Round::Wait("nothing listens at its port yet".to_owned())
        }
        ServerError::Unreachable { .. } => Round::Wait(error.to_string()),
        ServerError::Status { status: 429 | 500.., .. } => Round::Wait(error.to_string()),
        _ => Round::Refused(error),
    }
}

/// Whether no wait will change that answer.
fn is_final(error: &ServerError) -> bool {
    match error {
        ServerError::BadUrl { .. } | ServerError::BadApiKey { .. } => true,
        ServerError::Status { status, .. } => matches!(status, 401 | 403),
        _ => false,
    }
}

/// Whether a stream of events carried a token, or what it carried instead, in the server's own words as
/// they are. A finish counts as well: a model may have nothing to say.
fn first_token(body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    let mut events = 0;
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let Ok(event) = serde_json::from_str::<Value>(data.trim()) else { continue };
        events += 1;
        if let Some(error) = event.get("error") {
            let words = error.get("message").and_then(Value::as_str);
            let words = words.map_or_else(|| error.to_string(), str::to_owned);
            return Err(format!("an error inside the stream, `{words}`"));
        }
        let choices = event.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten() {
            let filled = |path: &str| {
                choice.pointer(path).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
            };
            let paths = ["/delta/content", "/delta/reasoning_content", "/delta/reasoning", "/text"];
            if paths.into_iter().any(filled) || filled("/finish_reason") {
                return Ok(());
            }
        }
    }
    Err(match events {
        0 => format!("no events, but `{text}`"),
        events => format!("{events} events without one"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_content_or_a_finish() {
        for stream in [
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
            ": hello\n\ndata:{\"choices\":[{\"delta\":{\"reasoning_content\":\"x\"}}]}\n\n",
            "data: {\"choices\":[{\"text\":\"x\"}]}\r\n\r\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
        ] {
            assert_eq!(first_token(stream.as_bytes()), Ok(()), "{stream}");
        }
    }

    #[test]
    fn roles_usage_and_errors_are_no_tokens() {
        for (stream, instead) in [
            (
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
                "1 events",
            ),
            ("data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n", "1 events"),
            ("data: {\"error\":{\"message\":\"engine died\"}}\n\n", "engine died"),
            ("{\"choices\":[{\"message\":{\"content\":\"x\"}}]}", "no events"),
            ("", "no events"),
        ] {
            let said = first_token(stream.as_bytes()).unwrap_err();
            assert!(said.contains(instead), "{said}");
        }
    }
}
