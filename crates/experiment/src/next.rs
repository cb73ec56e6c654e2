//! `next.toml`: the matrix that would settle why throughput does not grow, written beside the results.

use std::fmt::Write as _;
use std::path::Path;

use plimsoll_analysis::{Group, Judgement, NextExperiment, Question, next_experiment};
use plimsoll_records::{Manifest, RecordsError, ResultsFolder};
use serde_json::Value;

/// Columns of a comment.
const WIDTH: usize = 100;

/// Writes the next experiment of each group of `judgement` that has one. `matrix_folder` is that of the run's
/// matrix: paths that started from there are written so that they still lead there.
pub(crate) fn write_next(
    folder: &ResultsFolder,
    manifest: &Manifest,
    judgement: &Judgement,
    matrix_folder: &Path,
) -> Result<(), RecordsError> {
    // A run that was resumed may have other groups, and other answers.
    folder.remove_next_matrices()?;
    let groups = judgement.groups.len();
    if judgement.question == Question::Latency {
        return Ok(()); // Nobody asked why throughput does not grow.
    }
    for (place, group) in judgement.groups.iter().enumerate() {
        if let Some(text) = next_matrix(manifest, group, matrix_folder) {
            folder.write_next_matrix(place, groups, &text)?;
        }
    }
    Ok(())
}

/// The next experiment of `group` as the text of a matrix, its question in comments above; `None` where
/// there is none. `matrix_folder` is the folder that relative paths of the run's matrix start from.
#[must_use]
pub fn next_matrix(manifest: &Manifest, group: &Group, matrix_folder: &Path) -> Option<String> {
    let mut next = next_experiment(manifest, group)?;
    // Where the working folder is not known, relative paths are left as they are.
    let absolute = std::path::absolute(matrix_folder.join(".")).unwrap_or_default();
    lead_back(&mut next.matrix, &absolute);
    let matrix = toml::to_string(&next.matrix).ok()?;
    Some(format!("{}\n{matrix}", comments(manifest, group, &next)))
}

/// What the matrix is, in comments.
fn comments(manifest: &Manifest, group: &Group, next: &NextExperiment) -> String {
    let mut text = String::new();
    let diagnosis = &group.diagnosis;
    comment(&mut text, &format!("Why does throughput not grow? {}.", diagnosis.sentence));
    comment(&mut text, &next.question);
    if let Some(start) = &next.start_server_with {
        comment(&mut text, &format!("First start the server with {start}."));
    }
    let of = group.label();
    let of = if of.is_empty() { of } else { format!(" ({of})") };
    comment(
        &mut text,
        &format!(
            "Made of the matrix of the {} run of {}{of}; the seed is left out, so that it is drawn afresh, \
             and this is changed:",
            manifest.experiment, manifest.started
        ),
    );
    for change in &next.changes {
        comment(&mut text, &format!("  {}", change.line()));
    }
    text
}

/// Adds comment lines with `text`, broken between words.
fn comment(text: &mut String, said: &str) {
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = String::from("#");
    for word in said.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim() != "#" {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// Makes the relative paths of a matrix start from `folder`.
fn lead_back(matrix: &mut Value, folder: &Path) {
    let join = |value: &mut Value| {
        if let Value::String(path) = value {
            *path = plain(&folder.join(&*path));
        }
    };
    if let Some(workload) = matrix.get_mut("workload") {
        lead_back_within(workload, &join);
    }
    let Some(server) = matrix.get_mut("server").and_then(Value::as_object_mut) else { return };
    if server.get("launch").and_then(Value::as_str) == Some("process") {
        // A command runs in the folder of its matrix, if it is not told another.
        server.entry("folder").or_insert_with(|| Value::from("."));
    }
    for key in ["file", "folder", "log"] {
        server.get_mut(key).map(join);
    }
}

/// Every path in a table of the workload, however deep: the prompts, and the `path` of a trace.
fn lead_back_within(table: &mut Value, join: &impl Fn(&mut Value)) {
    for (key, value) in table.as_object_mut().into_iter().flatten() {
        if matches!(key.as_str(), "prompts" | "path") {
            join(value);
        }
        lead_back_within(value, join);
    }
}

/// A path without the steps that lead nowhere.
fn plain(path: &Path) -> String {
    let kept = path.components().filter(|part| *part != std::path::Component::CurDir);
    kept.collect::<std::path::PathBuf>().display().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn relative_paths_lead_back_to_where_they_started() {
        let mut matrix = json!({
            "workload": {
                "input-tokens": {"trace": {"path": "conv.csv", "column": "in"}},
                "output-tokens": 16,
                "prompts": "/data/p.jsonl"
            },
            "server": {"launch": "process", "command": "serve"}
        });
        lead_back(&mut matrix, Path::new("/home/me/runs/."));
        assert_eq!(matrix["workload"]["input-tokens"]["trace"]["path"], "/home/me/runs/conv.csv");
        assert_eq!(matrix["workload"]["prompts"], "/data/p.jsonl");
        assert_eq!(matrix["server"]["folder"], "/home/me/runs");
        let mut compose = json!({"server": {"launch": "compose", "file": "./vllm.yaml"}});
        lead_back(&mut compose, Path::new("/srv"));
        assert_eq!(compose["server"], json!({"launch": "compose", "file": "/srv/vllm.yaml"}));
    }

    #[test]
    fn comments_stay_comments() {
        let mut text = String::new();
        comment(&mut text, &format!("a\n[server]\rb {}", "word ".repeat(40)));
        assert!(text.lines().all(|line| line.starts_with('#') && line.len() <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
