//! A server that is a service of docker compose.
//!
//! Docker's own command line is used, not its socket: it reads the compose file, and it is what the
//! person at the machine would use. The daemon owns the container, so nothing of the tree of this
//! process can be stopped to stop it; instead the supervisor runs `docker compose down`. Docker
//! may take long to answer, or never do: a thread of its own asks it while the service is watched, and
//! a stop has a limit for all that docker is told in it.

mod docker;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_units::{Clock as _, RunClock};

use super::cause::likely_cause;
use super::command::quote;
use super::error::{Exit, LaunchError};
use super::log::Log;
use super::process::{QUOTED_LINES, SEARCHED_LINES, refuse_taken_port};
use super::secrets::Secrets;
use super::supervisor::Supervisor;
use super::{Owned, Stopped};
use docker::{CLIENT_GRACE, Docker, END_LIMIT, Status};
use watch::{Seen, Watch, ask_container, spawn_into};

/// How long a stop may take beyond the grace, all in all. `take_down` shares it out.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the log may take to come to its end once the service has.
const LOG_LIMIT: Duration = CLIENT_GRACE.saturating_add(Duration::from_secs(1));
/// How long the rest takes once docker has taken the service down: the log's last lines, and the
/// supervisor's end.
const REST_LIMIT: Duration = Duration::from_secs(6);

/// What a service of docker compose is started with.
///
/// The compose file finds in its environment `PLIMSOLL_PORT`, the port of this machine to publish on;
/// `PLIMSOLL_ARGS`, the settings as flags, quoted for a shell; `PLIMSOLL_MODEL`, where a model is
/// named; and whatever `environment` holds. `compose/vllm.yaml` uses them.
#[derive(Clone)]
pub struct ComposeSpec {
    /// The compose file.
    pub file: PathBuf,
    /// The service in it.
    pub service: String,
    /// The settings as flags, one word each.
    pub settings: Vec<String>,
    /// The model, where one is named.
    pub model: Option<String>,
    /// Variables on top of this process's own environment, for docker and the compose file.
    /// `COMPOSE_PROJECT_NAME` names the project; `plimsoll-` and the file's name is it by default.
    pub environment: BTreeMap<String, String>,
    /// Values that must not get into the log or the command as shown, whatever their names: the API key
    /// that it is asked with. Those in variables and behind flags that are called like secrets need not
    /// be told; those shorter than 6 bytes are not hidden.
    pub secrets: Vec<String>,
    /// The port of this machine that the service is to be reached at.
    pub port: u16,
    /// Where docker's messages and the service's log go; what is in the file stays, in front.
    pub log: PathBuf,
    /// How long the service has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl fmt::Debug for ComposeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = Secrets::given(&self.environment, &self.settings, &self.secrets);
        f.debug_struct("ComposeSpec")
            .field("file", &self.file)
            .field("service", &self.service)
            .field("settings", &secrets.shown(&self.environment, &self.settings))
            .field("model", &self.model)
            .field("port", &self.port)
            .field("log", &self.log)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// A service of docker compose, with whatever it depends on.
///
/// The project has a name of its own, so that its named volumes, with the models in them, are there
/// the next time; two runs at once of the same file on one machine would be one project, and need
/// `COMPOSE_PROJECT_NAME`.
#[derive(Debug)]
pub struct Compose {
    docker: Arc<Docker>,
    url: String,
    command: String,
    log: Log,
    watch: Watch,
    grace: Duration,
    /// How long a stop may take beyond the grace.
    stop_limit: Duration,
    supervisor: Option<Supervisor>,
    /// Whether a stop was tried, even if it failed: dropping does not try again.
    tried: bool,
    stopped: Option<Stopped>,
}

impl Compose {
    /// Has docker start the service, and comes back at once: what docker says, and its failure, shows
    /// in [`check`](Owned::check), which [`wait_ready`](super::wait_ready) looks at.
    ///
    /// # Errors
    /// [`LaunchError::PortTaken`], [`LaunchError::Spawn`] when there is no `docker`,
    /// [`LaunchError::Log`], [`LaunchError::Supervisor`]. Nothing is left running.
    pub fn start(spec: ComposeSpec) -> Result<Self, LaunchError> {
        let ComposeSpec { file, service, settings, model, environment, secrets, port, log, grace } =
            spec;
        let mut environment = environment;
        let url = format!("http://127.0.0.1:{port}");
        refuse_taken_port(&url)?;
        let secrets = Secrets::given(&environment, &settings, &secrets);
        environment.insert("PLIMSOLL_PORT".to_owned(), port.to_string());
        environment.insert("PLIMSOLL_ARGS".to_owned(), quote(&settings));
        environment.extend(model.map(|model| ("PLIMSOLL_MODEL".to_owned(), model)));
        let (log, output) = Log::open(&log, secrets.redactor())?;
        let mut docker = Docker::new(&file, service, environment);
        let up = docker.words(&["up", "-d", "--force-recreate", docker.service.as_str()]);
        let command = secrets.shown(&docker.environment, &up);
        docker.secrets = secrets;
        let down = docker.words(&["down", "-t", &whole_seconds(grace)]);
        let supervisor =
            Supervisor::start(&docker.marker, CLIENT_GRACE, &down, &docker.environment)?;
        let client = match spawn_into(&docker, &up, &output) {
            Ok(client) => client,
            Err(error) => {
                // There is nothing to take down, and no docker to do it with.
                supervisor.dismiss();
                return Err(error);
            }
        };
        let docker = Arc::new(docker);
        let watch = Watch::start(Arc::clone(&docker), output, client)?;
        tracing::info!(command, "told docker to start the server");
        Ok(Self {
            docker,
            url,
            command,
            log,
            watch,
            grace,
            stop_limit: STOP_LIMIT,
            supervisor: Some(supervisor),
            tried: false,
            stopped: None,
        })
    }

