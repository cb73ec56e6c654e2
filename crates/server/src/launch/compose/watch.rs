//! Watching a service on a thread of its own, so that whoever asks how it is never waits for docker.
//!
//! The thread waits for `docker compose up`, then follows the log, and asks docker how the container
//! is only once the log has ended. Only docker's clear word that the container does not run counts as
//! its end: a daemon that is restarted, refuses or hangs says nothing about the server, whose
//! answers to the load tell more.

use std::io::PipeWriter;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_units::{Clock as _, RunClock, RunNanos};

use super::super::error::{Exit, LaunchError};
use super::super::process::STEP;
use super::docker::{CLIENT_GRACE, Client, Container, Docker, Status};

/// How long a question to docker may take.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How long after a question the next one is asked, at first and at the most: asking costs a tenth of
/// a second of a core, so a docker that gives no answer is asked ever more seldom.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often the end of the log is looked for while a server is measured.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// How long the last words of a program may take into the log.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What is known of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// `docker compose up` runs: it may be fetching the image.
    Starting,
    /// It was started, and docker has not said that it ended.
    Running,
    /// `docker compose up` failed like that.
    Failed(Exit),
    /// Docker says that it ended like that.
    Ended(Exit),
}

/// What the thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Watch,
    /// The service is about to be stopped: no questions any more, but what it still says is logged.
    Follow,
    /// It is over.
    Finish,
}

#[derive(Debug)]
struct State {
    seen: Seen,
    order: Order,
    container: Option<String>,
}

/// The thread, and what it knows.
#[derive(Debug)]
pub(super) struct Watch {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the service that `up` starts, and sends its log to `output`.
    pub(super) fn start(
        docker: Arc<Docker>,
        output: PipeWriter,
        up: Client,
    ) -> Result<Self, LaunchError> {
        let state = State { seen: Seen::Starting, order: Order::Watch, container: None };
        let state = Arc::new(Mutex::new(state));
        let clock = RunClock::start();
        let watcher = Watcher {
            docker,
            output,
            state: Arc::clone(&state),
            clock,
            followed: false,
            log: None,
            since: clock.now(),
            asked: None,
            pause: PAUSES.0,
            complained: false,
        };
        let thread = thread::Builder::new()
            .name("docker-watch".to_owned())
            .spawn(move || watcher.run(up))
            .map_err(|source| LaunchError::Spawn {
                program: "docker".to_owned(),
                problem: format!("there is no thread to watch it with: {source}"),
                source,
            })?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// What is known at this moment. Does not block.
    pub(super) fn seen(&self) -> Seen {
        lock(&self.state).seen
    }

    /// The container's id, once docker has said it.
    pub(super) fn container(&self) -> Option<String> {
        lock(&self.state).container.clone()
    }

    /// Ends a start that is still going on, and has docker asked nothing more. Blocks for `limit` at
    /// most.
    pub(super) fn prepare_stop(&self, limit: Duration) {
        self.order(Order::Follow);
        wait(limit, || self.seen() != Seen::Starting);
    }

    /// Follows the log to its end, if that comes soon, and ends the thread. Blocks for `limit` at most.
    pub(super) fn finish(&mut self, limit: Duration) {
        self.order(Order::Finish);
        wait(limit, || self.thread.as_ref().is_none_or(JoinHandle::is_finished));
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread that watches docker panicked");
        }
    }

    /// An order holds until a later one.
    fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        state.order = state.order.max(order);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread is not waited for; it ends what it started.
        self.order(Order::Finish);
    }
}

/// A panic while the lock was held leaves a state that can be used.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(limit: Duration, is_so: impl Fn() -> bool) {
    let clock = RunClock::start();
    let began = clock.now();
    while !is_so() && clock.now().since(began) < limit {
        thread::sleep(STEP);
    }
}

/// What the thread has.
struct Watcher {
    docker: Arc<Docker>,
    /// The other end of the log, for docker's programs.
    output: PipeWriter,
    state: Arc<Mutex<State>>,
    clock: RunClock,
    /// Whether the log was followed from its beginning.
    followed: bool,
    /// The program that follows the log.
    log: Option<Client>,
    /// Since when it does.
    since: RunNanos,
    /// When docker was asked last.
    asked: Option<RunNanos>,
    /// How long after that it is asked again.
    pause: Duration,
    /// Whether it was said already that docker gives no answer.
    complained: bool,
}

