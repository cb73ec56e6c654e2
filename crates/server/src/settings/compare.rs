//! Declared settings against those in effect.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_records::{SettingRecord, SettingState};
use serde_json::Value;

use super::defaults::{Default, is_default};
use super::{InEffect, name, value, well_known};

/// What a declared setting that the server does not list has for a source.
const NOT_LISTED: &str = "log: non-default args does not list it";

/// The same, when the value is vLLM's default.
const DEFAULT_NOT_LISTED: &str = "vLLM's default; log: non-default args does not list it";

/// The same, when it may be: versions differ.
const PERHAPS_DEFAULT: &str =
    "log: non-default args does not list it; it may be the default of this version";

/// One record for each declared setting, in the order of the declarations, and behind them one for
/// each setting that the server filled in itself.
///
/// A declared setting is
/// - `Equal` when the server says the same, in whatever words: `16` is `"16"`, `4k` is 4000 and `4K`
///   is 4096 as vLLM reads them, `no-enable-x = true` is `enable-x = false`, `half` is `float16`;
///   `auto` is whatever the server chose;
/// - `Different` when the server says otherwise, **or** lists its arguments without it: vLLM lists
///   everything that is no default, so what is missing there never reached it, be it a flag that got
///   lost or a word that is no flag at all (`batch_size`). Such a record has no value in effect;
/// - `Unknown` when the server does not say, when its words cannot be compared (a model's name and
///   the folder it was loaded from; an object that is printed as text; a secret), or when the value
///   may be the default of its version and is therefore not listed.
///
/// Settings that were not declared are `Default`; those that are unset are left out unless they are
/// [well known](well_known).
///
/// ```
/// use std::collections::BTreeMap;
///
/// use plimsoll_records::SettingState;
/// use plimsoll_server::{LogFacts, compare_settings};
/// use serde_json::json;
///
/// let log = "INFO 07-20 23:11:29 [cli_args.py:325] non-default args: {'max_model_len': 32768}\n";
/// let in_effect = LogFacts::read(log.as_bytes())?.settings;
/// let declared = BTreeMap::from([
///     ("batch_size".to_owned(), json!(16)),
///     ("max-model-len".to_owned(), json!("32K")),
/// ]);
/// let records = compare_settings(&declared, &in_effect);
/// assert_eq!(records[0].state, SettingState::Different); // it never reached the server
/// assert_eq!(records[1].state, SettingState::Equal);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn compare_settings(
    declared: &BTreeMap<String, Value>,
    in_effect: &InEffect,
) -> Vec<SettingRecord> {
    let mut seen = BTreeSet::new();
    let mut records: Vec<_> = declared
        .iter()
        .map(|(written, wanted)| {
            let (name, negated) = name::declared(written);
            let wanted = if negated { negate(wanted) } else { wanted.clone() };
            let (record, found) = judge(name, wanted, in_effect);
            seen.extend(found);
            record
        })
        .collect();
    let filled_in = in_effect.iter().filter(|(name, setting)| {
        !seen.contains(*name) && (!setting.value.is_null() || well_known(name))
    });
    records.extend(filled_in.map(|(name, setting)| SettingRecord {
        name: name.to_owned(),
        declared: None,
        in_effect: Some(setting.value.clone()),
        source: Some(setting.source.to_string()),
        state: SettingState::Default,
    }));
    records
}

/// The record of one declared setting, and the name under which the server speaks of it.
fn judge(name: String, declared: Value, in_effect: &InEffect) -> (SettingRecord, Option<String>) {
    let found = in_effect.get(&name).map(|setting| (name.clone(), setting, setting.value.clone()));
    let found = found.or_else(|| {
        let opposite = name::opposite(&name)?;
        let setting = in_effect.get(&opposite)?;
        Some((opposite, setting, Value::Bool(!value::flag(&setting.value)?)))
    });
    let shown = if name::is_secret(&name) { Value::from(value::HIDDEN) } else { declared.clone() };
    let mut record = SettingRecord {
        name,
        declared: Some(shown),
        in_effect: None,
        source: None,
        state: SettingState::Unknown,
    };
    if let Some((found, setting, value)) = found {
        record.state = match compare(&record.name, &declared, &value, in_effect) {
            Some(true) => SettingState::Equal,
            Some(false) => SettingState::Different,
            None => SettingState::Unknown,
        };
        record.in_effect = Some(value);
        record.source = Some(setting.source.to_string());
        return (record, Some(found));
    }
    if in_effect.lists_non_defaults() {
        let (state, source) = match is_default(&record.name, &declared) {
            Default::Is => (SettingState::Equal, DEFAULT_NOT_LISTED),
            Default::May => (SettingState::Unknown, PERHAPS_DEFAULT),
            Default::Not => (SettingState::Different, NOT_LISTED),
        };
        if state == SettingState::Equal {
            record.in_effect = Some(declared);
        }
        record.state = state;
        record.source = Some(source.to_owned());
    }
    (record, None)
}

