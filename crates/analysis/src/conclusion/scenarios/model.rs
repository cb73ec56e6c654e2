//! How large a model is, as far as its name tells.

use plimsoll_records::TargetRecord;

/// How large a model is, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSize {
    /// Parameters, in billions: `14` of `Qwen3-14B`.
    pub billions: f64,
    /// Those of them that work on one token, where the name says that others rest: `3` of `30B-A3B`.
    pub active_billions: Option<f64>,
    /// Bytes of a parameter, where the server says its data type and no quantization.
    pub bytes_per_parameter: Option<f64>,
}

impl ModelSize {
    /// The size of the model of a server; `None` where the name does not tell.
    pub(crate) fn of(target: &TargetRecord) -> Option<Self> {
        let in_effect = |name: &str| {
            let setting = target.settings.iter().find(|setting| setting.name == name)?;
            Some(setting.in_effect.as_ref()?.as_str()?.to_lowercase())
        };
        let named = in_effect("model").and_then(|name| Self::by_name(&name));
        let size = named.or_else(|| Self::by_name(&target.model))?;
        let quantized = in_effect("quantization").is_some_and(|how| how != "none");
        let bytes = match in_effect("dtype").as_deref() {
            _ if quantized => None,
            Some("bfloat16" | "float16" | "half" | "torch.bfloat16" | "torch.float16") => Some(2.0),
            Some("float32" | "float" | "torch.float32") => Some(4.0),
            _ => None,
        };
        Some(Self { bytes_per_parameter: bytes, ..size })
    }

    /// A word of the name that is a number and a `b`, and one that has an `a` before it. `8x7B` is no such
    /// word: how many of those parameters work at once it does not say.
    fn by_name(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let words = || name.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let size = |word: &str| -> Option<f64> {
            let number = word.strip_suffix('b')?;
            let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
            number.parse().ok().filter(|size: &f64| plain && *size > 0.0)
        };
        Some(Self {
            billions: words().find_map(size)?,
            active_billions: words().filter_map(|word| word.strip_prefix('a')).find_map(size),
            bytes_per_parameter: None,
        })
    }

    /// Billions of parameters that work on one token.
    #[must_use]
    pub fn at_work(&self) -> f64 {
        self.active_billions.unwrap_or(self.billions)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_records::{SettingRecord, SettingState};

    use super::*;

    #[test]
    fn a_name_tells_the_size_or_nothing() {
        let sizes =
            |name: &str| ModelSize::by_name(name).map(|size| (size.billions, size.active_billions));
        assert_eq!(sizes("qwen3-14b"), Some((14.0, None)));
        assert_eq!(sizes("meta-llama/Llama-3.1-8B-Instruct"), Some((8.0, None)));
        assert_eq!(sizes("Qwen/Qwen3-30B-A3B-FP8"), Some((30.0, Some(3.0))));
        assert_eq!(sizes("Qwen2.5-0.5B"), Some((0.5, None)));
        for name in ["tiny", "mixtral-8x7B", "gpt-4b1", "b", "-b", "0b", "1.2.3b", ""] {
            assert_eq!(sizes(name), None, "{name}");
        }
    }

    #[test]
    fn bytes_are_those_of_the_data_type_in_effect() {
        let setting = |name: &str, value: &str| SettingRecord {
            name: name.to_owned(),
            declared: None,
            in_effect: Some(value.into()),
            source: None,
            state: SettingState::Equal,
        };
        let mut target = TargetRecord { model: "served".to_owned(), ..TargetRecord::default() };
        assert_eq!(ModelSize::of(&target), None);
        target.settings = vec![setting("model", "org/M-7B"), setting("dtype", "bfloat16")];
        let size = ModelSize::of(&target).expect("the model's own name tells");
        assert_eq!((size.at_work(), size.bytes_per_parameter), (7.0, Some(2.0)));
        target.settings.push(setting("quantization", "awq"));
        assert_eq!(ModelSize::of(&target).and_then(|size| size.bytes_per_parameter), None);
    }
}
