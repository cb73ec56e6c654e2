use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use super::super::segment::Segment;
use super::*;
use crate::measured::{MarkedChunk, Marks, Trail};
use crate::position::{Moment, Position};

fn ms(millis: u64) -> RunNanos {
    RunNanos::from_nanos(millis * 1_000_000)
}

fn local() -> SocketAddr {
    "10.0.0.9:40000".parse().unwrap()
}

fn remote() -> SocketAddr {
    "10.0.0.1:8000".parse().unwrap()
}

/// A request of 100 bytes on a connection opened at 10 ms, whose chunks end at `places`; all was read
/// at once at `read`.
pub(crate) fn measured(id: u64, places: &[u64], read: RunNanos) -> Measured {
    let chunk = |place: &u64| MarkedChunk {
        at: Position(*place),
        tokens: 1,
        counted: false,
        reasoning: false,
    };
    let end = places.last().map(|place| Position(*place));
    Measured {
        row: RequestRow { id, sent: Some(ms(12)), ..RequestRow::default() },
        marks: Marks {
            first_byte: places.first().map(|_| Position(1)),
            chunks: places.iter().map(chunk).collect(),
            ..Marks::default()
        },
        done: end.map_or(Moment::Clock(read), Moment::At),
        trail: Trail {
            local: Some(local()),
            remote: Some(remote()),
            opened: ms(10),
            sent_end: Some(100),
            reads: end.map(|end| Read::new(end, read, None)).into_iter().collect(),
            source: StampSource::User,
        },
    }
}

/// The connection of [`measured`], with pieces of 50 bytes of the response at these times; the
/// request left at 11 ms.
fn seen(pieces: &[(u32, u64)]) -> Connections {
    let mut connections = Connections::default();
    let segment = |outgoing, sequence, payload, syn| Segment {
        ends: Ends::new(local(), remote()),
        outgoing,
        sequence,
        acknowledged: (!outgoing).then_some(1),
        payload,
        syn,
        fin: false,
        rst: false,
    };
    let mut take = |at, segment: Segment| connections.take(&segment, Some(at), at);
    take(ms(10), segment(true, 0, 0, true));
    take(ms(10), segment(false, 0, 0, true));
    take(ms(11), segment(true, 1, 100, false));
    for (piece, at) in pieces {
        take(ms(*at), segment(false, 1 + piece * 50, 50, false));
    }
    connections
}

type Rows = Rc<RefCell<Vec<RequestRow>>>;

fn settling() -> (Settling<impl FnMut(RequestRow)>, Rows) {
    let rows = Rows::default();
    let sink = Rc::clone(&rows);
    (Settling::new(move |row| sink.borrow_mut().push(row)), rows)
}

fn stamps(row: &RequestRow) -> Vec<RunNanos> {
    row.chunks.iter().map(|chunk| chunk.at).collect()
}

#[test]
fn a_row_whose_packets_were_seen_has_their_times() {
    let mut connections = seen(&[(0, 20), (1, 30), (2, 40)]);
    let (mut settling, rows) = settling();
    settling.push(measured(7, &[50, 100, 150], ms(90)), ms(200));
    settling.settle(&mut connections, ms(1));
    let row = rows.borrow_mut().pop().unwrap();
    assert_eq!(stamps(&row), [ms(20), ms(30), ms(40)]);
    assert_eq!((row.sent, row.first_byte, row.done), (Some(ms(11)), Some(ms(20)), ms(40)));
    assert_eq!((row.id, row.stamp_source), (7, StampSource::Packet));
    let tally = settling.into_tally();
    assert_eq!((tally.by_packet, tally.fell_back, tally.unstamped), (1, 0, 0));
    assert_eq!((tally.delay.count(), tally.delay.max()), (3, Duration::from_millis(70)));
    // What it was settled with is forgotten.
    let ends = Ends::new(local(), remote());
    let one = connections.find(&ends, ms(10), None).unwrap();
    assert_eq!((one.incoming.size(), one.outgoing.size()), (0, 0));
}

