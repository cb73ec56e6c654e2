//! The models a server lists, and the choice of the one to measure.

use serde_json::Value;

use crate::ServerError;
use crate::printable::printable;

/// How many names an error lists.
const NAMES_SHOWN: usize = 10;

/// A model as `/v1/models` lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// The served name: what a request must say.
    pub id: String,
    /// Longest context in tokens, prompt and answer together, where the server says so.
    pub max_model_len: Option<u64>,
    /// The path or repository that the weights came from, where the server says so.
    pub root: Option<String>,
    /// What the server writes as the owner; often its own name.
    pub owned_by: Option<String>,
}

impl ModelInfo {
    /// A model of which only the name is known.
    pub(crate) fn named(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// One entry of the list; `None` when it has no name.
    fn from_entry(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        // vLLM and SGLang; Dynamo; llama.cpp, whose second figure is the model's and not the slot's.
        let max_model_len =
            ["/max_model_len", "/context_window", "/meta/n_ctx", "/meta/n_ctx_train"]
                .iter()
                .find_map(|path| entry.pointer(path)?.as_u64())
                // Dynamo writes 0 when it was not told.
                .filter(|&tokens| tokens > 0);
        let (root, owned_by) = (text("root"), text("owned_by"));
        Some(Self { id: text("id")?, max_model_len, root, owned_by })
    }
}

/// Why a body is no list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoList {
    /// It is not JSON.
    NotJson,
    /// It is JSON without a list called `data`.
    NoData,
}

/// The models in the body of `/v1/models`.
pub(crate) fn parse_models(body: &[u8]) -> Result<Vec<ModelInfo>, NoList> {
    let json: Value = serde_json::from_slice(body).map_err(|_| NoList::NotJson)?;
    match json.get("data") {
        Some(Value::Array(entries)) => {
            Ok(entries.iter().filter_map(ModelInfo::from_entry).collect())
        }
        // Some servers write null for a list without entries.
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(NoList::NoData),
    }
}

/// The model to measure: the one called `wanted`, or the first listed when none is wanted.
///
/// A name that is not listed is refused even though some servers answer to any name: a typing error
/// must not end up in a manifest. Only when `models` is empty is the name taken as it is. When
/// none is wanted and several are listed, a warning says which was taken.
///
/// # Errors
/// [`ServerError::ModelMissing`] when `wanted` is not listed, with the nearest name;
/// [`ServerError::NoModel`] when none is wanted and none is listed.
pub fn choose_model(models: &[ModelInfo], wanted: Option<&str>) -> Result<ModelInfo, ServerError> {
    let Some(wanted) = wanted else {
        let first = models.first().ok_or(ServerError::NoModel)?;
        if models.len() > 1 {
            tracing::warn!(
                model = %printable(&first.id, 200),
                listed = models.len(),
                "the server lists several models and none was named; measuring the first"
            );
        }
        return Ok(first.clone());
    };
    if models.is_empty() {
        return Ok(ModelInfo::named(wanted));
    }
    models.iter().find(|model| model.id == wanted).cloned().ok_or_else(|| {
        ServerError::ModelMissing {
            model: printable(wanted, 200),
            available: models.iter().take(NAMES_SHOWN).map(|m| printable(&m.id, 200)).collect(),
            more: models.len().saturating_sub(NAMES_SHOWN),
            suggestion: nearest(models, wanted).map(|name| printable(name, 200)),
        }
    })
}

