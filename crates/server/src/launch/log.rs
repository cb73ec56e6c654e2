//! The server's log: what it writes goes to a file as it comes, and its last lines stay at hand.
//!
//! Standard output and standard error are one pipe, so that the file has them in the order in which
//! they were written. A thread copies bytes as they are; progress bars that only return the carriage
//! stay such. Only secrets that the server was given are replaced.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::error::LaunchError;
use super::secrets::Redactor;
use crate::terminal::show_line;

/// How many lines are kept in memory. A failed start of vLLM shows two tracebacks, and the cause is
/// at the end of the first.
const KEPT_LINES: usize = 500;
/// How many bytes of a line are kept in memory.
const KEPT_BYTES: usize = 2000;

/// The file that a server's output goes to, and the thread that brings it there.
#[derive(Debug)]
pub(super) struct Log {
    state: Arc<Mutex<State>>,
    pump: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    file: File,
    path: PathBuf,
    /// Where the log goes from the next line on.
    next: Option<(File, PathBuf)>,
    /// Whether the last byte was in the middle of a line.
    in_line: bool,
    tail: Tail,
    /// Whether writing failed; it is said once, and the tail goes on.
    failed: bool,
}

impl Log {
    /// A log that goes to `path`, behind what is there already, and the pipe that feeds it.
    pub(super) fn open(path: &Path, redactor: Redactor) -> Result<(Self, PipeWriter), LaunchError> {
        let error = |source| LaunchError::Log { path: path.to_owned(), source };
        let file = append(path).map_err(error)?;
        // Both ends are closed on exec: no other child that is started meanwhile keeps the pipe open.
        let (reader, writer) = io::pipe().map_err(error)?;
        let state = Arc::new(Mutex::new(State {
            file,
            path: path.to_owned(),
            next: None,
            in_line: false,
            tail: Tail::default(),
            failed: false,
        }));
        let shared = Arc::clone(&state);
        let pump = thread::Builder::new()
            .name("server-log".to_owned())
            .spawn(move || pump(reader, redactor, &shared))
            .map_err(error)?;
        Ok((Self { state, pump: Some(pump) }, writer))
    }

    /// Sends the log to `path` from the next line on.
    pub(super) fn switch_to(&self, path: &Path) -> io::Result<()> {
        let file = append(path)?;
        let mut state = lock(&self.state);
        state.next = Some((file, path.to_owned()));
        if !state.in_line {
            state.switch();
        }
        Ok(())
    }

    /// The last `most` lines.
    pub(super) fn last_lines(&self, most: usize) -> Vec<String> {
        lock(&self.state).tail.last(most)
    }

    /// Waits until everything that was written to the pipe is in the file, `limit` at most. It takes
    /// longer only if a process that is not the server's holds the other end.
    pub(super) fn drain(&mut self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while self.pump.as_ref().is_some_and(|pump| !pump.is_finished()) && waited < limit {
            thread::sleep(STEP);
            waited += STEP;
        }
        if self.pump.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(pump) = self.pump.take()
            && pump.join().is_err()
        {
            tracing::warn!("the thread that writes the server's log panicked");
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A panic while the lock was held leaves a state that is good enough for a log.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pump(mut reader: PipeReader, mut redactor: Redactor, state: &Mutex<State>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let shown = redactor.push(&buffer[..read]);
                lock(state).write(&shown);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "the server's output can no longer be read");
                break;
            }
        }
    }
    let held = redactor.finish();
    lock(state).write(&held);
}

impl State {
    fn write(&mut self, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.tail.push(bytes);
        let last = bytes[bytes.len() - 1];
        if self.next.is_some() && self.in_line {
            let end = bytes.iter().position(|&b| b == b'\n').map(|at| at + 1);
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.append(line);
            bytes = rest;
            if end.is_some() {
                self.switch();
            }
        }
        self.append(bytes);
        self.in_line = last != b'\n';
    }

