//! In which ways a server is spread over GPUs.

use plimsoll_records::TargetRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A way of being spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parallel {
    /// Replicas of one server, behind its own router.
    Data,
    /// Each layer over several GPUs.
    Tensor,
    /// Layers after layers over several GPUs.
    Pipeline,
    /// Servers of their own, behind several URLs.
    Urls,
}

impl Parallel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Data, Self::Tensor, Self::Pipeline, Self::Urls];

    /// What it is called in a matrix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data-parallel-size",
            Self::Tensor => "tensor-parallel-size",
            Self::Pipeline => "pipeline-parallel-size",
            Self::Urls => "urls",
        }
    }

    /// The settings that say how far: vLLM's, and SGLang's short ones.
    const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Data => &["data-parallel-size", "dp-size"],
            Self::Tensor => &["tensor-parallel-size", "tp-size"],
            Self::Pipeline => &["pipeline-parallel-size", "pp-size"],
            Self::Urls => &[],
        }
    }

    /// Whether the path of a factor is that of one of them.
    pub(super) fn is_path(path: &str) -> bool {
        let setting = path.strip_prefix("server.settings.").map(|name| name.replace('_', "-"));
        path == "server.urls"
            || setting.is_some_and(|name| {
                Self::ALL.iter().any(|way| way.settings().contains(&name.as_str()))
            })
    }
}

/// How far a server is spread in each way; 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape([u32; 4]);

impl Shape {
    /// The shape of a server: by its own word where it gives one, else as declared; 1 where nobody says.
    #[must_use]
    pub fn of_target(target: &TargetRecord) -> Self {
        Self(Parallel::ALL.map(|way| match way {
            Parallel::Urls => u32::try_from(target.urls.len()).unwrap_or(u32::MAX).max(1),
            _ => way.settings().iter().find_map(|name| setting(target, name)).unwrap_or(1),
        }))
    }

    /// How far it is spread in this way.
    #[must_use]
    pub const fn of(&self, way: Parallel) -> u32 {
        self.0[way as usize]
    }

    /// GPUs, or replicas where each has one.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.iter().fold(1, |size, &ways| size.saturating_mul(u64::from(ways)))
    }

    /// Whether what it counts are whole servers: nothing is spread over several GPUs but by copies.
    pub(super) const fn is_of_replicas(&self) -> bool {
        self.of(Parallel::Tensor) == 1 && self.of(Parallel::Pipeline) == 1
    }

    /// The same, not spread in this way.
    pub(super) const fn without(mut self, way: Parallel) -> Self {
        self.0[way as usize] = 1;
        self
    }
}

/// A setting as a whole number from 1.
fn setting(target: &TargetRecord, name: &str) -> Option<u32> {
    let record = target.settings.iter().find(|setting| setting.name == name);
    let said = record.and_then(|it| it.in_effect.as_ref().or(it.declared.as_ref()));
    let value = said.or_else(|| target.settings_declared.get(name))?;
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.filter(|&number| number > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plimsoll_records::{SettingRecord, SettingState};
    use serde_json::json;

    use super::*;

    fn record(name: &str, declared: Option<Value>, in_effect: Option<Value>) -> SettingRecord {
        let state = SettingState::Unknown;
        SettingRecord { name: name.to_owned(), declared, in_effect, source: None, state }
    }

    #[test]
    fn the_servers_word_goes_before_what_was_declared() {
        let target = TargetRecord {
            urls: vec!["http://a".to_owned(), "http://b".to_owned()],
            settings: vec![
                record("data-parallel-size", Some(json!(8)), Some(json!(4))),
                record("tensor-parallel-size", Some(json!("2")), None),
            ],
            settings_declared: BTreeMap::from([("pp-size".to_owned(), json!(3))]),
            ..TargetRecord::default()
        };
        let shape = Shape::of_target(&target);
        assert_eq!(Parallel::ALL.map(|way| shape.of(way)), [4, 2, 3, 2]);
        assert_eq!((shape.size(), shape.without(Parallel::Pipeline).size()), (48, 16));
        assert!(!shape.is_of_replicas());
    }

    #[test]
    fn what_is_no_size_is_one() {
        for value in [json!(0), json!(-2), json!("auto"), json!(null), json!(1e99)] {
            let settings = vec![record("data-parallel-size", None, Some(value))];
            let target = TargetRecord { settings, ..TargetRecord::default() };
            assert_eq!(Shape::of_target(&target).size(), 1);
        }
    }

    #[test]
    fn paths_of_sizes_are_known_in_either_spelling() {
        for (path, is) in [
            ("server.settings.data-parallel-size", true),
            ("server.settings.tensor_parallel_size", true),
            ("server.settings.tp-size", true),
            ("server.urls", true),
            ("server.settings.max-num-seqs", false),
            ("data-parallel-size", false),
        ] {
            assert_eq!(Parallel::is_path(path), is, "{path}");
        }
    }
}
