//! One client of each grade of stamps, side by side on one thread, as on a worker.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use plimsoll_client::{
    Api, Capture, CaptureConfig, CaptureReport, Client, ClientConfig, Due, Measured, Meter,
    Request, TlsRoots,
};
use plimsoll_records::{RequestRow, StampSource};
use plimsoll_units::{Clock, RunClock};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

/// What the grade is called in the body of its request.
pub(crate) fn name(grade: StampSource) -> &'static str {
    match grade {
        StampSource::User => "stamped by the user",
        StampSource::Socket => "stamped by the socket",
        _ => "stamped by packets",
    }
}

/// The row of each grade, and what the capture says of itself. When all clients have their first
/// tokens, their thread falls asleep for the `nap`.
pub(crate) fn ask(
    server: SocketAddr,
    clock: RunClock,
    tls: Option<TlsRoots>,
    nap: Option<Duration>,
) -> (Vec<(StampSource, RequestRow)>, CaptureReport) {
    let (sink, settled) = mpsc::channel();
    let config = CaptureConfig::new(vec![server], clock);
    let capture = Capture::start(config, move |row| sink.send(row).unwrap()).unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let config = ClientConfig {
        tls_roots: tls.unwrap_or_default(),
        ..ClientConfig::new(format!("{scheme}://{server}/v1").parse().unwrap(), Api::Chat, clock)
    };
    let meters = [Meter::new(), Meter::new(), Meter::new()];
    let measure = async |grade, meter: &Meter| -> Measured {
        let own = ClientConfig { stamps: grade, meter: meter.clone(), ..config.clone() };
        let client = Client::new(own).unwrap();
        let body = format!(r#"{{"model":"{}","stream":true}}"#, name(grade));
        client.measure(Due::now(0, clock.now()), Request::new(Bytes::from(body))).await
    };
    let doze = async {
        while meters.iter().any(|meter| meter.tokens() == 0) {
            sleep(Duration::from_millis(1)).await;
        }
        thread::sleep(nap.unwrap_or_default());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (user, socket, packet, ()) = LocalSet::new().block_on(&runtime, async {
        let all = async {
            tokio::join!(
                measure(StampSource::User, &meters[0]),
                measure(StampSource::Socket, &meters[1]),
                measure(StampSource::Packet, &meters[2]),
                doze
            )
        };
        timeout(Duration::from_secs(30), all).await.expect("a client hangs")
    });
    assert!(capture.handle().settle(packet).is_none(), "the capture runs");
    let report = capture.finish();
    let packet = settled.recv().unwrap();
    assert!(settled.try_recv().is_err(), "one request, one row");
    let rows = vec![
        (StampSource::User, user.settle()),
        (StampSource::Socket, socket.settle()),
        (StampSource::Packet, packet),
    ];
    (rows, report)
}
