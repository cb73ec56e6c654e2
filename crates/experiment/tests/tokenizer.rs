//! `workload.tokenizer`: prompts measured by a tokenizer file in this process, with the feature, and a clear
//! refusal without it.

use std::path::Path;

use plimsoll_experiment::{MatrixError, MatrixSource, Plan};

const MATRIX: &str = r#"
[experiment]
kind = "saturation"
seed = 3
self-test = false
[server]
model = "tiny"
[workload]
input-tokens = 40
output-tokens = 4
tokenizer = "tokenizer.json"
[load]
rates = [10]
window = { warm-up = "200ms", measure = "1s" }
"#;

fn plan(text: &str, folder: &Path) -> Result<Plan, MatrixError> {
    Plan::new(MatrixSource::new(&folder.join("m.toml"), text.to_owned()))
}

#[test]
fn prompts_of_a_file_are_not_measured() {
    let text = MATRIX.replace("input-tokens = 40", "prompts = \"prompts.jsonl\"");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prompts.jsonl"), "{\"prompt\": \"Say hello.\"}\n").unwrap();
    let error = plan(&text, folder.path()).unwrap_err().to_string();
    assert!(error.contains("m.toml:11: workload.tokenizer: only synthetic prompts"), "{error}");
}

#[cfg(not(feature = "tokenizer"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let error = plan(MATRIX, Path::new("somewhere")).unwrap_err().to_string();
    assert!(error.contains("somewhere/tokenizer.json"), "{error}");
    assert!(error.contains("m.toml:11") && error.contains("`--features tokenizer`"), "{error}");
}

#[cfg(feature = "tokenizer")]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod with_the_feature {
    use plimsoll_experiment::{Interrupt, RunError, RunOptions, RunResult, Silent, run};
    use plimsoll_records::{ResultsFolder, Tool, read_point};

    use super::*;

    /// A tokenizer to which every word is a token, or every letter.
    fn write(folder: &Path, words: bool) {
        let model = if words {
            r#"{"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}"#
        } else {
            r#"{"type": "BPE", "vocab": {"?": 0}, "merges": [], "unk_token": "?"}"#
        };
        let text = format!(
            r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {{"type": "WhitespaceSplit"}}, "post_processor": null, "decoder": null,
            "model": {model}}}"#
        );
        std::fs::write(folder.join("tokenizer.json"), text).unwrap();
    }

    fn measured(folder: &Path) -> Result<RunResult, RunError> {
        let tool = Tool { name: "test".to_owned(), version: "0".to_owned(), commit: None };
        let options = RunOptions { results: folder.join("results"), tool };
        run(&plan(MATRIX, folder).unwrap(), &options, &Interrupt::new(), &mut Silent)
    }

    #[test]
    fn the_server_counts_what_the_tokenizer_counted_and_its_template() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), true);
        let result = measured(folder.path()).unwrap();
        let said = |part: &str| result.manifest.remarks.iter().any(|remark| remark.contains(part));
        assert!(said("calibrated by workload.tokenizer"), "{:?}", result.manifest.remarks);
        assert!(said("8 tokens of template") || said("9 tokens of template"));
        let dir = ResultsFolder::open(&result.folder).unwrap().point("rate-10").unwrap();
        let rows = read_point(&dir).unwrap().rows;
        assert!(!rows.is_empty());
        assert!(rows.iter().all(|row| row.prompt_tokens == Some(40)), "{:?}", rows[0]);
    }

    #[test]
    fn the_tokenizer_of_another_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), false);
        let error = measured(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another model's"), "{error}");
    }

    #[test]
    fn what_is_no_tokenizer_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        let error = plan(MATRIX, folder.path()).unwrap_err().to_string();
        assert!(error.contains("m.toml:11") && error.contains("is no tokenizer"), "{error}");
    }
}
