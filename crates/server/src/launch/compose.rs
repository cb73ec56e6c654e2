//! A server that is a service of docker compose.
//!
//! Docker's own command line is used, not its socket: it reads the compose file, and it is what the
//! person at the machine would use. The daemon owns the container, so nothing of the tree of this
//! process can be stopped to stop it; instead the supervisor runs `docker compose down`.

mod docker;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use plimsoll_units::{Clock as _, RunClock, RunNanos};

use super::cause::likely_cause;
use super::command::quote;
use super::error::{Exit, LaunchError};
use super::log::Log;
use super::process::{QUOTED_LINES, SEARCHED_LINES, STEP, refuse_taken_port};
use super::secrets::{self, Redactor};
use super::supervisor::Supervisor;
use super::{Owned, Stopped};
use docker::{CLIENT_GRACE, Client, Container, Docker};

/// How long a question to docker may take.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How long docker may take to stop a service beyond its grace.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often docker is asked how the container is while its log still flows. Asking costs a tenth of a
/// second of a core, so it is done seldom; the end of the log tells first.
const ASK_PERIOD: Duration = Duration::from_secs(30);
/// How long after a question the next one is asked, at the least.
const ASK_PAUSE: Duration = Duration::from_millis(500);

/// What a service of docker compose is started with.
///
/// The compose file finds in its environment `PLIMSOLL_PORT`, the port of this machine to publish on;
/// `PLIMSOLL_ARGS`, the settings as flags, quoted for a shell; `PLIMSOLL_MODEL`, where a model is
/// named; and whatever `environment` holds. `compose/vllm.yaml` uses them.
#[derive(Clone, Debug)]
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
    /// The port of this machine that the service is to be reached at.
    pub port: u16,
    /// Where docker's messages and the service's log go; what is in the file stays, in front.
    pub log: PathBuf,
    /// How long the service has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// A service of docker compose, with whatever it depends on.
///
/// The project has a name of its own, so that its named volumes, with the models in them, are there
/// the next time; two runs at once of the same file on one machine would be one project, and need
/// `COMPOSE_PROJECT_NAME`.
#[derive(Debug)]
pub struct Compose {
    docker: Docker,
    url: String,
    command: String,
    log: Log,
    /// The other end of the log, for docker's programs to come.
    output: Option<PipeWriter>,
    phase: Phase,
    /// The container's id, once it runs.
    container: Option<String>,
    clock: RunClock,
    /// When docker was last asked how the container is.
    asked: Option<RunNanos>,
    grace: Duration,
    supervisor: Option<Supervisor>,
    stopped: Option<Stopped>,
}

#[derive(Debug)]
enum Phase {
    /// `docker compose up` runs: it may be fetching the image.
    Starting(Client),
    /// The container runs, and `docker compose logs` follows it.
    Running(Client),
    /// Nothing of docker runs here.
    Over,
}

impl Compose {
    /// Has docker start the service, and comes back at once: what docker says, and its failure, shows
    /// in [`check`](Owned::check), which [`wait_ready`](super::wait_ready) looks at.
    ///
    /// # Errors
    /// [`LaunchError::PortTaken`], [`LaunchError::Spawn`] when there is no `docker`,
    /// [`LaunchError::Log`], [`LaunchError::Supervisor`]. Nothing is left running.
    pub fn start(spec: ComposeSpec) -> Result<Self, LaunchError> {
        let ComposeSpec { file, service, settings, model, mut environment, port, log, grace } =
            spec;
        let url = format!("http://127.0.0.1:{port}");
        refuse_taken_port(&url)?;
        let secrets = secrets::given(&environment, &settings);
        environment.insert("PLIMSOLL_PORT".to_owned(), port.to_string());
        environment.insert("PLIMSOLL_ARGS".to_owned(), quote(&settings));
        environment.extend(model.map(|model| ("PLIMSOLL_MODEL".to_owned(), model)));
        let (log, output) = Log::open(&log, Redactor::new(secrets))?;
        let docker = Docker::new(&file, service, environment);
        let up = docker.words(&["up", "-d", "--force-recreate", docker.service.as_str()]);
        let command = secrets::shown(&docker.environment, &up);
        let down = docker.words(&["down", "-t", &whole_seconds(grace)]);
        let supervisor =
            Supervisor::start(&docker.marker, CLIENT_GRACE, &down, &docker.environment)?;
        let mut compose = Self {
            docker,
            url,
            command,
            log,
            output: Some(output),
            phase: Phase::Over,
            container: None,
            clock: RunClock::start(),
            asked: None,
            grace,
            supervisor: Some(supervisor),
            stopped: None,
        };
        match compose.follow(&up) {
            Ok(client) => compose.phase = Phase::Starting(client),
            Err(error) => {
                // There is nothing to take down, and no docker to do it with.
                compose.stopped = Some(Stopped::default());
                if let Some(supervisor) = compose.supervisor.take() {
                    supervisor.dismiss();
                }
                return Err(error);
            }
        }
        tracing::info!(command = compose.command, "told docker to start the server");
        Ok(compose)
    }

