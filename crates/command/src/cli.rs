//! The flags that every experiment has.

use std::path::{Path, PathBuf};

use clap::Parser;
use plimsoll_experiment::{Kind, MatrixError, MatrixSource, RunOptions};
use plimsoll_records::{AuditPolicy, Denied, FindingCode, Tool};

use crate::measure::{BuiltIn, Experiment};
use crate::output::Output;

/// What a single URL lacks for a scaling.
const ONE_SIZE: &str = "the server behind one --url has one size, and nothing can be said of how it scales: give --url once \
    for each replica (they are measured one, two, three, ... at a time), or a matrix that starts the server in \
    several sizes, like matrices/scaling-vllm.toml";

/// The flags of an experiment; name and description are the binary's.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 the measurement is valid or qualified, 1 the tool failed, 2 usage or matrix, \
                  3 the measurement is invalid, 4 the target was unreachable or lost, 5 a gate of --fail-on was \
                  not passed, 130 interrupted."
)]
pub(crate) struct Cli {
    /// The matrix, a TOML file; see matrices/ for examples.
    matrix: Option<PathBuf>,
    /// Measures the server at this base URL; the matrix's own `server` table is put aside. `compare` takes
    /// two or more, and compares those servers: the matrix's factors are put aside, too. `scaling` takes one for
    /// each replica, and measures the first, the first two, and so on.
    #[arg(long)]
    url: Vec<String>,
    /// The model's name; the server's first one by default.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The environment variable that holds the API key.
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
    /// Where the results folder is made.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Overrides a value of the matrix, like `--set load.rates=[5,10]` (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Makes findings of this code notes that neither qualify nor void; `setting-not-applied` does not
    /// stop a point then, and stays a warning (repeatable).
    #[arg(long, value_name = "CODE")]
    allow: Vec<FindingCode>,
    /// Makes findings of this code errors, or all `warnings` (repeatable).
    #[arg(long, value_name = "CODE")]
    deny: Vec<Denied>,
    /// How the result is shown.
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Cli {
    /// The matrix with the command line's overrides.
    pub(crate) fn matrix(&self, experiment: &Experiment) -> Result<MatrixSource, MatrixError> {
        let mut source = match &self.matrix {
            Some(file) => MatrixSource::read(file)?,
            None => {
                let BuiltIn { name, text } =
                    if self.url.is_empty() { experiment.simulator } else { experiment.attach };
                MatrixSource::new(Path::new(&format!("<built-in {name}>")), text.to_owned())
            }
        };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        // The whole table: the model and the settings of the matrix's own server are not this one's.
        let several = self.url.len() > 1;
        let all = serde_json::json!(self.url);
        if several && experiment.kind == Kind::Scaling {
            let sizes: Vec<_> = (1..=self.url.len()).map(|size| &self.url[..size]).collect();
            // An array of JSON is one of TOML.
            source.set(format!("server={{ launch = \"attach\", urls = {all} }}"));
            source.set(format!("factors.\"server.urls\"={}", serde_json::json!(sizes)));
        } else if let Some(url) = self.url.first() {
            if self.matrix.is_none() && experiment.kind == Kind::Scaling {
                return Err(source.error_at("server.urls", ONE_SIZE));
            }
            source.set(format!("server={{ launch = \"attach\", url = {} }}", quoted(url)));
            if several {
                source.set(format!("factors={{ \"server.url\" = {all} }}"));
            }
        }
        if self.url.len() == 1 {
            let matrix = source.parse()?;
            let compares_urls = matrix.factors.iter().any(|(factor, levels)| {
                let in_bundle = levels.iter().any(|level| {
                    let table = level.get("server").and_then(|table| table.get("url"));
                    level.get("server.url").or(table).is_some()
                });
                factor == "server.url" || in_bundle
            });
            if compares_urls {
                return Err(source.error_at(
                    "factors",
                    "the servers that are to be compared have URLs of their own here, so one --url fits none of \
                     them; give two or more, or none",
                ));
            }
        }
        if let Some(model) = &self.model {
            source.set(format!("server.model={}", quoted(model)));
        }
        if let Some(variable) = &self.api_key_env {
            source.set(format!("server.api-key-env={}", quoted(variable)));
        }
        for assignment in &self.set {
            source.set(assignment);
        }
        // The matrix's own list and the flags': a flag takes back what the matrix says of its code.
        let flags = AuditPolicy { allow: self.allow.clone(), deny: self.deny.clone() };
        if !flags.is_empty() {
            let policy = source.parse()?.experiment.policy().and(&flags);
            // An array of JSON is one of TOML.
            source.set(format!("experiment.allow={}", serde_json::json!(policy.allow)));
            source.set(format!("experiment.deny={}", serde_json::json!(policy.deny)));
        }
        Ok(source)
    }

    /// Where the results go, and who wrote them.
    pub(crate) fn options(&self, experiment: &Experiment) -> RunOptions {
        RunOptions { results: self.results.clone(), tool: tool(experiment.kind.as_str()) }
    }
}

/// The program `name` of this build.
pub(crate) fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: Some(env!("PLIMSOLL_COMMIT").to_owned()).filter(|commit| !commit.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    #[test]
    fn several_urls_are_the_settings_of_a_comparison_and_of_nothing_else() {
        let text = "[experiment]\nkind = \"compare\"\n[server]\nmodel = \"tiny\"\n[workload]\ninput-tokens = 8\n\
                    output-tokens = 8\n[load]\nconcurrency = [1]\n[factors]\n\
                    \"server.settings.max-num-seqs\" = [1, 2]\n";
        let matrix = BuiltIn { name: "mine.toml", text };
        let experiment =
            Experiment { kind: Kind::Compare, about: "", simulator: matrix, attach: matrix };
        let parsed = |kind: Kind, flags: &[&str]| {
            let flags = std::iter::once("it").chain(flags.iter().copied());
            let matches = crate::measure::command(kind).try_get_matches_from(flags)?;
            Cli::from_arg_matches(&matches)
        };
        let two = ["--url", "http://a:1", "--url", "http://b:2"];
        let cli = parsed(Kind::Compare, &two).expect("both are taken");
        let source = cli.matrix(&experiment).expect("it is a matrix");
        let read = source.parse().expect("it is a matrix");
        let values: Vec<_> = read.factors["server.url"].iter().map(|it| it.as_str()).collect();
        assert_eq!((read.factors.len(), values), (1, vec![Some("http://a:1"), Some("http://b:2")]));
        assert_eq!(read.server.model, None, "it was the other server's");
        plimsoll_experiment::Plan::new(source).expect("there are two settings");
        let refused = parsed(Kind::Saturation, &two).expect_err("one server has a capacity");
        assert!(refused.to_string().contains("cannot be used multiple times"), "{refused}");
        assert_eq!(parsed(Kind::Lowload, &two[..2]).expect("one is taken").url, ["http://a:1"]);
        // One server alone is what it is.
        let cli = parsed(Kind::Compare, &two[..2]).expect("one is taken");
        let source = cli.matrix(&experiment).expect("it is a matrix");
        let refused =
            plimsoll_experiment::Plan::new(source).expect_err("its settings cannot be varied");
        assert!(refused.to_string().contains("cannot be varied from here"), "{refused}");
    }

    #[test]
    fn what_flags_allow_and_deny_is_added_to_the_matrix_and_wins_over_it() {
        let text = "[experiment]\nkind = \"saturation\"\nallow = [\"single-run\", \"drain-bias\"]\n\
                    deny = [\"cold-start\"]\n[workload]\ninput-tokens = 8\noutput-tokens = 8\n\
                    [load]\nrates = [1]\n";
        let matrix = BuiltIn { name: "mine.toml", text };
        let experiment =
            Experiment { kind: Kind::Saturation, about: "", simulator: matrix, attach: matrix };
        let policy = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["saturation"].iter().chain(flags)).ok()?;
            Some(cli.matrix(&experiment).ok()?.parse().ok()?.experiment.policy().in_words())
        };
        let said = |words: &str| Some(words.to_owned());
        assert_eq!(policy(&[]), said("allowed: single-run, drain-bias; denied: cold-start"));
        assert_eq!(
            policy(&["--allow", "cold-start", "--deny", "warnings", "--deny", "drain-bias"]),
            said("allowed: single-run, cold-start; denied: warnings, drain-bias")
        );
        assert_eq!(policy(&["--allow", "cold-strat"]), None, "no code of the audit");
        let both = ["saturation", "--allow", "cold-start", "--deny", "cold-start"];
        let source = Cli::try_parse_from(both).ok().and_then(|cli| cli.matrix(&experiment).ok());
        let refused = plimsoll_experiment::Plan::new(source.expect("the plan refuses it"));
        let error = refused.expect_err("both cannot be").to_string();
        assert!(error.contains("`cold-start` is allowed and denied"), "{error}");
    }

    #[test]
    fn several_urls_are_replicas_and_scaling_measures_them_one_after_the_other() {
        let text = "[experiment]\nkind = \"scaling\"\n[workload]\ninput-tokens = 8\noutput-tokens = 8\n\
                    [load]\nrates = [1]\n";
        let matrix = BuiltIn { name: "mine.toml", text };
        let experiment =
            Experiment { kind: Kind::Scaling, about: "", simulator: matrix, attach: matrix };
        let of = |urls: &[&str]| {
            let flags = urls.iter().flat_map(|url| ["--url", url]);
            let cli = Cli::try_parse_from(["scaling"].into_iter().chain(flags)).expect("flags");
            cli.matrix(&experiment).and_then(|source| source.parse())
        };
        let two = of(&["http://a", "http://b"]).expect("two sizes");
        assert_eq!(two.server.urls, ["http://a", "http://b"]);
        let lists = two.factors["server.urls"].iter();
        let counts: Vec<_> = lists.map(|urls| urls.as_array().map(Vec::len)).collect();
        assert_eq!(counts, [Some(1), Some(2)]);
        let refused = of(&["http://a"]).expect_err("one size").to_string();
        assert!(refused.contains("give --url once for each replica"), "{refused}");
    }
}
