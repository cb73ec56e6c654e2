//! What can go wrong between a URL and an answer, each with its remedy.

use std::fmt;

use thiserror::Error;

/// Why a server could not be asked, or what was wrong with its answer.
///
/// Texts that came from the server are cut to one line and hold neither control characters nor the
/// API key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The URL is none that this crate can use.
    #[error("`{url}` is no usable URL: {problem}; write it like http://localhost:8000")]
    BadUrl {
        /// The URL as given, without a user name or password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API key cannot be sent in a header. The key itself is not quoted.
    #[error("the API key cannot be used: {problem}; check the variable or file it comes from")]
    BadApiKey {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No answer came.
    #[error("{url} cannot be reached: {reason}; {}", .cause.remedy())]
    Unreachable {
        /// What was asked.
        url: String,
        /// The kind of failure.
        cause: UnreachableCause,
        /// The failure in the system's own words.
        reason: String,
    },
    /// An answer came, but not from a server that speaks the OpenAI API.
    #[error(
        "{url} is not an OpenAI-compatible server: {what}; give the root URL of the server, or \
         the one that ends in /v1"
    )]
    NotOpenAi {
        /// What was asked.
        url: String,
        /// What came instead.
        what: String,
    },
    /// The server answered with a status that is no success.
    #[error("{url} answered {status}{}{}", lead(": ", .message), lead("; ", status_remedy(*.status)))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, where it had any.
        message: String,
    },
    /// The server does not list the model that was asked for.
    #[error("the server has no model `{model}`; {}", missing_remedy(.available, *.more, .suggestion))]
    ModelMissing {
        /// The name that was asked for.
        model: String,
        /// The names it lists, ten at most.
        available: Vec<String>,
        /// How many names it lists beyond those.
        more: usize,
        /// The listed name that was probably meant.
        suggestion: Option<String>,
    },
    /// No model was named, and the server lists none.
    #[error("the server lists no model and none was named; name the model that it serves")]
    NoModel,
}

/// The kind of failure that kept an answer from coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnreachableCause {
    /// Nothing listens on that port.
    Refused,
    /// The host name has no address.
    Dns,
    /// The secured connection could not be agreed on.
    Tls,
    /// The whole exchange took longer than the client's timeout.
    Timeout,
    /// The connection ended before the answer did.
    Closed,
    /// Anything else, such as a network without a route.
    Other,
}

impl UnreachableCause {
    fn remedy(self) -> &'static str {
        match self {
            Self::Refused => "start the server, or check host and port",
            Self::Dns => "check the host name",
            Self::Tls => {
                "check that the port speaks https (else write http://) and that its certificate is \
                 trusted (SSL_CERT_FILE names a private authority)"
            }
            Self::Timeout => {
                "check host and port; a server that is still loading or overloaded needs a longer \
                 timeout"
            }
            Self::Closed => "look at the server's log for why it hung up",
            Self::Other => "check the network between here and the server",
        }
    }
}

impl fmt::Display for UnreachableCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Other => "other",
        })
    }
}

/// `text` after `sign`, or nothing at all when it is empty.
fn lead(sign: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{sign}{text}") }
}

fn status_remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "give the URL that it redirects to",
        401 | 403 => "give an API key that the server accepts",
        404 | 405 | 501 => "check that the URL is the server's root, or ends in /v1",
        429 => "wait until the server has room, or give a key with a higher limit",
        500.. => "look at the server's log; it may still be loading",
        _ => "",
    }
}

fn missing_remedy(available: &[String], more: usize, suggestion: &Option<String>) -> String {
    let names: Vec<_> = available.iter().map(|name| format!("`{name}`")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let meant = suggestion.as_ref().map_or_else(String::new, |s| format!("; did you mean `{s}`?"));
    format!("it has {}{more}{meant}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_value_and_remedy() {
        let refused = ServerError::Unreachable {
            url: "http://h:1".to_owned(),
            cause: UnreachableCause::Refused,
            reason: "connection refused".to_owned(),
        };
        assert_eq!(
            refused.to_string(),
            "http://h:1 cannot be reached: connection refused; start the server, or check host and port"
        );
        let status = |status, message: &str| {
            ServerError::Status { url: "u".to_owned(), status, message: message.to_owned() }
                .to_string()
        };
        assert_eq!(
            status(401, "no key"),
            "u answered 401: no key; give an API key that the server accepts"
        );
        assert_eq!(status(400, ""), "u answered 400");
        let missing = ServerError::ModelMissing {
            model: "a".to_owned(),
            available: vec!["b".to_owned(), "c".to_owned()],
            more: 3,
            suggestion: Some("b".to_owned()),
        };
        assert_eq!(
            missing.to_string(),
            "the server has no model `a`; it has `b`, `c` and 3 more; did you mean `b`?"
        );
    }
}
