//! Docker compose, with a script that plays docker, and the file that comes with Plimsoll.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use plimsoll_server::{CauseKind, Compose, ComposeSpec, Exit, LaunchError, Owned, free_port};
use plimsoll_units::{Clock as _, RunClock};

use crate::support::{LONG, death, lives, no_proc, pids, ready, until};
use crate::toy;

/// Writes down how it was called, and keeps one container: the toy server.
const DOCKER: &str = r#"#!/bin/sh
here=$(dirname "$0")/..
echo "docker $*" >> "$here/calls"
# docker compose -f FILE -p PROJECT COMMAND
file=$3 verb=$6
case $verb in
up)
    env | grep -e ^PLIMSOLL_ -e ^EXTRA= | grep -v ^PLIMSOLL_LAUNCH= | sort > "$here/environment"
    echo " Container toy Starting" >&2
    if [ "$FAIL" ]; then
        echo "Error response from daemon: $FAIL" >&2
        exit 18
    fi
    : > "$here/out"
    # As the daemon does it: nothing of the caller's, no pipe and no marker.
    env -u PLIMSOLL_LAUNCH HERE="$here" setsid sh -c '
        sh -c "$TOY_LINE" >> "$HERE/out" 2>&1 &
        echo $! > "$HERE/pid"
        wait $!
        echo $? > "$HERE/exit"' < /dev/null > /dev/null 2>&1 &
    until [ -s "$here/pid" ]; do sleep 0.02; done
    ;;
logs)
    tail -n +1 -f "$here/out" &
    tail=$!
    trap 'kill $tail; exit 0' TERM
    until [ -e "$here/exit" ] || [ -e "$here/cut" ]; do sleep 0.05; done
    sleep 0.2
    kill $tail
    ;;
ps)
    if [ -e "$here/no daemon" ]; then
        echo "Cannot connect to the Docker daemon" >&2
        exit 1
    fi
    [ -e "$here/daemon hangs" ] && exec sleep 1000
    state=running code=0
    [ -e "$here/exit" ] && state=exited code=$(cat "$here/exit")
    echo "{\"ID\":\"0123456789abcdef\",\"Service\":\"vllm\",\"State\":\"$state\",\"ExitCode\":$code}"
    ;;
stop)
    [ -e "$here/pid" ] || exit 0
    kill -TERM "$(cat "$here/pid")" 2> /dev/null
    until [ -e "$here/exit" ]; do sleep 0.05; done
    ;;
down)
    [ -e "$here/pid" ] && kill -KILL "$(cat "$here/pid")" 2> /dev/null
    :
    ;;
esac
"#;

/// A service of a docker that is a script in `folder`, and that runs the toy in that manner.
pub(crate) fn stand_in(folder: &Path, manner: &str) -> ComposeSpec {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let docker = bin.join("docker");
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let port = free_port().unwrap();
    let mut environment = toy::environment(port, manner);
    let path = env::var("PATH").unwrap();
    let line: Vec<_> = toy::command().iter().map(|word| format!("'{word}'")).collect();
    environment.extend([
        ("PATH".to_owned(), format!("{}:{path}", bin.display())),
        ("TOY_LINE".to_owned(), format!("exec {}", line.join(" "))),
        ("EXTRA".to_owned(), "as given".to_owned()),
    ]);
    ComposeSpec {
        file: folder.join("My server.yaml"),
        service: "vllm".to_owned(),
        settings: ["--max-num-seqs", "8", "--speculative-config", r#"{"a": "it's"}"#]
            .map(str::to_owned)
            .to_vec(),
        model: Some("tiny".to_owned()),
        environment,
        secrets: Vec::new(),
        port,
        log: folder.join("server.log"),
        grace: Duration::from_secs(7),
    }
}

fn calls(folder: &Path) -> Vec<String> {
    let file = folder.join("My server.yaml");
    let base = format!("docker compose -f {} -p plimsoll-my-server ", file.display());
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    calls.lines().map(|line| line.strip_prefix(&base).unwrap().to_owned()).collect()
}

#[test]
fn docker_is_told_what_to_do_in_these_words() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let spec = stand_in(folder.path(), "serve");
    let port = spec.port;
    let mut server = Compose::start(spec).unwrap();
    assert_eq!(server.launch(), "compose");
    assert_eq!(server.url(), format!("http://127.0.0.1:{port}"));
    ready(&mut server, LONG).unwrap();
    let environment = fs::read_to_string(folder.path().join("environment")).unwrap();
    let mut lines = environment.lines();
    assert_eq!(lines.next(), Some("EXTRA=as given"));
    let args = lines.next().unwrap().strip_prefix("PLIMSOLL_ARGS=").unwrap();
    assert_eq!(
        shlex::split(args).unwrap(),
        ["--max-num-seqs", "8", "--speculative-config", r#"{"a": "it's"}"#]
    );
    assert_eq!(lines.next(), Some("PLIMSOLL_MODEL=tiny"));
    assert_eq!(lines.next(), Some(format!("PLIMSOLL_PORT={port}").as_str()));

    let container = pids(&folder.path().join("pid"), 1)[0];
    server.check().unwrap();
    until("the log has come", || {
        fs::read_to_string(folder.path().join("server.log")).unwrap().contains("toy: listening")
    });
    let point = folder.path().join("point.log");
    server.log_to(&point).unwrap();
    let stopped = server.stop().unwrap();
    assert!(!stopped.killed && stopped.leftovers == 0, "{stopped:?}");
    assert!(!lives(container));
    assert_eq!(
        calls(folder.path()),
        [
            "up -d --force-recreate vllm",
            "ps -a --format json vllm",
            "logs -f --no-color --no-log-prefix vllm",
            "stop -t 7",
            "ps -a --format json vllm",
            "down -t 7",
        ]
    );
    let log = fs::read_to_string(folder.path().join("server.log")).unwrap();
    assert!(log.contains("Container toy Starting") && log.contains("toy: listening"), "{log}");
    let command = server.command().unwrap();
    assert!(
        command.contains("docker compose -f ") && command.ends_with("up -d --force-recreate vllm")
    );
    assert!(command.contains("PLIMSOLL_ARGS="), "{command}");
}

#[test]
fn what_docker_refuses_is_told_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = stand_in(folder.path(), "serve");
    let words = "pull access denied for vllm/vllm, repository does not exist";
    spec.environment.insert("FAIL".to_owned(), words.to_owned());
    let mut server = Compose::start(spec).unwrap();
    let error = ready(&mut server, LONG).unwrap_err();
    let text = error.to_string();
    let LaunchError::Docker { exit, cause, .. } = error else { panic!("{text}") };
    assert_eq!((exit, cause.unwrap().kind), (Exit::Code(18), CauseKind::ImageNotFound));
    assert!(text.contains(words) && text.contains("up -d"), "{text}");
    drop(server);
    assert_eq!(calls(folder.path()).last().unwrap(), "down -t 7");
}

