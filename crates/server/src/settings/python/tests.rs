//! The parser against values written down by a writer of its own, and against anything.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Python's `repr` of a value, with either quote as Python would choose it.
fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let mut out = String::from(quote);
            for c in text.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\t' => out.push_str("\\t"),
                    '\r' => out.push_str("\\r"),
                    c if c == quote => out.extend(['\\', c]),
                    c if c.is_control() => out.push_str(&format!("\\U{:08x}", u32::from(c))),
                    c => out.push(c),
                }
            }
            out.push(quote);
            out
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<_> = map
                .iter()
                .map(|(key, value)| {
                    format!("{}: {}", repr(&Value::from(key.as_str())), repr(value))
                })
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_' \"]{1,6}", inner, 1..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What is written as Python writes it is read back as it was.
    #[test]
    fn written_and_read(value in any_value()) {
        prop_assert_eq!(super::value(&repr(&value)), value);
    }

    /// A dictionary keeps every item, whatever follows it on the line.
    #[test]
    fn dictionaries_keep_their_items(
        map in proptest::collection::btree_map("[a-z_]{1,9}", any_value(), 0..6),
    ) {
        let wanted: Vec<_> = map.clone().into_iter().collect();
        let text = format!("{} and more", repr(&Value::Object(map.into_iter().collect())));
        prop_assert_eq!(dictionary(&text), Some(wanted));
    }

    /// No text makes the parser panic.
    #[test]
    fn any_text(text in ".*", brackets in "[\\[\\]{}()<>'\"\\\\,:=a .0-9TFN]{0,200}") {
        for text in [text, brackets] {
            dictionary(&text);
            assignments(&text);
            value(&text);
        }
    }
}

#[test]
fn arguments_as_servers_print_them() {
    let items = dictionary(
        r#"{'model': '/llm', "it's": 1, 'on': True, 'o': <Mode.A: 'a'>, 'c': Foo(a=[1, 2], b='}'), 'l': ['a', None], 'd': {'x': 0.5}, 's': {'a', 'b'}}"#,
    );
    let items = items.unwrap();
    let value = |name: &str| items.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!(value("model"), json!("/llm"));
    assert_eq!(value("it's"), json!(1));
    assert_eq!(value("on"), json!(true));
    assert_eq!(value("o"), json!("<Mode.A: 'a'>"));
    assert_eq!(value("c"), json!("Foo(a=[1, 2], b='}')"));
    assert_eq!(value("l"), json!(["a", null]));
    assert_eq!(value("d"), json!({"x": 0.5}));
    assert_eq!(value("s"), json!(["a", "b"]));
    assert_eq!(items.len(), 8);
}

#[test]
fn configuration_as_servers_print_it() {
    let items = assignments(
        "model='/a, b=c', speculative_config=None, dtype=torch.bfloat16, load_format=LoadFormat.AUTO, \
         kv_cache_dtype=auto,  device_config=cuda, served_model_name=it's, seed=0, 7=8, lost, \
         obs=Obs(a='x, y', b=None), compilation={\"level\":3,\"on\":false,\"m\":<M.X: 2>}, last=0.5",
    );
    let names: Vec<_> = items.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "model",
            "speculative_config",
            "dtype",
            "load_format",
            "kv_cache_dtype",
            "device_config",
            "served_model_name",
            "seed",
            "obs",
            "compilation",
            "last"
        ]
    );
    assert_eq!(items[0].1, json!("/a, b=c"));
    assert_eq!(items[1].1, json!(null));
    assert_eq!(items[2].1, json!("torch.bfloat16"));
    assert_eq!(items[3].1, json!("auto"));
    assert_eq!(items[6].1, json!("it's"));
    assert_eq!(items[8].1, json!("Obs(a='x, y', b=None)"));
    assert_eq!(items[9].1, json!({"level": 3, "on": false, "m": "<M.X: 2>"}));
    assert_eq!(items[10].1, json!(0.5));
}

#[test]
fn what_is_cut_off_is_no_dictionary() {
    for text in ["", "{", "{'a': 1", "{'a': 'b}", "['a']", "{'a'}", "x{'a': 1}"] {
        assert_eq!(dictionary(text), None, "{text}");
    }
    assert_eq!(dictionary(" {} "), Some(vec![]));
}

#[test]
fn nesting_without_end_stays_a_text() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut value = value(&deep);
    for _ in 0..MAX_DEPTH {
        value = value[0].take();
    }
    assert!(value.is_string());
}
