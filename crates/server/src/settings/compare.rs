//! Declared settings against those in effect.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_records::{SettingRecord, SettingState};
use serde_json::Value;

use super::defaults::may_be_default;
use super::{InEffect, SettingSource, name, value, well_known};

/// What a declared setting that the server does not list has for a source.
const NOT_LISTED: &str = "log: non-default args does not list it";

/// The same, when the value may be a default: they differ with the version and the machine.
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
///   may be the default of its version and is therefore not listed: a switch that is off, something
///   unset, `max-num-batched-tokens = 2048`.
///
/// No value is in effect unless the server said so: what vLLM's defaults are thought to be decides
/// nothing but whether a missing setting is a sign. What was only observed ([`SettingSource::LogObserved`])
/// may confirm a setting and never refutes one. A key of a configuration
/// (`compilation-config.cudagraph_mode`) is looked for inside it, wherever the server shows it.
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

/// What one source says of a declared setting.
struct Said {
    source: SettingSource,
    /// `None` where it speaks of the configuration and not of the key in it.
    value: Option<Value>,
}

/// The record of one declared setting, and the name under which the server speaks of it.
fn judge(name: String, declared: Value, in_effect: &InEffect) -> (SettingRecord, Option<String>) {
    let (found, said) = said_of(&name, in_effect);
    let record = |state, in_effect, source| SettingRecord {
        declared: Some(value::clean(&name, declared.clone())),
        name: name.clone(),
        in_effect,
        source,
        state,
    };
    let mut unclear = None;
    let mut observed = None;
    for said in said {
        let same =
            said.value.as_ref().and_then(|value| compare(&name, &declared, value, in_effect));
        let state = match same {
            Some(true) => SettingState::Equal,
            Some(false) if said.source == SettingSource::LogObserved => {
                observed = Some(said);
                continue;
            }
            Some(false) => SettingState::Different,
            None => {
                unclear.get_or_insert(said);
                continue;
            }
        };
        return (record(state, said.value, Some(said.source.to_string())), found);
    }
    if let Some(said) = unclear {
        let source = Some(said.source.to_string());
        return (record(SettingState::Unknown, said.value, source), found);
    }
    if in_effect.lists_non_defaults() {
        let (state, source) = if may_be_default(&name, &declared, in_effect) {
            (SettingState::Unknown, PERHAPS_DEFAULT)
        } else {
            (SettingState::Different, NOT_LISTED)
        };
        let observed = observed.and_then(|said| Some((said.value?, said.source)));
        let observed =
            observed.map(|(value, source)| format!("; {} by {source}", value::text(&value)));
        let source = format!("{source}{}", observed.unwrap_or_default());
        return (record(state, None, Some(source)), found);
    }
    let source = observed.as_ref().map(|said| said.source.to_string());
    (record(SettingState::Unknown, observed.and_then(|said| said.value), source), found)
}

/// Everything that is said of the setting `name`, what is believed first in front, and the name in
/// the server's table.
fn said_of(name: &str, in_effect: &InEffect) -> (Option<String>, Vec<Said>) {
    if let Some(setting) = in_effect.get(name) {
        let mut said: Vec<_> = whole(name, in_effect).collect();
        said.push(Said { source: setting.source, value: Some(setting.value.clone()) });
        said.sort_by_key(|said| said.source);
        return (Some(name.to_owned()), said);
    }
    if let Some(opposite) = name::opposite(name)
        && let Some(setting) = in_effect.get(&opposite)
        && let Some(flag) = value::flag(&setting.value)
    {
        let said = Said { source: setting.source, value: Some(Value::Bool(!flag)) };
        return (Some(opposite), vec![said]);
    }
    let Some((configuration, keys)) = name.split_once('.') else {
        return (None, whole(name, in_effect).collect());
    };
    let (_, said) = said_of(configuration, in_effect);
    let inside = said.into_iter().map(|said| {
        let value = said.value.as_ref().and_then(|value| inside(value, keys));
        Said { source: said.source, value }
    });
    (None, inside.collect())
}

fn whole(name: &str, in_effect: &InEffect) -> impl Iterator<Item = Said> {
    in_effect.shown(name).map(|(source, value)| Said { source, value: Some(value.clone()) })
}

/// What a configuration says of the key at the path `keys`: where it is unset, so is the key.
fn inside(configuration: &Value, keys: &str) -> Option<Value> {
    let plain = |key: &str| key.replace('-', "_");
    let mut value = configuration.clone();
    for wanted in keys.split('.') {
        value = match value {
            Value::Object(fields) => {
                fields.into_iter().find(|(key, _)| plain(key) == plain(wanted))?.1
            }
            Value::Null => return Some(Value::Null),
            _ => return None,
        };
    }
    Some(value)
}

