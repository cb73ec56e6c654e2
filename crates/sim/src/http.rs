//! The HTTP face: what a client of vLLM sees.
//!
//! Each HTTP thread has its own single-threaded runtime and keeps the connections it accepted, so
//! nothing on the way of a token from a replica's outbox to the socket is shared or locked.

use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_units::RunClock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::faults::{Fault, refuse_after};
use crate::http::desk::Desk;
use crate::http::socket::{MarkedSocket, Marks};
use crate::replica::{Outbox, Replica, lock};
use crate::router::Router;
use crate::truth::TruthSink;
use crate::{Limits, ModelProfile, Settings};

mod answer;
mod ask;
mod chunks;
mod desk;
mod failure;
mod pages;
mod service;
mod socket;

/// What a listening thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// The port is closed, open connections end after their response.
    Refusing,
    Stopped,
}

/// What all HTTP threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) profile: ModelProfile,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) clock: RunClock,
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) replicas: Vec<Arc<Replica>>,
    pub(crate) router: Mutex<Router>,
    pub(crate) outboxes: Arc<[Outbox]>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) truth: Option<TruthSink>,
    /// Chat and completion requests seen, for the faults that count.
    pub(crate) requests: AtomicU64,
    pub(crate) tickets: AtomicU64,
}

impl Shared {
    /// The number of a new chat or completion request, from 1; closes the port when a fault says
    /// so.
    fn count_request(&self) -> u64 {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if refuse_after(&self.faults).is_some_and(|after| number >= after) {
            self.phase.send_if_modified(|phase| {
                let first = *phase == Phase::Serving;
                if first {
                    *phase = Phase::Refusing;
                }
                first
            });
        }
        number
    }

    /// The replica with the least load.
    fn choose_replica(&self) -> usize {
        let loads = self.replicas.iter().map(|replica| replica.unfinished.load(Ordering::Relaxed));
        lock(&self.router).pick(loads)
    }
}

/// Serves connections until the phase says to stop. `index` is this thread's outbox.
pub(crate) fn serve(listener: StdListener, shared: Arc<Shared>, index: usize) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a HTTP thread has no runtime and ends");
            return;
        }
    };
    let local = LocalSet::new();
    if let Err(error) = local.block_on(&runtime, accept(listener, shared, index)) {
        tracing::error!(%error, "a HTTP thread cannot listen and ends");
    }
}

async fn accept(listener: StdListener, shared: Arc<Shared>, index: usize) -> std::io::Result<()> {
    let mut phase = shared.phase.subscribe();
    let desk = Rc::new(Desk::default());
    tokio::task::spawn_local(desk::deliver(Rc::clone(&desk), Arc::clone(&shared.outboxes), index));
    let listener = TcpListener::from_std(listener)?;
    while *phase.borrow_and_update() == Phase::Serving {
        tokio::select! {
            _ = phase.changed() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // A failure here shows in the next read or write of the connection.
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(converse(stream, Rc::clone(&desk), Arc::clone(&shared), index));
                }
                // Mostly too many open files: closing connections will help.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    }
    drop(listener);
    // A closed channel means that the server has gone.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
    Ok(())
}

/// One connection, request after request.
async fn converse(
    stream: tokio::net::TcpStream,
    desk: Rc<Desk>,
    shared: Arc<Shared>,
    index: usize,
) {
    let marks = Rc::new(Marks::new(shared.clock, shared.truth.clone()));
    let socket = TokioIo::new(MarkedSocket::new(stream, Rc::clone(&marks)));
    let service = service_fn(move |request| {
        let (desk, marks, shared) = (Rc::clone(&desk), Rc::clone(&marks), Arc::clone(&shared));
        async move {
            Ok::<_, std::convert::Infallible>(
                service::respond(request, desk, marks, shared, index).await,
            )
        }
    });
    // How a connection ends is the client's affair; a request that dies with it is aborted.
    let _ = http1::Builder::new().serve_connection(socket, service).await;
}
