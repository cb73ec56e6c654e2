//! A text that appears in no log, row or error.

use std::fmt;

/// An API key: sent to the server, shown to nobody.
///
/// `Debug` prints a placeholder, there is no `Display`, and every error text of a row is searched
/// for the key before it is kept.
#[derive(Clone)]
pub struct Secret(String);

/// What stands in a text where the secret stood.
const PLACEHOLDER: &str = "[redacted]";

impl Secret {
    /// The secret `text`, without the white space around it (files end with a newline).
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the secret replaced.
    pub(crate) fn redact(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) {
            return text;
        }
        text.replace(&self.0, PLACEHOLDER)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_shown() {
        let key = Secret::new(" sk-123\n");
        assert_eq!(key.reveal(), "sk-123");
        assert!(!format!("{key:?}").contains("sk-123"));
        assert_eq!(key.redact("no key sk-123, sk-123!".into()), "no key [redacted], [redacted]!");
        assert_eq!(Secret::new("").redact("text".into()), "text");
    }
}
