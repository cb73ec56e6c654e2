//! When a server counts as ready, and what is said when it never does.

use std::cell::Cell;
use std::time::Duration;

use plimsoll_server::{ControlClient, LaunchError, Owned, Process, ServerError, wait_ready};

use crate::support::{LONG, block_on, lives, ready, toy};

/// Long enough for a process to start on a loaded machine, short enough for a test.
const SOON: Duration = Duration::from_secs(4);

fn never_ready(manner: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy(manner, folder.path())).unwrap();
    let processes = server.processes();
    let error = ready(&mut server, SOON).unwrap_err();
    let LaunchError::NotReady { limit, ref last_lines, .. } = error else { panic!("{error}") };
    assert_eq!(limit, SOON);
    assert!(last_lines.iter().any(|line| line == "toy: listening"), "{error}");
    drop(server);
    assert!(!processes.iter().any(|&pid| lives(pid)));
    error.to_string()
}

#[test]
fn a_server_that_hangs_is_given_up_at_the_limit() {
    let text = never_ready("mute");
    assert!(text.contains("not ready within 4s"), "{text}");
}

#[test]
fn a_server_that_loads_for_ever() {
    let text = never_ready("loading");
    assert!(text.contains("/health answers 503"), "{text}");
}

#[test]
fn a_port_and_a_health_are_not_enough() {
    let text = never_ready("no-token");
    assert!(text.contains("/v1/completions streamed no token"), "{text}");
}

#[test]
fn a_server_without_health_and_chat_is_ready_by_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("picky", folder.path())).unwrap();
    assert_eq!(ready(&mut server, LONG).unwrap().model, "tiny");
}

#[test]
fn a_refused_key_is_not_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("closed", folder.path())).unwrap();
    let error = ready(&mut server, 60 * LONG).unwrap_err();
    let LaunchError::Server(ServerError::Status { status, .. }) = error else { panic!("{error}") };
    assert_eq!(status, 401);
}

#[test]
fn an_empty_list_of_models_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("late-model", folder.path())).unwrap();
    assert_eq!(ready(&mut server, LONG).unwrap().model, "tiny");
}

#[test]
fn another_model_than_the_one_it_serves_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("serve", folder.path())).unwrap();
    let control = ControlClient::new(server.url(), None, LONG).unwrap();
    let error =
        block_on(wait_ready(&mut server, &control, Some("tinny"), LONG, &|| false)).unwrap_err();
    let LaunchError::Server(ServerError::ModelMissing { suggestion, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(suggestion.as_deref(), Some("tiny"));
}

#[test]
fn the_wait_can_be_called_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(toy("loading", folder.path())).unwrap();
    let control = ControlClient::new(server.url(), None, LONG).unwrap();
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) >= 2;
    let error =
        block_on(wait_ready(&mut server, &control, None, 60 * LONG, &cancelled)).unwrap_err();
    assert!(matches!(error, LaunchError::Cancelled), "{error}");
}
