//! Ctrl-C and SIGTERM as a flag that the run looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
        let interrupt = Self::new();
        let raised = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let (Ok(mut int), Ok(mut term)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    tracing::warn!(
                        "no signal handler could be installed; Ctrl-C ends the run at once"
                    );
                    return;
                };
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

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
