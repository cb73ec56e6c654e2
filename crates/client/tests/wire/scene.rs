//! A scene: an answer, what befalls it on the wire, and what is known of it afterwards.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use plimsoll_units::RunClock;

use crate::fault::{Fault, Mishap, client, server};
use crate::forwarder::{Forwarder, Log};
use crate::namespace::Host;
use crate::oracle::{Moment, in_order};
use crate::segment::Side;
use crate::server::{Answer, Server, Transcript};

/// Time between two bursts of tokens: more than a round trip on the wire, so that a token that is
/// not held up arrives alone.
pub(crate) const GAP: Duration = Duration::from_millis(5);

/// What happens in one run of the wire, the same to each of its connections.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) answer: Answer,
    pub(crate) script: Vec<Fault>,
    /// Whether bytes wait for earlier ones: some chunks then arrive together, later than the last
    /// segment among them.
    pub(crate) holds_up: bool,
}

/// All scenes over a plain connection. The server's first segment is the head of its response, so
/// its n-th brings token n - 2 (from 0), where tokens come singly in a segment each.
pub(crate) fn scenes() -> Vec<Scene> {
    let singly = Answer { tokens: 20, gap: GAP, burst: 1, text: 20, tls: None };
    let bursts = Answer { tokens: 30, burst: 5, ..singly.clone() };
    let long = Answer { text: 5_000, ..singly.clone() };
    let scene = |name, answer: &Answer, script: &[Fault], holds_up| Scene {
        name,
        answer: answer.clone(),
        script: script.to_vec(),
        holds_up,
    };
    let lost = Mishap::Lost;
    let overtaken = Mishap::Overtaken;
    vec![
        scene("a good wire", &singly, &[], false),
        scene("a segment is lost", &singly, &[server(12, lost(1))], true),
        scene("its retransmission is lost too", &singly, &[server(12, lost(2))], true),
        scene("a segment is overtaken by two", &singly, &[server(12, overtaken(2))], true),
        scene("a segment of a burst is overtaken", &bursts, &[server(12, overtaken(2))], true),
        scene("a segment is doubled", &singly, &[server(12, Mishap::Doubled)], false),
        scene("the first token is lost", &singly, &[server(2, lost(1))], true),
        scene("the middle of a long event is lost", &long, &[server(23, lost(1))], true),
        scene("the request is lost", &singly, &[client(1, lost(1))], false),
        scene(
            "everything goes wrong",
            &bursts,
            &[
                server(3, overtaken(1)),
                server(7, Mishap::Doubled),
                server(9, lost(1)),
                client(1, Mishap::Doubled),
                server(15, overtaken(3)),
                server(23, lost(2)),
            ],
            true,
        ),
    ]
}

/// What the wire and the server saw.
#[derive(Debug)]
pub(crate) struct Evidence {
    log: Log,
    transcripts: Vec<Transcript>,
}

impl Evidence {
    /// When each byte of the response had arrived in order.
    pub(crate) fn arrivals(&self, of: &Transcript) -> Vec<Moment> {
        in_order(&self.log.arrivals, of.port, Side::Server)
    }

    /// When each byte of the request had left for the first time, by the clock after.
    pub(crate) fn departures(&self, of: &Transcript) -> Vec<Moment> {
        in_order(&self.log.departures, of.port, Side::Client)
    }

    /// What the server saw of the connection whose request holds `name`.
    pub(crate) fn of(&self, name: &str) -> &Transcript {
        let is_named = |transcript: &&Transcript| transcript.request.contains(name);
        self.transcripts.iter().find(is_named).expect("the server saw every request")
    }

    /// Whether each connection had all that the scene wants, and nothing else held its bytes up.
    fn is_as_written(&self, scene: &Scene) -> bool {
        self.transcripts.iter().all(|of| {
            let mishaps = self.log.mishaps.iter();
            let own: Vec<_> = mishaps.filter(|(port, _)| *port == of.port).collect();
            own.len() == scene.script.len()
                && own.iter().all(|(_, fault)| scene.script.contains(fault))
                && scene.holds_up == (self.longest_wait(of) > Duration::ZERO)
        })
    }

    /// How long bytes of the response waited for others before them, at most.
    pub(crate) fn longest_wait(&self, of: &Transcript) -> Duration {
        self.arrivals(of).iter().map(|arrival| arrival.waited).max().unwrap_or_default()
    }
}

/// Plays the scene for `connections` connections that `work`, on the client's host, makes to the
/// server. `None`, with a reason in print, where no wire may be built.
///
/// On a machine that is busy with something else, the server may write so late that its kernel puts
/// two events into one segment, or sends again what was never lost. Then the scene is not the one
/// that was asked for, whatever the client made of it, and is played again.
pub(crate) fn play<T: Send>(
    scene: &Scene,
    connections: usize,
    clock: RunClock,
    work: impl Fn(SocketAddr) -> T + Sync,
) -> Option<(T, Evidence)> {
    // One scene at a time: they would take the processor from each other.
    static STAGE: Mutex<()> = Mutex::new(());
    let _stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..3 {
        match perform(scene, connections, clock, &work) {
            Err(reason) => {
                println!("SKIP `{}`: {reason}", scene.name);
                return None;
            }
            Ok((work, evidence)) if evidence.is_as_written(scene) => {
                return Some((work, evidence));
            }
            Ok((_, evidence)) => {
                println!("AGAIN `{}`: not as written: {:?}", scene.name, evidence.log.mishaps);
            }
        }
    }
    panic!("`{}` cannot be played as it is written on this machine", scene.name);
}

fn perform<T: Send>(
    scene: &Scene,
    connections: usize,
    clock: RunClock,
    work: &(impl Fn(SocketAddr) -> T + Sync),
) -> Result<(T, Evidence), String> {
    let near = Host::new(Ipv4Addr::new(10, 99, 0, 1))?;
    let far = Host::new(Ipv4Addr::new(10, 99, 0, 2))?;
    let forwarder = Forwarder::start(&near.cable, &far.cable, &scene.script, clock);
    let server = Server::start(&far, connections, &scene.answer);
    let address = server.address;
    let worked = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            near.enter();
            work(address)
        });
        worker.join()
    });
    // After a failure the server may wait for a client that will never come.
    let worked = worked.unwrap_or_else(|failure| resume_unwind(failure));
    let transcripts = server.finish();
    Ok((worked, Evidence { log: forwarder.finish(), transcripts }))
}
