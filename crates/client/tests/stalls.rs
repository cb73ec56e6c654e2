//! What stamps are worth when the client's own thread stalls while a response comes in.
//!
//! The server notes the run's clock before and after each write. On the loopback device the kernel
//! stamps a segment inside the write call that sends it, so the true time of arrival lies between the
//! two notes however busy the machine is: no test here depends on how fast anything runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its server fails")]
#![expect(clippy::print_stdout, reason = "a test says why it skips")]

#[path = "stalls/metronome.rs"]
mod metronome;
#[path = "tls/self_signed.rs"]
mod self_signed;

use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use metronome::{Metronome, Note};
use plimsoll_client::{
    Api, Capture, CaptureConfig, Client, ClientConfig, ClientReport, Due, Measured, Request,
};
use plimsoll_records::{ConnectionUse, Outcome, RequestRow, StampSource};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use tokio::task::LocalSet;

const GAP: Duration = Duration::from_millis(10);
const TOKENS: usize = 80;
const REQUESTS: usize = 2;

/// A stall of the client's thread, and the time between two.
struct Stall {
    length: Duration,
    every: Duration,
}

/// Shorter than the gap between two tokens, and so often that many arrive during one.
const SHORT: Stall = Stall { length: Duration::from_millis(5), every: Duration::from_millis(7) };
/// Twenty tokens long.
const LONG: Stall = Stall { length: Duration::from_millis(200), every: Duration::from_millis(350) };

/// Blocks the thread over and over.
async fn stall(stall: &Stall) {
    loop {
        tokio::time::sleep(stall.every - stall.length).await;
        std::thread::sleep(stall.length);
    }
}

struct Seen {
    rows: Vec<RequestRow>,
    report: ClientReport,
}

/// Two requests to `server` by a client that stalls, settled by `settle`.
fn play(
    config: ClientConfig,
    stalls: &Stall,
    mut settle: impl FnMut(Measured) -> RequestRow,
) -> Seen {
    let clock = config.clock;
    let client = Rc::new(Client::new(config).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let requests = async {
        let mut rows = Vec::new();
        for id in 0..REQUESTS as u64 {
            let body = Bytes::from_static(b"{\"stream\":true}");
            let measured = client.measure(Due::now(id, clock.now()), Request::new(body)).await;
            rows.push(settle(measured));
        }
        rows
    };
    let rows = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            rows = requests => rows,
            () = stall(stalls) => unreachable!("stalls have no end"),
        }
    });
    Seen { rows, report: client.report() }
}

fn config(server: &Metronome, clock: RunClock, stamps: StampSource) -> ClientConfig {
    let config = ClientConfig::new(server.url().parse().unwrap(), Api::Chat, clock);
    ClientConfig { stamps, tls_roots: server.roots(), ..config }
}

/// The rows of a client that stamps by the clock or the socket.
fn by_reads(server: &Metronome, clock: RunClock, stamps: StampSource, stalls: &Stall) -> Seen {
    play(config(server, clock, stamps), stalls, Measured::settle)
}

/// The rows of a client with a packet capture; `None` where the process may not have one.
fn by_packets(server: &Metronome, clock: RunClock, stalls: &Stall) -> Option<Seen> {
    let (sink, rows) = mpsc::channel();
    let capture = CaptureConfig::new(vec![server.address], clock);
    let capture = match Capture::start(capture, move |row| sink.send(row).unwrap()) {
        Ok(capture) => capture,
        Err(error) => {
            println!("SKIP: {error}");
            return None;
        }
    };
    let handle = capture.handle();
    let seen = play(config(server, clock, StampSource::Packet), stalls, |measured| {
        assert!(handle.settle(measured).is_none(), "the capture runs");
        RequestRow::default()
    });
    let report = capture.finish();
    assert_eq!((report.dropped, report.fell_back, report.failure), (0, 0, None));
    let mut rows: Vec<RequestRow> = rows.into_iter().collect();
    rows.sort_by_key(|row| row.id);
    Some(Seen { rows, ..seen })
}

/// How far outside of its note each chunk's stamp lies, and whether it shares its stamp.
fn errors(seen: &Seen, notes: &[Vec<Note>]) -> Vec<(Duration, bool)> {
    let outside = |at: RunNanos, note: &Note| note.before.since(at).max(at.since(note.after));
    let rows = seen.rows.iter().zip(notes);
    rows.flat_map(|(row, notes)| row.chunks.iter().zip(notes))
        .map(|(chunk, note)| (outside(chunk.at, note), chunk.shared))
        .collect()
}

