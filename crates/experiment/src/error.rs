//! What can end a run without a result.

use std::io;

use plimsoll_client::ClientError;
use plimsoll_gpu::GpuError;
use plimsoll_load::{DriverError, ScheduleError};
use plimsoll_records::RecordsError;
use plimsoll_server::{LaunchError, ServerError};
use plimsoll_sim::StartError;
use plimsoll_workload::{CalibrationError, EncodeError};
use thiserror::Error;

use crate::matrix::MatrixError;

/// A run that could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The matrix turned out wrong against the server: a length beyond its context, say.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// The server cannot be reached, is no OpenAI-compatible server, or lacks the model.
    #[error(transparent)]
    Target(#[from] ServerError),
    /// The server took no request of the kind that was to be measured.
    #[error("the server does not answer as it must: {0}")]
    Probe(String),
    /// The bodies of the workload cannot be had from this server.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Prompt lengths could not be calibrated against the server's own counts.
    #[error("prompt lengths could not be calibrated: {0}")]
    Calibration(#[from] CalibrationError),
    /// The server could not be started, or ended by itself.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The matrix requires GPUs to be watched, and they cannot be.
    #[error("samplers.gpu = \"required\": {0}")]
    Gpu(GpuError),
    /// The matrix requires GPUs to be watched, and one was lost on the way.
    #[error("samplers.gpu = \"required\": {0}")]
    GpuLost(String),
    /// The simulator could not be started.
    #[error("the simulator did not start: {0}")]
    Sim(#[from] StartError),
    /// The client could not be made.
    #[error("the client could not be made: {0}")]
    Client(#[from] ClientError),
    /// The results could not be written.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The system refused something.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The schedule could not be cut.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A worker's driver failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A worker thread panicked: a bug.
    #[error("a worker thread panicked; this is a bug in plimsoll")]
    WorkerDied,
    /// The run was interrupted before anything was measured.
    #[error("interrupted before anything was measured")]
    Interrupted,
}

impl RunError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
