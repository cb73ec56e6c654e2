//! The questions that can be asked of a running server.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_units::Tokens;
use serde_json::{Value, json};

use crate::base::BaseUrl;
use crate::exposition::Exposition;
use crate::http::{Answer, Http};
use crate::identity::{Identity, ServerKind};
use crate::metrics::MetricsSample;
use crate::model::{ModelInfo, NoList, parse_models};
use crate::printable::printable;
use crate::{ApiKey, ServerError};

/// Where servers have their metrics, the usual path first. TensorRT-LLM answers to the first with JSON
/// that every reading takes away from the next one, so it must not be asked twice for nothing.
pub(crate) const METRICS_PATHS: [&str; 2] = ["/metrics", "/prometheus/metrics"];

/// Asks a running server what it is, what it serves and what it counts. Copies are cheap.
///
/// Every call opens a connection of its own and is bounded as a whole by the client's timeout.
#[derive(Clone)]
pub struct ControlClient {
    http: Http,
}

/// What `/health` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The server can take requests.
    Ready,
    /// It answered with this status: llama.cpp says 503 while it loads.
    NotReady(u16),
    /// The server has no such route, so it cannot say.
    NotOffered,
}

/// A text of which the tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizeInput<'a> {
    /// As a bare prompt.
    Prompt(&'a str),
    /// As the one user message of a chat, chat template included.
    Chat(&'a str),
}

/// The answer to a probe, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body, whole, with the client's key taken out should the server have echoed it. A key of
    /// fewer than 6 characters stays: it may be part of any word.
    pub body: Bytes,
}

impl ControlClient {
    /// A client of the server at `base_url`; nothing is sent yet.
    ///
    /// The URL may be the server's root or end in `/v1`, with or without a slash behind it; a path
    /// in front of `/v1` stays. `timeout` bounds each call from the look-up of the host to the last
    /// byte of the answer.
    ///
    /// # Errors
    /// [`ServerError::BadUrl`] when the URL has no scheme, no host, an impossible port, a query, a
    /// password, or goes on after `/v1`.
    pub fn new(
        base_url: &str,
        api_key: Option<ApiKey>,
        timeout: Duration,
    ) -> Result<Self, ServerError> {
        Ok(Self { http: Http::new(BaseUrl::parse(base_url)?, api_key, timeout) })
    }