/// Whatever the stamps are: no row and no token is lost, and stamps keep their order. A read to which the
/// kernel gave no stamp has the clock's: the row says so, and the client has counted it.
fn assert_whole(seen: &Seen, source: StampSource) {
    assert_eq!(seen.rows.len(), REQUESTS);
    assert!(seen.report.socket_fallbacks <= FALLBACKS, "{:?}", seen.report);
    for (row, used) in seen.rows.iter().zip([ConnectionUse::New, ConnectionUse::Reused]) {
        assert_eq!((row.outcome, row.error.as_deref()), (Outcome::Ok, None));
        assert_eq!(row.connection, Some(used));
        let fell_back = seen.report.socket_fallbacks > 0 && row.stamp_source < source;
        assert!(row.stamp_source == source || fell_back, "{:?}", row.stamp_source);
        assert_eq!(row.chunks.len(), TOKENS);
        assert!(row.chunks.is_sorted_by_key(|chunk| chunk.at));
        let marks = [row.connected, row.sent, row.first_byte, row.first_token(), row.last_token];
        assert!(marks.iter().all(Option::is_some) && marks.is_sorted(), "{row:?}");
        assert!(row.last_token <= Some(row.done));
    }
}

fn worst(errors: &[(Duration, bool)]) -> Duration {
    errors.iter().map(|(error, _)| *error).max().unwrap()
}

/// Whether all stamps are near the truth, but for those of reads that fell back to the clock.
fn all_near(errors: &[(Duration, bool)], report: &ClientReport) -> bool {
    let far = errors.iter().filter(|(error, _)| *error >= NEAR).count();
    far as u64 <= report.socket_fallbacks
}

const NEAR: Duration = Duration::from_micros(200);

/// Reads that may go without a kernel stamp on a machine that has more to do than it can.
const FALLBACKS: u64 = 3;

#[test]
fn short_stalls_move_stamps_of_the_clock_and_not_those_of_the_socket() {
    for tls in [false, true] {
        let clock = RunClock::start();
        let server = Metronome::start(clock, TOKENS, GAP, tls);
        let seen = by_reads(&server, clock, StampSource::User, &SHORT);
        assert_whole(&seen, StampSource::User);
        let of_clock = errors(&seen, &server.notes());
        let moved = of_clock.iter().filter(|(error, _)| *error > 5 * NEAR).count();
        assert!(moved > TOKENS / 8, "the stalls show: {of_clock:?}");

        let seen = by_reads(&server, clock, StampSource::Socket, &SHORT);
        assert_whole(&seen, StampSource::Socket);
        let of_socket = errors(&seen, &server.notes());
        // A thread that is kept from running for longer than the stall leaves shared stamps: those are
        // marked, and late. The last of them has the time of its own arrival.
        let own: Vec<_> = of_socket.iter().copied().filter(|(_, shared)| !shared).collect();
        assert!(own.len() > TOKENS, "most chunks are read alone: {of_socket:?}");
        assert!(all_near(&own, &seen.report), "{of_socket:?}");
        // The delay is known, though it harms no stamp.
        assert!(seen.report.read_delay.max() > 5 * NEAR, "{:?}", seen.report);
    }
}

#[test]
fn long_stalls_leave_marked_stamps_with_the_socket() {
    for tls in [false, true] {
        let clock = RunClock::start();
        let server = Metronome::start(clock, TOKENS, GAP, tls);
        let seen = by_reads(&server, clock, StampSource::Socket, &LONG);
        assert_whole(&seen, StampSource::Socket);
        let errors = errors(&seen, &server.notes());
        let shared = errors.iter().filter(|(_, shared)| *shared).count();
        assert!(shared >= 20, "a stall's worth of tokens is marked: {errors:?}");
        let own: Vec<_> = errors.iter().copied().filter(|(_, shared)| !shared).collect();
        assert!(!own.is_empty() && all_near(&own, &seen.report), "{errors:?}");
        assert!(worst(&errors) > 5 * NEAR, "and marked for a reason: {errors:?}");
        // A read knows the time of its last segment alone, so the delay of a stall shows only in part.
        assert!(seen.report.read_delay.max() > 5 * NEAR, "{:?}", seen.report);
    }
}

#[test]
fn long_stalls_move_no_stamp_of_a_packet() {
    for tls in [false, true] {
        let clock = RunClock::start();
        let server = Metronome::start(clock, TOKENS, GAP, tls);
        let Some(seen) = by_packets(&server, clock, &LONG) else { return };
        assert_whole(&seen, StampSource::Packet);
        let notes = server.notes();
        let errors = errors(&seen, &notes);
        assert!(worst(&errors) < Duration::from_micros(500), "tls {tls}: {errors:?}");
        assert!(errors.iter().all(|(_, shared)| !shared), "each has a segment of its own");
        // The request left before the server began to answer it.
        for (row, notes) in seen.rows.iter().zip(&notes) {
            assert!(row.sent < Some(notes[0].before), "{row:?}");
        }
        // A read knows the time of its last segment alone, so the delay of a stall shows only in part.
        assert!(seen.report.read_delay.max() > 5 * NEAR, "{:?}", seen.report);
    }
}
