//! `[factors]`: what is varied, and every combination of it.
//!
//! A factor is a path with a list of values, or a name of one's own with a list of *bundles*: each has a
//! name and sets several paths at once, for things that only make sense together, such as a prompt
//! profile's two lengths or the two sides of a comparison.

use std::collections::{BTreeMap, BTreeSet};

use super::MOST_POINTS;
use crate::matrix::{Launch, Matrix, MatrixError, MatrixSource};

/// The tables whose keys can be varied.
const TABLES: [&str; 4] = ["server", "workload", "load", "client"];
/// The factor whose values are lists.
const URLS: &str = "server.urls";

/// One combination: what each factor is called there, and what is set for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Combination {
    /// The value's name by the factor's.
    pub(super) factors: BTreeMap<String, String>,
    /// Paths and values, in order.
    pub(super) settings: Vec<(String, toml::Value)>,
}

/// One value of a factor.
struct Level {
    name: String,
    settings: Vec<(String, toml::Value)>,
}

/// The cartesian product of the factors; one empty combination when there are none.
pub(super) fn combinations(
    source: &MatrixSource,
    matrix: &Matrix,
) -> Result<Vec<Combination>, MatrixError> {
    let mut all = vec![Combination::default()];
    let mut set_by: BTreeMap<String, &str> = BTreeMap::new();
    for (factor, values) in &matrix.factors {
        let place = format!("factors.{factor}");
        let levels = levels(source, &place, factor, values)?;
        let mut paths: Vec<&String> =
            levels.iter().flat_map(|level| &level.settings).map(|(path, _)| path).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in &paths {
            if let Some((set, other)) = set_by.iter().find(|(set, _)| overlap(set, path)) {
                return Err(source.error_at(
                    &place,
                    format!(
                        "`{path}` and `{set}`, which the factor `{other}` sets, are one thing; one factor \
                         can vary it"
                    ),
                ));
            }
        }
        set_by.extend(paths.into_iter().map(|path| (path.clone(), factor.as_str())));
        all = all
            .iter()
            .flat_map(|combination| {
                levels.iter().map(|level| {
                    let mut combination = combination.clone();
                    combination.factors.insert(factor.clone(), level.name.clone());
                    combination.settings.extend_from_slice(&level.settings);
                    combination
                })
            })
            .collect();
        if all.len() > MOST_POINTS {
            return Err(source.error_at(
                &place,
                format!("the factors have more than {MOST_POINTS} combinations"),
            ));
        }
    }
    for combination in &all {
        refuse_what_cannot_be_varied(source, matrix, combination)?;
    }
    Ok(all)
}

/// The values of one factor.
fn levels(
    source: &MatrixSource,
    place: &str,
    factor: &str,
    values: &[toml::Value],
) -> Result<Vec<Level>, MatrixError> {
    if values.is_empty() {
        return Err(
            source.error_at(place, "the factor has no values; list one or more, or remove it")
        );
    }
    let is_path = is_path(factor);
    let own_name = !factor.contains('.') && !TABLES.contains(&factor);
    if !is_path && !own_name {
        return Err(source.error_at(
            place,
            "a factor is the path of a key in [server], [workload], [load] or [client], like \
             \"server.settings.max-num-seqs\", or a name of your own with bundles",
        ));
    }
    let mut levels: Vec<Level> = Vec::new();
    for value in values {
        let level = if is_path {
            let name = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(urls) if factor == URLS && counts_differ(values) => {
                    urls.len().to_string()
                }
                other => other.to_string(),
            };
            Level { name, settings: vec![(factor.to_owned(), value.clone())] }
        } else {
            bundle(source, place, value)?
        };
        if levels.iter().any(|known| known.name == level.name) {
            return Err(
                source.error_at(place, format!("the value {} stands there twice", level.name))
            );
        }
        levels.push(level);
    }
    Ok(levels)
}

/// Whether lists of URLs are told apart by how many they have, which is a shorter name.
fn counts_differ(values: &[toml::Value]) -> bool {
    let counts = values.iter().map(|value| value.as_array().map(Vec::len));
    let different: BTreeSet<_> = counts.clone().flatten().collect();
    counts.clone().all(|count| count.is_some()) && different.len() == counts.count()
}

