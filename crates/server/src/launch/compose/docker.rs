//! Docker's command line: what it is told, what it answers, and how it is ended.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use plimsoll_units::{Clock as _, RunClock};
use serde_json::Value;

use super::super::cause::likely_cause;
use super::super::error::{Exit, LaunchError};
use super::super::marker::{Marker, VARIABLE};
use super::super::process::{QUOTED_LINES, STEP, exit_of, pid_of};
use super::super::secrets::Secrets;
use crate::printable::printable;

/// How long docker's own programs have to end.
pub(super) const CLIENT_GRACE: Duration = Duration::from_secs(3);
/// How long they have once they were sent SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// How long an answer may take to be read once who gave it is gone.
const READ_LIMIT: Duration = Duration::from_millis(500);
/// The most that ending docker's program and reading its answer takes beyond a limit.
pub(super) const END_LIMIT: Duration = Duration::from_millis(4500);
/// How many bytes of an answer are kept.
const KEPT_BYTES: usize = 1 << 20;

/// Docker's command line for one project.
pub(super) struct Docker {
    base: Vec<String>,
    pub(super) service: String,
    pub(super) environment: BTreeMap<String, String>,
    /// What must not be quoted of its answers.
    pub(super) secrets: Secrets,
    pub(super) marker: Marker,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.secrets.shown(&self.environment, &self.base);
        f.debug_struct("Docker")
            .field("command", &command)
            .field("service", &self.service)
            .field("marker", &self.marker)
            .finish_non_exhaustive()
    }
}

