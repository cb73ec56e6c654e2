//! The API key: in at one end, out in one header, and nowhere else.

use std::fmt;

use bytes::Bytes;
use hyper::header::HeaderValue;

use crate::ServerError;

/// What stands where a key was.
const HIDDEN: &str = "[api key]";

/// Shorter keys are stand-ins (`EMPTY`, `none`), and may be part of any word.
const SHORTEST: usize = 6;

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

    /// `text` without the key, be it written as it is or as JSON writes it: servers are known to echo
    /// the key they refuse.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let escaped = serde_json::Value::from(self.secret.as_str()).to_string();
        let escaped = &escaped[1..escaped.len() - 1];
        let text = text.replace(&self.secret, HIDDEN);
        if escaped == self.secret { text } else { text.replace(escaped, HIDDEN) }
    }

    /// `body` without the key, unless the key is so short that it may be part of any word.
    pub(crate) fn scrub_body(&self, body: Bytes) -> Bytes {
        let secret = self.secret.as_bytes();
        let echoed = secret.len() >= SHORTEST
            && (body.windows(secret.len()).any(|window| window == secret)
                // What JSON would write in another way is not looked for in every answer.
                || secret.iter().any(|byte| matches!(byte, b'"' | b'\\')));
        if !echoed {
            return body;
        }
        match std::str::from_utf8(&body) {
            Ok(text) => self.scrub(text).into(),
            Err(_) => self.scrub(&String::from_utf8_lossy(&body)).into(),
        }
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
        assert_eq!(&key.scrub_body("\"sk-secret-42\"".into())[..], b"\"[api key]\"");
        assert_eq!(
            &key.scrub_body(b"\xff sk-secret-42"[..].into())[..],
            "\u{fffd} [api key]".as_bytes()
        );
        let quoted = ApiKey::new("sk\"secret").unwrap();
        assert_eq!(
            quoted.scrub(r#"{"e":"sk\"secret"} sk"secret"#),
            r#"{"e":"[api key]"} [api key]"#
        );
    }

    #[test]
    fn a_stand_in_for_a_key_garbles_no_body() {
        let body = Bytes::from_static(b"{\"choices\": []}");
        assert_eq!(ApiKey::new("e").unwrap().scrub_body(body.clone()), body);
        assert_eq!(ApiKey::new("sk-other").unwrap().scrub_body(body.clone()), body);
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
