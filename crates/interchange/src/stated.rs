//! What an experiment states of a run beside its result: in the folder's name, in configurations beside
//! the runs, in a mapping. Whether any of it reached the server is for the audit to find out.

mod config;
mod mapping;
mod name;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use config::{Config, of_configs, read_configs};
pub use mapping::Mapping;
pub(crate) use name::of_name;

/// What is stated of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stated {
    /// The offered rate, requests per second.
    pub(crate) rate: Option<f64>,
    /// GPUs of the server.
    pub(crate) gpus: Option<u32>,
    /// The prompt profile's name.
    pub(crate) profile: Option<String>,
    /// The repetition.
    pub(crate) repetition: Option<u32>,
    /// The longest answer that was to be asked for.
    pub(crate) max_tokens: Option<u64>,
    /// Settings of the server, by vLLM's flags.
    pub(crate) settings: BTreeMap<String, Value>,
    /// Factors that are none of these.
    pub(crate) factors: BTreeMap<String, String>,
}

impl Stated {
    /// The same with what `other` states and this does not.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.rate = self.rate.or(other.rate);
        self.gpus = self.gpus.or(other.gpus);
        self.profile = self.profile.or(other.profile);
        self.repetition = self.repetition.or(other.repetition);
        self.max_tokens = self.max_tokens.or(other.max_tokens);
        for (name, value) in other.settings {
            self.settings.entry(name).or_insert(value);
        }
        for (name, value) in other.factors {
            self.factors.entry(name).or_insert(value);
        }
        self
    }

    /// The factors of the point: what is stated of it but its rate.
    pub(crate) fn point_factors(&self) -> BTreeMap<String, String> {
        let mut factors = self.factors.clone();
        if let Some(gpus) = self.gpus {
            factors.insert("gpus".to_owned(), gpus.to_string());
        }
        if let Some(profile) = &self.profile {
            factors.insert("workload.profile".to_owned(), profile.clone());
        }
        for (name, value) in &self.settings {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            factors.insert(format!("server.settings.{name}"), text);
        }
        factors
    }
}
