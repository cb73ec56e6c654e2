//! When two values of one setting are the same, however they are written.

use serde_json::Value;

use crate::is_secret_name;

/// What stands for a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// The longest text of a value that is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// Floats this near to each other, relative to the larger, were written from one number.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// `value` as it is kept: without the decoration of Python's own types, not without end, and without
/// secrets, by its own name and by those of its fields.
pub(crate) fn clean(name: &str, value: Value) -> Value {
    if !value.is_null() && is_secret_name(name) {
        return Value::from(HIDDEN);
    }
    match value {
        Value::Array(items) => items.into_iter().map(|item| clean("", item)).collect(),
        Value::Object(fields) => {
            let clean = |(key, value): (String, Value)| {
                let value = clean(&key, value);
                (key, value)
            };
            Value::Object(fields.into_iter().map(clean).collect())
        }
        Value::String(text) => {
            let text = text.strip_prefix("torch.").unwrap_or(&text);
            let end = text.floor_char_boundary(MAX_TEXT);
            Value::from(&text[..end])
        }
        other => other,
    }
}

/// `value` as a table shows it: texts without quotes, `none` for what is unset.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `value` as a number, also when it is written as a text or as a size (`4k` is 4000, `4K` is 4096,
/// as vLLM reads them).
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => size(text),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// `value` as a switch.
pub(crate) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim() {
            "True" | "true" | "on" | "yes" => Some(true),
            "False" | "false" | "off" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `in_effect` is what `declared` asks of the setting `name`; `None` when that cannot be told.
pub(crate) fn same(name: &str, declared: &Value, in_effect: &Value) -> Option<bool> {
    if [declared, in_effect].iter().any(|value| value.as_str() == Some(HIDDEN)) {
        return None;
    }
    // Left to the server, so whatever it chose is right.
    let is_auto = declared.as_str() == Some("auto");
    if is_auto || name == "max-model-len" && integer(declared) == Some(-1) {
        return Some(true);
    }
    if let Some((member, number)) = in_effect.as_str().and_then(member) {
        return same_member(declared, member, number);
    }
    match (declared, in_effect) {
        (Value::Array(a), Value::Array(b)) => {
            return if a.len() == b.len() {
                all(a.iter().zip(b).map(|(a, b)| same(name, a, b)))
            } else {
                Some(false)
            };
        }
        (Value::Array(many), one) => return same(name, sole(name, many)?, one),
        (one, Value::Array(many)) => return same(name, one, sole(name, many)?),
        (Value::Object(wanted), Value::Object(found)) => {
            return all(wanted.iter().map(|(key, value)| same_field(key, value, found.get(key)?)));
        }
        (Value::String(wanted), Value::Object(_)) => {
            return match serde_json::from_str(wanted) {
                Ok(wanted @ Value::Object(_)) => same(name, &wanted, in_effect),
                _ => None,
            };
        }
        (Value::Object(_), Value::Null) => return Some(false),
        (Value::Object(_), _) | (_, Value::Object(_)) => return None,
        _ => {}
    }
    if is_unset(declared) || is_unset(in_effect) {
        return Some(is_unset(declared) && is_unset(in_effect));
    }
    if let (Some(a), Some(b)) = (flag(declared), flag(in_effect)) {
        return Some(a == b);
    }
    if let (Some(a), Some(b)) = (integer(declared), integer(in_effect)) {
        return Some(a == b);
    }
    if let (Some(a), Some(b)) = (number(declared), number(in_effect)) {
        return Some((a - b).abs() <= FLOAT_TOLERANCE * a.abs().max(b.abs()));
    }
    match (declared, in_effect) {
        (Value::String(a), Value::String(b)) => same_text(name, a.trim(), b.trim()),
        _ => Some(false),
    }
}

/// [`same`] for a field of a configuration. There members of enumerations may be shown as their
/// numbers, which say nothing to who does not know them, and written in small letters or capitals.
pub(crate) fn same_field(key: &str, declared: &Value, in_effect: &Value) -> Option<bool> {
    match (declared, in_effect) {
        (Value::String(wanted), Value::Number(_) | Value::Array(_))
            if is_word(wanted) && flag(declared).is_none() && !is_unset(declared) =>
        {
            None
        }
        (Value::String(a), Value::String(b)) if a.trim().eq_ignore_ascii_case(b.trim()) => {
            Some(true)
        }
        _ => same(key, declared, in_effect),
    }
}

/// Name and number of a member of an enumeration as Python prints it: `<Mode.FULL: 2>`.
fn member(text: &str) -> Option<(&str, &str)> {
    let (class, rest) = text.strip_prefix('<')?.strip_suffix('>')?.split_once('.')?;
    let (member, number) = rest.split_once(": ")?;
    (is_word(class) && is_word(member)).then_some((member, number))
}

fn same_member(declared: &Value, member: &str, number: &str) -> Option<bool> {
    match declared {
        Value::String(wanted) if is_word(wanted) => Some(
            wanted.trim().eq_ignore_ascii_case(member)
                || wanted.trim() == number.trim_matches(['\'', '"']),
        ),
        _ => Some(integer(declared)? == integer(&Value::from(number))?),
    }
}

/// Whether `text` is a name as programs have them.
fn is_word(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn same_text(name: &str, declared: &str, in_effect: &str) -> Option<bool> {
    if declared == in_effect {
        return Some(true);
    }
    if matches!(name, "model" | "tokenizer" | "served-model-name") {
        return same_model(declared, in_effect);
    }
    if name.ends_with("dtype") {
        return Some(dtype(declared) == dtype(in_effect));
    }
    // An object of Python's, of which only the text is known.
    if in_effect.starts_with('<') || in_effect.contains('(') { None } else { Some(false) }
}

/// A model may be named, or be the folder that it was loaded from; a folder tells nothing of what is
/// in it unless it is called after the model.
fn same_model(declared: &str, in_effect: &str) -> Option<bool> {
    let last = |text: &str| {
        let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        name.to_ascii_lowercase()
    };
    let is_path = |text: &str| text.starts_with(['/', '.', '~']) || text.contains("://");
    let owner_and_name = |text: &str| !is_path(text) && text.contains('/');
    // Hugging Face's cache: models--<owner>--<name>/snapshots/<commit>.
    let cached = |path: &str, name: &str| {
        is_path(path) && path.contains(&format!("models--{}/", name.replace('/', "--")))
    };
    if cached(declared, in_effect) || cached(in_effect, declared) {
        return Some(true);
    }
    if last(declared) == last(in_effect) {
        let both_owned = owner_and_name(declared) && owner_and_name(in_effect);
        return Some(!both_owned || declared.eq_ignore_ascii_case(in_effect));
    }
    (!is_path(declared) && !is_path(in_effect)).then_some(false)
}

/// The one name of a data type.
fn dtype(text: &str) -> &str {
    match text.strip_prefix("torch.").unwrap_or(text) {
        "half" | "float16" => "float16",
        "float" | "float32" => "float32",
        "fp8" | "fp8_e4m3" => "fp8",
        other => other,
    }
}

/// The only item of a list, or the first of a list of which the rest are other names for it.
fn sole<'a>(name: &str, items: &'a [Value]) -> Option<&'a Value> {
    let first = items.first()?;
    (items.len() == 1 || name == "served-model-name").then_some(first)
}

