//! One question, one answer: a fresh connection each, a bounded body, a timeout over all of it.
//!
//! Connections are not kept. Real servers close idle ones after seconds without saying so, and a
//! question asked now and then is not worth the doubt; it also leaves no connection open on a
//! server that is being measured.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, SERVER, USER_AGENT,
};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio_rustls::rustls;

use crate::base::BaseUrl;
use crate::printable::printable;
use crate::{ApiKey, ServerError, UnreachableCause};

/// The longest body that is read, in bytes. A page of metrics is a hundredth of that.
const MAX_BODY: usize = 16 << 20;

/// The longest text of a server that an error quotes, in characters.
pub(crate) const MAX_QUOTE: usize = 200;

/// Asks one server.
#[derive(Clone)]
pub(crate) struct Http {
    base: BaseUrl,
    key: Option<ApiKey>,
    timeout: Duration,
    transport: Transport,
}

#[derive(Clone)]
enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// What the server answered, whatever the status.
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) server: Option<String>,
    pub(crate) body: Bytes,
    content_type: String,
    location: String,
}

impl Http {
    pub(crate) fn new(base: BaseUrl, key: Option<ApiKey>, timeout: Duration) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(0).retry_canceled_requests(false);
        let transport = if base.is_https() {
            Transport::Tls(builder.build(https_connector()))
        } else {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            Transport::Plain(builder.build(connector))
        };
        Self { base, key, timeout, transport }
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    pub(crate) fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The answer to `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, ServerError> {
        self.send(Method::GET, path, None).await
    }

    /// The answer to `POST path` with a JSON body, or with none.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, ServerError> {
        self.send(Method::POST, path, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, ServerError> {
        let uri = self.base.join(path)?;
        let url = uri.to_string();
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            // Text metrics without the OpenMetrics dialect, JSON everywhere else.
            .header(ACCEPT, "application/json, text/plain;version=0.0.4;q=0.9, */*;q=0.1")
            .header(USER_AGENT, concat!("plimsoll/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header());
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .expect("method, URL and every header above are already of their final types");
        let answer = match tokio::time::timeout(self.timeout, self.exchange(request, &url)).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(ServerError::Unreachable {
                    url,
                    cause: UnreachableCause::Timeout,
                    reason: format!("no answer within {:?}", self.timeout),
                });
            }
        };
        tracing::debug!(url, status = answer.status, bytes = answer.body.len(), "asked the server");
        Ok(answer)
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        url: &str,
    ) -> Result<Answer, ServerError> {
        let response =
            self.transport.request(request).await.map_err(|error| self.classify(url, &error))?;
        let (head, body) = response.into_parts();
        let text = |name: &HeaderName| {
            head.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| self.classify(url, &*error))?
            .to_bytes();
        Ok(Answer {
            url: url.to_owned(),
            status: head.status.as_u16(),
            server: text(&SERVER),
            content_type: text(&CONTENT_TYPE).unwrap_or_default(),
            location: text(&LOCATION).unwrap_or_default(),
            body,
        })
    }

    /// The error for `answer`, which is no success.
    pub(crate) fn status_error(&self, answer: &Answer) -> ServerError {
        let message = match answer.status {
            300..=399 if !answer.location.is_empty() => {
                format!("it redirects to {}", answer.location)
            }
            _ => answer.message(),
        };
        ServerError::Status {
            url: answer.url.clone(),
            status: answer.status,
            message: self.quote(&message, MAX_QUOTE),
        }
    }

    /// The start of `text`, which came from the server, fit for an error. The key is taken out
    /// before the text is cut: the first half of a key would not be recognised.
    pub(crate) fn quote(&self, text: &str, max: usize) -> String {
        match &self.key {
            Some(key) => printable(&key.scrub(text), max),
            None => printable(text, max),
        }
    }

    /// What `error` and the errors behind it mean.
    fn classify(&self, url: &str, error: &(dyn Error + 'static)) -> ServerError {
        let url = url.to_owned();
        let mut cause = None;
        let mut innermost = error;
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(what) = not_http(error) {
                return ServerError::NotOpenAi { url, what };
            }
            cause = cause.or_else(|| cause_of(error));
            innermost = error;
            link = behind(error);
        }
        // A connection that ends in the middle of the handshake is the handshake's failure.
        let connecting = error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        if cause == Some(UnreachableCause::Closed) && connecting && self.base.is_https() {
            cause = Some(UnreachableCause::Tls);
        }
        ServerError::Unreachable {
            url,
            cause: cause.unwrap_or(UnreachableCause::Other),
            reason: self.quote(&innermost.to_string(), MAX_QUOTE),
        }
    }
}

impl Transport {
    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the server has no such route, as opposed to having one that failed.
    pub(crate) fn is_no_route(&self) -> bool {
        matches!(self.status, 404 | 405 | 501)
    }

    /// Whether a page for people came back.
    pub(crate) fn is_html(&self) -> bool {
        self.content_type.to_ascii_lowercase().starts_with("text/html")
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// The body as JSON, where it is some.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as text, with whatever is no UTF-8 replaced.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The server's own words for an error.
    pub(crate) fn message(&self) -> String {
        message(&self.body)
    }
}

/// The server's own words for an error: the message of its JSON in the forms that servers write, else
/// the body itself. They may hold the key: [`Http::quote`] takes it out.
pub(crate) fn message(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let words = json.as_ref().and_then(|json| {
        ["/error/message", "/error", "/message", "/detail", "/detail/0/msg"]
            .iter()
            .find_map(|path| json.pointer(path)?.as_str())
    });
    words.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

/// A connector that trusts what the system trusts, or Mozilla's roots on a system without any.
fn https_connector() -> HttpsConnector<HttpConnector> {
    // The provider is named because a program that links several has no default.
    let provider = rustls::crypto::ring::default_provider;
    let builder = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider())
        .or_else(|error| {
            tracing::debug!(%error, "the system's certificates cannot be used");
            HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider())
        })
        .expect("ring supports the protocol versions that rustls has on by default");
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    builder.https_only().enable_http1().wrap_connector(tcp)
}

/// The error behind `error`. An I/O error hides the one it was made from; that one is the next.
fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// What is wrong, when bytes came that are no answer in HTTP or never end.
fn not_http(error: &(dyn Error + 'static)) -> Option<String> {
    if error.is::<LengthLimitError>() {
        return Some(format!("it sent more than {} MiB", MAX_BODY >> 20));
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    error.is_parse().then(|| format!("it does not speak HTTP/1.1 ({error})"))
}

/// The cause that `error` alone gives away.
fn cause_of(error: &(dyn Error + 'static)) -> Option<UnreachableCause> {
    if error.is::<rustls::Error>() {
        return Some(UnreachableCause::Tls);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        let closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        return closed.then_some(UnreachableCause::Closed);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return match error.kind() {
            ErrorKind::ConnectionRefused => Some(UnreachableCause::Refused),
            ErrorKind::TimedOut => Some(UnreachableCause::Timeout),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => Some(UnreachableCause::Closed),
            _ => None,
        };
    }
    // The connector's own error type is private; this is its one text for a failed look-up.
    (error.to_string() == "dns error").then_some(UnreachableCause::Dns)
}