/// `{ name = "short", "workload.input-tokens" = 64, "workload.output-tokens" = 32 }`
fn bundle(source: &MatrixSource, place: &str, value: &toml::Value) -> Result<Level, MatrixError> {
    let allowed = "a factor with a name of your own has bundles, like \
                   { name = \"short\", \"workload.input-tokens\" = 64, \"workload.output-tokens\" = 32 }";
    let wrong = |what: String| source.error_at(place, format!("{what}; {allowed}"));
    let table = value.as_table().ok_or_else(|| wrong(format!("{value} is no bundle")))?;
    let name = match table.get("name") {
        Some(toml::Value::String(name)) if !name.trim().is_empty() => name.clone(),
        Some(other) => return Err(wrong(format!("{other} is no name"))),
        None => return Err(wrong(format!("{value} has no name"))),
    };
    let mut settings = Vec::new();
    for (key, value) in table.iter().filter(|(key, _)| *key != "name") {
        flatten(key, value, &mut settings);
    }
    if let Some((path, _)) = settings.iter().find(|(path, _)| !is_path(path)) {
        return Err(wrong(format!(
            "`{path}` in the bundle `{name}` is no key in [server], [workload], [load] or [client]"
        )));
    }
    if settings.is_empty() {
        return Err(wrong(format!("the bundle `{name}` sets nothing")));
    }
    Ok(Level { name, settings })
}

/// A dotted key without quotes is a table in a table to TOML: `server.settings.x = 1` is the path
/// `server.settings.x` all the same.
fn flatten(path: &str, value: &toml::Value, settings: &mut Vec<(String, toml::Value)>) {
    match value {
        toml::Value::Table(table) if TABLES.contains(&path) || path == "server.settings" => {
            for (key, value) in table {
                flatten(&format!("{path}.{key}"), value, settings);
            }
        }
        _ => settings.push((path.to_owned(), value.clone())),
    }
}

/// Whether two paths are the same, or one lies in the other.
fn overlap(a: &str, b: &str) -> bool {
    let inside = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    inside(a, b) || inside(b, a)
}

fn is_path(path: &str) -> bool {
    TABLES.iter().any(|table| {
        path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.') && rest.len() > 1)
    })
}

