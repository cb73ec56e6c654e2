//! What a stamp means when the network loses, reorders and repeats segments.
//!
//! Two hosts (network namespaces) are joined by a wire of ours that does, by script, what a bad
//! network (or the kernel's netem, which few test machines have) does by chance, and that knows when
//! each byte arrived: see `wire/forwarder.rs`. It needs what root has, or a user namespace (`unshare
//! --user --map-root-user cargo test`); where it may not be built the tests say so and pass.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up its wire fails")]
#![expect(clippy::print_stdout, reason = "figures to look at, and why a test was skipped")]

#[path = "wire/clients.rs"]
mod clients;
#[path = "wire/fault.rs"]
mod fault;
#[path = "wire/forwarder.rs"]
mod forwarder;
#[path = "wire/namespace.rs"]
mod namespace;
#[path = "wire/oracle.rs"]
mod oracle;
#[path = "wire/reader.rs"]
mod reader;
#[path = "wire/scene.rs"]
mod scene;
#[path = "wire/segment.rs"]
mod segment;
#[path = "tls/self_signed.rs"]
mod self_signed;
#[path = "wire/server.rs"]
mod server;

use std::time::Duration;

use clients::{ask, name};
use oracle::Moment;
use plimsoll_client::{CaptureReport, TlsRoots};
use plimsoll_records::{Outcome, RequestRow, StampSource};
use plimsoll_units::RunClock;
use reader::read_all;
use scene::{Evidence, GAP, Scene, play, scenes};
use self_signed::self_signed;
use server::Answer;

/// How far the conversion of the wall clock, which the kernel stamps with, may be off.
const CONVERSION: Duration = Duration::from_micros(50);

/// How much later than its arrival a stamp by packet may be.
const SLACK: Duration = Duration::from_micros(300);

/// The wire and its oracle, against a reader that has nothing in common with the client. Shows also
/// what the client has to cope with: the kernel's own stamps are too early where bytes were held up.
#[test]
fn the_wire_does_what_its_script_says() {
    for scene in scenes() {
        let clock = RunClock::start();
        let Some((reads, evidence)) = play(&scene, 1, clock, |server| read_all(server, clock))
        else {
            return;
        };
        let transcript = evidence.of("plain");
        let arrivals = evidence.arrivals(transcript);
        let mut early = Duration::ZERO;
        for read in &reads {
            let arrival = at(&arrivals, read.end);
            assert!(read.user >= arrival.before, "{}: read before it was there", scene.name);
            assert!(read.kernel <= arrival.after + CONVERSION, "{}", scene.name);
            early = early.max(arrival.before - read.kernel);
        }
        let waited = evidence.longest_wait(transcript);
        println!("{:36} bytes waited {waited:?}, kernel early by {early:?}", scene.name);
        if !scene.holds_up {
            assert!(early <= CONVERSION, "{}: {early:?}", scene.name);
        } else if waited > 20 * GAP {
            // The hole outlasted the answer: nothing came shortly before it was filled.
            assert!(early > GAP, "{}: the kernel knows better than it did", scene.name);
        }
    }
}

#[test]
fn a_stamp_means_the_arrival_of_the_byte_in_order() {
    for scene in scenes() {
        judge(&scene, None, None);
    }
}

#[test]
fn it_does_for_a_client_that_sleeps_meanwhile() {
    // From the first tokens until after the mishaps, and no answer is over by then.
    let nap = Duration::from_millis(70);
    // Long events would fill the receive buffer meanwhile, and a lost request is answered later.
    let is_short = |scene: &&Scene| scene.answer.text < 1000;
    let is_answered = |scene: &&Scene| scene.holds_up || scene.script.is_empty();
    for scene in scenes().iter().filter(is_short).filter(is_answered) {
        judge(scene, None, Some(nap));
    }
}

#[test]
fn it_does_below_tls() {
    let (config, certificate) = self_signed(&["10.99.0.2"]);
    let (tls, roots) = (Some(config), TlsRoots::Pem(certificate.into_bytes()));
    // Every other scene: each kind of mishap and of answer is among them.
    for scene in scenes().into_iter().skip(1).step_by(2) {
        let answer = Answer { tls: tls.clone(), ..scene.answer.clone() };
        judge(&Scene { answer, ..scene }, Some(roots.clone()), None);
    }
}

