//! The target: starting it, finding out what it runs with, reading what it counts, stopping it.
//!
//! In order of use: an [`Owned`] server is [`Attached`] to, or started as a [`Process`] (a
//! [`command_line`] with settings as [`Flags`]) or a [`Compose`] service, and [`wait_ready`] waits
//! until it has streamed a token. A [`ControlClient`] is made from its URL, an [`ApiKey`] where one is
//! needed, and a timeout; [`ControlClient::identify`] gives an [`Identity`], [`choose_model`] picks
//! the [`ModelInfo`] to measure. [`collect_settings`] asks everything for the settings
//! [`InEffect`], and [`compare_settings`] holds them against the declared ones; [`LogFacts`] reads a
//! log alone. A [`MetricsSampler`] reads the metrics page at a period, on a thread of its own, as
//! [`MetricsSample`]s; [`ServerSamples::window`] makes of them what a window saw, and
//! [`ServerSamples::rows`] gives every series of every page. [`Exposition`] is the parser underneath, for Prometheus text from anywhere. Whatever goes wrong is a [`LaunchError`] or a
//! [`ServerError`] that names what was asked and the remedy.
//!
//! Units: lengths are tokens, shares are 0 to 1, counters are the server's own running totals, stamps
//! are those of the run's clock. Calls need a tokio runtime with time and I/O enabled, and each is
//! bounded by the client's timeout as a whole.
//!
//! What this crate refuses to do: send load or stamp tokens (nothing it does is on the measured
//! path, and it shares no connection with it), guess a model name, follow a redirect, retry, leave a
//! process of a started server behind, or let an API key appear in an error, a log or a `Debug` text.
//!
//! ```
//! use std::time::Duration;
//! use plimsoll_server::{ControlClient, Exposition, MetricsSample};
//!
//! // Nothing is sent before the first call.
//! let client = ControlClient::new("http://localhost:8000/v1", None, Duration::from_secs(5))?;
//! assert_eq!(client.base_url(), "http://localhost:8000");
//!
//! let page = Exposition::parse(
//!     b"vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 2\n\
//!       vllm:num_requests_waiting{engine=\"0\"} 0\n",
//! );
//! let sample = MetricsSample::from(&page);
//! assert_eq!(sample.running, Some(5.0));
//! assert_eq!(sample.idle(), Some(false));
//! # Ok::<(), plimsoll_server::ServerError>(())
//! ```

mod base;
mod control;
mod error;
mod exposition;
mod http;
mod identity;
mod key;
mod launch;
mod metrics;
mod model;
mod printable;
mod sampler;
mod secret_name;
mod settings;
mod terminal;

pub use control::{ControlClient, Health, Response, TokenizeInput};
pub use error::{ServerError, UnreachableCause};
pub use exposition::{Exposition, Sample};
pub use identity::{Identity, ServerKind};
pub use key::ApiKey;
pub use launch::{
    Attached, Cause, CauseKind, CommandError, CommandValues, Compose, ComposeSpec, Exit, FlagError,
    Flags, LaunchError, Owned, Process, ProcessSpec, Ready, Stopped, command_line, free_port,
    likely_cause, wait_ready,
};
pub use metrics::MetricsSample;
pub use model::{ModelInfo, choose_model};
pub use sampler::{MetricsSampler, Scrape, ServerSamples};
pub use secret_name::is_secret_name;
pub use settings::{
    EngineLog, EngineRow, InEffect, LogFacts, LogTime, Pages, ReceivedRequest, Setting,
    SettingSource, collect_settings, compare_settings, well_known,
};
