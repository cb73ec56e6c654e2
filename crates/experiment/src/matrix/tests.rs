use std::path::Path;

use plimsoll_units::Rate;

use super::*;

const GOOD: &str = r#"
[experiment]
kind = "saturation"

[server]
model = "tiny"
settings = { max-num-seqs = 8 }

[workload]
input-tokens = 64
output-tokens = 16

[load]
rates = [1, "2/s", 3.5]
window = { warm-up = "1s", measure = "2s" }

[slo]
ttft-p99 = "500ms"
"#;

fn source(text: &str) -> MatrixSource {
    MatrixSource::new(Path::new("m.toml"), text.to_owned())
}

/// The error of `GOOD` with one replacement.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    source(&GOOD.replacen(from, to, 1)).parse().unwrap_err().to_string()
}

#[test]
fn a_good_matrix_reads_with_its_defaults() {
    let matrix = source(GOOD).parse().unwrap();
    let Some(Rates::Ladder(rates)) = matrix.load.rates else { panic!("{:?}", matrix.load.rates) };
    assert_eq!(rates.iter().map(|rate| rate.per_second()).collect::<Vec<_>>(), [1.0, 2.0, 3.5]);
    assert_eq!(matrix.server.launch, Launch::Sim);
    assert_eq!(matrix.load.arrivals, LoadArrivals::Process(ArrivalProcess::Poisson));
    assert_eq!(matrix.load.window.drain_limit.to_string(), "1m");
    assert!(matrix.client.ignore_eos);
    assert_eq!((matrix.client.stamps, matrix.client.prewarm), (None, Prewarm::Auto));
    assert_eq!(matrix.experiment.self_test, SelfTesting::For("2s".parse().unwrap()));
}

#[test]
fn self_tests_and_prewarming_have_their_words_and_values() {
    let with = |assignment: &str| {
        let mut source = source(GOOD);
        source.set(assignment);
        source.parse().map_err(|error| error.to_string())
    };
    let self_test = |value: &str| {
        with(&format!("experiment.self-test={value}")).map(|matrix| matrix.experiment.self_test)
    };
    assert_eq!(self_test("true"), Ok(SelfTesting::default()));
    assert_eq!(self_test("false"), Ok(SelfTesting::Off));
    assert_eq!(self_test("4s"), Ok(SelfTesting::For("4s".parse().unwrap())));
    assert!(self_test("2").unwrap_err().contains("true, false, or a span"));
    assert!(self_test("long").unwrap_err().contains("or true or false"));
    let prewarm =
        |value: &str| with(&format!("client.prewarm={value}")).map(|matrix| matrix.client.prewarm);
    assert_eq!(prewarm("0"), Ok(Prewarm::Connections(0)));
    assert_eq!(prewarm("auto"), Ok(Prewarm::Auto));
    for wrong in ["-1", "65537", "some", "1.5"] {
        assert!(prewarm(wrong).unwrap_err().contains("65536"), "{wrong}");
    }
    assert!(with("client.stamps=sockets").unwrap_err().contains("did you mean `socket`?"));
}

#[test]
fn a_misspelled_key_is_refused_with_line_and_suggestion() {
    let error = refused("rates =", "rate =");
    assert!(error.starts_with("m.toml:14: unknown field `rate`"), "{error}");
    assert!(error.ends_with("did you mean `rates`?"), "{error}");
    let error = refused("[slo]", "[slow]");
    assert!(error.contains("m.toml:17") && error.contains("did you mean `slo`?"), "{error}");
    // Nothing near: no suggestion, but the list of what is allowed.
    let error = refused("model =", "zebra =");
    assert!(error.contains("expected one of") && !error.contains("did you mean"), "{error}");
}

#[test]
fn bad_units_and_rates_are_refused_with_the_line() {
    for (from, to, line, word) in [
        ("\"1s\"", "\"1 parsec\"", 15, "`1 parsec` is not a span of time"),
        ("\"2s\"", "\"2\"", 15, "unit is missing"),
        ("\"2s\"", "2", 15, "unit is missing"),
        ("[1,", "[-1,", 14, "`-1` is not a rate"),
        ("\"2/s\"", "\"2/h\"", 14, "`2/h` is not a rate"),
        ("[1, \"2/s\", 3.5]", "\"automatic\"", 14, "`automatic` is neither"),
        ("\"500ms\"", "\"-1ms\"", 18, "number must come first"),
        ("\"saturation\"", "\"saturate\"", 3, "did you mean `saturation`?"),
        ("output-tokens = 16", "output-tokens = -16", 11, ""),
        ("[load]", "[load", 13, ""),
    ] {
        let error = refused(from, to);
        assert!(error.starts_with(&format!("m.toml:{line}: ")), "{to}: {error}");
        assert!(error.contains(word), "{to}: {error}");
    }
}

#[test]
fn overrides_reach_any_depth_and_are_named_when_wrong() {
    let mut good = source(GOOD);
    good.set("load.rates=[7]");
    good.set("server.settings.max-num-seqs=9");
    good.set("server.model=other");
    good.set("slo.tpot-p50=\"30ms\"");
    let matrix = good.parse().unwrap();
    assert_eq!(matrix.load.rates, Some(Rates::Ladder(vec![Rate::new(7.0).unwrap()])));
    assert_eq!(matrix.server.settings["max-num-seqs"], 9);
    assert_eq!(matrix.server.model.as_deref(), Some("other"));
    assert_eq!(matrix.slo["tpot-p50"].to_string(), "30ms");

    for (assignment, word) in [
        ("load.rats=[7]", "did you mean `rates`?"),
        ("load.rates", "has no `=`"),
        ("experiment.kind.deep=1", "is a value, not a table"),
        (".x=1", "is not a path"),
        ("load.rates=[0]", "above zero"),
    ] {
        let mut bad = source(GOOD);
        bad.set(assignment);
        let error = bad.parse().unwrap_err().to_string();
        assert!(
            error.contains(word) && error.contains(assignment.split('=').next().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = MatrixSource::read(Path::new("/nowhere/m.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/m.toml: cannot read the matrix"), "{error}");
}

#[test]
fn a_path_finds_its_line_also_through_dotted_and_quoted_keys() {
    let text = "a = 1\n[server]\nsettings.max = 2\n[factors]\n\"server.settings.max\" = []\n";
    let at = |path: &str| source(text).error_at(path, "x").line();
    assert_eq!(at("a"), Some(1));
    assert_eq!(at("server.settings.max"), Some(3));
    assert_eq!(at("factors.server.settings.max"), Some(5));
    assert_eq!(at("server.other"), Some(2));
    assert_eq!(at("nothing"), None);
}
