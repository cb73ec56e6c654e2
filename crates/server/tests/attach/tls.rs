//! Secured connections: one that is trusted, one that is not, and one that is none at all.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};

use plimsoll_server::{ServerError, UnreachableCause};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use crate::stand_in::{StandIn, client, json, wait};

/// Where the child of `a_certificate_of_a_trusted_authority` finds the server.
const URL: &str = "PLIMSOLL_TEST_TLS_URL";

/// A server with a certificate that it signed itself: its URL, and the certificate in PEM.
fn secured_server() -> (String, String) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let url = StandIn::raw(move |tcp| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = Stream::new(&mut tls, tcp);
        // A client that does not trust the certificate ends the handshake here.
        if stream.read(&mut [0; 4096]).is_ok() {
            let _ = stream.write_all(&json("200 OK", r#"{"data":[{"id":"secured"}]}"#));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (url.replace("http://127.0.0.1", "https://localhost"), own.cert.pem())
}

fn tls_error(url: &str) -> String {
    match wait(client(url, None).models()).unwrap_err() {
        ServerError::Unreachable { cause: UnreachableCause::Tls, reason, .. } => reason,
        other => panic!("expected a failed handshake, got {other:?}"),
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let (url, _) = secured_server();
    let reason = tls_error(&url);
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn a_port_that_speaks_plain_http() {
    let url = StandIn::raw(|stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    tls_error(&url.replace("http:", "https:"));
    let url = StandIn::raw(|stream| drop(stream.read(&mut [0; 1]))).replace("http:", "https:");
    tls_error(&url);
}

/// Trust comes from the environment, which a process must have from its start: so this test is run
/// once more in a process of its own.
#[test]
fn a_certificate_of_a_trusted_authority() {
    if let Ok(url) = env::var(URL) {
        let models = wait(client(&url, None).models()).unwrap();
        assert_eq!(models[0].id, "secured");
        return;
    }
    let (url, pem) = secured_server();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("plimsoll-server-tls-{}.pem", std::process::id()));
    fs::write(&file, pem).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tls::a_certificate_of_a_trusted_authority", "--nocapture"])
        .env(URL, url)
        .env("SSL_CERT_FILE", &file)
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("1 passed"), "{output}");
}
