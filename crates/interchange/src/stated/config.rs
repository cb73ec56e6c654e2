//! Configurations beside the runs, as far as an experiment's factors and profiles are written in the plain
//! part of YAML: keys, indentation, scalars and lists in brackets.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Stated;
use super::name::number_format;

/// Largest configuration that is read.
const MOST_BYTES: u64 = 1 << 20;

/// The factors and profiles of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Config {
    /// Every scalar or list with its path: `factors.batch_size`.
    lines: Vec<(String, Vec<String>)>,
}

/// The configurations in `folder` and its folder `config` that have factors.
pub(crate) fn read_configs(folder: &Path) -> Vec<Config> {
    let mut files: Vec<_> = [folder.to_owned(), folder.join("config")]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml"))
        .filter(|path| path.metadata().is_ok_and(|it| it.len() <= MOST_BYTES))
        .collect();
    files.sort();
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let configs = texts.map(|text| Config::parse(&text));
    configs.filter(|config| config.values("factors.request_rates").is_some()).collect()
}

impl Config {
    /// Reads what can be read; other lines are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut config = Self::default();
        let mut above: Vec<(usize, String)> = Vec::new();
        for line in text.lines() {
            let line = line.split(" #").next().unwrap_or_default().trim_end();
            let content = line.trim_start();
            let indent = line.len() - content.len();
            let Some((key, value)) = content.split_once(':') else { continue };
            if content.starts_with(['#', '-']) {
                continue;
            }
            above.retain(|(at, _)| *at < indent);
            let path: Vec<&str> =
                above.iter().map(|(_, key)| key.as_str()).chain([key.trim()]).collect();
            let path = path.join(".");
            let value = value.trim();
            if value.is_empty() {
                above.push((indent, key.trim().to_owned()));
                continue;
            }
            let list = value.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            let values = list.map_or_else(|| vec![value], |list| list.split(',').collect());
            let plain = |it: &str| it.trim().trim_matches(['"', '\'']).to_owned();
            config.lines.push((path, values.into_iter().map(plain).collect()));
        }
        config
    }

    fn values(&self, path: &str) -> Option<&[String]> {
        let found = self.lines.iter().find(|(at, _)| at == path);
        found.map(|(_, values)| values.as_slice())
    }

    /// Whether a run that states this can be one of the experiment's.
    fn fits(&self, stated: &Stated) -> bool {
        let has = |path: &str, wanted: Option<String>| match (self.values(path), wanted) {
            (Some(values), Some(wanted)) => values.iter().any(|value| {
                let same = value.parse::<f64>().ok().zip(wanted.parse::<f64>().ok());
                *value == wanted || same.is_some_and(|(a, b)| a == b)
            }),
            _ => true,
        };
        let setting = |name: &str| stated.settings.get(name).map(ToString::to_string);
        has("factors.gpu_counts", stated.gpus.map(|it| it.to_string()))
            && has("factors.request_rates", stated.rate.map(|it| it.to_string()))
            && has("factors.prompt_len_profile", stated.profile.clone())
            && has("factors.batch_size", setting("max-num-seqs"))
            && has("factors.max_batched_tokens", setting("max-num-batched-tokens"))
    }

    /// What the experiment states of every one of its runs: factors of one value, and the profile's
    /// `max_tokens`.
    fn states(&self, profile: Option<&str>) -> Stated {
        let mut stated = Stated::default();
        let one = |path: &str| match self.values(path) {
            Some([value]) => Some(value.as_str()),
            _ => None,
        };
        for (path, name) in [
            ("factors.batch_size", "max-num-seqs"),
            ("factors.max_batched_tokens", "max-num-batched-tokens"),
            ("factors.data_parallel", "data-parallel-size"),
            ("factors.tensor_parallel", "tensor-parallel-size"),
        ] {
            if let Some(number) = one(path).and_then(|it| it.parse::<u64>().ok()) {
                stated.settings.insert(name.to_owned(), number.into());
            }
        }
        if let Some((name, value)) = one("factors.quant_mode").and_then(number_format) {
            stated.settings.insert(name.to_owned(), value);
        }
        stated.max_tokens = profile
            .and_then(|profile| one(&format!("profiles.{profile}.max_tokens")))
            .and_then(|it| it.parse().ok());
        stated
    }
}