/// The listed name that was probably meant: one served from the path that was given, one that
/// contains the other but for case (`qwen3-14b` for `Qwen/Qwen3-14B`), or one much alike.
fn nearest<'a>(models: &'a [ModelInfo], wanted: &str) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    let likeness = |model: &ModelInfo| {
        let id = model.id.to_lowercase();
        let contains = |a: &str, b: &str| !b.is_empty() && a.contains(b);
        if model.root.as_deref() == Some(wanted) || id == lower {
            2.0
        } else if contains(&id, &lower) || contains(&lower, &id) {
            1.0 + strsim::jaro_winkler(&id, &lower)
        } else {
            strsim::jaro_winkler(&id, &lower)
        }
    };
    models
        .iter()
        .map(|model| (likeness(model), model))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|&(likeness, _)| likeness > 0.75)
        .map(|(_, model)| model.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<ModelInfo> {
        names.iter().map(|name| ModelInfo::named(name)).collect()
    }

    #[test]
    fn each_servers_name_for_the_context_is_known() {
        let models = parse_models(
            br#"{"data":[{"id":"a","max_model_len":4096,"root":"models/a","owned_by":"vllm"},
                {"id":"b","context_window":2048},{"id":"c","meta":{"n_ctx":16384,"n_ctx_train":32768}},
                {"id":"d","meta":{"n_ctx_train":32768}},{"id":"z","context_window":0},{"id":"e","meta":null,"max_model_len":-1},
                {"name":"no id"},{"id":7}]}"#,
        )
        .unwrap();
        let seen: Vec<_> = models.iter().map(|m| (m.id.as_str(), m.max_model_len)).collect();
        assert_eq!(
            seen,
            [
                ("a", Some(4096)),
                ("b", Some(2048)),
                ("c", Some(16384)),
                ("d", Some(32768)),
                ("z", None),
                ("e", None)
            ]
        );
        assert_eq!(models[0].root.as_deref(), Some("models/a"));
        assert_eq!(models[0].owned_by.as_deref(), Some("vllm"));
    }

    #[test]
    fn bodies_that_are_no_list() {
        assert_eq!(parse_models(br#"{"object":"list","data":null}"#).unwrap(), []);
        assert_eq!(parse_models(br#"{"data":[]}"#).unwrap(), []);
        for body in [&b"{}"[..], b"[]", b"null", b"7", br#"{"data":{}}"#] {
            assert_eq!(parse_models(body), Err(NoList::NoData));
        }
        assert_eq!(parse_models(b"<html>"), Err(NoList::NotJson));
        // Deeper than any parser should follow.
        assert_eq!(parse_models("[".repeat(200_000).as_bytes()), Err(NoList::NotJson));
    }

    #[test]
    fn the_named_model_or_the_first() {
        let models = named(&["a", "b"]);
        assert_eq!(choose_model(&models, Some("b")).unwrap().id, "b");
        assert_eq!(choose_model(&models, None).unwrap().id, "a");
        assert_eq!(choose_model(&[], Some("x")).unwrap(), ModelInfo::named("x"));
        assert_eq!(choose_model(&[], None), Err(ServerError::NoModel));
    }

    #[test]
    fn a_missing_model_comes_with_the_list_and_the_nearest_name() {
        let names: Vec<String> = (0..13).map(|n| format!("model-{n}")).collect();
        let models: Vec<_> = names.iter().map(|name| ModelInfo::named(name)).collect();
        match choose_model(&models, Some("modle-7")).unwrap_err() {
            ServerError::ModelMissing { model, available, more, suggestion } => {
                assert_eq!((model.as_str(), available.len(), more), ("modle-7", 10, 3));
                assert_eq!(suggestion.as_deref(), Some("model-7"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn suggestions_are_given_when_near_and_withheld_when_not() {
        let mut models = named(&["Qwen/Qwen3-14B", "meta-llama/Llama-3.1-8B", "tiny"]);
        models[2].root = Some("models/other".to_owned());
        for (wanted, expected) in [
            ("qwen3-14b", Some("Qwen/Qwen3-14B")),
            ("qwen/qwen3-14b", Some("Qwen/Qwen3-14B")),
            ("meta-llama/Llama-3.1-8B-Instruct", Some("meta-llama/Llama-3.1-8B")),
            ("models/other", Some("tiny")),
            ("tinny", Some("tiny")),
            ("gpt-4", None),
            ("", None),
        ] {
            assert_eq!(nearest(&models, wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn names_from_a_server_carry_no_escapes_into_the_message() {
        let error = choose_model(&named(&["\u{1b}[2Jx"]), Some("y")).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
