use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::super::tests::until;
use super::*;

#[test]
fn containers_in_both_forms() {
    let id = "1553b0236cf4d2715845f053a4ee97042c4f9a2ef655731ee34f1f7940eaa41a";
    let other = r#"{"ID":"aaaaaaaaaaaaaaaa","Service":"db","State":"running","ExitCode":0}"#;
    let own = format!(r#"{{"ID":"{id}","Service":"vllm","State":"exited","ExitCode":137}}"#);
    let status = Status::Ended(Exit::Code(137));
    let expected = Container { id: Some(id.to_owned()), status };
    assert_eq!(Container::of(&format!("{other}\n{own}\n"), "vllm"), expected);
    assert_eq!(Container::of(&format!("[{other},{own}]"), "vllm"), expected);
    let running = own.replace("exited", "running");
    assert_eq!(Container::of(&running, "vllm").status, Status::Lives);
    for nothing in ["", "\n", "[]", other] {
        let status = Container::of(nothing, "vllm").status;
        assert_eq!(status, Status::Ended(Exit::Unknown), "{nothing}");
    }
    for unclear in ["no json", &own.replace("exited", "pondering"), r#"{"Service":"vllm"}"#] {
        assert_eq!(Container::of(unclear, "vllm").status, Status::Unclear, "{unclear}");
    }
}

/// A docker that is that script.
fn script(folder: &Path, text: &str) -> Docker {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join("docker");
    std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let environment = BTreeMap::from([("PATH".to_owned(), path)]);
    Docker::new(&folder.join("x.yaml"), "vllm".to_owned(), environment)
}

fn ask(docker: &Docker, limit: Duration) -> Result<String, LaunchError> {
    docker.ask(&docker.words(&["ps"]), limit, &|| false)
}

/// Far longer than anything here takes, for a loaded machine.
const LONG: Duration = Duration::from_secs(60);

/// The process that wrote its id into `path`; once it did.
fn pid(path: &Path) -> Pid {
    let mut text = String::new();
    until("it has said its id", || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    });
    Pid::from_raw(text.trim().parse().unwrap())
}

/// Whether it takes signals; one that ended, and only waits for somebody to notice, does not count.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    kill(pid, None).is_ok()
        && stat.is_ok_and(|stat| {
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
        })
}

#[test]
fn who_is_left_with_the_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    // One in the group, and one that left it; both hold standard output for 1000 s.
    let docker = script(
        folder.path(),
        &format!(
            "sleep 1000 & echo $! > {}\nsetsid sh -c 'echo $$ > {far}; exec sleep 1000' &\n\
             until [ -s {far} ]; do sleep 0.02; done\necho answer",
            near.display(),
            far = far.display()
        ),
    );
    let clock = RunClock::start();
    let began = clock.now();
    let answer = ask(&docker, LONG);
    let took = clock.now().since(began);
    let far = pid(&far);
    // One second would do; a thousand is what it must not be.
    assert!(took < LONG + END_LIMIT, "{took:?}");
    let killed = kill(far, Signal::SIGKILL);
    assert_eq!(answer.unwrap(), "answer\n");
    assert!(killed.is_ok(), "it is not in the group, and not docker's to be killed");
    if Path::new("/proc/self/stat").exists() {
        let near = pid(&near);
        until("it is gone", || !lives(near));
    }
}

#[test]
fn a_docker_that_hangs_is_ended_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // Deaf to SIGTERM as well.
    let text = format!("trap '' TERM; echo $$ > {}; echo part; sleep 1000", file.display());
    let docker = script(folder.path(), &text);
    let limit = Duration::from_millis(300);
    let error = ask(&docker, limit).unwrap_err();
    let text = error.to_string();
    let LaunchError::DockerHangs { command, limit: told } = error else { panic!("{text}") };
    assert!(command.ends_with("-p plimsoll-x ps") && told == limit, "{text}");
    assert!(text.contains("300ms") && text.contains("daemon"), "{text}");
    assert!(!lives(pid(&file)));
}

#[test]
fn a_question_is_called_off() {
    let folder = tempfile::tempdir().unwrap();
    let docker = script(folder.path(), "sleep 1000");
    let error = docker.ask(&docker.words(&["ps"]), LONG, &|| true).unwrap_err();
    assert!(matches!(error, LaunchError::Cancelled), "{error}");
}

#[test]
fn of_a_long_answer_the_head_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let docker = script(folder.path(), "head -c 3000000 /dev/zero");
    assert_eq!(ask(&docker, LONG).unwrap().len(), KEPT_BYTES);
}

#[test]
fn names_that_docker_takes() {
    assert_eq!(project_of(Path::new("/x/My Server.v2.yaml")), "plimsoll-my-server-v2");
}
