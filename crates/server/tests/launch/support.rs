//! What the tests share: specs, waiting, and looking at processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use plimsoll_server::{
    ControlClient, LaunchError, Owned, ProcessSpec, Ready, free_port, wait_ready,
};

use crate::toy;

/// Far longer than anything here takes, for a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A shell script as a server that nobody will ask.
pub(crate) fn script(text: &str, folder: &Path) -> ProcessSpec {
    ProcessSpec {
        command: ["sh", "-c", text].map(str::to_owned).to_vec(),
        environment: BTreeMap::new(),
        secrets: Vec::new(),
        folder: None,
        url: format!("http://127.0.0.1:{}", free_port().unwrap()),
        log: folder.join("server.log"),
        grace: Duration::from_secs(10),
    }
}

/// The toy server in that manner.
pub(crate) fn toy(manner: &str, folder: &Path) -> ProcessSpec {
    let port = free_port().unwrap();
    ProcessSpec {
        command: toy::command(),
        environment: toy::environment(port, manner),
        url: format!("http://127.0.0.1:{port}"),
        ..script("", folder)
    }
}

/// `future`'s value, on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits until `owned` is ready.
pub(crate) fn ready(owned: &mut dyn Owned, limit: Duration) -> Result<Ready, LaunchError> {
    let control = ControlClient::new(owned.url(), None, LONG).unwrap();
    block_on(wait_ready(owned, &control, Some("tiny"), limit, &|| false))
}

/// Waits until `condition` holds; the test fails if it never does.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while !condition() {
        assert!(waited < LONG, "waited in vain until {what}");
        thread::sleep(STEP);
        waited += STEP;
    }
}

/// Waits for the error of a server that ends by itself.
pub(crate) fn death(owned: &mut dyn Owned) -> LaunchError {
    let mut error = None;
    until("the server is dead", || {
        error = owned.check().err();
        error.is_some()
    });
    error.unwrap()
}

/// Whether the process lives; one that only waits to be noticed does not.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The ids that the script wrote to `path`, one a line, once there are `count`.
pub(crate) fn pids(path: &Path, count: usize) -> Vec<u32> {
    let mut pids = Vec::new();
    until("the script has said its ids", || {
        let text = fs::read_to_string(path).unwrap_or_default();
        // A last line without an end is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        pids = whole.lines().map(|line| line.trim().parse().unwrap()).collect();
        pids.len() >= count
    });
    pids
}

/// Whether processes can be looked at; says that it skips when they cannot.
pub(crate) fn no_proc() -> bool {
    let none = !Path::new("/proc/self/stat").exists();
    if none {
        println!("SKIP: there is no /proc here");
    }
    none
}
