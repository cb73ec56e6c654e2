//! Servers that do not start, or die, and what is said of it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;

use plimsoll_server::{CauseKind, Exit, LaunchError, Owned, Process};

use crate::support::{LONG, death, ready, script, toy};

/// How a script dies: its exit, its cause, and the last lines that are quoted.
fn dies(text: &str) -> (Exit, Option<CauseKind>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(script(text, folder.path())).unwrap();
    match death(&mut server) {
        LaunchError::Died { exit, cause, last_lines } => {
            (exit, cause.map(|cause| cause.kind), last_lines)
        }
        other => panic!("expected a death, got {other}"),
    }
}

#[test]
fn a_death_at_the_start_says_why() {
    for (text, exit, cause) in [
        (
            "echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB'; exit 1",
            Exit::Code(1),
            CauseKind::CudaOutOfMemory,
        ),
        (
            "echo 'OSError: [Errno 98] Address already in use' >&2; exit 1",
            Exit::Code(1),
            CauseKind::PortTaken,
        ),
        (
            "echo \"OSError: a/b is not a local folder and is not a valid model identifier listed\"; exit 1",
            Exit::Code(1),
            CauseKind::ModelNotFound,
        ),
        (
            "echo 'vllm: error: unrecognized arguments: --max-num-sequences 8' >&2; exit 2",
            Exit::Code(2),
            CauseKind::UnknownFlag,
        ),
        ("no-such-program-anywhere serve", Exit::Code(127), CauseKind::MissingProgram),
        ("kill -KILL $$", Exit::Signal(9), CauseKind::KilledByKernel),
        ("kill -ILL $$", Exit::Signal(4), CauseKind::IllegalInstruction),
        ("kill -TERM $$", Exit::Signal(15), CauseKind::ToldToEnd),
    ] {
        let (found, kind, _) = dies(text);
        assert_eq!((found, kind), (exit, Some(cause)), "{text}");
    }
}

#[test]
fn a_death_without_a_known_cause_still_has_its_last_words() {
    let (exit, cause, last_lines) = dies("seq 1 100; printf 'the end' >&2; exit 7");
    assert_eq!((exit, cause), (Exit::Code(7), None));
    assert_eq!(last_lines.len(), 20);
    assert_eq!(last_lines[18..], ["100", "the end"]);
}

#[test]
fn a_cause_is_found_far_above_the_last_lines() {
    let text = "echo 'ValueError: No available memory for the cache blocks.'; seq 1 200; exit 1";
    let (_, cause, last_lines) = dies(text);
    assert_eq!(cause, Some(CauseKind::KvCacheTooSmall));
    assert!(!last_lines.iter().any(|line| line.contains("cache blocks")));
}

#[test]
fn the_wait_ends_when_the_server_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Process::start(script("echo 'Illegal instruction'; exit 132", folder.path())).unwrap();
    // Far before the limit, which is an hour.
    let error = ready(&mut server, 60 * LONG).unwrap_err();
    let LaunchError::Died { exit, cause, .. } = error else { panic!("{error}") };
    assert_eq!(exit, Exit::Code(132));
    assert_eq!(cause.unwrap().kind, CauseKind::IllegalInstruction);
}

#[test]
fn a_death_while_the_first_token_is_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("dying", folder.path())).unwrap();
    let error = ready(&mut server, 60 * LONG).unwrap_err();
    let LaunchError::Died { exit, cause, .. } = error else { panic!("{error}") };
    assert_eq!(exit, Exit::Code(3));
    assert_eq!(cause.unwrap().kind, CauseKind::CudaOutOfMemory);
}

#[test]
fn a_death_after_it_was_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("serve", folder.path())).unwrap();
    ready(&mut server, LONG).unwrap();
    server.check().unwrap();
    for pid in server.processes() {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    let error = death(&mut server);
    let text = error.to_string();
    assert!(text.contains("signal 9 (SIGKILL)") && text.contains("out of memory"), "{text}");
    // It is said as often as it is asked, and stopping is still in order.
    server.check().unwrap_err();
    assert!(!server.stop().unwrap().killed);
}

#[test]
fn programs_that_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    let problem = |program: &str, within: Option<PathBuf>| {
        let mut spec = script("", folder.path());
        spec.command = vec![program.to_owned(), "serve".to_owned()];
        spec.folder = within;
        match Process::start(spec).unwrap_err() {
            LaunchError::Spawn { program: named, problem, .. } => {
                assert!(named.ends_with(program.trim_start_matches("./")), "{named}");
                problem
            }
            other => panic!("{other}"),
        }
    };
    let missing = problem("no-such-program-anywhere", None);
    assert!(missing.contains("no such program in PATH"), "{missing}");
    assert!(problem("/no/such/file", None).contains("no such file"));
    assert!(problem("sh", Some("/no/such/folder".into())).contains("`/no/such/folder`"));
    assert!(problem("./file", Some(folder.path().into())).contains("not executable"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, mode).unwrap();
    assert!(problem("./file", Some(folder.path().into())).contains("interpreter"));
    let mut spec = script("", folder.path());
    spec.command.clear();
    assert!(matches!(Process::start(spec).unwrap_err(), LaunchError::NoCommand));
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = script("echo started", folder.path());
    spec.url = format!("http://{}", stranger.local_addr().unwrap());
    let error = Process::start(spec).unwrap_err();
    assert!(matches!(error, LaunchError::PortTaken { .. }), "{error}");
    assert!(!folder.path().join("server.log").exists());
}

#[test]
fn no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = script("echo \"token $HF_TOKEN, key $1\"; exit 1", folder.path());
    spec.command.extend(["serve", "--api-key", "sk-very-secret"].map(str::to_owned));
    spec.command[2] = spec.command[2].replace("$1", "$2");
    spec.environment = BTreeMap::from([
        ("HF_TOKEN".to_owned(), "hf_very_secret".to_owned()),
        ("OMP_NUM_THREADS".to_owned(), "2".to_owned()),
    ]);
    let mut server = Process::start(spec).unwrap();
    let command = server.command().unwrap();
    assert!(command.contains("--api-key '[redacted]'"), "{command}");
    assert!(command.contains("OMP_NUM_THREADS=2"), "{command}");
    let error = death(&mut server);
    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
    for text in [command, error.to_string(), format!("{error:?} {server:?}"), log.clone()] {
        assert!(!text.contains("very"), "{text}");
    }
    assert_eq!(log, "token [redacted], key [redacted]\n");
}

#[test]
fn a_secret_that_was_told_is_hidden_though_nothing_is_called_like_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = script("echo \"start with $MY_LLM\"; exit 1", folder.path());
    spec.environment = BTreeMap::from([("MY_LLM".to_owned(), "sk-very-secret".to_owned())]);
    spec.command.push("x-sk-very-secret".to_owned());
    spec.secrets = vec!["sk-very-secret".to_owned()];
    let spec_text = format!("{spec:?}");
    let mut server = Process::start(spec).unwrap();
    let command = server.command().unwrap();
    assert!(command.starts_with("MY_LLM='[redacted]' ") && command.ends_with("'x-[redacted]'"));
    let error = death(&mut server);
    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
    for text in [command, spec_text, error.to_string(), format!("{error:?} {server:?}")] {
        assert!(!text.contains("very"), "{text}");
    }
    assert_eq!(log, "start with [redacted]\n");
}