/// The settings of a server that is only attached: every group would measure the same one, unless
/// each has a server of its own.
fn refuse_what_cannot_be_varied(
    source: &MatrixSource,
    matrix: &Matrix,
    combination: &Combination,
) -> Result<(), MatrixError> {
    let set = |path: &str| combination.settings.iter().find(|(own, _)| own == path);
    let launch = set("server.launch").and_then(|(_, value)| value.as_str());
    let attached = launch.map_or(matrix.server.launch == Launch::Attach, |text| text == "attach");
    if !attached || set("server.url").or(set("server.urls")).is_some() {
        return Ok(());
    }
    let varied = combination.settings.iter().find(|(path, _)| overlap("server.settings", path));
    let Some((path, _)) = varied else { return Ok(()) };
    let factor = matrix
        .factors
        .keys()
        .find(|factor| *factor == path)
        .or_else(|| matrix.factors.keys().find(|factor| !is_path(factor)));
    Err(source.error_at(
        &factor.map_or_else(|| "factors".to_owned(), |factor| format!("factors.{factor}")),
        "the settings of a server that is only attached cannot be varied from here: every point would measure \
         the same server; measure each setting in a run of its own, or give each a `server.url` of its own in \
         a bundle",
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::{Plan, factor_text};

    const BASE: &str = r#"[experiment]
kind = "saturation"
[workload]
input-tokens = 64
output-tokens = 16
[load]
rates = [1]
[factors]
"#;

    fn plan(factors: &str) -> Result<Plan, MatrixError> {
        Plan::new(MatrixSource::new(Path::new("m.toml"), format!("{BASE}{factors}\n")))
    }

    fn labels(factors: &str) -> Vec<String> {
        let plan = plan(factors).unwrap();
        plan.groups.iter().map(|group| factor_text(&group.factors)).collect()
    }

    #[test]
    fn a_bundle_sets_what_belongs_together_under_one_name() {
        let factors = r#"
profile = [
  { name = "short", "workload.input-tokens" = 16, "workload.output-tokens" = 8 },
  { name = "long", workload.input-tokens = { uniform = { min = 90, max = 110 } }, server.settings.max-num-seqs = 4 },
]
"client.api" = ["chat", "completions"]"#;
        let plan = plan(factors).unwrap();
        assert_eq!(plan.groups.len(), 4);
        let short = plan.groups.iter().find(|group| group.factors["profile"] == "short").unwrap();
        assert_eq!(short.workload.max_total_tokens(), Some(24));
        let long = plan.groups.iter().find(|group| group.factors["profile"] == "long").unwrap();
        assert_eq!(long.matrix.server.settings["max-num-seqs"], 4);
        assert_eq!(long.workload.max_total_tokens(), Some(126));
    }

    #[test]
    fn two_attached_servers_may_have_settings_of_their_own() {
        let bundle = |name: &str, port: u16, seqs: u32| {
            format!(
                "{{ name = \"{name}\", server.launch = \"attach\", server.url = \"http://localhost:{port}\", \
                 server.settings.max-num-seqs = {seqs} }}"
            )
        };
        let both = format!("side = [{}, {}]", bundle("a", 8000, 16), bundle("b", 8001, 32));
        assert_eq!(labels(&both), ["side=a", "side=b"]);
    }

    #[test]
    fn lists_of_urls_are_called_by_their_number_where_that_tells_them_apart() {
        let urls = |lists: &str| {
            labels(&format!("\"server.launch\" = [\"attach\"]\n\"server.urls\" = [{lists}]"))
        };
        assert_eq!(
            urls(r#"["http://a"], ["http://a", "http://b"]"#),
            ["server.launch=attach server.urls=1", "server.launch=attach server.urls=2"]
        );
        let by_name = urls(r#"["http://a"], ["http://b"]"#);
        assert!(by_name[1].ends_with(r#"server.urls=["http://b"]"#), "{by_name:?}");
    }

    #[test]
    fn what_is_no_factor_is_refused_with_its_place() {
        for (factors, wrong) in [
            ("profile = [1]", "m.toml:9: factors.profile: 1 is no bundle; a factor with"),
            ("profile = [{ a = 1 }]", "has no name; a factor with"),
            ("profile = [{ name = 3 }]", "3 is no name"),
            ("profile = [{ name = \"a\" }]", "the bundle `a` sets nothing"),
            (
                "profile = [{ name = \"a\", \"slo.ttft-p99\" = \"1s\" }]",
                "`slo.ttft-p99` in the bundle `a` is no key in [server]",
            ),
            (
                "profile = [{ name = \"a\", \"client.api\" = \"chat\" }, { name = \"a\", \"client.api\" = \"completions\" }]",
                "the value a stands there twice",
            ),
            ("workload = [{ name = \"a\" }]", "factors.workload: a factor is the path of a key"),
            ("\"workload.\" = [1]", "a factor is the path of a key"),
            (
                "profile = [{ name = \"a\", \"client.api\" = \"chat\" }]\n\"client.api\" = [\"chat\"]",
                "factors.profile: `client.api` and `client.api`, which the factor `client.api` sets, are one thing",
            ),
            (
                "side = [{ name = \"a\", server.settings.max-num-seqs = 1 }]\n\"server.settings\" = [{ max-num-seqs = 2 }]",
                "factors.side: `server.settings.max-num-seqs` and `server.settings`, which",
            ),
            (
                "side = [{ name = \"a\", server.launch = \"attach\", server.settings.max-num-seqs = 1 }]",
                "m.toml:9: factors.side: the settings of a server that is only attached",
            ),
        ] {
            let error = plan(factors).expect_err(factors).to_string();
            assert!(error.contains(wrong), "{factors}\n{error}");
        }
    }
}
