//! Nothing outlives its owner, not even one that is killed with SIGKILL.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use plimsoll_server::{Compose, Owned, Process};

use crate::compose::stand_in;
use crate::support::{LONG, lives, no_proc, pids, ready, script, until};

/// Where the owner works, and what it owns.
const OWNER: &str = "PLIMSOLL_TEST_OWNER";

/// A process that owns a server until it is killed.
fn owner(what: &str, folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "owner::own", "--ignored", "--nocapture"])
        .env(OWNER, format!("{what} {}", folder.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "no test: the owner that the others kill"]
fn own() {
    let Ok(owner) = env::var(OWNER) else { return };
    let (what, folder) = owner.split_once(' ').unwrap();
    let folder = PathBuf::from(folder);
    let _owned: Box<dyn Owned> = match what {
        "process" => {
            let say =
                format!("sh -c 'echo $$ >> {}; exec sleep 1000'", folder.join("pids").display());
            // Deaf to SIGTERM, all of them: an ignored signal stays ignored in children.
            let text = format!("trap '' TERM; {say} & setsid {say} & (setsid {say} &); {say}");
            let mut spec = script(&text, &folder);
            spec.grace = Duration::from_secs(1);
            Box::new(Process::start(spec).unwrap())
        }
        _ => {
            let mut compose = Compose::start(stand_in(&folder, "serve")).unwrap();
            ready(&mut compose, LONG).unwrap();
            Box::new(compose)
        }
    };
    fs::write(folder.join("owned"), "").unwrap();
    thread::sleep(10 * LONG);
}

#[test]
fn a_killed_owner_takes_its_server_along() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut owner = owner("process", folder.path());
    let children = pids(&folder.path().join("pids"), 4);
    until("the owner owns", || folder.path().join("owned").exists());
    assert!(children.iter().all(|&pid| lives(pid)), "{children:?}");
    // SIGKILL.
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("all of the server is gone", || !children.iter().any(|&pid| lives(pid)));
}

#[test]
fn a_killed_owner_has_docker_take_the_service_down() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut owner = owner("compose", folder.path());
    until("the owner owns", || folder.path().join("owned").exists());
    let container = pids(&folder.path().join("pid"), 1)[0];
    assert!(lives(container));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("the container is gone", || !lives(container));
    until("docker was told", || {
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        calls.lines().any(|line| line.contains(" down -t "))
    });
}