impl Watcher {
    fn run(mut self, mut up: Client) {
        let seen = loop {
            match up.exit() {
                Some(Exit::Code(0)) => break Seen::Running,
                Some(exit) => {
                    thread::sleep(LAST_WORDS);
                    break Seen::Failed(exit);
                }
                None if self.order() > Order::Watch => {
                    up.end();
                    break Seen::Failed(Exit::Unknown);
                }
                None => thread::sleep(STEP),
            }
        };
        self.see(seen);
        drop(up);
        if seen != Seen::Running {
            return;
        }
        while self.order() < Order::Finish {
            if let Some(exit) = self.look() {
                if let Some(mut log) = self.log.take() {
                    log.wait(CLIENT_GRACE);
                    log.clear();
                }
                thread::sleep(LAST_WORDS);
                self.see(Seen::Ended(exit));
                return;
            }
            thread::sleep(LOOK_PERIOD);
        }
        if let Some(mut log) = self.log.take() {
            log.wait(CLIENT_GRACE);
            log.clear();
        }
    }

    fn order(&self) -> Order {
        lock(&self.state).order
    }

    fn see(&self, seen: Seen) {
        lock(&self.state).seen = seen;
    }

    /// Asks docker how the container is if its log has ended, or was never followed, and follows it.
    /// How the container ended, if it did.
    fn look(&mut self) -> Option<Exit> {
        if self.log.as_mut().is_some_and(|log| log.exit().is_none()) {
            return None;
        }
        let now = self.clock.now();
        if let Some(mut log) = self.log.take() {
            log.clear();
            // One that ends again and again, though the container lives, is not asked about in a hurry.
            if now.since(self.since) > self.pause {
                self.pause = PAUSES.0;
            }
        }
        // The log itself is worth having even if the service is about to be stopped.
        let watches = self.order() == Order::Watch;
        let too_soon = self.asked.is_some_and(|asked| now.since(asked) < self.pause);
        if too_soon || (self.followed && !watches) {
            return None;
        }
        if self.asked.replace(now).is_some() {
            self.pause = (2 * self.pause).min(PAUSES.1);
        }
        let status = if watches { self.status() } else { Status::Unclear };
        if self.followed {
            if status == Status::Lives {
                // The daemon was restarted, say. What it wrote meanwhile is not asked for again.
                tracing::warn!("docker stopped following the server's log; it is followed anew");
                self.follow(&["-n", "0"]);
            }
        } else {
            // Also of a container that ended at once, or of which nothing is known: the log says why.
            self.follow(&[]);
        }
        match status {
            Status::Ended(exit) => Some(exit),
            Status::Lives | Status::Unclear => None,
        }
    }

    /// How the container is, by docker's word.
    fn status(&mut self) -> Status {
        let unless = || self.order() > Order::Watch;
        let answer = ask_container(&self.docker, ASK_LIMIT, &unless);
        let problem = match answer {
            Ok(Container { id, status }) => {
                let mut state = lock(&self.state);
                state.container = id.or(state.container.take());
                if status != Status::Unclear {
                    drop(state);
                    self.complained = false;
                    return status;
                }
                "its answer says nothing of a state".to_owned()
            }
            Err(LaunchError::Cancelled) => return Status::Unclear,
            Err(error) => error.to_string(),
        };
        if !self.complained {
            tracing::warn!(problem, "docker does not say how the server is; it is taken to live");
        }
        self.complained = true;
        Status::Unclear
    }

    /// Has docker send the log, from its beginning unless `how` says otherwise.
    fn follow(&mut self, how: &[&str]) {
        let mut words = self.docker.words(&["logs", "-f"]);
        words.extend(how.iter().map(|&word| word.to_owned()));
        let last = ["--no-color", "--no-log-prefix", self.docker.service.as_str()];
        words.extend(last.map(str::to_owned));
        match spawn_into(&self.docker, &words, &self.output) {
            Ok(log) => {
                (self.log, self.since, self.followed) = (Some(log), self.clock.now(), true);
            }
            Err(error) => tracing::warn!(%error, "docker does not follow the server's log"),
        }
    }
}

/// Starts a program of docker whose output goes to the log.
pub(super) fn spawn_into(
    docker: &Docker,
    words: &[String],
    output: &PipeWriter,
) -> Result<Client, LaunchError> {
    let log_error = |source| LaunchError::Log { path: PathBuf::from("(its pipe)"), source };
    let pipe = || output.try_clone().map(Stdio::from).map_err(log_error);
    docker.spawn(words, pipe()?, pipe()?)
}

/// The service's container, as docker shows it.
pub(super) fn ask_container(
    docker: &Docker,
    limit: Duration,
    cancelled: &dyn Fn() -> bool,
) -> Result<Container, LaunchError> {
    let words = docker.words(&["ps", "-a", "--format", "json", docker.service.as_str()]);
    let answer = docker.ask(&words, limit, cancelled)?;
    Ok(Container::of(&answer, &docker.service))
}
