//! Owning a server: starting, watching and stopping it.
//!
//! [`Owned`] is the seam: whoever runs points asks a target for its URL, its log, whether it lives, and
//! for its end, and does not care how it came to be. Here are three implementers: [`Attached`], which
//! was there before and stays, [`Process`], a command line, and [`Compose`], a service of docker
//! compose. The simulator is a fourth, elsewhere.
//!
//! Nothing that was started here outlives its owner, whatever way the owner ends: `stop` and `Drop`
//! end it in an orderly way, and a supervisor does when the owner cannot (see `supervisor.rs`).

mod cause;
mod command;
mod compose;
mod error;
mod flags;
mod log;
mod marker;
mod process;
mod ready;
mod secrets;
mod supervisor;
mod tree;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

pub use cause::{Cause, CauseKind, likely_cause};
pub use command::{CommandError, CommandValues, command_line, free_port};
pub use compose::{Compose, ComposeSpec};
pub use error::{Exit, LaunchError};
pub use flags::{FlagError, Flags};
pub use process::{Process, ProcessSpec};
pub use ready::{Ready, wait_ready};

/// A server to be measured, held by whoever measures it.
///
/// What was started ends with its holder: dropping it stops it, as [`stop`](Self::stop) does.
pub trait Owned: fmt::Debug + Send {
    /// How it was obtained, as matrices say it: `attach`, `process`, `compose`, `sim`.
    fn launch(&self) -> &'static str;

    /// Its base URL.
    fn url(&self) -> &str;

    /// The command that started it, quoted for a shell and without secrets; `None` when there was none.
    fn command(&self) -> Option<String> {
        None
    }

    /// The ids of all its processes at this moment; empty when they are not known.
    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The last lines of its log, `most` at most, oldest first; empty when there is no log.
    fn last_lines(&self, most: usize) -> Vec<String> {
        let _ = most;
        Vec::new()
    }

    /// Whether it is still there, as far as that can be told without asking the server.
    ///
    /// # Errors
    /// [`LaunchError::Died`] when it ended by itself, with how, the last lines of its log, and the
    /// likely cause.
    fn check(&mut self) -> Result<(), LaunchError> {
        Ok(())
    }

    /// Sends its log to `path` from the next line on. What is there already stays, in front.
    ///
    /// # Errors
    /// When the file cannot be opened; the log then goes where it went before.
    fn log_to(&mut self, path: &Path) -> io::Result<()> {
        let _ = path;
        Ok(())
    }

    /// Ends it if it was started here, and says how that went. The second time says the same again; one
    /// that failed is tried again, and not repeated by dropping.
    ///
    /// Blocks for as long as the server takes to end: its grace and some seconds at most, for a compose
    /// service a minute.
    ///
    /// # Errors
    /// [`LaunchError::Survived`] when processes outlived SIGKILL, [`LaunchError::Docker`] and
    /// [`LaunchError::DockerHangs`] when docker could not do it.
    fn stop(&mut self) -> Result<Stopped, LaunchError>;
}

/// How a server ended when it was told to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Whether it was still there after its grace and had to be killed.
    pub killed: bool,
    /// Processes that it left behind, outside its process group, and that were killed one by one.
    pub leftovers: u32,
    /// How long that took.
    pub took: Duration,
}

/// A server that someone else started: it is used, and left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    url: String,
}

impl Attached {
    /// The server at `url`. Nothing is asked of it yet.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}

impl Owned for Attached {
    fn launch(&self) -> &'static str {
        "attach"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn stop(&mut self) -> Result<Stopped, LaunchError> {
        Ok(Stopped::default())
    }
}
