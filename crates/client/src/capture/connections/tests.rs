use std::net::SocketAddr;

use super::*;

fn ms(millis: u64) -> RunNanos {
    RunNanos::from_nanos(millis * 1_000_000)
}

fn ends(local_port: u16) -> Ends {
    let local = SocketAddr::from(([10, 0, 0, 9], local_port));
    Ends::new(local, "10.0.0.1:8000".parse().unwrap())
}

fn segment(outgoing: bool, sequence: u32) -> Segment {
    Segment {
        ends: ends(40_000),
        outgoing,
        sequence,
        acknowledged: None,
        payload: 0,
        syn: false,
        fin: false,
        rst: false,
    }
}

/// The two SYNs of a connection, at `at`, with the client's number and the server's.
fn open(connections: &mut Connections, at: RunNanos, client: u32, server: u32) {
    take(connections, at, Segment { syn: true, ..segment(true, client) });
    let acknowledged = Some(client.wrapping_add(1));
    take(connections, at, Segment { syn: true, acknowledged, ..segment(false, server) });
}

fn take(connections: &mut Connections, at: RunNanos, segment: Segment) {
    connections.take(&segment, Some(at), at);
}

#[test]
fn a_connection_has_two_directions_that_begin_behind_their_syn() {
    let mut all = Connections::default();
    open(&mut all, ms(10), u32::MAX, 500);
    take(&mut all, ms(11), Segment { payload: 100, ..segment(true, 0) });
    take(&mut all, ms(12), Segment { payload: 30, ..segment(false, 501) });
    let one = all.find(&ends(40_000), ms(10), Some(ms(12))).unwrap();
    assert_eq!(one.outgoing.at(100, &mut 0), Some(ms(11)));
    assert_eq!(one.incoming.at(1, &mut 0), Some(ms(12)));
    assert!(all.find(&ends(40_001), ms(10), None).is_none());
}

#[test]
fn a_repeated_syn_begins_nothing_new() {
    let mut all = Connections::default();
    open(&mut all, ms(10), 1, 500);
    take(&mut all, ms(12), Segment { payload: 30, ..segment(false, 501) });
    open(&mut all, ms(13), 1, 500);
    let one = all.find(&ends(40_000), ms(9), None).unwrap();
    assert_eq!((one.opened, one.incoming.covered()), (ms(10), 30));
    assert_eq!(all.table[&ends(40_000)].len(), 1);
}

#[test]
fn a_port_used_again_is_another_connection() {
    let mut all = Connections::default();
    for (turn, at) in [(1_u32, ms(100)), (2, ms(200)), (3, ms(300))] {
        open(&mut all, at, 1000 * turn, 5000 * turn);
        take(&mut all, at, Segment { payload: turn, ..segment(false, 5000 * turn + 1) });
        take(&mut all, at, Segment { rst: true, ..segment(true, 1000 * turn + 1) });
    }
    for (turn, since) in [(1_u64, ms(99)), (2, ms(150)), (3, ms(250))] {
        let one = all.find(&ends(40_000), since, Some(since + Duration::from_millis(60))).unwrap();
        assert_eq!(one.incoming.covered(), turn);
    }
    // One that was not seen is not taken for the next.
    assert!(all.find(&ends(40_000), ms(110), Some(ms(190))).is_none());
    assert!(all.find(&ends(40_000), ms(310), None).is_none());
}

#[test]
fn an_answered_syn_that_was_not_seen_is_known_by_the_answer() {
    let mut all = Connections::default();
    open(&mut all, ms(5), 7, 8);
    let answer = Segment { syn: true, acknowledged: Some(101), ..segment(false, 900) };
    take(&mut all, ms(10), answer);
    take(&mut all, ms(11), Segment { payload: 4, ..segment(true, 101) });
    take(&mut all, ms(12), Segment { payload: 3, ..segment(false, 901) });
    let one = all.find(&ends(40_000), ms(10), None).unwrap();
    assert_eq!((one.outgoing.covered(), one.incoming.covered()), (4, 3));
}

#[test]
fn what_was_open_before_is_ignored() {
    let mut all = Connections::default();
    take(&mut all, ms(1), Segment { payload: 100, ..segment(false, 7) });
    assert!(all.table.is_empty());
}

#[test]
fn what_ended_or_belongs_to_nobody_is_dropped_in_time() {
    let mut all = Connections::default();
    open(&mut all, ms(0), 1, 2);
    take(&mut all, ms(0), Segment { fin: true, ..segment(true, 2) });
    for (port, claimed) in [(1, true), (2, false)] {
        take(&mut all, ms(0), Segment { ends: ends(port), syn: true, ..segment(true, 9) });
        let found = all.find(&ends(port), ms(0), None).unwrap();
        if claimed {
            found.settled(0, 0);
        }
    }
    all.sweep(ms(29_000));
    assert_eq!(all.table.len(), 3);
    all.sweep(ms(31_000));
    assert_eq!(all.table.len(), 2, "the one that ended is gone");
    all.sweep(ms(16 * 60_000));
    assert!(all.table.contains_key(&ends(1)) && all.table.len() == 1, "the claimed one stays");
}

#[test]
fn too_many_stamps_are_forgotten_the_unclaimed_first() {
    let mut all = Connections::default();
    for port in [1, 2] {
        let of = |segment: Segment| Segment { ends: ends(port), ..segment };
        take(&mut all, ms(0), of(Segment { syn: true, ..segment(true, 9) }));
        let syn = Segment { syn: true, acknowledged: Some(10), ..segment(false, 99) };
        take(&mut all, ms(0), of(syn));
        for piece in 0..100_u32 {
            let at = ms(u64::from(piece));
            take(&mut all, at, of(Segment { payload: 5, ..segment(false, 100 + piece * 5) }));
        }
    }
    all.find(&ends(1), ms(0), None).unwrap().settled(0, 0);
    let stamp = |all: &mut Connections, port| {
        all.find(&ends(port), ms(0), None).unwrap().incoming.at(500, &mut 0)
    };
    all.sweep_to(ms(100), 200);
    assert_eq!((all.forgotten(), stamp(&mut all, 2)), (0, Some(ms(99))));
    all.sweep_to(ms(100), 199);
    assert_eq!((all.forgotten(), stamp(&mut all, 2)), (100, None));
    assert_eq!(stamp(&mut all, 1), Some(ms(99)));
    all.sweep_to(ms(100), 50);
    assert_eq!((all.forgotten(), stamp(&mut all, 1)), (200, None));
}
