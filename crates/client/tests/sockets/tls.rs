//! The same over TLS, with a certificate made for the test.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_client::{ClientConfig, TlsRoots};
use plimsoll_records::{ConnectionUse, Outcome};
use tokio_rustls::rustls::{self, ServerConnection};

use crate::self_signed::self_signed;
use crate::server::{DONE, FINISH, ROLE, Server, TOKEN, plain};
use crate::{Sender, assert_failed, config, run};

/// A TLS server for `localhost` with its certificate.
pub(crate) fn tls_server() -> (Server, TlsRoots) {
    let (tls, certificate) = self_signed(&["localhost"]);
    let server = Server::start(move |_, peer| {
        let session = ServerConnection::new(Arc::clone(&tls)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, peer.0);
        let mut request = [0; 65_536];
        // Each request of these tests fits into one record.
        while matches!(stream.read(&mut request), Ok(1..)) {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            for data in [ROLE, TOKEN, TOKEN, FINISH, DONE] {
                let event = format!("data: {data}\n\n");
                std::thread::sleep(Duration::from_millis(20));
                write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
    });
    (server, TlsRoots::Pem(certificate.into_bytes()))
}

#[test]
fn tls_is_stamped_like_plain() {
    let (server, tls_roots) = tls_server();
    let url = format!("https://localhost:{}", server.address.port());
    run(async {
        let sender = Sender::new(ClientConfig { tls_roots, ..config(&url) });
        for connection in [ConnectionUse::New, ConnectionUse::Reused] {
            let row = sender.send().await;
            assert_eq!((row.outcome, row.error.clone()), (Outcome::Ok, None));
            assert_eq!((row.connection, row.chunks.len()), (Some(connection), 2));
            let gap = row.chunks[1].at - row.chunks[0].at;
            assert!(gap >= Duration::from_millis(10), "each record has its own stamp: {gap:?}");
            // Session tickets arrive before the response and are no part of it.
            let wait = row.role_chunk.unwrap() - row.sent.unwrap();
            assert!(wait >= Duration::from_millis(10), "{wait:?}");
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, tls_roots) = tls_server();
    let url = format!("https://localhost:{}", server.address.port());
    let bundled = ClientConfig { tls_roots: TlsRoots::Bundled, ..config(&url) };
    let row = run(Sender::new(bundled).send());
    assert_failed(&row, Outcome::Refused, "TLS handshake with `localhost` failed");
    // The right authority, the wrong name.
    let url = format!("https://127.0.0.1:{}", server.address.port());
    let row = run(Sender::new(ClientConfig { tls_roots, ..config(&url) }).send());
    assert_failed(&row, Outcome::Refused, "certificate");
    // No TLS at all on the other side.
    let plain_server = Server::start(|_, mut peer| {
        peer.send(&plain("400 Bad Request", "text/plain", "speak HTTP"));
        peer.wait_for_close();
    });
    let url = format!("https://{}", plain_server.address);
    let roots = TlsRoots::Bundled;
    let row = run(Sender::new(ClientConfig { tls_roots: roots, ..config(&url) }).send());
    assert_eq!(row.outcome, Outcome::Refused, "{row:?}");
    assert_eq!((row.connected, row.sent), (None, None));
}
