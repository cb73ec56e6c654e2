//! Values that may also be a word: `"auto"`, or `false`. Read by hand, because an error must name the value
//! that is wrong, and a derived choice between forms forgets it.

use std::fmt;
use std::time::Duration;

use plimsoll_units::{Rate, Span};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `load.rates`
#[derive(Clone, Debug, PartialEq)]
pub enum Rates {
    /// The offered rates.
    Ladder(Vec<Rate>),
    /// Let a pilot lay the ladder.
    Auto,
}

/// `load.window.warm-up`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// As long as it takes.
    Auto,
    /// So long.
    Fixed(Span),
}

/// `client.prewarm`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prewarm {
    /// As many as the load needs in its first moments.
    Auto,
    /// So many, over all workers.
    Connections(u32),
}

/// `experiment.self-test`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTesting {
    /// None.
    Off,
    /// Requests are sent for so long.
    For(Span),
}

impl Default for SelfTesting {
    fn default() -> Self {
        Self::For(Span::new(Duration::from_secs(2)))
    }
}

impl Serialize for Prewarm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Connections(connections) => connections.serialize(serializer),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl Serialize for SelfTesting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(span) => span.serialize(serializer),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ladder(rates) => rates.serialize(serializer),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl Serialize for WarmUp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(span) => span.serialize(serializer),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Rates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of rates like [10, 20, \"30/s\"], or \"auto\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Rates, E> {
                if text == "auto" {
                    return Ok(Rates::Auto);
                }
                Err(E::custom(format!(
                    "`{text}` is neither a list of rates like [10, 20, \"30/s\"] nor \"auto\""
                )))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rates, A::Error> {
                let mut rates = Vec::new();
                while let Some(rate) = list.next_element()? {
                    rates.push(rate);
                }
                Ok(Rates::Ladder(rates))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for WarmUp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = WarmUp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time with a unit, like \"5s\", or \"auto\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WarmUp, E> {
                if text == "auto" {
                    return Ok(WarmUp::Auto);
                }
                text.parse()
                    .map(WarmUp::Fixed)
                    .map_err(|error| E::custom(format!("{error}, or \"auto\"")))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Prewarm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Prewarm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of connections from 0 to 65536, or \"auto\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Prewarm, E> {
                if text == "auto" {
                    return Ok(Prewarm::Auto);
                }
                Err(E::custom(format!(
                    "`{text}` is neither a number of connections from 0 to 65536 nor \"auto\""
                )))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Prewarm, E> {
                match u32::try_from(number) {
                    Ok(connections) if connections <= 65_536 => {
                        Ok(Prewarm::Connections(connections))
                    }
                    _ => Err(E::custom(format!(
                        "{number} is no number of connections from 0 to 65536"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for SelfTesting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = SelfTesting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a span of time with a unit, like \"2s\"")
            }

            fn visit_bool<E: Error>(self, wanted: bool) -> Result<SelfTesting, E> {
                Ok(if wanted { SelfTesting::default() } else { SelfTesting::Off })
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SelfTesting, E> {
                text.parse()
                    .map(SelfTesting::For)
                    .map_err(|error| E::custom(format!("{error}, or true or false")))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