#[test]
fn a_row_waits_for_its_last_packet_and_no_longer_than_that() {
    let (mut settling, rows) = settling();
    settling.push(measured(1, &[50, 100], ms(90)), ms(200));
    settling.settle(&mut seen(&[(0, 20)]), ms(199));
    assert!(rows.borrow().is_empty() && !settling.is_empty());
    settling.settle(&mut seen(&[(0, 20), (1, 95)]), ms(199));
    assert!(settling.is_empty());
    // Nothing is read before it arrives: 95 ms is a matter of clocks.
    assert_eq!(stamps(&rows.borrow()[0]), [ms(20), ms(90)]);
}

#[test]
fn a_hole_in_the_capture_costs_the_chunks_in_it_their_stamps() {
    let (mut settling, rows) = settling();
    settling.push(measured(1, &[50, 100, 150], ms(90)), ms(200));
    let mut connections = seen(&[(0, 20), (2, 40)]);
    settling.settle(&mut connections, ms(199));
    assert!(!settling.is_empty());
    settling.settle(&mut connections, ms(200));
    let row = rows.borrow_mut().pop().unwrap();
    assert_eq!(row.chunks.len(), 3);
    assert_eq!((row.chunks[0].at, row.stamp_source), (ms(20), StampSource::User));
    let tally = settling.into_tally();
    assert_eq!((tally.by_packet, tally.fell_back, tally.unstamped), (0, 1, 1));
}

#[test]
fn a_row_of_an_unseen_connection_falls_back_late() {
    let (mut settling, rows) = settling();
    settling.push(measured(1, &[50, 100], ms(90)), ms(200));
    let mut nothing = Connections::default();
    settling.settle(&mut nothing, ms(199));
    assert!(!settling.is_empty());
    settling.settle(&mut nothing, ms(201));
    let row = rows.borrow_mut().pop().unwrap();
    assert_eq!((stamps(&row), row.sent), (vec![ms(90), ms(90)], Some(ms(12))));
    assert_eq!(row.stamp_source, StampSource::User);
    assert_eq!(settling.into_tally().fell_back, 1);
}

#[test]
fn a_request_that_was_never_sent_waits_for_nothing() {
    let (mut settling, rows) = settling();
    let mut refused = measured(1, &[], ms(15));
    refused.trail = Trail { sent_end: None, ..Trail::default() };
    settling.push(refused, ms(200));
    settling.settle(&mut Connections::default(), ms(0));
    assert_eq!((rows.borrow().len(), settling.into_tally().without_bytes), (1, 1));
}

#[test]
fn a_request_without_answer_has_the_time_it_left() {
    let (mut settling, rows) = settling();
    settling.push(measured(1, &[], ms(90)), ms(200));
    settling.settle(&mut seen(&[]), ms(0));
    assert_eq!((rows.borrow()[0].sent, rows.borrow()[0].done), (Some(ms(11)), ms(90)));
    // A part of the request that never left is no hole: it may still leave.
    let mut stuck = measured(2, &[], ms(90));
    stuck.trail.sent_end = Some(101);
    settling.push(stuck, ms(200));
    let mut connections = seen(&[]);
    settling.settle(&mut connections, ms(200));
    assert_eq!(rows.borrow()[1].sent, Some(ms(12)));
    let one = connections.find(&Ends::new(local(), remote()), ms(10), None).unwrap();
    assert_eq!(one.outgoing.covered(), 100);
}

#[test]
fn rows_of_one_connection_are_settled_in_order() {
    let (mut settling, rows) = settling();
    for (id, places) in [(1, [50, 100]), (2, [150, 200])] {
        settling.push(measured(id, &places, ms(90)), ms(200));
    }
    settling.settle(&mut seen(&[(0, 20), (1, 30), (2, 40), (3, 50)]), ms(0));
    let rows = rows.borrow();
    assert_eq!([rows[0].id, rows[1].id], [1, 2]);
    assert_eq!(stamps(&rows[1]), [ms(40), ms(50)]);
}
