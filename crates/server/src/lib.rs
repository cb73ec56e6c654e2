//! The control plane of a target that someone else started: what it is, what it serves, what it counts.
//!
//! In order of use: [`ControlClient`] is made from a URL, an [`ApiKey`] where one is needed, and a
//! timeout; [`ControlClient::identify`] gives an [`Identity`], [`choose_model`] picks the
//! [`ModelInfo`] to measure, [`ControlClient::idle`] says whether anyone else is being served, and
//! [`ControlClient::metrics`] reads the server's own counters as a [`MetricsSample`], of which two
//! make a [`MetricsDelta`]. [`Exposition`] is the parser underneath, for Prometheus text from
//! anywhere. Whatever goes wrong is a [`ServerError`] that names the URL and the remedy.
//!
//! Units: lengths are tokens, shares are 0 to 1, counters are the server's own running totals. There
//! is no clock in here: a sample is stamped by whoever asked for it. Calls need a tokio runtime with
//! time and I/O enabled, and each is bounded by the client's timeout as a whole.
//!
//! What this crate refuses to do: send load or stamp tokens (nothing it does is on the measured
//! path, and it shares no connection with it), guess a model name, follow a redirect, retry, or let
//! an API key appear in an error, a log or a `Debug` text.
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
mod metrics;
mod model;
mod printable;

pub use control::{ControlClient, Health, Response, TokenizeInput};
pub use error::{ServerError, UnreachableCause};
pub use exposition::{Exposition, Sample};
pub use identity::{Identity, ServerKind};
pub use key::ApiKey;
pub use metrics::{MetricsDelta, MetricsSample};
pub use model::{ModelInfo, choose_model};