/// Whether `in_effect` is what was declared; a model may be declared by the name it is served under.
fn compare(name: &str, declared: &Value, in_effect: &Value, all: &InEffect) -> Option<bool> {
    if let Some((_, key)) = name.rsplit_once('.') {
        return value::same_field(key, declared, in_effect);
    }
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
        for (name, value) in [
            ("tensor-parallel-size", json!(1)),
            ("gpu-memory-utilization", json!(0.9)),
            ("max-num-batched-tokens", json!(2048)),
            ("swap-space", json!(4)),
            ("enforce-eager", json!(false)),
            ("no-some-new-switch", json!(true)),
            ("quantization", Value::Null),
        ] {
            let record = one(name, value, &settings);
            assert_eq!((record.state, record.in_effect), (SettingState::Unknown, None), "{name}");
            assert_eq!(record.source.as_deref(), Some(PERHAPS_DEFAULT));
        }
    }

    #[test]
    fn what_was_only_observed_refutes_nothing_by_itself() {
        let mut settings = InEffect::default();
        settings.say("max-num-seqs", json!(256), SettingSource::LogObserved, false);
        let state = |value, settings: &InEffect| one("max-num-seqs", value, settings).state;
        assert_eq!(state(json!(256), &settings), SettingState::Equal);
        let other = one("max-num-seqs", json!(16), &settings);
        assert_eq!((other.state, other.in_effect), (SettingState::Unknown, Some(json!(256))));
        // A server that lists its arguments without it refutes it, whatever was observed.
        settings.listed_non_defaults();
        assert_eq!(state(json!(256), &settings), SettingState::Equal);
        assert_eq!(state(json!(1024), &settings), SettingState::Unknown);
        let lost = one("max-num-seqs", json!(16), &settings);
        assert_eq!((lost.state, lost.in_effect), (SettingState::Different, None));
        assert_eq!(
            lost.source.as_deref(),
            Some(
                "log: non-default args does not list it; 256 by log: never more ran while others waited"
            )
        );
    }

    #[test]
    fn a_key_is_looked_for_inside_its_configuration() {
        const KEY: &str = "compilation_config.cudagraph_mode";
        let mut settings = listed(&[("compilation_config", json!({"cudagraph_mode": "FULL"}))]);
        let state = |value, settings: &InEffect| one(KEY, value, settings).state;
        let record = one(KEY, json!("FULL"), &settings);
        assert_eq!(record.name, "compilation-config.cudagraph_mode");
        assert_eq!((record.state, record.in_effect), (SettingState::Equal, Some(json!("FULL"))));
        assert_eq!(record.source.as_deref(), Some("log: non-default args"));
        assert_eq!(state(json!("NONE"), &settings), SettingState::Different);
        // The other keys of it may be as by default.
        assert_eq!(
            one("compilation-config.level", json!(3), &settings).state,
            SettingState::Unknown
        );
        // A number tells nothing of a name, and the next source does.
        let page = json!({"cudagraph_mode": 2, "pass_config": {"fuse_norm": true}});
        settings.show("compilation_config", page, SettingSource::ServerInfo);
        assert_eq!(state(json!("FULL"), &settings), SettingState::Equal);
        let deep = one("compilation-config.pass_config.fuse-norm", json!(false), &settings);
        assert_eq!((deep.state, deep.in_effect), (SettingState::Different, Some(json!(true))));
        assert_eq!(deep.source.as_deref(), Some("/server_info"));
        // What was resolved is believed before what was asked for.
        let mut resolved = listed(&[("compilation_config", json!({"level": 3}))]);
        resolved.show("compilation_config", json!({"level": 0}), SettingSource::LogConfig);
        let level = one("compilation-config.level", json!(3), &resolved);
        assert_eq!((level.state, level.in_effect), (SettingState::Different, Some(json!(0))));
        let whole = one("compilation-config", json!({"level": 0}), &resolved);
        assert_eq!(whole.state, SettingState::Equal);
    }

    #[test]
    fn a_key_of_a_configuration_that_is_not_listed() {
        let settings = listed(&[("max_model_len", json!(32768))]);
        let state = |name: &str, value| one(name, value, &settings).state;
        assert_eq!(state("compilation-config.level", json!(3)), SettingState::Unknown);
        let speculative = "speculative-config.num_speculative_tokens";
        assert_eq!(state(speculative, json!(3)), SettingState::Different);
        assert_eq!(state("batch.size", json!(3)), SettingState::Different);
        let unset = listed(&[("speculative_config", Value::Null)]);
        assert_eq!(one(speculative, json!(3), &unset).state, SettingState::Different);
        let opaque = listed(&[("compilation_config", json!("CompilationConfig(level=3)"))]);
        assert_eq!(one("compilation-config.level", json!(3), &opaque).state, SettingState::Unknown);
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
        let nested = one("kv-transfer-config", json!({"access_token": "hf-2"}), &settings);
        assert!(!format!("{nested:?}").contains("hf-2"));
        let lost = one("hf-token", json!("hf-2"), &settings);
        assert_eq!(lost.state, SettingState::Different);
        assert!(!format!("{lost:?}").contains("hf-2"));
    }
}
