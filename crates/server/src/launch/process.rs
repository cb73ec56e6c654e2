//! A server that is a command line on this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use plimsoll_units::{Clock as _, RunClock};
use socket2::{Domain, Protocol, Socket, Type};

use super::cause::likely_cause;
use super::error::{Exit, LaunchError};
use super::log::Log;
use super::marker::{Marker, VARIABLE};
use super::secrets::Secrets;
use super::supervisor::Supervisor;
use super::tree::Tree;
use super::{Owned, Stopped};

/// How many lines an error quotes.
pub(super) const QUOTED_LINES: usize = 20;
/// How many lines are searched for a cause.
pub(super) const SEARCHED_LINES: usize = 500;
/// How often the end of something is looked for.
pub(super) const STEP: Duration = Duration::from_millis(20);
/// How often all processes are looked through, which on a large machine takes some milliseconds.
const LOOK_PERIOD: Duration = Duration::from_millis(50);
/// How long processes may take to vanish after SIGKILL: the driver frees a GPU's memory first.
const KILL_LIMIT: Duration = Duration::from_secs(15);
/// How long the log may take to be complete once the server is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// What a server process is started with.
#[derive(Clone)]
pub struct ProcessSpec {
    /// The program and its arguments. A program without a slash is looked for in `PATH`; one with a
    /// slash that is not absolute is counted from `folder`.
    pub command: Vec<String>,
    /// Variables on top of this process's own environment.
    pub environment: BTreeMap<String, String>,
    /// Values that must not get into the log or the command as shown, whatever their names: the API key
    /// that it is asked with. Those in variables and behind flags that are called like secrets need not
    /// be told; those shorter than 6 bytes are not hidden.
    pub secrets: Vec<String>,
    /// The folder that it runs in; this process's own when absent.
    pub folder: Option<PathBuf>,
    /// The URL that it will answer at. Nobody may listen there yet.
    pub url: String,
    /// Where its output goes; what is in the file stays, in front.
    pub log: PathBuf,
    /// How long it has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl fmt::Debug for ProcessSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = Secrets::given(&self.environment, &self.command, &self.secrets);
        f.debug_struct("ProcessSpec")
            .field("command", &secrets.shown(&self.environment, &self.command))
            .field("folder", &self.folder)
            .field("url", &self.url)
            .field("log", &self.log)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// A server process with everything that it started.
///
/// It is in a process group of its own, so that a Ctrl-C in the terminal ends whoever measures, and
/// the server only in good order after that. Besides the variables of its [`ProcessSpec`] it is given
/// `PLIMSOLL_LAUNCH`, by which its processes are found again, and, unless they are set already,
/// `PYTHONUNBUFFERED=1`, so that its log comes as it is written, and `SPT_NOENV=1`, so that Python's
/// `setproctitle`, which vLLM uses, does not overwrite the former. A server that puts itself into the
/// background is taken for one that ended: it must stay in the foreground.
#[derive(Debug)]
pub struct Process {
    url: String,
    command: String,
    child: Child,
    tree: Tree,
    log: Log,
    supervisor: Option<Supervisor>,
    grace: Duration,
    /// How long processes may take to vanish after SIGKILL.
    kill_limit: Duration,
    /// Whether a stop was tried, even if it failed: dropping does not try again.
    tried: bool,
    stopped: Option<Stopped>,
}

impl Process {
    /// Starts the server and comes back at once; [`wait_ready`](super::wait_ready) waits for it.
    ///
    /// # Errors
    /// [`LaunchError::NoCommand`], [`LaunchError::PortTaken`] when somebody listens at the URL
    /// already, [`LaunchError::Spawn`] when the program cannot be started, [`LaunchError::Log`] when
    /// the log cannot be opened, [`LaunchError::Supervisor`]. Nothing is left running.
    pub fn start(spec: ProcessSpec) -> Result<Self, LaunchError> {
        let ProcessSpec { command: words, environment, secrets, folder, url, log, grace } = spec;
        let (program, arguments) = words.split_first().ok_or(LaunchError::NoCommand)?;
        refuse_taken_port(&url)?;
        let secrets = Secrets::given(&environment, &words, &secrets);
        let (log, output) = Log::open(&log, secrets.redactor())?;
        let log_error = |source| LaunchError::Log { path: PathBuf::from("(its pipe)"), source };
        let marker = Marker::new();
        let program = located(program, folder.as_deref());
        let mut command = Command::new(&program);
        for (name, value) in [("PYTHONUNBUFFERED", "1"), ("SPT_NOENV", "1")] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
            .args(arguments)
            .envs(&environment)
            .env(VARIABLE, marker.value())
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(output.try_clone().map_err(log_error)?)
            .stdout(output);
        if let Some(folder) = &folder {
            command.current_dir(folder);
        }
        let mut supervisor = Supervisor::start(&marker, grace, &[], &BTreeMap::new())?;
        let spawned = command.spawn();
        // The command holds this process's copies of the pipe; without them it ends with the server.
        drop(command);
        let child = match spawned {
            Ok(child) => child,
            Err(source) => {
                supervisor.dismiss();
                let problem = spawn_problem(&source, &program, folder.as_deref());
                let program = program.display().to_string();
                return Err(LaunchError::Spawn { program, problem, source });
            }
        };
        supervisor.watch(child.id());
        let command = secrets.shown(&environment, &words);
        tracing::info!(pid = child.id(), command, "started the server");
        let tree = Tree::new(&marker, pid_of(&child).as_raw());
        Ok(Self {
            url,
            command,
            child,
            tree,
            log,
            supervisor: Some(supervisor),
            grace,
            kill_limit: KILL_LIMIT,
            tried: false,
            stopped: None,
        })
    }