    /// The server's root, without `/v1` and without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.http.base().as_str()
    }

    /// Who answers: models first, then whatever version and metrics give away.
    ///
    /// # Errors
    /// Those of [`models`](Self::models). Failures of the other questions leave `None`.
    pub async fn identify(&self) -> Result<Identity, ServerError> {
        let (models, answer) = self.ask_models().await?;
        let (version, metrics) = tokio::join!(self.version(), self.metrics());
        let metrics = optional(metrics);
        let server = ServerKind::deduce(answer.server.as_deref(), metrics.as_ref(), &models);
        Ok(Identity { server, version: optional(version), models })
    }

    /// The models that the server lists; perhaps none.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::Status`] when it was an
    /// error, [`ServerError::NotOpenAi`] when it was no list of models.
    pub async fn models(&self) -> Result<Vec<ModelInfo>, ServerError> {
        Ok(self.ask_models().await?.0)
    }

    async fn ask_models(&self) -> Result<(Vec<ModelInfo>, Answer), ServerError> {
        let answer = self.http.get("/v1/models").await?;
        // A web page where the list should be means another kind of server, found or not found; a
        // proxy's page for 401 or 503 means that status.
        if (answer.is_success() || answer.is_no_route()) && answer.is_html() {
            let page = self.http.quote(&answer.text(), 80);
            let what = format!("it answered {} with a web page, `{page}`", answer.status);
            return Err(ServerError::NotOpenAi { url: answer.url, what });
        }
        if !answer.is_success() {
            return Err(self.http.status_error(&answer));
        }
        let what = match parse_models(&answer.body) {
            Ok(models) => return Ok((models, answer)),
            Err(NoList::NotJson) => {
                format!("it answered `{}`", self.http.quote(&answer.text(), 80))
            }
            Err(NoList::NoData) => "its JSON has no list `data` of models".to_owned(),
        };
        Err(ServerError::NotOpenAi { url: answer.url, what })
    }

    /// The server's version, where it says one.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::Status`] when it was an
    /// error other than a missing route.
    pub async fn version(&self) -> Result<Option<String>, ServerError> {
        let Some(answer) = self.offered(self.http.get("/version").await?)? else {
            return Ok(None);
        };
        let json = answer.json();
        let version = json.as_ref().and_then(|json| json.get("version")?.as_str());
        Ok(version.map(|version| printable(version, 80)).filter(|version| !version.is_empty()))
    }

    /// Whether the server can take requests, by its own word.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came.
    pub async fn health(&self) -> Result<Health, ServerError> {
        let answer = self.http.get("/health").await?;
        Ok(match answer.status {
            200..300 => Health::Ready,
            _ if answer.is_no_route() => Health::NotOffered,
            status => Health::NotReady(status),
        })
    }

    /// The server's counters at this moment; `None` when it offers none. The caller stamps it.
    ///
    /// Asks for `/metrics`, and where that is no Prometheus text for `/prometheus/metrics`, the path
    /// of TensorRT-LLM.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::Status`] when it was an
    /// error other than a missing route.
    pub async fn metrics(&self) -> Result<Option<MetricsSample>, ServerError> {
        for path in METRICS_PATHS {
            let Some(body) = self.page(path).await? else { continue };
            let page = Exposition::parse(&body);
            // Not one sample: a web page that answers to every path, or JSON.
            if page.samples.is_empty() {
                continue;
            }
            if page.skipped_lines > 0 {
                let lines = page.skipped_lines;
                tracing::debug!(path, lines, "lines of the metrics could not be read");
            }
            return Ok(Some(MetricsSample::from(&page)));
        }
        Ok(None)
    }

    /// The page at `path`, whatever it holds; `None` when there is no such route.
    pub(crate) async fn page(&self, path: &str) -> Result<Option<Bytes>, ServerError> {
        Ok(self.offered(self.http.get(path).await?)?.map(|answer| answer.body))
    }

    /// Whether the server works for nobody right now; `None` when it does not say.
    ///
    /// # Errors
    /// Those of [`metrics`](Self::metrics).
    pub async fn idle(&self) -> Result<Option<bool>, ServerError> {
        Ok(self.metrics().await?.and_then(|sample| sample.idle()))
    }

    /// How many tokens the server counts in `input`; `None` when it has no route that says so.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::Status`] when the server has
    /// the route but refused, for example because it has no such model.
    pub async fn tokenize(
        &self,
        model: &str,
        input: TokenizeInput<'_>,
    ) -> Result<Option<Tokens>, ServerError> {
        let body = match input {
            TokenizeInput::Prompt(text) => json!({ "model": model, "prompt": text }),
            TokenizeInput::Chat(text) => {
                json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
            }
        };
        let answer = self.http.post("/tokenize", Some(body.to_string().into())).await?;
        // vLLM says 404 for a missing model as well; only then does the message name it.
        if answer.status == 404 && !model.is_empty() && answer.message().contains(model) {
            return Err(self.http.status_error(&answer));
        }
        let Some(answer) = self.offered(answer)? else {
            return Ok(None);
        };
        // llama.cpp has a route of that name which takes and gives something else.
        let count = answer.json().and_then(|json| json.get("count").and_then(Value::as_u64));
        Ok(count.and_then(|count| u32::try_from(count).ok()).map(Tokens::new))
    }

    /// Empties the server's prefix cache; `false` when it has no such route or says it did not.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::Status`] when it was an
    /// error other than a missing route.
    pub async fn reset_prefix_cache(&self) -> Result<bool, ServerError> {
        let answer = self.offered(self.http.post("/reset_prefix_cache", None).await?)?;
        Ok(answer.is_some_and(|answer| {
            // Older versions answer with an empty body.
            let json = answer.json();
            json.and_then(|json| json.get("success").and_then(Value::as_bool)).unwrap_or(true)
                && !answer.is_html()
        }))
    }

    /// The answer to a `POST` of JSON to `path`, whatever its status; for probes, not for load.
    ///
    /// `path` is counted from the server's root: `/v1/completions`. Up to 16 MiB are read.
    ///
    /// # Errors
    /// [`ServerError::BadUrl`] when `path` begins without a slash or is no path,
    /// [`ServerError::Unreachable`] when no answer came, [`ServerError::NotOpenAi`] when it was not
    /// HTTP or longer than 16 MiB.
    pub async fn post_json(&self, path: &str, body: Bytes) -> Result<Response, ServerError> {
        let answer = self.http.post(path, Some(body)).await?;
        let body = match self.http.key() {
            Some(key) => key.scrub_body(answer.body),
            None => answer.body,
        };
        Ok(Response { status: answer.status, body })
    }

    /// The start of `text`, which came from the server, fit for an error and without the key.
    pub(crate) fn quote(&self, text: &str, max: usize) -> String {
        self.http.quote(text, max)
    }

    /// `answer` if it is a success, `None` if there is no such route, else its error.
    fn offered(&self, answer: Answer) -> Result<Option<Answer>, ServerError> {
        if answer.is_success() {
            Ok(Some(answer))
        } else if answer.is_no_route() {
            Ok(None)
        } else {
            Err(self.http.status_error(&answer))
        }
    }
}

/// The value of a question whose failure does not matter.
fn optional<T>(answer: Result<Option<T>, ServerError>) -> Option<T> {
    answer.unwrap_or_else(|error| {
        tracing::debug!(%error, "the server did not say");
        None
    })
}

impl fmt::Debug for ControlClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlClient")
            .field("base_url", &self.base_url())
            .field("api_key", &self.http.key())
            .field("timeout", &self.http.timeout())
            .finish()
    }
}