    /// Starts a program of docker whose output goes to the log.
    fn follow(&self, words: &[String]) -> Result<Client, LaunchError> {
        let log_error = |source| LaunchError::Log { path: PathBuf::from("(its pipe)"), source };
        let pipe = || match &self.output {
            Some(output) => output.try_clone().map(Stdio::from).map_err(log_error),
            None => Ok(Stdio::null()),
        };
        self.docker.spawn(words, pipe()?, pipe()?)
    }

    fn logs(&self) -> Result<Client, LaunchError> {
        let logs = ["logs", "-f", "--no-color", "--no-log-prefix", self.docker.service.as_str()];
        self.follow(&self.docker.words(&logs))
    }

    /// How the container is, by docker's word.
    fn container(&mut self) -> Result<Container, LaunchError> {
        self.asked = Some(self.clock.now());
        let words =
            self.docker.words(&["ps", "-a", "--format", "json", self.docker.service.as_str()]);
        let answer = self.docker.ask(&words, ASK_LIMIT)?;
        let container = Container::of(&answer, &self.docker.service);
        self.container = container.id.clone().or(self.container.take());
        Ok(container)
    }

    /// The error of a service that ended by itself.
    fn died(&mut self, exit: Exit) -> LaunchError {
        LaunchError::Died {
            exit,
            cause: likely_cause(&self.log.last_lines(SEARCHED_LINES), Some(exit)),
            last_lines: self.log.last_lines(QUOTED_LINES),
        }
    }

    /// Takes the service down, and says whether it had to be killed.
    fn take_down(&mut self) -> Result<bool, LaunchError> {
        if let Phase::Starting(up) = &mut self.phase {
            up.end();
        }
        let (grace, limit) = (whole_seconds(self.grace), self.grace + STOP_LIMIT);
        // First only stopped: once it is taken down its log and how it ended are gone.
        let stop = self.docker.words(&["stop", "-t", &grace]);
        let stopped = self.docker.ask(&stop, limit);
        let killed = stopped.is_ok()
            && self.container().is_ok_and(|container| container.exit.signal() == Some(9));
        if let Phase::Running(logs) = &mut self.phase {
            logs.wait(CLIENT_GRACE);
            logs.end();
        }
        self.phase = Phase::Over;
        let down = self.docker.words(&["down", "-t", &grace]);
        self.docker.ask(&down, limit)?;
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
        let (Some(container), None) = (&self.container, self.stopped) else { return Vec::new() };
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

    fn check(&mut self) -> Result<(), LaunchError> {
        let ended = match &mut self.phase {
            Phase::Over => return Err(self.died(Exit::Unknown)),
            Phase::Starting(up) => match up.exit() {
                None => return Ok(()),
                Some(Exit::Code(0)) => true,
                Some(exit) => {
                    // What it said is all in the log only a moment later.
                    thread::sleep(5 * STEP);
                    let lines = self.log.last_lines(SEARCHED_LINES);
                    return Err(LaunchError::Docker {
                        command: self.command.clone(),
                        exit,
                        cause: likely_cause(&lines, Some(exit)),
                        last_lines: self.log.last_lines(QUOTED_LINES),
                    });
                }
            },
            Phase::Running(logs) => logs.exit().is_some(),
        };
        // A log that ends again and again while the container lives is not asked about in a hurry.
        let pause = if ended { ASK_PAUSE } else { ASK_PERIOD };
        if self.asked.is_some_and(|asked| self.clock.now().since(asked) < pause) {
            return Ok(());
        }
        let container = self.container()?;
        if matches!(self.phase, Phase::Starting(_)) {
            // Also of a container that ended at once: the log says why.
            self.phase = Phase::Running(self.logs()?);
            if !container.lives
                && let Phase::Running(logs) = &mut self.phase
            {
                logs.wait(CLIENT_GRACE);
                thread::sleep(5 * STEP);
            }
        } else if ended && container.lives {
            // The daemon was restarted, say. What it wrote meanwhile is not asked for again.
            tracing::warn!("docker stopped following the server's log; it is followed anew");
            let logs = ["logs", "-f", "-n", "0", "--no-color", "--no-log-prefix"];
            let mut words = self.docker.words(&logs);
            words.push(self.docker.service.clone());
            self.phase = Phase::Running(self.follow(&words)?);
        }
        if container.lives { Ok(()) } else { Err(self.died(container.exit)) }
    }

    fn log_to(&mut self, path: &Path) -> io::Result<()> {
        self.log.switch_to(path)
    }

    fn stop(&mut self) -> Result<Stopped, LaunchError> {
        if let Some(stopped) = self.stopped {
            return Ok(stopped);
        }
        let began = self.clock.now();
        let killed = self.take_down()?;
        self.output = None;
        self.log.drain(CLIENT_GRACE);
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.dismiss();
        }
        let took = self.clock.now().since(began);
        let stopped = Stopped { killed, leftovers: 0, took };
        tracing::info!(killed, ?took, "docker took the server down");
        self.stopped = Some(stopped);
        Ok(stopped)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // What is not taken down here is the supervisor's: its pipe is closed next.
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "the server was not taken down");
        }
    }
}

/// Docker counts in whole seconds; a grace is never shortened.
fn whole_seconds(grace: Duration) -> String {
    (grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_never_shortened() {
        assert_eq!(whole_seconds(Duration::from_millis(1500)), "2");
        assert_eq!(whole_seconds(Duration::from_secs(30)), "30");
    }
}
