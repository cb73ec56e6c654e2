use std::net::TcpListener;

use super::*;

fn spec(command: &[&str], folder: &Path) -> ProcessSpec {
    ProcessSpec {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        environment: BTreeMap::new(),
        secrets: Vec::new(),
        folder: None,
        url: "http://127.0.0.1:9".to_owned(),
        log: folder.join("server.log"),
        grace: Duration::from_secs(5),
    }
}

/// The supervisor acts when its pipe ends, so nobody but its owner may hold the other end. Servers
/// are started on several threads at once: none may have inherited another one's pipe.
#[test]
fn nobody_else_holds_the_supervisors_pipe() {
    if !Tree::is_visible() {
        println!("SKIP: there is no /proc here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = |i: usize| {
        let mut spec = spec(&["sleep", "1000"], folder.path());
        spec.log = folder.path().join(format!("{i}.log"));
        Process::start(spec).unwrap()
    };
    let processes: Vec<Process> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|i| scope.spawn(move || start(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let supervisors: Vec<u32> =
        processes.iter().map(|p| p.supervisor.as_ref().unwrap().id()).collect();
    let pipes: Vec<_> = supervisors
        .iter()
        .map(|pid| std::fs::read_link(format!("/proc/{pid}/fd/0")).unwrap())
        .collect();
    // A child between its fork and its exec holds everything for a moment; a leak stays.
    let mut holders = strangers(&pipes, &supervisors);
    for _ in 0..100 {
        if holders.is_empty() {
            break;
        }
        thread::sleep(STEP);
        holders = strangers(&pipes, &supervisors);
    }
    assert!(holders.is_empty(), "{holders:?} hold the pipe of a supervisor");
    for mut process in processes {
        assert_eq!(process.processes().len(), 1);
        let stopped = process.stop().unwrap();
        assert!(!stopped.killed && stopped.leftovers == 0, "{stopped:?}");
    }
}

/// The processes that hold a pipe of another one's supervisor, apart from this process.
fn strangers(pipes: &[PathBuf], supervisors: &[u32]) -> Vec<u32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = std::fs::read_link(file.path()) else { continue };
            if let Some(i) = pipes.iter().position(|pipe| *pipe == target)
                && pid != std::process::id()
                && pid != supervisors[i]
            {
                found.push(pid);
            }
        }
    }
    found
}

#[test]
fn relative_programs_count_from_the_folder() {
    assert_eq!(located("vllm", Some(Path::new("/x"))), Path::new("vllm"));
    assert_eq!(located("./vllm", Some(Path::new("/x"))), Path::new("/x/./vllm"));
    assert_eq!(located("/bin/vllm", Some(Path::new("/x"))), Path::new("/bin/vllm"));
    assert_eq!(located("bin/vllm", None), Path::new("bin/vllm"));
}

#[test]
fn a_taken_port_is_refused_and_a_free_one_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let error = refuse_taken_port(&url).unwrap_err();
    assert!(matches!(error, LaunchError::PortTaken { .. }), "{error}");
    drop(listener);
    // Many who ask at once are not in each other's way.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..200).for_each(|_| refuse_taken_port(&url).unwrap()));
        }
    });
    refuse_taken_port("http://example").unwrap();
}

/// Waits until `condition` holds; the test fails if it never does.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let mut steps = 0;
    while !condition() {
        assert!(steps < 3000, "waited in vain until {what}");
        thread::sleep(STEP);
        steps += 1;
    }
}

/// A look that waited for the log, as one at a dead server may, would take a second each.
#[test]
fn a_look_at_a_server_that_lives_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(spec(&["sleep", "1000"], folder.path())).unwrap();
    let clock = RunClock::start();
    let began = clock.now();
    for _ in 0..1000 {
        process.check().unwrap();
    }
    let took = clock.now().since(began);
    assert!(took < 100 * DRAIN_LIMIT, "{took:?}");
    process.stop().unwrap();
}

/// Nothing here outlives SIGKILL, so the one that was left behind is given no time to be killed.
#[test]
fn a_survivor_is_named_and_left_to_the_supervisor() {
    if !Tree::is_visible() {
        println!("SKIP: there is no /proc here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let text = format!("setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait", file.display());
    let mut process = Process::start(spec(&["sh", "-c", &text], folder.path())).unwrap();
    let mut survivor = None;
    until("it has said its id", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        survivor = text.strip_suffix('\n').map(|pid| pid.parse::<u32>().unwrap());
        survivor.is_some()
    });
    let survivor = survivor.unwrap();
    process.kill_limit = Duration::ZERO;
    let error = process.stop().unwrap_err();
    let text = error.to_string();
    let LaunchError::Survived { pids } = error else { panic!("{text}") };
    assert_eq!(pids, [survivor]);
    assert!(text.contains(&survivor.to_string()) && text.contains("dmesg"), "{text}");
    // A second try, by dropping it, would kill it now.
    process.kill_limit = KILL_LIMIT;
    let supervisor = process.supervisor.take().unwrap();
    let tree = Tree::new(&Marker::new(), i32::try_from(survivor).unwrap());
    drop(process);
    assert_eq!(tree.look().len(), 1, "dropping tries nothing again");
    drop(supervisor);
    until("the supervisor has killed it", || tree.look().is_empty());
}
