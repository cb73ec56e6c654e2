//! The keys of a JSON object, read with the file and the place in every complaint.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::InterchangeError;

/// Longest text of a value that is quoted in a complaint, characters.
const QUOTED: usize = 60;

/// No time of a benchmark is longer, nor any wall clock later, in seconds: the year 2262 in ns.
const MOST_SECONDS: f64 = 9.2e9;

/// An object of a result file, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    path: &'a Path,
    /// The place with a dot behind it; empty at the top.
    at: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The object at the top of a file, or in one of its lines.
    pub(crate) fn top(path: &'a Path, object: &'a Map<String, Value>) -> Self {
        Self { path, at: String::new(), object }
    }

    /// The same, said to stand at `place`: `line 3`.
    pub(crate) fn at(self, place: &str) -> Self {
        Self { at: format!("{place}: "), ..self }
    }

    /// Whether the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    /// The value of a key; `None` where it is missing or null.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A complaint about the value of `key`.
    pub(crate) fn wrong(&self, key: &str, allowed: &'static str) -> InterchangeError {
        let found = match self.object.get(key) {
            None => "missing".to_owned(),
            Some(value) => quoted(value),
        };
        let place = format!("{}{key}", self.at);
        InterchangeError::Value { path: self.path.to_owned(), place, found, allowed }
    }

    /// A number, 0 or more.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, InterchangeError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
        number.map(Some).ok_or_else(|| self.wrong(key, "a number, 0 or more"))
    }

    /// A length of time or a time of day in seconds, 0 or more and no later than a clock can say.
    pub(crate) fn seconds(&self, key: &str) -> Result<Option<f64>, InterchangeError> {
        match self.number(key)? {
            Some(seconds) if seconds > MOST_SECONDS => {
                Err(self.wrong(key, "seconds, from 0 to 9.2e9"))
            }
            seconds => Ok(seconds),
        }
    }

    /// A whole number, 0 or more; `12.0` is one.
    pub(crate) fn count(&self, key: &str) -> Result<Option<u64>, InterchangeError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        whole(value).map(Some).ok_or_else(|| self.wrong(key, "a whole number, 0 or more"))
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, InterchangeError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "a text"))
    }

    /// An array.
    pub(crate) fn array(&self, key: &str) -> Result<Option<&'a [Value]>, InterchangeError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let array = value.as_array().map(Vec::as_slice);
        array.map(Some).ok_or_else(|| self.wrong(key, "an array"))
    }

    /// An array of seconds.
    pub(crate) fn all_seconds(&self, key: &str) -> Result<Option<Vec<f64>>, InterchangeError> {
        self.each(key, "seconds, from 0 to 9.2e9", seconds)
    }

    /// An array of whole numbers.
    pub(crate) fn all_counts(&self, key: &str) -> Result<Option<Vec<u64>>, InterchangeError> {
        self.each(key, "a whole number, 0 or more", whole)
    }

    /// An array of texts; null in it is an empty one.
    pub(crate) fn all_texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, InterchangeError> {
        self.each(key, "a text", |value| if value.is_null() { Some("") } else { value.as_str() })
    }

    /// An array of arrays of seconds.
    pub(crate) fn all_gaps(&self, key: &str) -> Result<Option<Vec<Vec<f64>>>, InterchangeError> {
        self.each(key, "an array of seconds, each from 0 to 9.2e9", |value| {
            value.as_array()?.iter().map(seconds).collect()
        })
    }

    fn each<T>(
        &self,
        key: &str,
        allowed: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, InterchangeError> {
        let Some(array) = self.array(key)? else { return Ok(None) };
        let mut all = Vec::with_capacity(array.len());
        for (place, value) in array.iter().enumerate() {
            all.push(read(value).ok_or_else(|| InterchangeError::Value {
                path: self.path.to_owned(),
                place: format!("{}{key}[{place}]", self.at),
                found: quoted(value),
                allowed,
            })?);
        }
        Ok(Some(all))
    }

    /// An object.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Fields<'a>>, InterchangeError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let object = value.as_object().ok_or_else(|| self.wrong(key, "an object"))?;
        Ok(Some(Fields { path: self.path, at: format!("{}{key}.", self.at), object }))
    }

    /// An array of objects; nothing where there is none.
    pub(crate) fn objects(&self, key: &str) -> Result<Vec<Fields<'a>>, InterchangeError> {
        let array = self.each(key, "an object", Value::as_object)?.unwrap_or_default();
        let at = |place: usize| format!("{}{key}[{place}].", self.at);
        let fields = |(place, object)| Fields { path: self.path, at: at(place), object };
        Ok(array.into_iter().enumerate().map(fields).collect())
    }

    /// Every number and text of the object; arrays and objects, which are no summary, are left out.
    pub(crate) fn plain(&self) -> BTreeMap<String, Value> {
        let plain = |value: &&Value| value.is_number() || value.is_string() || value.is_boolean();
        let all = self.object.iter().map(|(key, value)| (key.clone(), value));
        all.filter(|(_, value)| plain(value)).map(|(key, value)| (key, value.clone())).collect()
    }
}