/// Whether all are true; false as soon as one is, else unknown as soon as one is.
fn all(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for result in results {
        match result {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => matches!(text.trim(), "" | "None" | "none" | "null"),
        _ => false,
    }
}

/// Integers are compared exactly: a seed may be larger than a float can hold.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => {
            number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
        }
        Value::String(text) => text.trim().parse::<i64>().ok().map(i128::from),
        _ => None,
    }
}

/// A number with vLLM's suffixes: small letters are powers of 1000, capitals powers of 1024 and only
/// behind whole numbers.
fn size(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust's parser also takes `inf` and `nan`, of which no setting is one.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    let (digits, suffix) = text.split_at(text.char_indices().next_back()?.0);
    let factor = match suffix {
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "K" => 1024.0,
        "M" => 1_048_576.0,
        "G" => 1_073_741_824.0,
        "T" => 1_099_511_627_776.0,
        _ => return None,
    };
    let whole = suffix.starts_with(|c: char| c.is_ascii_uppercase());
    if whole && !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // vLLM cuts what is left of 25.6k to a whole number, which a product of floats may just miss.
    Some((digits.parse::<f64>().ok()? * factor).round())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_value_in_other_words() {
        for (name, declared, in_effect) in [
            ("max-num-seqs", json!(16), json!("16")),
            ("max-model-len", json!("4k"), json!(4000)),
            ("max-model-len", json!("4K"), json!(4096)),
            ("max-model-len", json!("25.6k"), json!(25600)),
            ("max-model-len", json!("1G"), json!(1_073_741_824)),
            ("gpu-memory-utilization", json!(0.9), json!("0.9")),
            ("gpu-memory-utilization", json!(0.1 + 0.2), json!(0.3)),
            ("enable-chunked-prefill", json!(true), json!("True")),
            ("enable-chunked-prefill", json!("false"), json!(false)),
            ("dtype", json!("auto"), json!("bfloat16")),
            ("dtype", json!("half"), json!("float16")),
            ("dtype", json!("bfloat16"), json!("torch.bfloat16")),
            ("kv-cache-dtype", json!("fp8"), json!("fp8_e4m3")),
            ("quantization", json!("none"), json!(null)),
            ("served-model-name", json!("a"), json!(["a", "b"])),
            ("middleware", json!(["a"]), json!("a")),
            ("model", json!("models/tiny"), json!("tiny")),
            ("model", json!("Qwen/Qwen3-14B"), json!("/data/qwen3-14b/")),
            ("model", json!("Qwen/Qwen3"), json!("/c/models--Qwen--Qwen3/snapshots/1")),
            ("c", json!({"a": 1}), json!({"a": 1, "b": 2})),
            ("c", json!("{\"a\": \"2\"}"), json!({"a": 2})),
            ("max-model-len", json!(-1), json!(4096)),
            ("mode", json!("full"), json!("<CUDAGraphMode.FULL: 2>")),
            ("mode", json!(2), json!("<CUDAGraphMode.FULL: 2>")),
            ("c", json!({"a": "full"}), json!({"a": "FULL"})),
        ] {
            assert_eq!(same(name, &declared, &in_effect), Some(true), "{declared} {in_effect}");
        }
    }

    #[test]
    fn another_value() {
        for (name, declared, in_effect) in [
            ("max-num-seqs", json!(16), json!(256)),
            ("max-model-len", json!("4k"), json!(4096)),
            ("gpu-memory-utilization", json!(0.9), json!(0.92)),
            ("seed", json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64)),
            ("enable-chunked-prefill", json!(true), json!(false)),
            ("enable-chunked-prefill", json!(true), json!(null)),
            ("quantization", json!("fp8"), json!(null)),
            ("dtype", json!("float16"), json!("bfloat16")),
            ("kv-cache-dtype", json!("fp8"), json!("auto")),
            ("model", json!("Qwen/Qwen3-14B"), json!("Qwen/Qwen3-8B")),
            ("model", json!("a/tiny"), json!("b/tiny")),
            ("c", json!({"a": 1}), json!({"a": 2})),
            ("c", json!({"a": 1}), json!(null)),
            ("mode", json!("FULL"), json!("<CUDAGraphMode.NONE: 0>")),
            ("mode", json!(2), json!("<CUDAGraphMode.NONE: 0>")),
            ("x", json!([1, 2]), json!([1])),
            ("x", json!(true), json!(8)),
            ("x", json!("inf"), json!("nan")),
        ] {
            assert_eq!(same(name, &declared, &in_effect), Some(false), "{declared} {in_effect}");
        }
    }

    #[test]
    fn what_cannot_be_told() {
        for (name, declared, in_effect) in [
            ("model", json!("Qwen/Qwen3-14B"), json!("/llm")),
            ("compilation-config", json!("{\"level\": 3}"), json!("Config(level=3)")),
            ("compilation-config", json!({"level": 3}), json!({})),
            ("compilation-config", json!({"cudagraph_mode": "FULL"}), json!({"cudagraph_mode": 0})),
            ("mode", json!("FULL"), json!("<object at 0x7f>")),
            ("mode", json!(2), json!("<CUDAGraphMode.FULL: (2, 0)>")),
            ("api-key", json!("x"), json!(HIDDEN)),
        ] {
            assert_eq!(same(name, &declared, &in_effect), None, "{declared} {in_effect}");
        }
    }

    #[test]
    fn sizes_that_vllm_refuses_are_no_numbers() {
        for text in ["4.5K", "k", "", "4kk", "K4", "4é", "inf", "nan", "-K"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