    /// The error of a service that ended by itself.
    fn died(&self, exit: Exit) -> LaunchError {
        LaunchError::Died {
            exit,
            cause: likely_cause(&self.log.last_lines(SEARCHED_LINES), Some(exit)),
            last_lines: self.log.last_lines(QUOTED_LINES),
        }
    }

    /// Takes the service down, and says whether it had to be killed. It takes `stop_limit` longer than
    /// the grace at most, less `REST_LIMIT`, even if docker hangs each time that it is told something.
    fn take_down(&mut self) -> Result<bool, LaunchError> {
        let clock = RunClock::start();
        let began = clock.now();
        let (third, least) = (self.stop_limit / 3, self.stop_limit / 12);
        self.watch.prepare_stop(END_LIMIT);
        // First only stopped: once it is taken down its log and how it ended are gone.
        let grace = whole_seconds(self.grace);
        let stop = self.docker.words(&["stop", "-t", &grace]);
        let stopped = self.docker.ask(&stop, self.grace + third, &|| false);
        let killed = stopped.is_ok()
            && ask_container(&self.docker, least, &|| false).is_ok_and(
                |container| matches!(container.status, Status::Ended(exit) if exit.signal() == Some(9)),
            );
        if stopped.is_ok() {
            self.watch.finish(LOG_LIMIT);
        }
        let over = self.grace + self.stop_limit;
        let left = over.saturating_sub(clock.now().since(began) + END_LIMIT + REST_LIMIT);
        let down = self.docker.words(&["down", "-t", &grace]);
        self.docker.ask(&down, left.max(least), &|| false)?;
        // If it was not stopped before, its log ends only now. What `END_LIMIT` set aside for a docker
        // that hangs is free for this.
        self.watch.finish(LOG_LIMIT);
        Ok(killed)
    }
}

impl Owned for Compose {
    fn launch(&self) -> &'static str {
        "compose"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn command(&self) -> Option<String> {
        Some(self.command.clone())
    }

    /// The container's processes, where this machine sees them: with a daemon in a virtual machine or
    /// elsewhere there are none.
    fn processes(&self) -> Vec<u32> {
        let (Some(container), None) = (self.watch.container(), self.stopped) else {
            return Vec::new();
        };
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/cgroup"))
                    .is_ok_and(|groups| groups.contains(container.as_str()))
            })
            .collect()
    }

    fn last_lines(&self, most: usize) -> Vec<String> {
        self.log.last_lines(most)
    }

    /// Looks at what a thread of its own has seen; docker is not asked here, and nothing is waited for.
    fn check(&mut self) -> Result<(), LaunchError> {
        if self.tried {
            return Err(self.died(Exit::Unknown));
        }
        match self.watch.seen() {
            Seen::Starting | Seen::Running => Ok(()),
            Seen::Ended(exit) => Err(self.died(exit)),
            Seen::Failed(exit) => Err(LaunchError::Docker {
                command: self.command.clone(),
                exit,
                cause: likely_cause(&self.log.last_lines(SEARCHED_LINES), Some(exit)),
                last_lines: self.log.last_lines(QUOTED_LINES),
            }),
        }
    }

    fn log_to(&mut self, path: &Path) -> io::Result<()> {
        self.log.switch_to(path)
    }

    fn stop(&mut self) -> Result<Stopped, LaunchError> {
        if let Some(stopped) = self.stopped {
            return Ok(stopped);
        }
        self.tried = true;
        let clock = RunClock::start();
        let began = clock.now();
        let killed = self.take_down()?;
        self.log.drain(Duration::from_secs(1));
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.dismiss();
        }
        let took = clock.now().since(began);
        let stopped = Stopped { killed, leftovers: 0, took };
        tracing::info!(killed, ?took, "docker took the server down");
        self.stopped = Some(stopped);
        Ok(stopped)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // What is not taken down here, or was not before, is the supervisor's: its pipe is closed next.
        if !self.tried
            && let Err(error) = self.stop()
        {
            tracing::warn!(%error, "the server was not taken down");
        }
    }
}

/// Docker counts in whole seconds; a grace is never shortened.
fn whole_seconds(grace: Duration) -> String {
    (grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).to_string()
}

#[cfg(test)]
mod tests;
