//! Where the requests go: scheme, host, port and base path of a server.

use std::fmt;
use std::str::FromStr;

use ::http::Uri;
use thiserror::Error;

/// The part of the API that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Api {
    /// `POST /v1/chat/completions`.
    #[default]
    Chat,
    /// `POST /v1/completions`.
    Completions,
}

/// A server's address as a person writes it: `http://host:port`, with or without `/v1` and a
/// trailing slash, also behind a longer base path (`https://host/gateway/v1`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Without trailing slash and ending in `/v1`.
    base: String,
}

/// A text that is no server's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseEndpointError {
    /// It is not a URL at all.
    #[error("`{0}` is not a URL; write one like `http://127.0.0.1:8000`")]
    NotAUrl(String),
    /// Its scheme is neither `http` nor `https`.
    #[error("`{0}` does not begin with `http://` or `https://`")]
    Scheme(String),
    /// It carries a user name or password. The text is not repeated: it may hold a secret.
    #[error("the URL carries a user name or password; give the key as API key instead")]
    Credentials,
    /// It carries a query.
    #[error("`{0}` carries a query (`?...`), which no endpoint has; leave it away")]
    Query(String),
}

impl Endpoint {
    /// Whether connections are encrypted (`https`).
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Name or address of the host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 or 443 if the URL named none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path that requests of `api` are posted to.
    #[must_use]
    pub fn path(&self, api: Api) -> String {
        let last = match api {
            Api::Chat => "chat/completions",
            Api::Completions => "completions",
        };
        format!("{}/{last}", self.base)
    }

    /// The value of the `Host` header: without the port if it is the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let text = text.trim();
        let not_a_url = || ParseEndpointError::NotAUrl(text.to_owned());
        // The userinfo is looked for before anything else, so that no message repeats it.
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err(ParseEndpointError::Credentials);
        }
        if text.contains('?') {
            return Err(ParseEndpointError::Query(text.to_owned()));
        }
        if !text.contains("://") || text.contains('#') {
            return Err(not_a_url());
        }
        let uri: Uri = text.parse().map_err(|_| not_a_url())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(ParseEndpointError::Scheme(text.to_owned())),
        };
        let authority = uri.authority().ok_or_else(not_a_url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(not_a_url());
        }
        // A port that is present but no number between 1 and 65535 is a mistake, not a default.
        let written_port = authority.as_str()[authority.host().len()..].strip_prefix(':');
        let port = match written_port {
            None => default_port(tls),
            Some(digits) => digits.parse().ok().filter(|&port| port > 0).ok_or_else(not_a_url)?,
        };
        let path = uri.path().trim_end_matches('/');
        let base = if path.ends_with("/v1") { path.to_owned() } else { format!("{path}/v1") };
        Ok(Self { tls, host, port, base })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

/// The port that a URL without one means.
const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, ParseEndpointError> {
        text.parse()
    }

    #[test]
    fn the_usual_ways_of_writing_it_mean_the_same() {
        let plain = parse("http://127.0.0.1:8000").unwrap();
        for text in
            ["http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1", " http://127.0.0.1:8000/v1/ "]
        {
            assert_eq!(parse(text).unwrap(), plain, "{text}");
        }
        assert_eq!(plain.path(Api::Chat), "/v1/chat/completions");
        assert_eq!(plain.path(Api::Completions), "/v1/completions");
        assert_eq!(plain.to_string(), "http://127.0.0.1:8000/v1");
        assert_eq!((plain.host(), plain.port(), plain.is_tls()), ("127.0.0.1", 8000, false));
    }

    #[test]
    fn default_ports_long_paths_and_ipv6() {
        let gateway = parse("https://llm.example/team/a/").unwrap();
        assert_eq!((gateway.port(), gateway.is_tls()), (443, true));
        assert_eq!(gateway.path(Api::Chat), "/team/a/v1/chat/completions");
        assert_eq!(gateway.authority(), "llm.example");
        let six = parse("http://[::1]:8000").unwrap();
        assert_eq!((six.host(), six.authority().as_str()), ("::1", "[::1]:8000"));
        assert_eq!(parse("http://host").unwrap().port(), 80);
        assert_eq!(parse(&six.to_string()).unwrap(), six);
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_text() {
        for text in ["", "127.0.0.1:8000", "http://", "http://h:99999", "http://h:0", "http://h:x"]
        {
            assert!(matches!(parse(text), Err(ParseEndpointError::NotAUrl(_))), "{text}");
        }
        assert!(matches!(parse("ftp://h/"), Err(ParseEndpointError::Scheme(_))));
        assert!(matches!(parse("http://h/v1?a=b"), Err(ParseEndpointError::Query(_))));
        let error = parse("http://me:hunter2@h/v1").unwrap_err();
        assert_eq!(error, ParseEndpointError::Credentials);
        assert!(!error.to_string().contains("hunter2"));
    }
}
