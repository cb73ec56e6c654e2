//! Docker's command line: what it is told, what it answers, and how it is ended.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use super::super::cause::likely_cause;
use super::super::error::{Exit, LaunchError};
use super::super::marker::{Marker, VARIABLE};
use super::super::process::{QUOTED_LINES, STEP};
use super::super::secrets::{self, Redactor};
use crate::printable::printable;

/// How long docker's own programs have to end.
pub(super) const CLIENT_GRACE: Duration = Duration::from_secs(3);

/// Docker's command line for one project.
#[derive(Debug)]
pub(super) struct Docker {
    base: Vec<String>,
    pub(super) service: String,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) marker: Marker,
}

impl Docker {
    pub(super) fn new(file: &Path, service: String, environment: BTreeMap<String, String>) -> Self {
        // The supervisor works from another folder.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let project = environment.get("COMPOSE_PROJECT_NAME").cloned();
        let project = project.unwrap_or_else(|| project_of(&file));
        let base = ["docker", "compose", "-f", &file.to_string_lossy(), "-p", &project];
        let base = base.map(str::to_owned).to_vec();
        Self { base, service, environment, marker: Marker::new() }
    }

    pub(super) fn words(&self, more: &[&str]) -> Vec<String> {
        self.base.iter().cloned().chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    pub(super) fn spawn(
        &self,
        words: &[String],
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Client, LaunchError> {
        let spawned = Command::new(&words[0])
            .args(&words[1..])
            .envs(&self.environment)
            .env(VARIABLE, self.marker.value())
            // A Ctrl-C is not meant for it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn();
        spawned.map(|child| Client { child }).map_err(|source| LaunchError::Spawn {
            program: words[0].clone(),
            problem: match source.kind() {
                io::ErrorKind::NotFound => {
                    "launch = \"compose\" needs docker with its compose plugin in PATH".to_owned()
                }
                _ => source.to_string(),
            },
            source,
        })
    }

    /// What docker answers on standard output; an error holds what it says on standard error.
    pub(super) fn ask(&self, words: &[String], limit: Duration) -> Result<String, LaunchError> {
        let mut client = self.spawn(words, Stdio::piped(), Stdio::piped())?;
        let command = || secrets::shown(&BTreeMap::new(), words);
        let readers = (read(client.child.stdout.take()), read(client.child.stderr.take()));
        let exit = client.wait(limit);
        client.end();
        let Some(exit) = exit else {
            return Err(LaunchError::DockerHangs { command: command(), limit });
        };
        let [answer, complaint] = [readers.0, readers.1].map(|reader| {
            let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        if exit == Exit::Code(0) {
            return Ok(answer);
        }
        let mut redactor = Redactor::new(secrets::given(&self.environment, &[]));
        let mut clean = redactor.push(complaint.as_bytes());
        clean.extend(redactor.finish());
        let clean = String::from_utf8_lossy(&clean);
        let lines: Vec<_> = clean.lines().map(|line| printable(line, 400)).collect();
        let start = lines.len().saturating_sub(QUOTED_LINES);
        Err(LaunchError::Docker {
            command: command(),
            exit,
            cause: likely_cause(&lines, Some(exit)),
            last_lines: lines[start..].to_vec(),
        })
    }
}

/// Reads a pipe to its end, aside: a program that fills one pipe must not wait for the other.
fn read(pipe: Option<impl io::Read + Send + 'static>) -> Option<thread::JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    let name = "docker-answer".to_owned();
    let reader = thread::Builder::new().name(name).spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.by_ref().take(1 << 20).read_to_end(&mut bytes);
        bytes
    });
    reader.ok()
}

/// A program of docker that runs here.
#[derive(Debug)]
pub(super) struct Client {
    child: Child,
}

impl Client {
    pub(super) fn exit(&mut self) -> Option<Exit> {
        match self.child.try_wait() {
            Ok(status) => status.map(Exit::from),
            Err(_) => Some(Exit::Unknown),
        }
    }

    pub(super) fn wait(&mut self, limit: Duration) -> Option<Exit> {
        let mut waited = Duration::ZERO;
        loop {
            let exit = self.exit();
            if exit.is_some() || waited >= limit {
                return exit;
            }
            thread::sleep(STEP);
            waited += STEP;
        }
    }

    /// Ends it with all its plugins, if it has not ended.
    pub(super) fn end(&mut self) {
        if self.exit().is_some() {
            return;
        }
        let Ok(group) = i32::try_from(self.child.id()) else { return };
        for (signal, limit) in [(Signal::SIGTERM, CLIENT_GRACE), (Signal::SIGKILL, CLIENT_GRACE)] {
            // Not waited for yet, so the group is still its own.
            let _ = killpg(Pid::from_raw(group), signal);
            if self.wait(limit).is_some() {
                return;
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

/// A container as `docker compose ps` shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) id: Option<String>,
    pub(super) lives: bool,
    pub(super) exit: Exit,
}

impl Container {
    /// Newer versions write an object a line, older ones a list.
    pub(super) fn of(answer: &str, service: &str) -> Self {
        let values = serde_json::Deserializer::from_str(answer).into_iter::<Value>();
        let mut containers = values.map_while(Result::ok).flat_map(|value| match value {
            Value::Array(list) => list,
            value => vec![value],
        });
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
        };
        let found = containers.find(|container| {
            container.get("Service").is_none_or(|name| name.as_str() == Some(service))
        });
        let Some(container) = found else {
            return Self { id: None, lives: false, exit: Exit::Unknown };
        };
        let lives = matches!(text(&container, "State").as_str(), "running" | "created" | "paused");
        let code = container.get("ExitCode").and_then(Value::as_i64);
        let code = code.and_then(|code| i32::try_from(code).ok());
        let id = Some(text(&container, "ID")).filter(|id| id.len() >= 12);
        Self { id, lives, exit: code.map_or(Exit::Unknown, Exit::Code) }
    }
}

/// A project's name for `file`; docker allows lower-case letters, digits, dashes and underscores.
fn project_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("plimsoll-{stem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_in_both_forms() {
        let id = "1553b0236cf4d2715845f053a4ee97042c4f9a2ef655731ee34f1f7940eaa41a";
        let other = r#"{"ID":"aaaaaaaaaaaaaaaa","Service":"db","State":"running","ExitCode":0}"#;
        let own = format!(r#"{{"ID":"{id}","Service":"vllm","State":"exited","ExitCode":137}}"#);
        let expected = Container { id: Some(id.to_owned()), lives: false, exit: Exit::Code(137) };
        assert_eq!(Container::of(&format!("{other}\n{own}\n"), "vllm"), expected);
        assert_eq!(Container::of(&format!("[{other},{own}]"), "vllm"), expected);
        let running = own.replace("exited", "running");
        assert!(Container::of(&running, "vllm").lives);
        for nothing in ["", "[]", "no json"] {
            assert!(!Container::of(nothing, "vllm").lives, "{nothing}");
        }
    }

    #[test]
    fn names_that_docker_takes() {
        assert_eq!(project_of(Path::new("/x/My Server.v2.yaml")), "plimsoll-my-server-v2");
    }
}
