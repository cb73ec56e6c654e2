//! The metrics page, read at a set period on a thread of its own.
//!
//! The thread has its own runtime, shares nothing with load or client but the run's clock, and keeps
//! to absolute deadlines: a page that takes long makes no later one late, and a deadline that passed
//! meanwhile is counted as missed. Nothing that the server does blocks a caller: a page that never
//! comes ends with the client's timeout, and dropping the sampler does not wait for it.

mod deadlines;
mod page;
mod samples;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use plimsoll_units::{Clock as _, RunClock, RunNanos};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::control::{ControlClient, METRICS_PATHS};
use crate::metrics::MetricsSample;
use deadlines::Deadlines;
use page::{Page, PageReader};

pub use samples::{Scrape, ServerSamples};

/// The shortest period: below it the page itself would be a load.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a server that has no page is left alone before it is asked once more.
const BLIND: Duration = Duration::from_secs(30);

/// Reads a server's metrics page until it is dropped.
#[derive(Debug)]
pub struct MetricsSampler {
    period: Duration,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the sampler's thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    stop: Notify,
    nudge: Notify,
    blind: AtomicBool,
    gathered: Mutex<Gathered>,
}

/// What was read since the last take.
#[derive(Debug, Default)]
struct Gathered {
    latest: Option<(RunNanos, MetricsSample)>,
    samples: ServerSamples,
}

impl Shared {
    /// The lock, also after a panic of the thread: what was gathered is whole at every instant.
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricsSampler {
    /// Starts reading the metrics of the server behind `control`, at once and then every `period`
    /// (1 ms at least). Stamps are of `clock`; each reading is bounded by the client's timeout.
    ///
    /// # Errors
    /// When the system has no thread or no descriptors left.
    pub fn start(control: ControlClient, clock: RunClock, period: Duration) -> io::Result<Self> {
        let period = period.max(SHORTEST);
        let shared = Arc::<Shared>::default();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let reader = Reader {
            control,
            clock,
            shared: Arc::clone(&shared),
            pages: PageReader::default(),
            path: None,
            deadlines: Deadlines::new(clock.now() + period, period),
        };
        let thread = std::thread::Builder::new().name("plimsoll-metrics".to_owned());
        let thread = thread.spawn(move || reader.run(runtime))?;
        Ok(Self { period, shared, thread: Some(thread) })
    }

    /// Asks for a page now, besides those of the period; returns at once. While a page is being
    /// waited for, the next one follows it directly. Does nothing where there is no page.
    pub fn scrape_now(&self) {
        self.shared.nudge.notify_one();
    }

    /// The newest page and when it was read; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<(RunNanos, MetricsSample)> {
        self.shared.gathered().latest
    }

    /// Whether the server has said that it has no such page. It is asked again every half minute.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.shared.blind.load(Ordering::Relaxed)
    }

    /// Everything gathered since the last call. It is kept in memory, before and after: 8 bytes for
    /// each series of a page (5 kB for a page of vLLM), and the texts of the series once for all pages
    /// that look alike.
    #[must_use]
    pub fn take(&self) -> ServerSamples {
        let samples = std::mem::take(&mut self.shared.gathered().samples);
        ServerSamples { period: self.period, ..samples }
    }
}

impl Drop for MetricsSampler {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads the server's metrics panicked");
        }
    }
}

/// The thread's side.
struct Reader {
    control: ControlClient,
    clock: RunClock,
    shared: Arc<Shared>,
    pages: PageReader,
    /// Where the page was found.
    path: Option<&'static str>,
    deadlines: Deadlines,
}

impl Reader {
    fn run(mut self, runtime: Runtime) {
        let shared = Arc::clone(&self.shared);
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = shared.stop.notified() => {}
                () = self.read_on() => {}
            }
        });
        // Looking up a host's name cannot be cancelled; nobody waits for it.
        runtime.shutdown_background();
    }

    async fn read_on(&mut self) {
        loop {
            self.look().await;
            let now = self.clock.now();
            if self.shared.blind.load(Ordering::Relaxed) {
                tokio::time::sleep(BLIND).await;
                self.deadlines.give_up(self.clock.now());
                continue;
            }
            let missed = self.deadlines.give_up(now);
            {
                let mut gathered = self.shared.gathered();
                gathered.samples.missed.extend(missed);
                gathered.samples.cpu.extend(thread_time().map(|used| (now, used)));
            }
            tokio::select! {
                () = tokio::time::sleep(self.deadlines.wait(now)) => self.deadlines.meet(),
                () = self.shared.nudge.notified() => {}
            }
        }
    }

    /// One attempt: at the path where the page was found, else at each where it may be.
    async fn look(&mut self) {
        let found = self.path;
        for path in found.as_slice().iter().chain(METRICS_PATHS.iter().filter(|_| found.is_none()))
        {
            let asked = self.clock.now();
            let answer = self.control.page(path).await;
            let took = self.clock.now() - asked;
            let at = asked + took / 2;
            match answer {
                Err(error) => return self.failed(at, error.to_string()),
                Ok(None) => {}
                Ok(Some(body)) => {
                    let page = self.pages.read(&body);
                    if !page.is_empty() {
                        self.path = Some(path);
                        return self.keep(at, took, page);
                    }
                }
            }
            if found.is_some() {
                return self.failed(at, format!("{path} no longer has a metric"));
            }
        }
        self.shared.blind.store(true, Ordering::Relaxed);
    }

    fn keep(&self, at: RunNanos, took: Duration, page: Page) {
        let sample = page.sample();
        let mut gathered = self.shared.gathered();
        gathered.latest = Some((at, sample));
        gathered.samples.scrapes.push(Scrape { at, took, sample, page });
        drop(gathered);
        self.shared.blind.store(false, Ordering::Relaxed);
    }

    fn failed(&self, at: RunNanos, reason: String) {
        tracing::debug!(reason, "the server's metrics could not be read");
        self.shared.gathered().samples.failed.push((at, reason));
        self.shared.blind.store(false, Ordering::Relaxed);
    }
}

/// CPU time of this thread since its start, where the system says it.
fn thread_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}
