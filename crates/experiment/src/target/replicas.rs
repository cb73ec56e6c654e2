//! Further servers behind URLs of their own: what each says of itself must fit what the first says.

use plimsoll_records::{SettingRecord, SettingState};
use plimsoll_server::{ControlClient, Identity, well_known};

/// A server that shares the requests with the first.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) url: String,
    pub(crate) control: ControlClient,
}

/// Takes over from `other`, the settings of the server at `url`, what contradicts a declaration; says where
/// else the two run with different ones.
///
/// A declared setting that has not reached one replica is not in effect, whatever the others say.
pub(super) fn agree(
    settings: &mut [SettingRecord],
    other: &[SettingRecord],
    url: &str,
) -> Vec<String> {
    let mut remarks = Vec::new();
    for record in settings {
        let Some(its) = other.iter().find(|its| its.name == record.name) else { continue };
        if its.state == SettingState::Different && record.state != SettingState::Different {
            let source = its.source.as_deref().unwrap_or_default();
            *record = SettingRecord { source: Some(format!("{url}: {source}")), ..its.clone() };
        } else if let (Some(first), Some(value)) = (&record.in_effect, &its.in_effect)
            && first != value
            && well_known(&record.name)
        {
            let name = &record.name;
            remarks
                .push(format!("{url} runs with {name} = {value}, the first replica with {first}"));
        }
    }
    remarks
}

/// What differs between the servers themselves, if they say what they are.
pub(super) fn other_kind(first: &Identity, other: &Identity, url: &str) -> Option<String> {
    let known = |identity: &Identity| {
        let kind = identity.server.map(|kind| kind.as_str().to_owned());
        [kind, identity.version.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let (first, other) = (known(first), known(other));
    let differ = first != other && !first.is_empty() && !other.is_empty();
    differ.then(|| format!("{url} is {other}, the first replica {first}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(name: &str, state: SettingState, in_effect: Option<Value>) -> SettingRecord {
        let (declared, source) = (Some(json!(16)), Some("/server_info".to_owned()));
        SettingRecord { name: name.to_owned(), declared, in_effect, source, state }
    }

    #[test]
    fn what_has_not_reached_one_replica_is_not_in_effect() {
        let mut first = [record("max-num-seqs", SettingState::Equal, Some(json!(16)))];
        let other = [record("max-num-seqs", SettingState::Different, Some(json!(8)))];
        assert!(agree(&mut first, &other, "http://b").is_empty());
        assert_eq!(
            (first[0].state, &first[0].in_effect),
            (SettingState::Different, &Some(json!(8)))
        );
        assert_eq!(first[0].source.as_deref(), Some("http://b: /server_info"));
    }

    #[test]
    fn replicas_that_differ_in_what_nobody_declared_are_told() {
        let default = |name, value: u32| record(name, SettingState::Default, Some(json!(value)));
        let mut first = [default("max-num-seqs", 16), default("hf-config-path", 1)];
        let other = [default("max-num-seqs", 8), default("hf-config-path", 2), default("seed", 3)];
        assert_eq!(
            agree(&mut first, &other, "http://b"),
            ["http://b runs with max-num-seqs = 8, the first replica with 16"]
        );
        assert_eq!(first[0].in_effect, Some(json!(16)));
    }

    #[test]
    fn another_kind_of_server_is_told_where_both_say_what_they_are() {
        let of = |version: Option<&str>| Identity {
            server: None,
            version: version.map(str::to_owned),
            models: Vec::new(),
        };
        let told = |a, b| other_kind(&of(a), &of(b), "http://b");
        assert_eq!(
            told(Some("1"), Some("2")).as_deref(),
            Some("http://b is 2, the first replica 1")
        );
        assert_eq!((told(Some("1"), Some("1")), told(Some("1"), None)), (None, None));
    }
}
