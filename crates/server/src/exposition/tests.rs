//! Lines as the format's description has them, and the parser against a writer it does not know.

use proptest::prelude::*;

use super::*;

fn one(line: &str) -> Sample {
    let page = Exposition::parse(line.as_bytes());
    assert_eq!((page.samples.len(), page.skipped_lines), (1, 0), "{line}");
    page.samples[0].clone()
}

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    Sample { name: name.to_owned(), labels, value }
}

#[test]
fn every_form_of_a_sample_line() {
    for (line, expected) in [
        ("up 1", sample("up", &[], 1.0)),
        ("\tvllm:x_total \t 1.5e+03 \r", sample("vllm:x_total", &[], 1500.0)),
        ("a{} 2", sample("a", &[], 2.0)),
        ("a{b=\"c\",} 2", sample("a", &[("b", "c")], 2.0)),
        ("a { b = \"c\" , d=\"\" } -2", sample("a", &[("b", "c"), ("d", "")], -2.0)),
        ("a{b=\"}, # {\"} 2", sample("a", &[("b", "}, # {")], 2.0)),
        (r#"a{b="\\ \" \n \t"} 2"#, sample("a", &[("b", "\\ \" \n \\t")], 2.0)),
        ("a{b=\"é\u{1f600}\"} 2", sample("a", &[("b", "é\u{1f600}")], 2.0)),
        ("a +Inf", sample("a", &[], f64::INFINITY)),
        ("a{le=\"+Inf\"} -Inf", sample("a", &[("le", "+Inf")], f64::NEG_INFINITY)),
        ("a 2 1395066363000", sample("a", &[], 2.0)),
        ("a 2 -3982045", sample("a", &[], 2.0)),
        ("a_bucket{le=\"1\"} 7 # {trace_id=\"x\"} 0.67", sample("a_bucket", &[("le", "1")], 7.0)),
        ("a 7 1520879607.789 # {} 1 1520879607.789", sample("a", &[], 7.0)),
        ("{\"my.metric\", b=\"c\"} 2", sample("my.metric", &[("b", "c")], 2.0)),
        ("{\"my.metric\"} 2", sample("my.metric", &[], 2.0)),
        ("a{\"b.c\"=\"d\"} 2", sample("a", &[("b.c", "d")], 2.0)),
    ] {
        assert_eq!(one(line), expected, "{line}");
    }
    assert!(one("a NaN").value.is_nan());
}

#[test]
fn comments_are_passed_over_and_garbage_is_counted() {
    let page = Exposition::parse(
        b"# HELP a says \"hello\"\n# TYPE a counter\n#\n\n   \n# EOF\na 1\r\nb 2",
    );
    assert_eq!((page.samples.len(), page.skipped_lines), (2, 0));
    for line in [
        "<!doctype html>",
        "a",
        "a{",
        "a{b",
        "a{b=",
        "a{b=\"c",
        "a{b=\"c\"",
        "a{b=\"c\"}",
        "a{b=c} 1",
        "a{=\"c\"} 1",
        "a{b=\"c\" d=\"e\"} 1",
        "a{,} 1",
        "a{\"x\"} 1",
        "{} 1",
        "{b=\"c\"} 1",
        "{\"\"} 1",
        "1a 1",
        "a+1",
        "a one",
        "a 1 2 3",
        "a 1 x",
        "a 1 2 x",
        "\"a\" 1",
        "a{b=\"\\",
    ] {
        let page = Exposition::parse(line.as_bytes());
        assert_eq!((page.samples.len(), page.skipped_lines), (0, 1), "{line}");
    }
    assert_eq!(Exposition::parse(b"a 1\n\xff\xfe 2\nb 3").skipped_lines, 1);
}

#[test]
fn named_gives_every_label_set() {
    let page = Exposition::parse(b"a{e=\"0\"} 1\nab 5\na{e=\"1\"} 2\n");
    assert_eq!(page.named("a").map(|s| s.value).sum::<f64>(), 3.0);
    assert_eq!(page.named("none").count(), 0);
}

/// The format's own writing rules, from its description.
fn write(sample: &Sample, timestamp: Option<i64>) -> String {
    let labels: Vec<_> = sample
        .labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let timestamp = timestamp.map_or_else(String::new, |t| format!(" {t}"));
    format!("{}{labels} {:e}{timestamp}\n", sample.name, sample.value)
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let label = ("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>());
    (
        "[a-zA-Z_:][a-zA-Z0-9_:]{0,16}",
        prop::collection::vec(label, 0..4),
        prop::num::f64::ANY.prop_filter("NaN is no equal of itself", |v| !v.is_nan()),
    )
        .prop_map(|(name, labels, value)| Sample { name, labels, value })
}

proptest! {
    /// Invariant: no bytes make the parser panic, and every line is a sample, a skip or a comment.
    #[test]
    fn any_bytes_are_read(page in prop::collection::vec(any::<u8>(), 0..400)) {
        let lines = page.split(|&b| b == b'\n').count();
        let read = Exposition::parse(&page);
        prop_assert!(read.samples.len() + read.skipped_lines <= lines);
    }

    /// Invariant: the same holds for lines that begin like samples, where the parser goes deepest.
    #[test]
    fn near_misses_are_read(page in r#"([a-b{}="\\, #+.0-9\n\r\t]|NaN|Inf|é){0,80}"#) {
        let lines = page.split('\n').count();
        let read = Exposition::parse(page.as_bytes());
        prop_assert!(read.samples.len() + read.skipped_lines <= lines);
    }

    /// Invariant: what the format's rules write is read back as it was.
    #[test]
    fn what_is_written_is_read_back(
        samples in prop::collection::vec((any_sample(), any::<Option<i64>>()), 0..8)
    ) {
        let page: String = samples.iter().map(|(s, t)| write(s, *t)).collect();
        let read = Exposition::parse(page.as_bytes());
        prop_assert_eq!(read.skipped_lines, 0);
        let written: Vec<_> = samples.into_iter().map(|(s, _)| s).collect();
        prop_assert_eq!(read.samples, written);
    }
}