/// Whether `in_effect` is what was declared; a model may be declared by the name it is served under.
fn compare(name: &str, declared: &Value, in_effect: &Value, all: &InEffect) -> Option<bool> {
    let same = value::same(name, declared, in_effect);
    if name == "model" && same != Some(true) {
        let served = all.get("served-model-name").map(|setting| &setting.value);
        if served.is_some_and(|served| value::same(name, declared, served) == Some(true)) {
            return Some(true);
        }
    }
    same
}

/// What `no-x = value` says of `x`; a flag without a value is a switch that is on.
fn negate(value: &Value) -> Value {
    match value::flag(value) {
        Some(flag) => Value::Bool(!flag),
        None if value.is_null() => Value::Bool(false),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::SettingSource;

    fn one(name: &str, value: Value, in_effect: &InEffect) -> SettingRecord {
        let declared = BTreeMap::from([(name.to_owned(), value)]);
        compare_settings(&declared, in_effect).swap_remove(0)
    }

    fn listed(arguments: &[(&str, Value)]) -> InEffect {
        let mut settings = InEffect::default();
        for (name, value) in arguments {
            settings.say(name, value.clone(), SettingSource::LogNonDefaultArgs, true);
        }
        settings.listed_non_defaults();
        settings
    }

    #[test]
    fn equal_and_different_by_the_servers_word() {
        let settings =
            listed(&[("max_num_seqs", json!(8)), ("enable_chunked_prefill", json!(false))]);
        let state = |name: &str, value| one(name, value, &settings).state;
        assert_eq!(state("max_num_seqs", json!("8")), SettingState::Equal);
        assert_eq!(state("--max-num-seqs", json!(9)), SettingState::Different);
        assert_eq!(state("no-enable-chunked-prefill", json!(true)), SettingState::Equal);
        assert_eq!(state("no-enable-chunked-prefill", Value::Null), SettingState::Equal);
        assert_eq!(state("disable-chunked-prefill", json!(true)), SettingState::Equal);
        assert_eq!(state("enable-chunked-prefill", json!(true)), SettingState::Different);
        let record = one("max_num_seqs", json!(9), &settings);
        assert_eq!(record.name, "max-num-seqs");
        assert_eq!(record.in_effect, Some(json!(8)));
        assert_eq!(record.source.as_deref(), Some("log: non-default args"));
    }

    #[test]
    fn what_is_not_listed_did_not_reach_the_server() {
        let settings = listed(&[("max_model_len", json!(32768))]);
        for (name, value) in [("batch_size", json!(16)), ("max-num-seqs", json!(16))] {
            let record = one(name, value, &settings);
            assert_eq!((record.state, record.in_effect), (SettingState::Different, None));
            assert_eq!(record.source.as_deref(), Some(NOT_LISTED));
        }
        let default = one("tensor-parallel-size", json!(1), &settings);
        assert_eq!((default.state, default.in_effect), (SettingState::Equal, Some(json!(1))));
        let perhaps = one("gpu-memory-utilization", json!(0.9), &settings);
        assert_eq!((perhaps.state, perhaps.in_effect), (SettingState::Unknown, None));
    }

    #[test]
    fn a_server_that_lists_nothing_proves_nothing() {
        let mut settings = InEffect::default();
        settings.say("max-model-len", json!(4096), SettingSource::Models, false);
        let record = one("max-num-seqs", json!(8), &settings);
        assert_eq!((record.state, record.source), (SettingState::Unknown, None));
    }

    #[test]
    fn the_rest_is_filled_in_by_the_server() {
        let mut settings = listed(&[("max_num_seqs", json!(8))]);
        for (name, value) in
            [("block_size", json!(16)), ("quantization", json!(null)), ("hf", json!(null))]
        {
            settings.say(name, value, SettingSource::ServerInfo, false);
        }
        let declared = BTreeMap::from([("max_num_seqs".to_owned(), json!(8))]);
        let records = compare_settings(&declared, &settings);
        let seen: Vec<_> = records.iter().map(|r| (r.name.as_str(), r.state)).collect();
        assert_eq!(
            seen,
            [
                ("max-num-seqs", SettingState::Equal),
                ("block-size", SettingState::Default),
                ("quantization", SettingState::Default)
            ]
        );
    }

    #[test]
    fn a_model_by_its_served_name() {
        let settings = listed(&[("model", json!("/llm")), ("served_model_name", json!(["qwen3"]))]);
        assert_eq!(one("model", json!("qwen3"), &settings).state, SettingState::Equal);
        assert_eq!(one("model", json!("Qwen/Qwen3-14B"), &settings).state, SettingState::Unknown);
    }

    #[test]
    fn secrets_stay_out_of_the_record() {
        let settings = listed(&[("api_key", json!(["sk-1"]))]);
        let record = one("api-key", json!("sk-1"), &settings);
        assert_eq!(record.state, SettingState::Unknown);
        assert!(!format!("{record:?}").contains("sk-1"));
        let lost = one("hf-token", json!("hf-2"), &settings);
        assert_eq!(lost.state, SettingState::Different);
        assert!(!format!("{lost:?}").contains("hf-2"));
    }
}