#[test]
fn a_container_that_ends_is_noticed_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Compose::start(stand_in(folder.path(), "dying")).unwrap();
    let error = ready(&mut server, LONG).unwrap_err();
    let LaunchError::Died { exit, cause, .. } = error else { panic!("{error}") };
    assert_eq!((exit, cause.unwrap().kind), (Exit::Code(3), CauseKind::CudaOutOfMemory));
}

#[test]
fn a_container_that_is_killed_later_is_noticed() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut server = Compose::start(stand_in(folder.path(), "serve")).unwrap();
    ready(&mut server, LONG).unwrap();
    let container = pids(&folder.path().join("pid"), 1)[0];
    let container = nix::unistd::Pid::from_raw(i32::try_from(container).unwrap());
    nix::sys::signal::kill(container, nix::sys::signal::Signal::SIGKILL).unwrap();
    let error = death(&mut server);
    let LaunchError::Died { exit, cause, .. } = error else { panic!("{error}") };
    assert_eq!((exit, cause.unwrap().kind), (Exit::Code(137), CauseKind::KilledByKernel));
}

/// A service that is ready, of a docker that stops following its log and answers questions in that
/// manner; once docker has been asked `asked` times more.
fn without_an_answer(folder: &Path, manner: &str, asked: usize) -> Compose {
    let mut server = Compose::start(stand_in(folder, "serve")).unwrap();
    ready(&mut server, LONG).unwrap();
    until("the log is followed", || called(folder, "logs ") == 1);
    let before = called(folder, "ps ");
    fs::write(folder.join(manner), "").unwrap();
    fs::write(folder.join("cut"), "").unwrap();
    until("docker is asked", || {
        // Never taken for dead, whenever that is.
        server.check().unwrap();
        called(folder, "ps ") >= before + asked
    });
    server.check().unwrap();
    server
}

fn called(folder: &Path, verb: &str) -> usize {
    calls(folder).iter().filter(|call| call.starts_with(verb)).count()
}

#[test]
fn a_daemon_that_is_away_for_a_while_is_no_dead_server() {
    if no_proc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut server = without_an_answer(here, "no daemon", 1);
    fs::remove_file(here.join("cut")).unwrap();
    fs::remove_file(here.join("no daemon")).unwrap();
    until("the log is followed anew", || called(here, "logs -f -n 0 ") == 1);
    server.check().unwrap();
    let container = pids(&here.join("pid"), 1)[0];
    let container = nix::unistd::Pid::from_raw(i32::try_from(container).unwrap());
    nix::sys::signal::kill(container, nix::sys::signal::Signal::SIGKILL).unwrap();
    let error = death(&mut server);
    assert!(matches!(error, LaunchError::Died { exit: Exit::Code(137), .. }), "{error}");
}

