//! A matrix becomes a plan, the plan points, the points a results folder.
//!
//! In order of use: a [`MatrixSource`] is a TOML file with the command line's overrides; a [`Plan`]
//! is what it means, with nothing left to doubt later; [`run()`] carries it out, telling a
//! [`Progress`] what happens and looking at an [`Interrupt`] whether to stop; the [`RunResult`] has
//! the folder, its manifest and the judgement. [`judge_folder`] judges a folder again from its files,
//! and says the same; [`judge_folder_under`] with other findings allowed or denied; [`printed()`] is what
//! other tools would have printed of its points.
//!
//! This is where *when* (`load`), *what* (`workload`) and *how* (`client`) meet, in one adapter: the
//! driver's target takes an encoded body and gives it to the client. Worker threads share nothing
//! on the measured path; a coordinator outside it decides where the window lies and when a point is
//! over. All stamps are nanoseconds since the origin of the run's one clock.
//!
//! A run knows its own instrument: it takes the best stamps that the system gives (packets, sockets,
//! else the clock) and says which; it opens connections before they are needed; it holds its loads
//! against the limits of the system before anything is sent; and before the first point and after the
//! last one it measures the client's own error against the simulator's log.
//!
//! [`check_machine`] asks before any of that whether this machine is fit to measure from.
//!
//! What this crate refuses to do: start load before the matrix is known to be sound and the server
//! to be the right one; send a request that leaves no row; print (the bins do).
//!
//! ```
//! use std::path::Path;
//! use plimsoll_experiment::{MatrixSource, Plan};
//!
//! let matrix = r#"
//!     [experiment]
//!     kind = "saturation"
//!     [workload]
//!     input-tokens = 128
//!     output-tokens = 32
//!     [load]
//!     rates = [5, "10/s", 20]
//! "#;
//! let mut source = MatrixSource::new(Path::new("mine.toml"), matrix.to_owned());
//! source.set("experiment.seed=7");
//! assert_eq!(Plan::new(source)?.seed(), 7);
//!
//! // A misspelled key is refused with its line and the key that was probably meant.
//! let wrong = matrix.replace("rates", "ratse");
//! let error = Plan::new(MatrixSource::new(Path::new("mine.toml"), wrong)).unwrap_err();
//! assert_eq!(error.line(), Some(8));
//! assert!(error.to_string().contains("did you mean `rates`?"), "{error}");
//! # Ok::<(), plimsoll_experiment::MatrixError>(())
//! ```

mod adapter;
mod arrivals;
mod check;
mod circumstances;
mod conversations;
mod coordinator;
mod course;
mod crew;
mod error;
mod interrupt;
mod judged;
mod limits;
mod live;
mod machine;
mod manifest;
mod matrix;
mod next;
mod offered;
mod pace;
mod pilot;
mod plan;
mod point;
mod preflight;
mod prewarm;
mod printed;
mod progress;
mod replicas;
mod resume;
mod run;
mod self_test;
mod stamping;
mod summary_row;
mod target;
mod tokenizer;
mod worker;

pub use check::{Check, Fitness, MachineCheck, check_machine};
pub use error::RunError;
pub use interrupt::Interrupt;
pub use judged::{JudgeFolderError, JudgedFolder, judge_folder, judge_folder_under};
pub use matrix::{
    ClientTable, Command, ExperimentTable, GpuSampling, Kind, Launch, LoadArrivals, LoadTable,
    Margin, Matrix, MatrixError, MatrixSource, Order, Prewarm, Rates, SamplersTable, SearchFor,
    SearchTable, SelfTesting, ServerTable, WarmUp, WindowTable,
};
pub use next::next_matrix;
pub use plan::Plan;
pub use plimsoll_analysis::{PeerTool, UnknownTool};
pub use plimsoll_gpu::GpuError;
pub use plimsoll_server::{LaunchError, ServerError};
pub use printed::printed;
pub use progress::{Event, Progress, Silent, Terminal, Tick, Vitals};
pub use resume::{ResumeError, Unfinished};
pub use run::{RunOptions, RunResult, resume, run};
