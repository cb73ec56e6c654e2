//! What a person writes: the `[workload]` table of a matrix.
//!
//! Reading it checks every number that can be checked without opening a file, so that a TOML reader
//! can name the line. [`Workload::new`](crate::Workload::new) checks again, because a program may
//! build these types by hand, and then opens the files.

mod replay;
mod sessions;

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::LengthProblem;

pub use self::replay::{AtEnd, ReplayConfig, ReplayFormat, TimeUnit};
pub use self::sessions::{History, MOST_TURNS, SessionsConfig};

/// The largest length that may be asked for, in tokens. It is far beyond any model's context and
/// keeps a slip of the finger from filling the memory.
pub const MAX_LENGTH_TOKENS: u32 = 10_000_000;

/// The `[workload]` table as written.
///
/// Either `input-tokens` (synthetic prompts), `prompts` (a file) or `trace` (lengths and instants as
/// recorded) says what the requests carry.
/// Relative paths are meant from the folder of the matrix file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct WorkloadConfig {
    /// The length of each synthetic prompt in tokens, by the server's own `usage.prompt_tokens`:
    /// chat template and special tokens included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<LengthConfig>,
    /// How many tokens each request asks for. May be absent only when every line of the prompt file
    /// says its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<LengthConfig>,
    /// The share of synthetic prompts that start with one common prefix, 0 to 1. Zero, the default,
    /// gives a prefix cache nothing to find.
    #[serde(deserialize_with = "share")]
    pub shared_prefix: f64,
    /// The length of that prefix in tokens of the prompt's own text;
    /// [`Self::DEFAULT_SHARED_PREFIX_TOKENS`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_prefix_tokens: Option<u32>,
    /// The model's `tokenizer.json`, by which synthetic prompts are measured instead of asking the server for
    /// each count. Who reads it decides whether it can: see the feature `tokenizer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// A JSONL file of prompts, instead of `input-tokens`. Each line is an object with `prompt`,
    /// `messages` or `turns`, and perhaps `max_tokens` or `output_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PathBuf>,
    /// A recorded trace, instead of `input-tokens` and `output-tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<ReplayConfig>,
    /// Conversations of several turns instead of single requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsConfig>,
}

impl WorkloadConfig {
    /// The prefix length when none is written: 16 cache blocks of vLLM's usual 16 tokens, so that
    /// whole blocks are shared and the rounding to blocks stays below 7 %.
    pub const DEFAULT_SHARED_PREFIX_TOKENS: u32 = 256;
}

/// A length in tokens: one number, or a distribution.
///
/// Text forms: `512`, `{ uniform = { min = 10, max = 100 } }`,
/// `{ lognormal = { mean = 512, cv = 0.6, max = 4096 } }`,
/// `{ trace = { path = "x.csv", column = "ContextTokens" } }`.
#[derive(Clone, Debug, PartialEq)]
pub enum LengthConfig {
    /// The same length for every request.
    Constant(u32),
    /// Every whole number from `min` to `max`, equally often.
    Uniform(UniformConfig),
    /// Lognormal, rounded to whole tokens and clipped.
    Lognormal(LognormalConfig),
    /// The values of a column of a CSV file.
    Trace(TraceConfig),
}

/// The bounds of a uniform length, both included, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UniformConfig {
    /// Shortest.
    pub min: u32,
    /// Longest.
    pub max: u32,
}

/// A lognormal length, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LognormalConfig {
    /// The mean of the distribution before it is clipped.
    pub mean: f64,
    /// Standard deviation / mean before it is clipped, 0 to 10.
    pub cv: f64,
    /// Shorter draws become this long. 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Longer draws become this long. [`MAX_LENGTH_TOKENS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// Lengths from a column of a CSV file with a header line, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TraceConfig {
    /// The file. When input and output name the same file, each request takes both from one row.
    pub path: PathBuf,
    /// The column's name in the header.
    pub column: String,
    /// Shorter rows become this long, and are counted. 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Longer rows become this long, and are counted. No limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// In which order rows are taken. Either way every row comes once before any comes twice.
    #[serde(default)]
    pub order: TraceOrder,
}

