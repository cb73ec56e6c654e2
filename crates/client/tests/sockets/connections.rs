//! What becomes of connections: kept, found closed, died under a request, aborted, dropped.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use plimsoll_client::ClientConfig;
use plimsoll_records::{ConnectionUse, Outcome, RequestRow};
use plimsoll_units::Clock;
use tokio::time::{sleep, timeout};

use crate::server::{DONE, FINISH, Peer, Server, TOKEN};
use crate::{Sender, assert_failed, config, run};

#[test]
fn a_kept_connection_serves_one_request_after_another() {
    let server = Server::start(|_, mut peer| {
        while peer.request().is_some() {
            peer.answer(5);
        }
    });
    run(async {
        let sender = Sender::new(ClientConfig { quickack: true, ..config(&server.url()) });
        for number in 0..3 {
            let row = sender.send().await;
            assert_eq!((row.outcome, row.http_status, row.id), (Outcome::Ok, Some(200), 7));
            assert_eq!((row.chunks.len(), row.finish_reason.as_deref()), (5, Some("length")));
            assert!(row.role_chunk.is_some() && row.sent.is_some() && !row.resent);
            let expected = if number == 0 { ConnectionUse::New } else { ConnectionUse::Reused };
            assert_eq!(row.connection, Some(expected));
            assert_eq!(sender.client.idle_connections(), 1);
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_at_once_wait_for_nobody() {
    // Nobody is answered before all are there.
    let everyone = Arc::new(std::sync::Barrier::new(30));
    let server = Server::start(move |_, mut peer| {
        peer.request();
        everyone.wait();
        peer.answer(1);
        peer.wait_for_close();
    });
    run(async {
        let sender = Rc::new(Sender::to(&server));
        let rows = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let (sender, rows) = (Rc::clone(&sender), Rc::clone(&rows));
                tokio::task::spawn_local(async move {
                    let row = sender.send().await;
                    rows.borrow_mut().push(row);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(rows.borrow().iter().all(|row| row.outcome == Outcome::Ok));
        assert_eq!((rows.borrow().len(), sender.client.idle_connections()), (30, 30));
    });
}

#[test]
fn a_server_that_closes_after_every_stream_is_no_reason_to_resend() {
    // As llama.cpp does: no `Connection: close`, and a promise to keep the connection.
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nKeep-Alive: timeout=5, max=100\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        );
        for data in [TOKEN, FINISH, DONE] {
            peer.event(data);
        }
        peer.end();
    });
    run(async {
        let sender = Sender::to(&server);
        for _ in 0..3 {
            let row = sender.send().await;
            assert_eq!((row.outcome, row.resent), (Outcome::Ok, false));
            assert_eq!(row.connection, Some(ConnectionUse::New));
            // Long enough for the close to arrive: it is found by the look before use.
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(server.connections(), 3);
}

#[test]
fn words_on_an_idle_connection_make_it_unusable() {
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.answer(1);
        std::thread::sleep(Duration::from_millis(50));
        peer.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
        peer.wait_for_close();
    });
    run(async {
        let sender = Sender::to(&server);
        assert_eq!(sender.send().await.outcome, Outcome::Ok);
        sleep(Duration::from_millis(250)).await;
        let row = sender.send().await;
        assert_eq!((row.outcome, row.connection), (Outcome::Ok, Some(ConnectionUse::New)));
        assert!(!row.resent);
    });
}

/// A server whose first connection answers once and dies with `die` on the second request; later
/// connections are served by `later`.
fn stale(die: fn(Peer), later: fn(Peer)) -> (Vec<RequestRow>, usize) {
    let server = Server::start(move |number, mut peer| {
        peer.request();
        if number > 0 {
            return later(peer);
        }
        peer.answer(2);
        peer.request();
        die(peer);
    });
    let rows = run(async {
        let sender = Sender::to(&server);
        vec![sender.send().await, sender.send().await]
    });
    (rows, server.connections())
}

#[test]
fn a_request_that_dies_on_a_stale_connection_is_sent_once_more() {
    for die in [drop, Peer::reset] {
        let (rows, connections) = stale(die, |mut peer| {
            // The second sending is told apart from the first by its time.
            std::thread::sleep(Duration::from_millis(50));
            peer.answer(2);
            peer.wait_for_close();
        });
        assert_eq!((rows[0].outcome, rows[0].resent), (Outcome::Ok, false));
        let row = &rows[1];
        assert_eq!((row.outcome, row.resent, row.chunks.len()), (Outcome::Ok, true, 2));
        assert_eq!(row.connection, Some(ConnectionUse::Reused), "as it was sent first");
        assert!(row.first_byte.unwrap() - row.sent.unwrap() >= Duration::from_millis(50));
        assert_eq!(connections, 2);
    }
}

#[test]
fn a_request_is_never_sent_a_third_time() {
    let (rows, connections) = stale(drop, drop);
    assert_failed(&rows[1], Outcome::Reset, "before an answer");
    assert!(rows[1].resent);
    assert_eq!(connections, 2);
}

#[test]
fn a_connection_that_dies_after_a_byte_of_answer_is_not_resent() {
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.answer(2);
        peer.request();
        peer.send(b"HTTP/1.1 200");
    });
    run(async {
        let sender = Sender::to(&server);
        sender.send().await;
        let row = sender.send().await;
        assert_failed(&row, Outcome::Reset, "before an answer");
        assert!(!row.resent && row.first_byte.is_some());
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_new_connection_that_dies_is_reset_and_not_resent() {
    for die in [drop, Peer::reset] {
        let server = Server::start(move |_, mut peer| {
            peer.request();
            die(peer);
        });
        let row = run(Sender::to(&server).send());
        assert_failed(&row, Outcome::Reset, "before an answer");
        assert!(!row.resent && row.sent.is_some() && row.first_byte.is_none());
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_response_that_does_not_end_after_done_is_ok_and_its_connection_dropped() {
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.begin();
        for data in [TOKEN, FINISH, DONE] {
            peer.event(data);
        }
        peer.wait_for_close();
    });
    run(async {
        let sender = Sender::to(&server);
        let row = sender.send().await;
        assert_eq!(row.outcome, Outcome::Ok);
        let waited = sender.clock.now() - row.done;
        assert!(waited >= Duration::from_millis(900), "the wait for the end is not counted");
        assert_eq!(sender.client.idle_connections(), 0);
    });
}

#[test]
fn sent_is_when_the_last_byte_went_out() {
    let server = Server::start(|_, mut peer| {
        // The buffers between the two ends are far smaller than the body.
        std::thread::sleep(Duration::from_millis(300));
        peer.request();
        peer.answer(1);
        peer.wait_for_close();
    });
    let row = run(Sender::to(&server).send_body(Bytes::from(vec![b' '; 32 << 20])));
    assert_eq!(row.outcome, Outcome::Ok);
    assert!(row.sent.unwrap() - row.connected.unwrap() >= Duration::from_millis(200), "{row:?}");
}

#[test]
fn abort_ends_what_is_in_flight_and_what_comes_after() {
    let server = Server::start(|_, mut peer| {
        peer.request();
        peer.begin();
        peer.event(TOKEN);
        peer.wait_for_close();
    });
    run(async {
        let sender = Sender::to(&server);
        let abort = sender.client.abort_handle();
        let (row, ()) = tokio::join!(sender.send(), async {
            while server.connections() == 0 {
                sleep(Duration::from_millis(5)).await;
            }
            sleep(Duration::from_millis(100)).await;
            // From another thread, as a signal handler does.
            std::thread::spawn(move || abort.raise()).join().unwrap();
        });
        assert_eq!((row.outcome, row.error.as_deref()), (Outcome::Aborted, None));
        assert_eq!((row.chunks.len(), row.http_status), (1, Some(200)));
        let after = sender.send().await;
        assert_eq!((after.outcome, after.connected), (Outcome::Aborted, None));
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn dropping_a_request_closes_its_connection() {
    let (told, closed) = mpsc::channel();
    let server = Server::start(move |_, mut peer| {
        peer.request();
        peer.begin();
        told.send(peer.wait_for_close()).unwrap();
    });
    run(async {
        let sender = Sender::to(&server);
        assert!(timeout(Duration::from_millis(200), sender.send()).await.is_err());
        assert_eq!(sender.client.idle_connections(), 0);
        assert!(closed.recv_timeout(Duration::from_secs(10)).unwrap());
    });
}