impl Docker {
    pub(super) fn new(file: &Path, service: String, environment: BTreeMap<String, String>) -> Self {
        // The supervisor works from another folder.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let project = environment.get("COMPOSE_PROJECT_NAME").cloned();
        let project = project.unwrap_or_else(|| project_of(&file));
        let base = ["docker", "compose", "-f", &file.to_string_lossy(), "-p", &project];
        let base = base.map(str::to_owned).to_vec();
        let secrets = Secrets::given(&environment, &[], &[]);
        Self { base, service, environment, secrets, marker: Marker::new() }
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
        spawned.map(|child| Client { child, reaped: false }).map_err(|source| LaunchError::Spawn {
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

    /// What docker answers on standard output; an error holds what it says on standard error. Takes
    /// `limit` at most, and at most `END_LIMIT` more to end a docker that hangs; a `true` of `cancelled`
    /// cuts it short.
    pub(super) fn ask(
        &self,
        words: &[String],
        limit: Duration,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<String, LaunchError> {
        let mut client = self.spawn(words, Stdio::piped(), Stdio::piped())?;
        let command = || self.secrets.shown(&BTreeMap::new(), words);
        let answer = Answer::read(client.child.stdout.take());
        let complaint = Answer::read(client.child.stderr.take());
        let exit = client.wait_unless(limit, cancelled);
        // With whatever it left in its group, which may hold the other ends of the pipes.
        client.clear();
        let Some(exit) = exit else {
            if cancelled() {
                return Err(LaunchError::Cancelled);
            }
            return Err(LaunchError::DockerHangs { command: command(), limit });
        };
        let [answer, complaint] = [answer, complaint].map(Answer::text);
        if exit == Exit::Code(0) {
            return Ok(answer);
        }
        let clean = self.secrets.scrub(&complaint);
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

/// What comes out of a pipe, read aside: a program that fills one pipe must not wait for the other.
struct Answer {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Answer {
    fn read(pipe: Option<impl io::Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = pipe.and_then(|mut pipe| {
            let read = move || {
                let mut buffer = vec![0; 8 << 10];
                // What came before an error is what there is.
                loop {
                    let read = match pipe.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(read) => read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(_) => break,
                    };
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    // What is beyond is read all the same: the program is not to wait for it.
                    let room = read.min(KEPT_BYTES.saturating_sub(kept.len()));
                    kept.extend_from_slice(&buffer[..room]);
                }
            };
            thread::Builder::new().name("docker-answer".to_owned()).spawn(read).ok()
        });
        Self { bytes, reader }
    }

    /// What came, once the program has ended. A process that left its group and still holds the pipe
    /// is not waited for: its thread reads on until that one ends.
    fn text(self) -> String {
        let mut waited = Duration::ZERO;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished())
            && waited < READ_LIMIT / 2
        {
            thread::sleep(STEP);
            waited += STEP;
        }
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A program of docker that runs here.
#[derive(Debug)]
pub(super) struct Client {
    child: Child,
    /// Whether it was waited for.
    reaped: bool,
}

impl Client {
    pub(super) fn exit(&mut self) -> Option<Exit> {
        let exit = exit_of(&mut self.child);
        // Elsewhere there is no look without a wait.
        self.reaped |= cfg!(not(target_os = "linux")) && exit.is_some();
        exit
    }

    pub(super) fn wait(&mut self, limit: Duration) -> Option<Exit> {
        self.wait_unless(limit, &|| false)
    }

    /// How it ends within `limit`; nothing when it does not, or `cancelled` says so first.
    fn wait_unless(&mut self, limit: Duration, cancelled: &dyn Fn() -> bool) -> Option<Exit> {
        let clock = RunClock::start();
        let began = clock.now();
        loop {
            let exit = self.exit();
            if exit.is_some() || clock.now().since(began) >= limit || cancelled() {
                return exit;
            }
            thread::sleep(STEP);
        }
    }

    /// Ends it with all its plugins, if it has not ended.
    pub(super) fn end(&mut self) {
        for (signal, grace) in [(Signal::SIGTERM, CLIENT_GRACE), (Signal::SIGKILL, KILL_GRACE)] {
            if self.exit().is_some() {
                break;
            }
            self.signal(signal);
            self.wait(grace);
        }
        self.reap();
    }

    /// Ends it, and kills what is left of its group even if it has ended itself.
    pub(super) fn clear(&mut self) {
        if self.exit().is_none() {
            self.signal(Signal::SIGTERM);
            self.wait(CLIENT_GRACE);
        }
        self.signal(Signal::SIGKILL);
        self.wait(KILL_GRACE);
        self.reap();
    }

    /// Has the system forget it; how it ended stays known.
    fn reap(&mut self) {
        self.reaped |= !matches!(self.child.try_wait(), Ok(None));
    }

    /// Signals its group, unless it was waited for: then the group's id may be another one's by now.
    fn signal(&self, signal: Signal) {
        if !self.reaped {
            // Everyone may be gone already.
            let _ = killpg(pid_of(&self.child), signal);
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
    pub(super) status: Status,
}

/// What docker says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It runs, or is about to.
    Lives,
    /// It does not run, in clear words: it ended like that, or is not there at all.
    Ended(Exit),
    /// Nothing that can be understood.
    Unclear,
}

impl Container {
    /// Newer versions write an object a line, older ones a list.
    pub(super) fn of(answer: &str, service: &str) -> Self {
        let values = serde_json::Deserializer::from_str(answer).into_iter::<Value>();
        let mut garbled = false;
        let whole = values.map_while(|value| {
            garbled |= value.is_err();
            value.ok()
        });
        let containers: Vec<Value> = whole
            .flat_map(|value| match value {
                Value::Array(list) => list,
                value => vec![value],
            })
            .collect();
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
        };
        let found = containers.iter().find(|container| {
            container.get("Service").is_none_or(|name| name.as_str() == Some(service))
        });
        let Some(container) = found else {
            let status = if garbled { Status::Unclear } else { Status::Ended(Exit::Unknown) };
            return Self { id: None, status };
        };
        let code = container.get("ExitCode").and_then(Value::as_i64);
        let code = code.and_then(|code| i32::try_from(code).ok());
        let status = match text(container, "State").as_str() {
            "running" | "created" | "paused" => Status::Lives,
            "exited" | "dead" | "removing" | "restarting" => {
                Status::Ended(code.map_or(Exit::Unknown, Exit::Code))
            }
            _ => Status::Unclear,
        };
        let id = Some(text(container, "ID")).filter(|id| id.len() >= 12);
        Self { id, status }
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
mod tests;