    /// Whether something of the process group lives.
    fn group_lives(&mut self) -> bool {
        if Tree::is_visible() {
            self.tree.remember().iter().any(|member| member.in_group)
        } else {
            exit_of(&mut self.child).is_none()
        }
    }

    fn signal_group(&self, signal: Signal) {
        match killpg(pid_of(&self.child), signal) {
            // Everyone is gone already.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(%error, %signal, "the server cannot be signalled"),
        }
    }

    /// Kills one by one what lives, until nothing is found any more. How many that were.
    fn sweep(&mut self, clock: &RunClock) -> Result<u32, LaunchError> {
        let began = clock.now();
        let mut swept = std::collections::BTreeSet::new();
        loop {
            let members = self.tree.remember();
            if members.is_empty() {
                return Ok(u32::try_from(swept.len()).unwrap_or(u32::MAX));
            }
            if clock.now().since(began) > self.kill_limit {
                let pids = members.iter().filter_map(|member| u32::try_from(member.pid).ok());
                return Err(LaunchError::Survived { pids: pids.collect() });
            }
            for member in members {
                if !member.in_group {
                    swept.insert(member.pid);
                }
                // Gone meanwhile is as good as killed.
                let _ = kill(Pid::from_raw(member.pid), Signal::SIGKILL);
            }
            thread::sleep(LOOK_PERIOD);
        }
    }
}

impl Owned for Process {
    fn launch(&self) -> &'static str {
        "process"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn command(&self) -> Option<String> {
        Some(self.command.clone())
    }

    fn processes(&self) -> Vec<u32> {
        if self.stopped.is_some() {
            return Vec::new();
        }
        if !Tree::is_visible() {
            return vec![self.child.id()];
        }
        self.tree.look().iter().filter_map(|member| u32::try_from(member.pid).ok()).collect()
    }

    fn last_lines(&self, most: usize) -> Vec<String> {
        self.log.last_lines(most)
    }

