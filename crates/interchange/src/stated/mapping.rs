//! A mapping: a TOML file that says of which run a result is, where no name does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::Table;

use super::Stated;
use crate::InterchangeError;

/// What may be stated of a file.
const KEYS: &str = "rate, gpus, profile, repetition, max-tokens, settings, factors";

/// What a mapping states of result files, by their names.
///
/// Each table is named by a file or folder, or by the end of its path; the longest name that fits counts.
///
/// ```toml
/// ["run-a/bench.json"]
/// rate = 10
/// gpus = 1
/// settings = { max-num-seqs = 16 }
/// factors = { client = "rust" }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    files: BTreeMap<String, Stated>,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has a key or value that is not allowed.
    pub fn read(path: &Path) -> Result<Self, InterchangeError> {
        let text = fs::read_to_string(path).map_err(InterchangeError::io("read", path))?;
        Self::parse(&text)
            .map_err(|problem| InterchangeError::Mapping { path: path.to_owned(), problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let mut files = BTreeMap::new();
        for (name, entry) in table {
            let toml::Value::Table(entry) = entry else {
                return Err(format!("`{name}` is {entry}; allowed is a table with {KEYS}"));
            };
            let mut stated = Stated::default();
            for (key, value) in entry {
                let taken = take(&mut stated, &key, &value);
                taken.map_err(|why| format!("`{name}.{key}` is {value}; {why}"))?;
            }
            files.insert(name, stated);
        }
        Ok(Self { files })
    }

    /// What it states of the result at `path`.
    pub(crate) fn of(&self, path: &Path) -> Stated {
        let fits = |name: &str| {
            let name = Path::new(name);
            path.ancestors().any(|above| above.ends_with(name))
        };
        let fitting = self.files.iter().filter(|(name, _)| fits(name));
        fitting
            .max_by_key(|(name, _)| name.len())
            .map(|(_, stated)| stated.clone())
            .unwrap_or_default()
    }
}

fn take(stated: &mut Stated, key: &str, value: &toml::Value) -> Result<(), String> {
    let number = || value.as_float().or_else(|| value.as_integer().map(|it| it as f64));
    let whole = || value.as_integer().and_then(|it| u64::try_from(it).ok());
    let small =
        |least: u64| whole().filter(|it| *it >= least).and_then(|it| u32::try_from(it).ok());
    match key {
        "rate" => {
            let rate = number().filter(|rate| rate.is_finite() && *rate > 0.0);
            stated.rate = Some(rate.ok_or("allowed is a number above 0")?);
        }
        "gpus" => stated.gpus = Some(small(1).ok_or("allowed is a whole number from 1")?),
        "repetition" => {
            stated.repetition = Some(small(0).ok_or("allowed is a whole number from 0")?);
        }
        "max-tokens" => {
            let limit = whole().filter(|it| *it > 0);
            stated.max_tokens = Some(limit.ok_or("allowed is a whole number from 1")?);
        }
        "profile" => stated.profile = Some(value.as_str().ok_or("allowed is a text")?.to_owned()),
        "settings" => {
            for (name, value) in value.as_table().ok_or("allowed is a table")? {
                let json = serde_json::to_value(value).map_err(|error| error.to_string())?;
                stated.settings.insert(name.clone(), json);
            }
        }
        "factors" => {
            for (name, value) in value.as_table().ok_or("allowed is a table")? {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                stated.factors.insert(name.clone(), text);
            }
        }
        _ => return Err(format!("no such key; allowed are {KEYS}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_name_that_fits_counts() {
        let mapping = Mapping::parse(
            "[runs]\ngpus = 1\n[\"runs/a\"]\nrate = 2.5\nsettings = { max-num-seqs = 8 }\n\
             factors = { client = \"rust\" }\nmax-tokens = 64\n[\"b.json\"]\nrate = 7\n",
        )
        .unwrap();
        assert_eq!(mapping.of(Path::new("/x/runs/c/r.json")).gpus, Some(1));
        let a = mapping.of(Path::new("/x/runs/a/r.json"));
        assert_eq!((a.rate, a.gpus, a.max_tokens), (Some(2.5), None, Some(64)));
        assert_eq!(a.settings["max-num-seqs"], json!(8));
        assert_eq!(a.factors["client"], "rust");
        assert_eq!(mapping.of(Path::new("b.json")).rate, Some(7.0));
        assert_eq!(mapping.of(Path::new("/x/ab.json")), Stated::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_allowed() {
        for (text, wanted) in [
            ("a = 1", "`a` is 1; allowed is a table with rate, gpus"),
            ("[a]\nrate = 0", "`a.rate` is 0; allowed is a number above 0"),
            ("[a]\ngpus = 1.5", "`a.gpus` is 1.5; allowed is a whole number from 1"),
            ("[a]\nrates = 1", "`a.rates` is 1; no such key; allowed are rate"),
            ("[a]\nsettings = 3", "`a.settings` is 3; allowed is a table"),
            ("[a\n", "1"),
        ] {
            let problem = Mapping::parse(text).unwrap_err();
            assert!(problem.contains(wanted), "{problem}");
        }
        let missing = Mapping::read(Path::new("/nonexistent/m.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read /nonexistent/m.toml"), "{missing}");
    }
}
