//! The base URL: what a person may write, and the one form that is kept of it.

use hyper::Uri;

use crate::ServerError;
use crate::printable::printable;

/// The root of a server: scheme, authority and any path in front of `/v1`; no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    root: String,
    https: bool,
}

impl BaseUrl {
    /// Reads `http://host:port`, the same with `/v1` or `/v1/` behind it, with a path in front of
    /// that, and with `https`.
    pub(crate) fn parse(text: &str) -> Result<Self, ServerError> {
        let given = text.trim();
        let bad = |problem: &str| ServerError::BadUrl {
            url: printable(&without_credentials(given), 200),
            problem: problem.to_owned(),
        };
        let Some((scheme, rest)) = given.split_once("://") else {
            return Err(bad("it does not begin with http:// or https://"));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(bad("its scheme is neither http nor https")),
        };
        if rest.contains(['?', '#']) {
            return Err(bad("it has a query or fragment, which would be lost"));
        }
        let uri: Uri = given.parse().map_err(|error| bad(&format!("{error}")))?;
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it carries a user name or password; give an API key instead"));
        }
        if authority.host().is_empty() {
            return Err(bad("it has no host"));
        }
        // The URI type takes any digits for a port and forgets those over 65535; the connection
        // would silently go to port 80.
        let after_host = &authority.as_str()[authority.host().len()..];
        if !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(bad("its port is not a number from 1 to 65535"));
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
        if path.ends_with("/v1") || path.contains("/v1/") {
            return Err(bad("it goes on after /v1; end it there"));
        }
        let scheme = if https { "https" } else { "http" };
        Ok(Self { root: format!("{scheme}://{authority}{path}"), https })
    }

    /// `http://host:port`, and the path in front of `/v1` where there is one.
    pub(crate) fn as_str(&self) -> &str {
        &self.root
    }

    /// Whether the connection is secured.
    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// The URL of `path` on this server.
    pub(crate) fn join(&self, path: &str) -> Result<Uri, ServerError> {
        let url = format!("{}{path}", self.root);
        let problem = if path.starts_with('/') {
            match url.parse() {
                Ok(uri) => return Ok(uri),
                Err(error) => format!("{error}"),
            }
        } else {
            format!("the path `{}` does not begin with a slash", printable(path, 80))
        };
        Err(ServerError::BadUrl { url: printable(&url, 200), problem })
    }
}

/// `url` with everything between `://` and the last `@` of its authority left out.
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold a slash that its owner forgot to encode; then the cut is made at the
    // last `@` of all, for nothing in front of it can be told from a secret.
    let cut = rest[..end].rfind('@').or_else(|| rest.rfind('@'));
    let rest = cut.map_or(rest, |at| &rest[at + 1..]);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_a_person_writes_gives_one_root() {
        for (text, root) in [
            ("http://h:8000", "http://h:8000"),
            ("http://h:8000/", "http://h:8000"),
            ("http://h:8000/v1", "http://h:8000"),
            (" HTTP://h:8000/v1/ ", "http://h:8000"),
            ("https://api.example.org/v1", "https://api.example.org"),
            ("http://[::1]:8000/v1", "http://[::1]:8000"),
            ("http://[::1]", "http://[::1]"),
            ("http://h/proxy/v1/", "http://h/proxy"),
            ("http://h/proxy//", "http://h/proxy"),
            ("http://h/v10", "http://h/v10"),
        ] {
            let base = BaseUrl::parse(text).unwrap();
            assert_eq!(base.as_str(), root, "{text}");
            assert_eq!(base.is_https(), root.starts_with("https"), "{text}");
            assert_eq!(base.join("/v1/models").unwrap().to_string(), format!("{root}/v1/models"));
        }
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for (text, problem) in [
            ("", "does not begin"),
            ("localhost:8000", "does not begin"),
            ("ftp://h", "neither http nor https"),
            ("http://", ""),
            ("http:///v1", ""),
            ("http://h:99999", "port"),
            ("http://h:0", "port"),
            ("http://h:", "port"),
            ("http://h:8o", ""),
            ("http://h/v1/chat/completions", "goes on after /v1"),
            ("http://h/v1/v1", "goes on after /v1"),
            ("http://h/v1?key=1", "query"),
            ("http://a b", ""),
        ] {
            match BaseUrl::parse(text) {
                Err(ServerError::BadUrl { problem: said, .. }) => {
                    assert!(said.contains(problem), "{text}: {said}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for text in [
            "http://user:hunter2@h:8000",
            "user:hunter2@h:8000",
            "http://user:hunter2@h?x",
            "ftp://user:hun/hunter2@h",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn paths_begin_with_a_slash() {
        let base = BaseUrl::parse("http://h").unwrap();
        assert!(base.join("v1/models").is_err());
        assert!(base.join("/a b").is_err());
    }
}