    fn check(&mut self) -> Result<(), LaunchError> {
        // One system call that waits for nothing, as long as the server lives.
        let Some(exit) = exit_of(&mut self.child) else { return Ok(()) };
        // Its last words may still be on their way. Children that it left hold the pipe open.
        self.log.drain(DRAIN_LIMIT);
        Err(LaunchError::Died {
            exit,
            cause: likely_cause(&self.log.last_lines(SEARCHED_LINES), Some(exit)),
            last_lines: self.log.last_lines(QUOTED_LINES),
        })
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
        // Seen now, while parents still are parents.
        self.tree.remember();
        self.signal_group(Signal::SIGTERM);
        while self.group_lives() && clock.now().since(began) < self.grace {
            thread::sleep(LOOK_PERIOD);
        }
        let killed = self.group_lives();
        if killed {
            self.signal_group(Signal::SIGKILL);
        }
        let leftovers = self.sweep(&clock)?;
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the server's end cannot be waited for");
        }
        self.log.drain(DRAIN_LIMIT);
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.dismiss();
        }
        let stopped = Stopped { killed, leftovers, took: clock.now().since(began) };
        tracing::info!(killed, leftovers, took = ?stopped.took, "stopped the server");
        self.stopped = Some(stopped);
        Ok(stopped)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What is not stopped here, or was not before, is the supervisor's: its pipe is closed next.
        if !self.tried
            && let Err(error) = self.stop()
        {
            tracing::warn!(%error, "the server was not stopped");
        }
    }
}

/// How `child` ended, if it did. It is not waited for: as long as it stays a zombie, its id, which is
/// that of its group, is given to nobody else.
pub(super) fn exit_of(child: &mut Child) -> Option<Exit> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(pid_of(child)), flags) {
            Ok(WaitStatus::Exited(_, code)) => return Some(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Exit::Signal(signal as i32)),
            Ok(_) => return None,
            // Waited for already: the standard library kept how it ended.
            Err(_) => {}
        }
    }
    match child.try_wait() {
        Ok(status) => status.map(Exit::from),
        Err(_) => Some(Exit::Unknown),
    }
}

pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("the system's process ids are positive i32"))
}

/// Refuses a URL at which somebody answers already: it would be measured in the server's place.
pub(super) fn refuse_taken_port(url: &str) -> Result<(), LaunchError> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let Some((host, port)) = authority.rsplit_once(':') else { return Ok(()) };
    let Ok(port) = port.parse::<u16>() else { return Ok(()) };
    let Ok(addresses) = (host.trim_matches(['[', ']']), port).to_socket_addrs() else {
        return Ok(());
    };
    for address in addresses {
        if try_bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            return Err(LaunchError::PortTaken { host: host.to_owned(), port });
        }
    }
    Ok(())
}

/// `AddrInUse` when somebody listens there. With `SO_REUSEADDR`, and without listening, only a
/// listener is in the way: not a connection that ended a moment ago, and not someone else who asks the
/// same at this moment.
fn try_bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// The program as it is to be executed. The system would leave open from which folder a relative path
/// counts.
fn located(program: &str, folder: Option<&Path>) -> PathBuf {
    match folder {
        Some(folder) if program.contains('/') && Path::new(program).is_relative() => {
            // The folder itself counts from here, and the program is looked for from there.
            std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).join(program)
        }
        _ => PathBuf::from(program),
    }
}

/// What `error` means for someone who wrote the command.
fn spawn_problem(error: &io::Error, program: &Path, folder: Option<&Path>) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                format!("its folder `{}` does not exist", folder.display())
            } else if program.exists() {
                "the interpreter in its first line does not exist".to_owned()
            } else if program.components().count() > 1 {
                "there is no such file; check the path".to_owned()
            } else {
                "there is no such program in PATH; install it, start in its environment, or give \
                 its full path"
                    .to_owned()
            }
        }
        io::ErrorKind::PermissionDenied => "it is not executable; chmod +x makes it so".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