/// A whole number, 0 or more, however it is written.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 2^53 and not negative"
)]
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|f| f.fract() == 0.0 && (0.0..9e15).contains(f));
    value.as_u64().or_else(|| float().map(|float| float as u64))
}

fn seconds(value: &Value) -> Option<f64> {
    value.as_f64().filter(|seconds| (0.0..=MOST_SECONDS).contains(seconds))
}

/// A value as a complaint shows it.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaint<T: std::fmt::Debug>(
        value: &Value,
        read: impl Fn(&Fields<'_>) -> Result<T, InterchangeError>,
    ) -> String {
        let fields = Fields::top(Path::new("a.json"), value.as_object().unwrap());
        read(&fields).unwrap_err().to_string()
    }

    #[test]
    fn complaints_name_file_place_value_and_what_is_allowed() {
        let value = json!({"n": -1, "c": 1.5, "t": 7, "a": [0.5, "x"], "o": {"p": [{"q": []}]},
                           "g": [[1.0, -2.0]], "s": 1e10, "long": "x".repeat(99)});
        for (found, wanted) in [
            (
                complaint(&value, |f| f.number("n")),
                "a.json: `n` is -1; allowed is a number, 0 or more",
            ),
            (
                complaint(&value, |f| Err::<(), _>(f.wrong("gone", "a text"))),
                "a.json: `gone` is missing; allowed is a text",
            ),
            (complaint(&value, |f| f.count("c")), "`c` is 1.5; allowed is a whole number"),
            (complaint(&value, |f| f.text("t").map(drop)), "`t` is 7; allowed is a text"),
            (complaint(&value, |f| f.seconds("s")), "`s` is 10000000000.0; allowed is seconds"),
            (complaint(&value, |f| f.all_seconds("a")), "`a[1]` is \"x\"; allowed is seconds"),
            (complaint(&value, |f| f.all_gaps("g")), "`g[0]` is [1.0,-2.0]; allowed is an array"),
            (
                complaint(&value, |f| f.object("o")?.unwrap().objects("p")?[0].number("q")),
                "`o.p[0].q` is []; allowed is a number",
            ),
            (complaint(&value, |f| f.clone().at("line 3").count("n")), "`line 3: n` is -1"),
            (complaint(&value, |f| f.number("long")), "xxx...; allowed"),
        ] {
            assert!(found.contains(wanted), "{found}");
        }
    }

    #[test]
    fn null_is_missing_and_a_float_may_be_whole() {
        let value = json!({"null": null, "whole": 12.0, "texts": [null, "a"]});
        let fields = Fields::top(Path::new("a.json"), value.as_object().unwrap());
        assert_eq!(fields.number("null").unwrap(), None);
        assert!(fields.has("null") && !fields.has("gone"));
        assert_eq!(fields.count("whole").unwrap(), Some(12));
        assert_eq!(fields.all_texts("texts").unwrap().unwrap(), ["", "a"]);
        assert_eq!(fields.plain().keys().collect::<Vec<_>>(), ["whole"]);
    }
}
