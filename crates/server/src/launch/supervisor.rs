//! A process that outlives this one, to stop the server when this one no longer can.
//!
//! A destructor does not run when a process is killed with SIGKILL, and the server would keep the
//! GPUs for good. Linux offers a parent-death signal (`PR_SET_PDEATHSIG`), and it is not enough: it
//! reaches the direct child only, not the workers of that child; it fires when the *thread* that made
//! the child ends; it is cleared by the execution of a set-user-id program; it comes as one signal
//! without a grace; and no signal takes down what a docker daemon started. So a small shell script
//! waits beside each server, in a process group of its own and deaf to what a terminal sends, for the
//! end of a pipe. The pipe's other end is in this process alone (it is closed on exec), so the pipe
//! ends when this process does, by whatever means. What the script then does is in `supervisor.sh`.
//!
//! It is started before the server, so that there is no moment without it. Killing both at once, or a
//! whole container or control group, needs no supervisor or defeats it.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::error::LaunchError;
use super::marker::{Marker, VARIABLE};

const SCRIPT: &str = include_str!("supervisor.sh");
/// How long it may take to end once it is told that it is not needed.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A supervisor that waits. Dropping it without [`dismiss`](Self::dismiss) makes it act.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Supervisor {
    /// A supervisor of whatever carries `marker`: they get `grace` between SIGTERM and SIGKILL, and
    /// `afterwards` is run at the end, unless it is empty. It has the environment `environment` on
    /// top of this process's own.
    pub(super) fn start<'a>(
        marker: &Marker,
        grace: Duration,
        afterwards: &[String],
        environment: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, LaunchError> {
        let tenths = (grace.as_millis() / 100).to_string();
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "plimsoll-supervisor", &marker.assignment(), &tenths])
            .args(afterwards)
            .envs(environment)
            // It must not find itself, nor be found by the supervisor of a server that this runs in.
            .env_remove(VARIABLE)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| LaunchError::Supervisor { source })?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Tells it the process group of the server.
    pub(super) fn watch(&mut self, group: u32) {
        if let Err(error) = self.say(&format!("group {group}\n")) {
            tracing::warn!(%error, "the supervisor of the server is gone");
        }
    }

    /// Tells it that there is nothing left to stop, and waits for its end.
    pub(super) fn dismiss(mut self) {
        const STEP: Duration = Duration::from_millis(5);
        // An error means that it is gone already.
        let _ = self.say("done\n");
        self.pipe = None;
        let mut waited = Duration::ZERO;
        while matches!(self.child.try_wait(), Ok(None)) && waited < END_LIMIT {
            thread::sleep(STEP);
            waited += STEP;
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.write_all(line.as_bytes()))
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}
