//! The flags that every experiment has.

use std::path::{Path, PathBuf};

use clap::Parser;
use plimsoll_experiment::{MatrixError, MatrixSource, RunOptions};
use plimsoll_records::{AuditPolicy, Denied, FindingCode, Tool};

use crate::measure::{BuiltIn, Experiment};
use crate::output::Output;

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
    /// Measures the server at this base URL; the matrix's own `server` table is put aside.
    #[arg(long)]
    url: Option<String>,
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
                    if self.url.is_some() { experiment.attach } else { experiment.simulator };
                MatrixSource::new(Path::new(&format!("<built-in {name}>")), text.to_owned())
            }
        };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        if let Some(url) = &self.url {
            // The whole table: the model and the settings of the matrix's own server are not this one's.
            source.set(format!("server={{ launch = \"attach\", url = {} }}", quoted(url)));
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
    use plimsoll_experiment::Kind;

    use super::*;

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
}
