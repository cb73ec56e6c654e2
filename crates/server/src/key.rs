//! The API key: in at one end, out in one header, and nowhere else.

use std::fmt;

use hyper::header::HeaderValue;

use crate::ServerError;

/// An API key, sent as `Authorization: Bearer ...` and shown nowhere.
#[derive(Clone)]
pub struct ApiKey {
    secret: String,
    header: HeaderValue,
}

impl ApiKey {
    /// The key in `text`, without the white space around it (files end in a newline).
    ///
    /// # Errors
    /// [`ServerError::BadApiKey`] when nothing is left, or when the key holds characters that no
    /// HTTP header may carry. The message does not quote it.
    pub fn new(text: &str) -> Result<Self, ServerError> {
        let secret = text.trim();
        if secret.is_empty() {
            return Err(ServerError::BadApiKey { problem: "it is empty" });
        }
        let unsendable = ServerError::BadApiKey {
            problem: "it holds a blank, a control character or one outside ASCII",
        };
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unsendable);
        }
        let header = HeaderValue::try_from(format!("Bearer {secret}"));
        let mut header = header.map_err(|_| unsendable)?;
        // Keeps the value out of hyper's own Debug texts.
        header.set_sensitive(true);
        Ok(Self { secret: secret.to_owned(), header })
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// `text` without the key: servers are known to echo the key they refuse.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.secret, "[api key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shown() {
        let key = ApiKey::new(" sk-secret-42\n").unwrap();
        assert_eq!(format!("{key:?} {key:#?}"), "ApiKey([redacted]) ApiKey([redacted])");
        assert!(!format!("{:?}", key.header()).contains("secret"));
        assert_eq!(key.header().to_str().unwrap(), "Bearer sk-secret-42");
        assert_eq!(key.scrub("bad key sk-secret-42!"), "bad key [api key]!");
    }

    #[test]
    fn refuses_what_no_header_can_carry_without_quoting_it() {
        for bad in ["", "  \n", "sk secret", "sk-\u{e9}", "sk\r\nX-Evil: 1"] {
            let error = ApiKey::new(bad).unwrap_err().to_string();
            assert!(error.starts_with("the API key cannot be used"), "{error}");
            assert!(!error.contains("sk"), "{error}");
        }
    }
}