/// Plays a scene to a client of each grade and holds their rows against what happened.
fn judge(scene: &Scene, tls: Option<TlsRoots>, nap: Option<Duration>) {
    let clock = RunClock::start();
    let played = play(scene, 3, clock, |server| ask(server, clock, tls.clone(), nap));
    let Some(((rows, capture), evidence)) = played else { return };
    for (grade, row) in &rows {
        let what = format!("{}, {}", scene.name, name(*grade));
        let late = judge_row(scene, *grade, row, &evidence, &what);
        let latest = late.iter().max().unwrap();
        println!("{what:60} late by {latest:?} at most");
        if *grade == StampSource::User && nap.is_some() {
            assert!(*latest > Duration::from_millis(20), "{what}: the nap shows: {latest:?}");
        }
    }
    let CaptureReport { dropped, settled_by_packet, fell_back, .. } = capture;
    assert_eq!((dropped, settled_by_packet, fell_back), (0, 1, 0), "{}", scene.name);
}

/// How much later than its arrival each token is stamped, in their order.
fn judge_row(
    scene: &Scene,
    grade: StampSource,
    row: &RequestRow,
    evidence: &Evidence,
    what: &str,
) -> Vec<Duration> {
    let transcript = evidence.of(name(grade));
    assert_eq!((row.outcome, row.error.as_deref()), (Outcome::Ok, None), "{what}");
    assert_eq!(row.chunks.len(), scene.answer.tokens, "{what}");
    let arrivals = evidence.arrivals(transcript);
    let tokens: Vec<_> = transcript.tokens.iter().map(|&end| at(&arrivals, end)).collect();
    let first_byte = (row.first_byte.unwrap(), at(&arrivals, transcript.first_byte));
    let stamps = row.chunks.iter().map(|chunk| chunk.at);

    // Whatever the grade: never before the byte could have been read.
    for (stamp, arrival) in stamps.clone().zip(tokens.iter().copied()).chain([first_byte]) {
        let early = arrival.before - stamp;
        assert!(early <= CONVERSION, "{what}: a stamp is early by {early:?}");
    }
    let late: Vec<_> = stamps.zip(&tokens).map(|(stamp, arrival)| stamp - arrival.after).collect();
    let source = match grade {
        // Where bytes were held up the kernel's stamps are useless, and the row says so.
        StampSource::Socket if scene.holds_up => StampSource::User,
        grade => grade,
    };
    assert_eq!(row.stamp_source, source, "{what}");
    match source {
        StampSource::User => {}
        StampSource::Socket => {
            // Tokens that waited for the client share the stamp of the last of them.
            let stamps = row.chunks.iter().map(|chunk| Some(chunk.at));
            let next = row.chunks.iter().skip(1).map(|chunk| Some(chunk.at)).chain([None]);
            let is_last = stamps.zip(next).map(|(stamp, next)| stamp != next);
            let mut late: Vec<_> =
                late.iter().zip(is_last).filter(|(_, last)| *last).map(|(late, _)| late).collect();
            late.sort_unstable();
            assert!(*late[late.len() / 2] <= SLACK, "{what}: {late:?}");
        }
        _ => {
            let latest = late.iter().copied().max().unwrap().max(first_byte.0 - first_byte.1.after);
            assert!(latest <= SLACK, "{what}: {late:?}");
            for (token, chunk) in row.chunks.iter().enumerate() {
                let came = |token: usize| Some((tokens.get(token)?.before, tokens[token].after));
                let neighbours = [token.checked_sub(1), Some(token + 1)];
                let together = neighbours.iter().flatten().any(|&other| came(other) == came(token));
                assert_eq!(chunk.shared, together, "{what}: token {token}");
            }
            let departures = evidence.departures(transcript);
            let gone = at(&departures, transcript.request_end).after;
            let sent = row.sent.unwrap();
            assert!(sent <= gone + CONVERSION, "{what}: {sent} is after {gone}");
            assert!(sent >= row.dequeued, "{what}");
        }
    }
    late
}

/// When the byte before `position` had arrived.
fn at(moments: &[Moment], position: u64) -> Moment {
    moments[usize::try_from(position).unwrap() - 1]
}
