//! How starting, watching and stopping a server fails.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use thiserror::Error;

use super::cause::Cause;
use crate::ServerError;

/// Why there is no server to measure, or no longer one.
///
/// The last lines of its log come at the end of a message, each on a line of its own.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The command has no words.
    #[error("the command that starts the server is empty; write one, like `vllm serve MODEL`")]
    NoCommand,
    /// Somebody else listens where the server would.
    #[error(
        "port {port} of {host} is taken by another program; stop that one, or leave the port out so \
         that a free one is taken"
    )]
    PortTaken {
        /// The host, as in the URL.
        host: String,
        /// The port.
        port: u16,
    },
    /// The program did not start at all.
    #[error("`{program}` cannot be started: {problem}")]
    Spawn {
        /// The program, as it was looked for.
        program: String,
        /// What is wrong, with the remedy.
        problem: String,
        /// The system's own error.
        source: io::Error,
    },
    /// The supervisor, without which nothing is started, did not start.
    #[error(
        "the supervisor, which stops the server should this program be killed, cannot be started: \
         {source}; it needs /bin/sh"
    )]
    Supervisor {
        /// The system's own error.
        source: io::Error,
    },
    /// The log cannot be written.
    #[error("the server's log `{}` cannot be written: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// It ended by itself.
    #[error("the server ended by itself with {exit}{}{}", because(.cause.as_ref()), quoted(.last_lines))]
    Died {
        /// How.
        exit: Exit,
        /// Why, as far as that can be guessed.
        cause: Option<Cause>,
        /// The end of its log.
        last_lines: Vec<String>,
    },
    /// It lives, but could not be used within the limit.
    #[error(
        "the server was not ready within {limit:?}: {waiting_for}{}; if it only needs longer, raise \
         the limit{}",
        because(.cause.as_ref()),
        quoted(.last_lines)
    )]
    NotReady {
        /// The limit.
        limit: Duration,
        /// What did not come, and what came instead.
        waiting_for: String,
        /// Why, as far as that can be guessed.
        cause: Option<Cause>,
        /// The end of its log.
        last_lines: Vec<String>,
    },
    /// Docker refused or failed.
    #[error(
        "`{command}` failed with {exit}{}{}",
        because(.cause.as_ref()),
        quoted(.last_lines)
    )]
    Docker {
        /// What was run.
        command: String,
        /// How it ended.
        exit: Exit,
        /// Why, as far as that can be guessed.
        cause: Option<Cause>,
        /// The end of what docker said.
        last_lines: Vec<String>,
    },
    /// Docker did not come to an end.
    #[error("`{command}` had not ended after {limit:?}; see whether the docker daemon is well")]
    DockerHangs {
        /// What was run.
        command: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The wait was called off.
    #[error("the wait for the server was called off")]
    Cancelled,
    /// The server answers, and refuses for good.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Processes of it outlived SIGKILL.
    #[error(
        "processes {pids:?} of the server outlived SIGKILL; they hang inside the kernel, most often in \
         the GPU driver: look at `dmesg`"
    )]
    Survived {
        /// Their ids.
        pids: Vec<u32>,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// In a way that the system did not tell.
    Unknown,
}

impl Exit {
    /// The signal that ended it, also when a shell or docker turned it into a status above 128.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Code(code @ 129..=192) => Some(code - 128),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "signal {signal} ({name})"),
                Err(_) => write!(f, "signal {signal}"),
            },
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}

fn because(cause: Option<&Cause>) -> String {
    cause.map_or_else(String::new, |cause| format!("; likely cause: {cause}"))
}

/// `lines` as the end of a message.
fn quoted(lines: &[String]) -> String {
    if lines.is_empty() {
        return "; it wrote nothing to its log".to_owned();
    }
    let lines: String = lines.iter().map(|line| format!("\n  | {line}")).collect();
    format!("; its last lines:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_say_how() {
        assert_eq!(Exit::Code(3).to_string(), "exit status 3");
        assert_eq!(Exit::Signal(9).to_string(), "signal 9 (SIGKILL)");
        assert_eq!(Exit::Code(137).signal(), Some(9));
        assert_eq!(Exit::Code(1).signal(), None);
        assert_eq!(Exit::Code(255).signal(), None);
    }

    #[test]
    fn a_death_is_told_with_its_last_lines() {
        let died = LaunchError::Died {
            exit: Exit::Code(1),
            cause: None,
            last_lines: vec!["one".to_owned(), "two".to_owned()],
        };
        assert_eq!(
            died.to_string(),
            "the server ended by itself with exit status 1; its last lines:\n  | one\n  | two"
        );
        let silent = LaunchError::Died { exit: Exit::Signal(9), cause: None, last_lines: vec![] };
        assert!(silent.to_string().ends_with("it wrote nothing to its log"), "{silent}");
    }
}
