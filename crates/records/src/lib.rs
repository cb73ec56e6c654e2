//! The contract between what measures and what judges: rows, Arrow schemas, manifest and results
//! folder.
//!
//! In order of use: [`ResultsFolder`] is the folder of one run, with its [`Manifest`]; a
//! [`PointDir`] is the folder of one point in it, with its [`PointFile`]. While the point runs, a
//! [`PointWriter`] takes one [`RequestRow`] a request, with its [`ChunkRow`]s, through a
//! [`RowSender`] per worker. [`read_point`] gives the rows back, to the last whole batch if the
//! process was killed. What the judging side makes of them is a [`SummaryRow`] a point and the
//! [`Finding`]s of the audit; an [`Aggregate`] puts the summaries of several runs together. What the client knows of its own error stands beside the rows: a
//! [`WorkerRecord`] a thread, [`StampsRecord`] and [`ClockRecord`] in the point's file, a
//! [`SelfTest`] before and after in the manifest. So do the circumstances: [`GpuRow`]s and
//! [`ServerRow`]s of the samplers, which [`PointDir`] writes and reads whole, and what they come to over
//! the measure window, [`GpuWindow`], [`ServerCounters`] and [`SettingRecord`]. [`Table`] holds the
//! schemas; docs/results-format.md explains every file and column.
//!
//! A writer keeps up with some hundred thousand requests a second on one core, and rows leave its
//! memory as they come; `benches/rows.rs` and `tests/files/memory.rs` measure both.
//!
//! Units: stamps are nanoseconds since the origin of the run's clock ([`Manifest::clock`]); names
//! in files end in their unit (`_ns`, `_tokens`, `_per_s`).
//!
//! What this crate refuses to do: compute anything from a row beyond its accessors, wait on the
//! measured path, drop a row silently, and read a folder of another major [`FormatVersion`].
//!
//! ```
//! use plimsoll_records::{Outcome, PointWriter, RequestRow, ResultsFolder, StampSource, read_point};
//! use plimsoll_units::RunNanos;
//!
//! let root = tempfile::tempdir()?;
//! let folder = ResultsFolder::create(root.path(), "saturation-2025-07-01")?;
//! let point = folder.point("rate-10")?;
//!
//! let row = RequestRow {
//!     id: 0,
//!     intended: RunNanos::from_nanos(1_000),
//!     dequeued: RunNanos::from_nanos(1_200),
//!     done: RunNanos::from_nanos(9_000),
//!     outcome: Outcome::Refused,
//!     error: Some("connection refused".to_owned()),
//! #   session: None, turn: None, worker: 0, connected: None, connection: None, sent: None,
//! #   first_byte: None, role_chunk: None, first_reasoning: None, first_answer: None,
//! #   last_token: None, usage: None, resent: false, http_status: None, finish_reason: None,
//! #   prompt_tokens_planned: Some(512), prompt_tokens: None, output_tokens_planned: 128,
//! #   output_tokens: None, cached_tokens: None, stamp_source: StampSource::User,
//! #   chunks: Vec::new(),
//!     // ... and what else is known of the request
//! };
//! let writer = PointWriter::create(&point, |_row| { /* live progress */ })?;
//! let mut sender = writer.sender();
//! sender.send(row.clone());
//! sender.close();
//! assert_eq!(writer.finish()?.requests, 1);
//!
//! let read = read_point(&point)?;
//! assert!(read.complete);
//! assert_eq!(read.rows, [row]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aggregate;
mod atomic;
mod cell;
mod circumstances;
mod decode;
mod encode;
mod error;
mod finding;
mod folder;
mod imported;
mod instrument;
mod json_file;
mod manifest;
mod outcome;
mod parquet_file;
mod point;
mod point_dir;
mod policy;
mod probe;
mod reader;
mod row;
mod sample_row;
mod schema;
mod sender;
mod stream;
mod summary;
mod version;
mod writer;

pub use aggregate::Aggregate;
pub use circumstances::{
    CacheState, GpuProcess, GpuWindow, SamplingRecord, ServerCounters, ServerStart, SettingRecord,
    SettingState, Tally,
};
pub use encode::{encode_requests, encode_tokens};
pub use error::{RecordsError, TableError};
pub use finding::{Finding, FindingCode, Severity, UnknownCode, Verdict};
pub use folder::{FolderLock, ResultsFolder};
pub use imported::{Claim, EngineSample, ImportedRecord, LogRecord, MaxTokens};
pub use instrument::{
    ClockRecord, ErrorRecord, LagRecord, SelfTest, SelfTestTime, StampsRecord, WorkerRecord,
};
pub use manifest::{GpuLink, GpuRecord, LeftOut, Machine, Manifest, RunStatus, TargetRecord, Tool};
pub use outcome::{Outcome, UnknownOutcome};
pub use point::{OfferedLoad, Phases, PointEnd, PointFile, WindowPlan, WorkloadRecord};
pub use point_dir::PointDir;
pub use policy::{AuditPolicy, Denied};
pub use probe::{ProbeRecord, SearchGoal, SearchRecord};
pub use reader::{PointRows, read_point};
pub use row::{ChunkRow, ConnectionUse, RequestRow, StampSource};
pub use sample_row::{GpuRow, ServerRow};
pub use schema::{FORMAT_KEY, Table};
pub use sender::RowSender;
pub use summary::{QuantilesMs, SummaryRow};
pub use version::{FormatVersion, ParseVersionError, UnreadableVersion};
pub use writer::{PointWriter, WrittenPoint};
