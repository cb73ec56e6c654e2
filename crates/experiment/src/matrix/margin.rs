//! `experiment.margin`: the difference that does not matter, as a person writes it.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A share above 0, at most 1: `"5%"` or `0.05`. In files of results it is the number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin(f64);

impl Margin {
    /// The share.
    #[must_use]
    pub const fn share(self) -> f64 {
        self.0
    }
}

impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Margin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share like \"5%\" or 0.05")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Margin, E> {
                let percent = text.trim().strip_suffix('%').and_then(|it| it.trim().parse().ok());
                percent.and_then(|it: f64| of(it / 100.0)).ok_or_else(|| wrong(text))
            }

            fn visit_f64<E: Error>(self, share: f64) -> Result<Margin, E> {
                of(share).ok_or_else(|| wrong(share))
            }

            fn visit_i64<E: Error>(self, share: i64) -> Result<Margin, E> {
                // 5 is no share, and whether 5 % or 500 % was meant is nobody's guess.
                if share == 1 { Ok(Margin(1.0)) } else { Err(wrong(share)) }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

fn of(share: f64) -> Option<Margin> {
    (share > 0.0 && share <= 1.0).then_some(Margin(share))
}

fn wrong<E: Error>(value: impl fmt::Display) -> E {
    E::custom(format!(
        "`{value}` is no margin; allowed are shares above 0 and up to 1, written \"5%\" or 0.05"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        margin: Margin,
    }

    fn read(value: &str) -> Result<f64, String> {
        let table: Result<Table, _> = toml::from_str(&format!("margin = {value}"));
        table.map(|table| table.margin.share()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn percent_and_share_are_one() {
        for (text, share) in [
            ("\"5%\"", 0.05),
            ("\" 2.5 % \"", 0.025),
            ("0.05", 0.05),
            ("\"100%\"", 1.0),
            ("1", 1.0),
        ] {
            assert_eq!(read(text), Ok(share), "{text}");
        }
        assert_eq!(serde_json::to_value(Margin(0.05)).unwrap(), serde_json::json!(0.05));
    }

    #[test]
    fn what_is_no_margin_is_refused_with_its_value() {
        for value in ["\"5\"", "\"0%\"", "\"200%\"", "5", "0.0", "-0.1", "nan", "\"x%\""] {
            let error = read(value).unwrap_err();
            assert!(error.contains("is no margin") && error.contains("\"5%\""), "{value}: {error}");
        }
        assert!(read("true").unwrap_err().contains("a share like"));
    }
}
