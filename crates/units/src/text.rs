//! Reading quantities from text, and the one error that can come of it.

use thiserror::Error;

/// A text that is no quantity of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a {what}: {problem}; write it like {example}")]
pub struct ParseQuantityError {
    text: String,
    what: &'static str,
    problem: &'static str,
    example: &'static str,
}

impl ParseQuantityError {
    pub(crate) fn new(
        text: &str,
        what: &'static str,
        problem: &'static str,
        example: &'static str,
    ) -> Self {
        Self { text: text.to_owned(), what, problem, example }
    }
}

/// Serde for a type by its `FromStr` and `Display`, also accepting a bare number where `$number`
/// says how to read one.
macro_rules! serde_as_text {
    ($type:ty, $expecting:literal, $number:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$type, E> {
                        let read: fn(f64) -> Result<$type, $crate::ParseQuantityError> = $number;
                        read(number).map_err(E::custom)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_f64(number as f64)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_f64(number as f64)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}
pub(crate) use serde_as_text;
