//! Connections that are opened ahead of requests.

use std::time::Duration;

use plimsoll_client::ClientConfig;
use plimsoll_records::{ConnectionUse, Outcome};
use tokio::task::JoinSet;

use crate::server::Server;
use crate::tls::tls_server;
use crate::{Sender, config, run};

/// How the connections of `requests` simultaneous requests had come about, after `warm` were opened.
async fn uses(sender: Sender, warm: usize, requests: usize) -> Vec<ConnectionUse> {
    assert_eq!(sender.client.warm_up(warm).await, warm);
    let sender = std::rc::Rc::new(sender);
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        let sender = std::rc::Rc::clone(&sender);
        tasks.spawn_local(async move { sender.send().await });
    }
    let mut uses = Vec::new();
    while let Some(row) = tasks.join_next().await {
        let row = row.unwrap();
        assert_eq!((row.outcome, row.error), (Outcome::Ok, None));
        uses.push(row.connection.unwrap());
    }
    assert_eq!(sender.client.report().connections_opened, warm.max(requests) as u64);
    uses.sort_by_key(|used| format!("{used:?}"));
    uses
}

/// A server that answers every request of a connection after a moment.
fn patient() -> Server {
    Server::start(|_, mut peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_millis(50));
            peer.answer(1);
        }
    })
}

#[test]
fn the_first_requests_find_their_connections_open() {
    let server = patient();
    let uses = run(uses(Sender::to(&server), 3, 4));
    assert_eq!(uses[0], ConnectionUse::New, "one more than were there");
    assert_eq!(uses[1..], [ConnectionUse::Prewarmed; 3]);
    assert_eq!(server.connections(), 4);
}

#[test]
fn session_tickets_do_not_spoil_them() {
    let (server, tls_roots) = tls_server();
    let url = format!("https://localhost:{}", server.address.port());
    run(async {
        let sender = Sender::new(ClientConfig { tls_roots, ..config(&url) });
        assert_eq!(sender.client.warm_up(3).await, 3);
        // The tickets are there by now.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sender.client.warm_up(3).await, 3);
        for connection in [ConnectionUse::Prewarmed, ConnectionUse::Reused] {
            let row = sender.send().await;
            assert_eq!((row.outcome, row.connection), (Outcome::Ok, Some(connection)));
        }
    });
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_server_that_keeps_none_is_not_asked_for_ever() {
    let server = Server::start(|_, peer| drop(peer));
    run(async {
        let sender = Sender::to(&server);
        sender.client.warm_up(5).await;
        // Once a second, and no more, is tried again.
        let keep = sender.client.keep_warm(5);
        assert!(tokio::time::timeout(Duration::from_millis(500), keep).await.is_err());
    });
    assert!(server.connections() <= 30, "{}", server.connections());
    let nobody = config("http://127.0.0.1:1");
    assert_eq!(run(Sender::new(nobody).client.warm_up(5)), 0);
}

#[test]
fn what_the_server_closed_or_a_request_took_is_replaced() {
    // The first two connections are closed after a moment.
    let server = Server::start(|number, mut peer| {
        if number < 2 {
            std::thread::sleep(Duration::from_millis(100));
        } else {
            while peer.request().is_some() {
                peer.answer(1);
            }
        }
    });
    run(async {
        let sender = Sender::to(&server);
        let work = async {
            while server.connections() < 4 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let row = sender.send().await;
            assert_eq!(row.connection, Some(ConnectionUse::Prewarmed));
        };
        tokio::select! {
            _ = sender.client.keep_warm(2) => {}
            () = work => {}
        }
    });
}