#[test]
fn a_daemon_that_hangs_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut server = without_an_answer(here, "daemon hangs", 1);
    // A question that hangs is given up after half a minute, and far more looks than one were taken.
    let clock = RunClock::start();
    let began = clock.now();
    for _ in 0..1000 {
        server.check().unwrap();
    }
    let took = clock.now().since(began);
    assert!(took < Duration::from_secs(20), "{took:?}");
    fs::remove_file(here.join("daemon hangs")).unwrap();
    let stopped = server.stop().unwrap();
    assert!(!stopped.killed, "{stopped:?}");
    assert_eq!(calls(here).last().unwrap(), "down -t 7");
    let error = server.check().unwrap_err();
    assert!(matches!(error, LaunchError::Died { exit: Exit::Unknown, .. }), "{error}");
}

#[test]
fn a_stop_that_fails_is_left_to_the_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let spec = stand_in(here, "serve");
    let docker = here.join("bin/docker");
    let refuse = "[ -e \"$here/no daemon\" ] && { echo away >&2; exit 1; }\n";
    let text = DOCKER.replace("stop)\n", &format!("stop)\n{refuse}"));
    fs::write(&docker, text.replace("down)\n", &format!("down)\n{refuse}"))).unwrap();
    let mut server = Compose::start(spec).unwrap();
    ready(&mut server, LONG).unwrap();
    fs::write(here.join("no daemon"), "").unwrap();
    let error = server.stop().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LaunchError::Docker { exit: Exit::Code(1), .. }), "{text}");
    assert!(text.contains("away") && text.contains("down -t 7"), "{text}");
    assert_eq!((called(here, "stop "), called(here, "down ")), (1, 1));
    fs::remove_file(here.join("no daemon")).unwrap();
    drop(server);
    until("the supervisor has taken it down", || called(here, "down ") == 2);
    assert_eq!(called(here, "stop "), 1, "dropping does not try again");
    if !no_proc() {
        let container = pids(&here.join("pid"), 1)[0];
        until("the container is gone", || !lives(container));
    }
}

#[test]
fn no_docker_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = stand_in(folder.path(), "serve");
    spec.environment.insert("PATH".to_owned(), "/no/such/folder".to_owned());
    let error = Compose::start(spec).unwrap_err();
    assert!(matches!(error, LaunchError::Spawn { .. }), "{error}");
    assert!(error.to_string().contains("compose plugin"), "{error}");
}

#[test]
fn a_stop_during_the_start_takes_it_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = stand_in(folder.path(), "serve");
    // A docker that fetches an image for ever.
    let docker = folder.path().join("bin/docker");
    fs::write(&docker, DOCKER.replace("up)\n", "up)\n sleep 1000\n")).unwrap();
    spec.grace = Duration::from_secs(1);
    fs::write(folder.path().join("exit"), "0\n").unwrap();
    let mut server = Compose::start(spec).unwrap();
    server.check().unwrap();
    until("docker was called", || folder.path().join("calls").exists());
    server.stop().unwrap();
    assert_eq!(calls(folder.path()).last().unwrap(), "down -t 1");
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/vllm.yaml")
}

#[test]
fn the_shipped_file_reads_what_a_start_gives() {
    let text = fs::read_to_string(shipped()).unwrap();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let used: BTreeSet<&str> = code
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '}']).next().unwrap())
        .filter(|name| name.starts_with("PLIMSOLL_"))
        .collect();
    assert_eq!(used, BTreeSet::from(["PLIMSOLL_ARGS", "PLIMSOLL_MODEL", "PLIMSOLL_PORT"]));
    assert!(code.contains("\n  vllm:\n"), "the service that matrices name by default");
}

#[test]
fn the_shipped_file_is_valid_by_dockers_own_judgement() {
    let offered = Command::new("docker").args(["compose", "version"]).output();
    if !offered.is_ok_and(|output| output.status.success()) {
        println!("SKIP: there is no docker compose here");
        return;
    }
    let output = Command::new("docker")
        .args(["compose", "-f", shipped().to_str().unwrap(), "config"])
        .env("PLIMSOLL_MODEL", "Qwen/Qwen3-0.6B")
        .env("PLIMSOLL_PORT", "18000")
        .env("PLIMSOLL_ARGS", r#"--max-num-seqs 8 --speculative-config '{"a": "b c"}'"#)
        .output()
        .unwrap();
    let [config, complaint] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{complaint}");
    for word in ["Qwen/Qwen3-0.6B", "--max-num-seqs", r#"{"a": "b c"}"#, "18000", "127.0.0.1"] {
        assert!(config.contains(word), "{word} is not in {config}");
    }
}

#[test]
fn a_secret_is_in_no_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = stand_in(folder.path(), "serve");
    spec.secrets = vec!["sk-very-secret".to_owned()];
    spec.settings.extend(["--api-key", "sk-very-much"].map(str::to_owned));
    spec.environment.insert("MY_LLM".to_owned(), "sk-very-secret".to_owned());
    spec.environment.insert("HF_TOKEN".to_owned(), "hf-very-secret".to_owned());
    let text = format!("{spec:?}");
    assert!(!text.contains("very") && text.contains("MY_LLM='[redacted]'"), "{text}");
    let server = Compose::start(spec).unwrap();
    let text = format!("{server:?} {}", server.command().unwrap());
    assert!(!text.contains("very") && text.contains("MY_LLM='[redacted]'"), "{text}");
}
