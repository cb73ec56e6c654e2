//! What a person reads of a run: terminal, Markdown, HTML, SVG figures and the one JSON object.
//!
//! In order of use: [`ReportInput`] borrows the manifest of a run, the judgement of its analysis,
//! the path of its results folder and the files of its points; [`terminal()`] is what is printed at
//! the end of a run, [`json()`] what `--json` prints; [`markdown()`], [`html()`] and [`figures()`]
//! are the files of the folder, and [`write_all`] puts those into it. [`ReportError`] says what
//! failed.
//!
//! Every form begins with the environment: what was measured on what, in the rows that a benchmark's
//! reader looks for, and how the declared settings fared against those that the server says are in
//! effect. Where the server and the GPUs were watched, each point says where its time went, what it
//! cost in energy. Each group says why its throughput does not grow, by which evidence, and what to
//! measure next.
//!
//! Every form ends with the instrument: what the client's own error was on this machine (its
//! self-tests), where its stamps came from, how late its threads woke and read, and what it lost. Of
//! several points the largest figure is given.
//!
//! Where it was asked for ([`ReportInput::with_definitions`]), the figures that other tools would have
//! printed for the same requests stand beside ours, with the reason where they differ.
//!
//! [`Gate`] is a condition under which a measurement fails; [`ReportInput::with_gates`] shows what came of
//! it, and [`junit()`] writes it, with the audit, as CI systems read it.
//!
//! Across runs: [`Together`] holds several beside each other, [`ScalingReport`] shows what more GPUs or replicas bought, [`ComparisonReport`] settings
//! held against each other, in the same forms; what they say comes from the analysis alone.
//!
//! Units: rates are per second, latencies milliseconds (seconds beyond 10 s in text), and every
//! name or heading says so. A number that is not known is `–` in text and `null` in JSON. The
//! latencies of a point where the server did not keep up are never shown as the server's.
//!
//! Whatever comes from outside (model name, error bodies, the matrix) is cleaned of control
//! characters and escaped for the format it is written into. The HTML report needs no network: its
//! script is embedded, and its content security policy forbids every request.
//!
//! What this crate refuses to do: compute a result. It counts, rounds and words what the analysis
//! judged, and prints nothing itself.
//!
//! ```
//! use std::path::Path;
//!
//! use plimsoll_analysis::Judgement;
//! use plimsoll_records::Verdict;
//! use plimsoll_report::{ReportInput, terminal};
//!
//! # let manifest: plimsoll_records::Manifest = serde_json::from_value(serde_json::json!({
//! #     "format": "1.0", "tool": {"name": "saturation", "version": "0.1.0", "commit": null},
//! #     "experiment": "saturation", "clock": {"origin_monotonic_ns": 0, "origin_unix_ns": 0},
//! #     "started": "2026-01-01T00:00:00Z", "status": "complete", "seed": 1, "matrix_written": "",
//! #     "overrides": [], "matrix_resolved": {},
//! #     "machine": {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "kernel": ""},
//! #     "target": {"launch": "sim", "url": "", "model": "tiny", "server": null, "version": null,
//! #                "max_model_len": null, "settings_declared": {}},
//! #     "points": [], "left_out": [], "stamps": "user", "remarks": []
//! # }))?;
//! // `manifest` comes from the results folder, the judgement from plimsoll-analysis.
//! let judgement = Judgement::new(Verdict::Invalid, vec![], vec![]);
//! let input = ReportInput::new(&manifest, &judgement, Path::new("results/run-1"));
//! let text = terminal(&input, 80, false);
//! assert!(text.contains("INVALID") && text.contains("results/run-1/report.html"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod axis;
mod clean;
mod comparison;
mod conclusion;
mod definitions;
mod diagnosis;
mod document;
mod environment;
mod error;
mod figures;
mod findings;
mod folder;
mod gate;
mod gpus;
mod grid;
mod groups;
mod html;
mod input;
mod instrument;
mod interactive;
mod json;
mod junit;
mod ladder;
mod lints;
mod markdown;
mod numbers;
mod resent;
mod scaling;
mod search;
mod server_time;
mod settings;
mod table;
mod terminal;
mod together;
mod waiting;
mod wording;

pub use comparison::{Compared, ComparisonReport};
pub use error::ReportError;
pub use figures::figures;
pub use folder::{write_all, write_together};
pub use gate::{Gate, GateError, Gated, Standing};
pub use html::html;
pub use input::ReportInput;
pub use json::json;
pub use junit::junit;
pub use lints::{Audited, lints, lints_json};
pub use markdown::markdown;
pub use scaling::ScalingReport;
pub use terminal::terminal;
pub use together::Together;
