//! Ctrl-C and SIGTERM as a flag that the run looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::RunError;

/// Whether the run should stop. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// A flag that nobody has raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that the first SIGINT or SIGTERM raises. The second one ends the process at once,
    /// with exit code 130, for a run that hangs.
    ///
    /// # Errors
    /// When the system refuses a thread or a signal handler.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = Self::new();
        let raised = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("plimsoll-signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                    if raised.is_raised() {
                        std::process::exit(130);
                    }
                    raised.raise();
                }
            });
        })?;
        Ok(interrupt)
    }

    /// Asks the run to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// `answer`, unless the run is asked to stop before it comes.
    pub(crate) async fn unless<T>(&self, answer: impl Future<Output = T>) -> Result<T, RunError> {
        let raised = async {
            // Nothing is measured here, so the timer's coarse ticks do no harm.
            while !self.is_raised() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            answer = answer => Ok(answer),
            () = raised => Err(RunError::Interrupted),
        }
    }

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