    fn switch(&mut self) {
        if let Some((file, path)) = self.next.take() {
            (self.file, self.path) = (file, path);
            self.failed = false;
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        // A file is not buffered: what is written here can be read by others at once.
        if let Err(error) = self.file.write_all(bytes)
            && !self.failed
        {
            self.failed = true;
            let path = self.path.display();
            tracing::warn!(%error, %path, "the server's log cannot be written");
        }
    }
}

/// The last lines as text.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    line: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.line.extend_from_slice(text);
            if !ends {
                // A progress bar has no end of line for minutes; what it overwrote is gone.
                if self.line.len() > 2 * KEPT_BYTES {
                    let keep = self.line.len() - KEPT_BYTES;
                    self.line.drain(..keep);
                }
                continue;
            }
            if self.lines.len() == KEPT_LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(readable(&self.line));
            self.line.clear();
        }
    }

    fn last(&self, most: usize) -> Vec<String> {
        let open = (!self.line.is_empty()).then(|| readable(&self.line));
        let lines: Vec<_> = self.lines.iter().cloned().chain(open).collect();
        let start = lines.len().saturating_sub(most);
        lines[start..].to_vec()
    }
}

/// The line as a terminal would show it, and not without end.
fn readable(line: &[u8]) -> String {
    let mut text = String::new();
    show_line(line, &mut text);
    text.truncate(text.floor_char_boundary(KEPT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn bytes_arrive_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        fs::write(&path, "before\n").unwrap();
        let (mut log, mut pipe) = Log::open(&path, Redactor::default()).unwrap();
        pipe.write_all(b"a\r\n\x1b[32mgreen\x1b[0m\n 10%\r 20%\r\xff\n\tunfinished").unwrap();
        drop(pipe);
        log.drain(LONG);
        assert_eq!(
            fs::read(&path).unwrap(),
            b"before\na\r\n\x1b[32mgreen\x1b[0m\n 10%\r 20%\r\xff\n\tunfinished"
        );
        assert_eq!(log.last_lines(9), ["a", "green", "\u{fffd}", "    unfinished"]);
        assert_eq!(log.last_lines(1), ["    unfinished"]);
    }

    #[test]
    fn a_switch_waits_for_the_end_of_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let (log, _pipe) = Log::open(&paths[0], Redactor::default()).unwrap();
        // Straight into the state: when the pump reads is the scheduler's affair.
        lock(&log.state).write(b"one\ntw");
        log.switch_to(&paths[1]).unwrap();
        lock(&log.state).write(b"o");
        lock(&log.state).write(b"!\nthree\nfo");
        log.switch_to(&paths[0]).unwrap();
        lock(&log.state).write(b"ur\nfive");
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), "one\ntwo!\nfive");
        assert_eq!(fs::read_to_string(&paths[1]).unwrap(), "three\nfour\n");
    }

    #[test]
    fn secrets_do_not_reach_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let redactor = Redactor::new(vec![b"sk-secret".to_vec()]);
        let (mut log, mut pipe) = Log::open(&path, redactor).unwrap();
        pipe.write_all(b"api_key: ['sk-sec").unwrap();
        pipe.write_all(b"ret']\n").unwrap();
        drop(pipe);
        log.drain(LONG);
        assert_eq!(fs::read_to_string(&path).unwrap(), "api_key: ['[redacted]']\n");
        assert_eq!(log.last_lines(1), ["api_key: ['[redacted]']"]);
    }

    #[test]
    fn the_tail_is_bounded() {
        let mut tail = Tail::default();
        for i in 0..2 * KEPT_LINES {
            tail.push(format!("{i}\n").as_bytes());
        }
        for _ in 0..1000 {
            tail.push(&[b'x'; 100]);
        }
        assert!(tail.line.len() <= 2 * KEPT_BYTES + 100);
        assert_eq!(tail.lines.len(), KEPT_LINES);
        assert_eq!(tail.last(2)[0], (2 * KEPT_LINES - 1).to_string());
    }

    #[test]
    fn a_log_that_cannot_be_opened_names_the_file() {
        let error = Log::open(Path::new("/nonexistent/x.log"), Redactor::default()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.log"), "{error}");
    }
}