/// What the configurations that a run fits into state of it, as far as they agree.
pub(crate) fn of_configs(configs: &[Config], stated: &Stated) -> Stated {
    let profile = stated.profile.as_deref();
    let fitting: Vec<Stated> = configs
        .iter()
        .filter(|config| config.fits(stated))
        .map(|config| config.states(profile))
        .collect();
    let mut agreed = fitting.first().cloned().unwrap_or_default();
    let same = |name: &String, value: &Value| {
        fitting.iter().all(|it| it.settings.get(name).is_none_or(|other| other == value))
    };
    for it in &fitting {
        for (name, value) in &it.settings {
            agreed.settings.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    agreed.settings.retain(|name, value| same(name, value));
    // A profile is the same whatever factors it is crossed with.
    let mut limits: Vec<u64> =
        configs.iter().filter_map(|it| it.states(profile).max_tokens).collect();
    limits.dedup();
    agreed.max_tokens = match limits[..] {
        [limit] => Some(limit),
        _ => None,
    };
    agreed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ONE: &str = "# a comment: no key\nmeta:\n  repetitions: 1   # each\n\nfactors:\n  gpu_counts: [1, 4]\n  \
        request_rates: [10, 20]\n  prompt_len_profile: [\"short\", 'long']\n  batch_size: [8, 16]\n  \
        max_batched_tokens: [512]\n  quant_mode: [\"fp16\"]\nprofiles:\n  short:\n    prompts_file: a.jsonl\n    \
        max_tokens: 64\n  long:\n    max_tokens: 256\nspecial:\n  - name: x\n    enable: true\n";

    fn run(gpus: u32, rate: f64, profile: &str, batch: u64) -> Stated {
        Stated {
            gpus: Some(gpus),
            rate: Some(rate),
            profile: Some(profile.to_owned()),
            settings: [("max-num-seqs".to_owned(), json!(batch))].into(),
            ..Stated::default()
        }
    }

    #[test]
    fn factors_of_one_value_are_stated_of_every_run_that_fits() {
        let configs = [Config::parse(ONE)];
        let stated = of_configs(&configs, &run(1, 10.0, "long", 16));
        assert_eq!(stated.settings["max-num-batched-tokens"], json!(512));
        assert_eq!(stated.settings["dtype"], json!("float16"));
        assert!(!stated.settings.contains_key("max-num-seqs"), "of two values");
        assert_eq!(stated.max_tokens, Some(256));
    }

    #[test]
    fn a_run_that_fits_none_has_its_profile_alone() {
        let configs = [Config::parse(ONE)];
        let stated = of_configs(&configs, &run(1, 30.0, "short", 16));
        assert!(stated.settings.is_empty());
        assert_eq!(stated.max_tokens, Some(64));
        assert_eq!(of_configs(&configs, &run(1, 10.0, "none", 8)).max_tokens, None);
    }

    #[test]
    fn what_configurations_disagree_on_is_not_stated() {
        let other = ONE.replace("[512]", "[1024]").replace("256", "128");
        let configs = [Config::parse(ONE), Config::parse(&other)];
        let stated = of_configs(&configs, &run(4, 20.0, "long", 8));
        assert!(!stated.settings.contains_key("max-num-batched-tokens"));
        assert_eq!((stated.max_tokens, &stated.settings["dtype"]), (None, &json!("float16")));
    }

    proptest::proptest! {
        /// Any text is read, and says what it says.
        #[test]
        fn any_text(text in "[a-z:#\\[\\], \n\"-]{0,200}") {
            let configs = [Config::parse(&text)];
            let _ = of_configs(&configs, &run(1, 10.0, "a", 8));
        }
    }
}