/// In which order the rows of a trace are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceOrder {
    /// Shuffled by the seed, anew for each pass: no trend of the trace reaches the measurement.
    #[default]
    Shuffled,
    /// As they stand, from the first.
    File,
}

impl LengthConfig {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// The first one that does not, with what is allowed.
    pub fn check(&self) -> Result<(), LengthProblem> {
        match self {
            Self::Constant(tokens) => in_range("length", *tokens),
            Self::Uniform(uniform) => in_order(uniform.min, Some(uniform.max)),
            Self::Lognormal(lognormal) => {
                let LognormalConfig { mean, cv, min, max } = *lognormal;
                let min = min.unwrap_or(1);
                in_order(min, max)?;
                let max = max.unwrap_or(MAX_LENGTH_TOKENS);
                if !(f64::from(min)..=f64::from(max)).contains(&mean) {
                    return Err(LengthProblem::Mean { mean, min, max });
                }
                if !(0.0..=10.0).contains(&cv) {
                    return Err(LengthProblem::Cv { cv });
                }
                Ok(())
            }
            Self::Trace(trace) => in_order(trace.min.unwrap_or(1), trace.max),
        }
    }
}

fn in_range(field: &'static str, tokens: u32) -> Result<(), LengthProblem> {
    if (1..=MAX_LENGTH_TOKENS).contains(&tokens) {
        Ok(())
    } else {
        Err(LengthProblem::OutOfRange { field, tokens })
    }
}

fn in_order(min: u32, max: Option<u32>) -> Result<(), LengthProblem> {
    in_range("min", min)?;
    let Some(max) = max else { return Ok(()) };
    in_range("max", max)?;
    if min > max { Err(LengthProblem::Reversed { min, max }) } else { Ok(()) }
}

/// Whether `share` is a share at all.
pub(crate) fn is_share(share: f64) -> bool {
    (0.0..=1.0).contains(&share)
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if is_share(share) {
        Ok(share)
    } else {
        Err(de::Error::custom(format_args!(
            "`shared-prefix` is {share}, allowed are shares from 0.0 to 1.0"
        )))
    }
}

/// The names of the distributions, as the table's only key.
const FORMS: [&str; 3] = ["uniform", "lognormal", "trace"];

impl Serialize for LengthConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Constant(tokens) = self {
            return serializer.serialize_u32(*tokens);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Constant(tokens) => map.serialize_entry("constant", tokens)?,
            Self::Uniform(uniform) => map.serialize_entry("uniform", uniform)?,
            Self::Lognormal(lognormal) => map.serialize_entry("lognormal", lognormal)?,
            Self::Trace(trace) => map.serialize_entry("trace", trace)?,
        }
        map.end()
    }
}

// By hand, because serde's untagged enums answer every mistake with "did not match any variant".
impl<'de> Deserialize<'de> for LengthConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthVisitor)
    }
}

struct LengthVisitor;

impl<'de> Visitor<'de> for LengthVisitor {
    type Value = LengthConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a whole number of tokens from 1 to {MAX_LENGTH_TOKENS} without a unit, like 512, or a \
             table with one of `uniform`, `lognormal`, `trace`"
        )
    }

    fn visit_u64<E: de::Error>(self, tokens: u64) -> Result<LengthConfig, E> {
        let tokens = u32::try_from(tokens)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(tokens), &self))?;
        checked(LengthConfig::Constant(tokens))
    }

    fn visit_i64<E: de::Error>(self, tokens: i64) -> Result<LengthConfig, E> {
        let unsigned = u64::try_from(tokens)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(tokens), &self))?;
        self.visit_u64(unsigned)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LengthConfig, A::Error> {
        let Some(form) = map.next_key::<String>()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let config = match form.as_str() {
            "uniform" => LengthConfig::Uniform(map.next_value()?),
            "lognormal" => LengthConfig::Lognormal(map.next_value()?),
            "trace" => LengthConfig::Trace(map.next_value()?),
            unknown => return Err(de::Error::unknown_field(unknown, &FORMS)),
        };
        if let Some(second) = map.next_key::<String>()? {
            return Err(de::Error::custom(format_args!(
                "a length has one distribution, but both `{form}` and `{second}` are given"
            )));
        }
        checked(config)
    }
}

