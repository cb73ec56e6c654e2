//! The server as a whole: start it, ask for its address, stop it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use plimsoll_units::RunClock;
use thiserror::Error;
use tokio::sync::watch;

use crate::faults::Fault;
use crate::http::{Phase, Shared, serve};
use crate::replica::{Outbox, Replica, Runner, lock};
use crate::router::Router;
use crate::{Engine, ModelProfile, Settings, SettingsError, truth};

/// What to start.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// The model served.
    pub model: ModelProfile,
    /// vLLM's settings.
    pub settings: Settings,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; 0 takes any free one.
    pub port: u16,
    /// Where the server writes its own record of every request, one JSON object a line.
    pub truth: Option<PathBuf>,
    /// Decides the words and natural ends of answers.
    pub seed: u64,
    /// Threads that serve connections, 1 to 64.
    pub http_threads: usize,
    /// Planted faults, none by default.
    pub faults: Vec<Fault>,
}

impl Default for SimConfig {
    /// `qwen3-14b` with vLLM's defaults on any free port of the loopback address.
    fn default() -> Self {
        Self {
            model: ModelProfile::qwen3_14b(),
            settings: Settings::default(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            truth: None,
            seed: 0,
            http_threads: 1,
            faults: Vec::new(),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings and model do not fit together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The model's name would break the server's own texts.
    #[error("the model name `{0}` must be of letters, digits and any of `-_./:`")]
    ModelName(String),
    /// The number of HTTP threads is out of range.
    #[error("http_threads = {0} cannot be: it must be a whole number from 1 to 64")]
    HttpThreads(usize),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any free one")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The truth file cannot be written.
    #[error("cannot write the truth file {}: {source}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A running server. It stops when told to or dropped; it needs no runtime of its caller.
#[derive(Debug)]
pub struct SimServer {
    address: SocketAddr,
    clock: RunClock,
    replicas: Vec<Arc<Replica>>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
}

impl SimServer {
    /// Listens and serves on threads of its own; when it returns, requests are answered.
    ///
    /// # Errors
    /// [`StartError`] when settings and model contradict each other, the port is taken or the
    /// truth file cannot be written.
    pub fn start(config: SimConfig) -> Result<Self, StartError> {
        let SimConfig { model, settings, host, port, truth, seed, http_threads, faults } = config;
        let name_is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
        if model.name.is_empty() || !model.name.bytes().all(name_is_plain) {
            return Err(StartError::ModelName(model.name));
        }
        if !(1..=64).contains(&http_threads) {
            return Err(StartError::HttpThreads(http_threads));
        }
        let engine = Engine::new(&model, &settings)?;
        let address = SocketAddr::new(host, port);
        let bind = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;

        let clock = RunClock::start();
        let outboxes: Arc<[Outbox]> = (0..http_threads).map(|_| Outbox::default()).collect();
        let replicas: Vec<Arc<Replica>> =
            (0..settings.data_parallel_size).map(|_| Arc::new(Replica::new(&engine))).collect();
        let phase = watch::Sender::new(Phase::Serving);
        // From here on an error drops `server`, which stops the threads already started.
        let mut server = Self { address: bound, clock, replicas, phase, threads: Vec::new() };
        // Declared after `server`: the writer ends when the last sink is dropped, and only then can
        // `server` be.
        let sink = match truth {
            None => None,
            Some(path) => match truth::open(&path) {
                Ok((sink, writer)) => {
                    server.threads.push(writer);
                    Some(sink)
                }
                Err(source) => return Err(StartError::Truth { path, source }),
            },
        };
        for (index, replica) in server.replicas.iter().enumerate() {
            let runner =
                Runner::new(engine.clone(), clock, Arc::clone(replica), Arc::clone(&outboxes));
            let thread = Builder::new().name(format!("sim-engine-{index}"));
            server.threads.push(thread.spawn(|| runner.run()).map_err(StartError::Thread)?);
        }
        let shared = Arc::new(Shared {
            limits: *engine.limits(),
            profile: model,
            settings,
            clock,
            seed,
            faults,
            replicas: server.replicas.clone(),
            router: Mutex::new(Router::default()),
            outboxes,
            phase: server.phase.clone(),
            truth: sink,
            requests: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
        });
        for index in 0..http_threads {
            let listener = listener.try_clone().map_err(bind)?;
            let shared = Arc::clone(&shared);
            let thread = Builder::new().name(format!("sim-http-{index}"));
            let serve = move || serve(listener, shared, index);
            server.threads.push(thread.spawn(serve).map_err(StartError::Thread)?);
        }
        Ok(server)
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The clock whose origin the truth file's times count from.
    #[must_use]
    pub fn clock(&self) -> RunClock {
        self.clock
    }

    /// The longest time by which a step's tokens were handed over after the step's end: how far
    /// the machine kept the server from its own time line.
    #[must_use]
    pub fn worst_lag(&self) -> Duration {
        let lags = self.replicas.iter().map(|replica| lock(&replica.stats).worst_lag());
        lags.max().unwrap_or_default()
    }

    /// Stops: connections are closed, steps under way end, the truth file is complete.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.phase.send_replace(Phase::Stopped);
        for replica in &self.replicas {
            replica.stop();
        }
        // The truth writer, first in the list, ends when the HTTP threads have dropped its sinks,
        // so the order of joining does not matter.
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the simulated server panicked");
            }
        }
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.halt();
    }
}
