//! The server's own words about what went wrong, in every form that servers give them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The longest error text of a row, in characters.
pub(crate) const MAX_CHARS: usize = 1000;

/// A text, or the message inside an object or at the head of an array.
#[derive(Debug, Default)]
pub(crate) enum Words<'a> {
    /// Missing, `null` or `false`.
    #[default]
    Absent,
    /// There, with these words, or with none.
    Present(Option<Cow<'a, str>>),
}

impl Words<'_> {
    pub(crate) fn is_present(&self) -> bool {
        matches!(self, Self::Present(_))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Present(words) => words.as_deref(),
            Self::Absent => None,
        }
    }

    fn into_words(self) -> Option<Self> {
        self.text().is_some().then_some(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Words<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Words<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error text or object")
    }

    fn visit_unit<E>(self) -> Result<Words<'de>, E> {
        Ok(Words::Absent)
    }

    fn visit_bool<E>(self, present: bool) -> Result<Words<'de>, E> {
        Ok(if present { Words::Present(None) } else { Words::Absent })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Words<'de>, E> {
        Ok(Words::Present(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Words<'de>, E> {
        Ok(Words::Present(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Words<'de>, E> {
        Ok(Words::Present(None))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Words<'de>, E> {
        Ok(Words::Present(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Words<'de>, E> {
        Ok(Words::Present(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words<'de>, A::Error> {
        let first = seq.next_element::<Words<'de>>()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first.and_then(Words::into_words).unwrap_or(Words::Present(None)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Words<'de>, A::Error> {
        let mut found = Words::Present(None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            // `message` is everybody's, `msg` and `detail` are the validation errors of some.
            if matches!(&*key, "message" | "msg" | "detail" | "error") {
                if let Some(words) = map.next_value::<Words<'de>>()?.into_words() {
                    found = words;
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The words of an error body: the message if it is JSON that has one, else the body itself, as
/// valid text. Of any length: it is searched for the API key before it is cut.
pub(crate) fn error_text(body: &[u8]) -> String {
    // An empty `{}` or one without a message says more as it stands.
    let read: Option<Words<'_>> = serde_json::from_slice(body).ok().and_then(Words::into_words);
    match read.as_ref().and_then(Words::text) {
        Some(message) => message.trim().to_owned(),
        None => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

/// `text` without surrounding white space, cut to [`MAX_CHARS`] characters.
pub(crate) fn clip(text: &str) -> String {
    text.trim().chars().take(MAX_CHARS).collect()
}

/// `error` with everything that caused it, joined by colons.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some errors repeat their cause in their own message.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_every_form() {
        for body in [
            r#"{"error":{"message":"too long","type":"BadRequest","param":null,"code":400}}"#,
            r#"{"error":{"code":400,"message":"too long","n_ctx":16384}}"#,
            r#"{"message":"too long","type":"Not Found","code":404}"#,
            r#"{"detail":"too long"}"#,
            r#"{"detail":[{"loc":["body"],"msg":"too long"},{"msg":"second"}]}"#,
            r#"{"error":"too long"}"#,
            r#""too long""#,
            "  too long\n",
        ] {
            assert_eq!(error_text(body.as_bytes()), "too long", "{body}");
        }
    }

    #[test]
    fn what_has_no_message_stands_as_it_is() {
        assert_eq!(error_text(b"<html><h1>502</h1></html>"), "<html><h1>502</h1></html>");
        assert_eq!(error_text(br#"{"code":5}"#), r#"{"code":5}"#);
        assert_eq!(error_text(b""), "");
        assert_eq!(error_text(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "\u{20ac}".repeat(5000);
        assert_eq!(clip(&error_text(long.as_bytes())).chars().count(), MAX_CHARS);
    }
}