fn checked<E: de::Error>(config: LengthConfig) -> Result<LengthConfig, E> {
    config.check().map_err(E::custom)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkloadConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_every_form() {
        let config = read(
            "input-tokens = { lognormal = { mean = 512, cv = 0.6, max = 4096 } }\n\
             output-tokens = 128\nshared-prefix = 0.25\nshared-prefix-tokens = 64\n",
        )
        .unwrap();
        assert_eq!(config.output_tokens, Some(LengthConfig::Constant(128)));
        assert_eq!(
            config.input_tokens,
            Some(LengthConfig::Lognormal(LognormalConfig {
                mean: 512.0,
                cv: 0.6,
                min: None,
                max: Some(4096)
            }))
        );
        assert_eq!((config.shared_prefix, config.shared_prefix_tokens), (0.25, Some(64)));

        let config = read(
            "input-tokens.trace = { path = \"x.csv\", column = \"ContextTokens\", order = \"file\" }\n\
             output-tokens.uniform = { min = 10, max = 100 }\n",
        )
        .unwrap();
        let Some(LengthConfig::Trace(trace)) = &config.input_tokens else { panic!("{config:?}") };
        assert_eq!((trace.column.as_str(), trace.order), ("ContextTokens", TraceOrder::File));
        assert_eq!(config.shared_prefix, 0.0);
    }

    #[test]
    fn writes_what_it_reads() {
        for text in [
            "{\"output-tokens\":7,\"shared-prefix\":0.0,\"prompts\":\"p.jsonl\"}",
            "{\"input-tokens\":{\"uniform\":{\"min\":1,\"max\":2}},\"shared-prefix\":0.5}",
            "{\"input-tokens\":{\"lognormal\":{\"mean\":9.0,\"cv\":0.1,\"max\":20}},\"shared-prefix\":0.0}",
            "{\"input-tokens\":{\"trace\":{\"path\":\"x.csv\",\"column\":\"c\",\"order\":\"file\"}},\"shared-prefix\":0.0}",
        ] {
            let config: WorkloadConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&config).unwrap(), text);
        }
    }

    #[test]
    fn refuses_with_the_line_the_value_and_what_is_allowed() {
        for (text, parts) in [
            ("input-tokens = \"512 tokens\"", ["512 tokens", "without a unit"]),
            ("input-tokens = -3", ["-3", "from 1 to 10000000"]),
            ("input-tokens = 0", ["is 0", "1 to 10000000"]),
            ("input-tokens = 1.5", ["1.5", "whole number"]),
            ("input-tokens = 99000000000", ["99000000000", "from 1 to 10000000"]),
            ("input-tokens = true", ["boolean `true`", "whole number"]),
            ("input-tokens = {}", ["uniform", "lognormal"]),
            ("input-tokens = { normal = 3 }", ["normal", "`uniform`, `lognormal`, `trace`"]),
            ("input-tokens = { uniform = { min = 9, max = 3 } }", ["min 9", "max 3"]),
            ("input-tokens = { uniform = { min = 9, top = 3 } }", ["unknown field `top`", "`max`"]),
            ("input-tokens = { lognormal = { mean = 9, cv = -1 } }", ["cv", "-1"]),
            ("input-tokens = { lognormal = { mean = 9, cv = 1, max = 5 } }", ["mean", "between"]),
            (
                "input-tokens = { uniform = { min = 1, max = 3 }, trace = { path = \"x\", column = \"y\" } }",
                ["`uniform`", "`trace`"],
            ),
            (
                "input-tokens = { trace = { path = \"x\", column = \"y\", order = \"random\" } }",
                ["random", "`file`"],
            ),
            ("shared-prefix = 1.5", ["1.5", "0.0 to 1.0"]),
            ("output-token = 3", ["unknown field `output-token`", "`output-tokens`"]),
        ] {
            let error = read(&format!("\n{text}\n")).unwrap_err();
            assert!(error.contains("line 2"), "{text}: {error}");
            for part in parts {
                assert!(error.contains(part), "{text}: {part}: {error}");
            }
        }
    }
}
