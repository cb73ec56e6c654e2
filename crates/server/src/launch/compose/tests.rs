use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use super::*;

/// Far longer than anything here takes, for a loaded machine.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_grace_is_never_shortened() {
    assert_eq!(whole_seconds(Duration::from_millis(1500)), "2");
    assert_eq!(whole_seconds(Duration::from_secs(30)), "30");
}

/// Even if docker hangs at every step, the steps fit into the limit.
#[test]
fn the_shares_of_a_stop_fit() {
    let (third, least) = (STOP_LIMIT / 3, STOP_LIMIT / 12);
    let before_down = END_LIMIT + (third + END_LIMIT) + (least + END_LIMIT) + LOG_LIMIT;
    assert!(before_down + least + END_LIMIT + REST_LIMIT <= STOP_LIMIT, "{before_down:?}");
}

/// Writes down how it was called, and does what the file of the command's name holds.
const DOCKER: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$6" >> "$here/calls"
[ -e "$here/$6" ] && . "$here/$6"
exit 0
"#;

/// A service of that docker, with `manners`: of a command, what is done.
fn service(folder: &Path, manners: &[(&str, &str)]) -> Compose {
    let docker = folder.join("docker");
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    for (command, text) in manners {
        fs::write(folder.join(command), format!("{text}\n")).unwrap();
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let spec = spec(folder, [("PATH".to_owned(), path)]);
    Compose::start(spec).unwrap()
}

fn spec<const N: usize>(folder: &Path, environment: [(String, String); N]) -> ComposeSpec {
    ComposeSpec {
        file: folder.join("x.yaml"),
        service: "vllm".to_owned(),
        settings: Vec::new(),
        model: None,
        secrets: Vec::new(),
        environment: environment.into(),
        port: super::super::free_port().unwrap(),
        log: folder.join("server.log"),
        grace: Duration::ZERO,
    }
}

fn called(folder: &Path, command: &str) -> usize {
    let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    calls.lines().filter(|&line| line == command).count()
}

/// Waits until `condition` holds; the test fails if it never does.
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = RunClock::start();
    let began = clock.now();
    while !condition() {
        assert!(clock.now().since(began) < LONG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

const HANGS: &str = "sleep 1000";
const RUNNING: &str = r#"echo '{"Service":"vllm","State":"running"}'"#;

#[test]
fn a_daemon_that_hangs_holds_up_a_stop_once_and_not_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let manners = [("ps", RUNNING), ("logs", HANGS), ("stop", HANGS), ("down", HANGS)];
    let mut service = service(here, &manners);
    until("the log is followed", || called(here, "logs") == 1);
    service.stop_limit = Duration::from_secs(3);
    let error = service.stop().unwrap_err();
    let text = error.to_string();
    let LaunchError::DockerHangs { command, limit } = error else { panic!("{text}") };
    assert!(command.ends_with("down -t 0"), "{text}");
    assert!(limit <= Duration::from_secs(3), "{limit:?}");
    assert_eq!((called(here, "stop"), called(here, "down")), (1, 1));
    // Without its supervisor, which would call docker as well.
    let supervisor = service.supervisor.take().unwrap();
    drop(service);
    assert_eq!(
        (called(here, "stop"), called(here, "down")),
        (1, 1),
        "dropping tries nothing again"
    );
    fs::remove_file(here.join("down")).unwrap();
    drop(supervisor);
    until("the supervisor has tried", || called(here, "down") == 2);
}

#[test]
fn a_stop_that_failed_can_be_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let refuses = "echo 'Cannot connect to the Docker daemon' >&2; exit 1";
    let here = folder.path();
    let manners = [("ps", RUNNING), ("logs", HANGS), ("stop", refuses), ("down", refuses)];
    let mut service = service(here, &manners);
    let error = service.stop().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LaunchError::Docker { exit: Exit::Code(1), .. }), "{text}");
    assert!(text.contains("Cannot connect"), "{text}");
    for command in ["stop", "down"] {
        fs::remove_file(here.join(command)).unwrap();
    }
    let stopped = service.stop().unwrap();
    assert!(!stopped.killed);
    assert_eq!(service.stop().unwrap(), stopped);
    drop(service);
    assert_eq!((called(here, "stop"), called(here, "down")), (2, 2));
}

#[test]
fn without_a_supervisor_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    // More than any system takes.
    let long = ("LONG".to_owned(), "x".repeat(8 << 20));
    let path = ("PATH".to_owned(), folder.path().display().to_string());
    let error = Compose::start(spec(folder.path(), [long, path])).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LaunchError::Supervisor { .. }), "{text}");
    assert!(text.contains("supervisor") && text.contains("/bin/sh"), "{text}");
    assert_eq!(called(folder.path(), "up"), 0);
}
