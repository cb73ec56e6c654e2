//! Stopping: in order, by force, and whatever a server left behind.

use std::time::Duration;

use plimsoll_server::{Attached, Owned, Process};

use crate::support::{LONG, lives, no_proc, pids, ready, script, toy, until};

#[test]
fn a_server_is_started_used_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("serve", folder.path())).unwrap();
    assert_eq!(server.launch(), "process");
    let ready = ready(&mut server, LONG).unwrap();
    assert_eq!(ready.model, "tiny");
    assert!(ready.took >= ready.first_answer);
    let processes = server.processes();
    assert_eq!(processes.len(), 1);
    assert!(lives(processes[0]) || no_proc());
    server.check().unwrap();
    let stopped = server.stop().unwrap();
    assert!(!stopped.killed);
    assert_eq!(stopped.leftovers, 0);
    assert!(!lives(processes[0]));
    assert!(server.processes().is_empty());
    // The second time says the same, and a third time, in `drop`, does nothing.
    assert_eq!(server.stop().unwrap(), stopped);
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_its_grace() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = script("trap '' TERM; echo deaf; sleep 1000", folder.path());
    spec.grace = Duration::from_millis(300);
    let mut server = Process::start(spec).unwrap();
    until("it is deaf", || server.last_lines(1) == ["deaf"]);
    let stopped = server.stop().unwrap();
    assert!(stopped.killed);
    assert!(stopped.took >= Duration::from_millis(300), "{stopped:?}");
    assert_eq!(stopped.leftovers, 0);
}

#[test]
fn children_in_its_group_end_with_it() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let text = format!(
        "sleep 1000 & echo $! >> {f}; sleep 1000 & echo $! >> {f}; wait",
        f = file.display()
    );
    let mut server = Process::start(script(&text, folder.path())).unwrap();
    let children = pids(&file, 2);
    assert_eq!(server.processes().len(), 3);
    let stopped = server.stop().unwrap();
    assert!(!stopped.killed && stopped.leftovers == 0, "{stopped:?}");
    assert!(!children.iter().any(|&pid| lives(pid)));
}

/// One that left the group, one that lost its parent as well, and one that wiped its environment but
/// still has its parent: each is found in another way.
#[test]
fn children_that_left_its_group_are_found_and_killed() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let say = format!("sh -c 'echo $$ >> {}; exec sleep 1000'", file.display());
    let text =
        format!("setsid {say} & (setsid {say} &); setsid env -i PATH=\"$PATH\" {say} & wait");
    let mut server = Process::start(script(&text, folder.path())).unwrap();
    let children = pids(&file, 3);
    let processes = server.processes();
    assert!(children.iter().all(|pid| processes.contains(pid)), "{children:?} {processes:?}");
    let stopped = server.stop().unwrap();
    assert_eq!(stopped.leftovers, 3);
    assert!(!children.iter().any(|&pid| lives(pid)));
}

#[test]
fn what_a_dead_server_left_behind_goes_as_well() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let say = format!("sh -c 'echo $$ >> {}; exec sleep 1000'", file.display());
    let text = format!(
        "{say} & setsid {say} & until [ \"$(cat {f} 2> /dev/null | wc -l)\" -ge 2 ]; do sleep 0.02; \
         done; exit 5",
        f = file.display()
    );
    let mut server = Process::start(script(&text, folder.path())).unwrap();
    let children = pids(&file, 2);
    crate::support::death(&mut server);
    assert!(children.iter().all(|&pid| lives(pid)));
    let stopped = server.stop().unwrap();
    assert_eq!(stopped.leftovers, 1, "the other one was still in the group");
    assert!(!children.iter().any(|&pid| lives(pid)));
}

#[test]
fn dropping_stops_it() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(script("sleep 1000 & sleep 1000", folder.path())).unwrap();
    until("it has a child", || server.processes().len() >= 2);
    let processes = server.processes();
    drop(server);
    assert!(!processes.iter().any(|&pid| lives(pid)));
}

#[test]
fn a_server_of_someone_else_is_left_alone() {
    let mut server = Attached::new("http://localhost:8000");
    assert_eq!((server.launch(), server.url()), ("attach", "http://localhost:8000"));
    assert_eq!((server.command(), server.processes()), (None, vec![]));
    server.check().unwrap();
    assert_eq!(server.stop().unwrap(), plimsoll_server::Stopped::default());
    server.check().unwrap();
}
