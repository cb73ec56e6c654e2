//! A run of another tool, with what is stated of it and when it took place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_records::OfferedLoad;

use crate::beside::Span;
use crate::find::Found;
use crate::measured::{Measured, open};
use crate::stated::{Config, Mapping, Stated, of_configs, of_name};

/// Longest name of a point, bytes.
const NAME_BYTES: usize = 120;

/// One point of a result file.
pub(super) struct Run {
    /// The name of its folder, or of its file where the folder's says nothing.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) source: String,
    pub(super) stated: Stated,
    pub(super) load: OfferedLoad,
    pub(super) span: Span,
    /// Whether the span is that of the file, and not merely a place for it.
    pub(super) dated: bool,
    pub(super) measured: Measured,
}

/// The points of a result file.
pub(super) fn runs_of(found: Found, configs: &[Config], mapping: &Mapping) -> Vec<Run> {
    let Found { path, source, points } = found;
    // The nearest folder whose name states something.
    let folder = path.ancestors().skip(1).take(3).find_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        Some((name.to_owned(), of_name(name)?))
    });
    let (name, named) = match folder {
        Some((name, stated)) => (name, stated),
        None => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (stem, Stated::default())
        }
    };
    let stated = mapping.of(&path).or(named);
    let several = points.len() > 1;
    let run = |(place, measured): (usize, Measured)| {
        let mut stated = stated.clone();
        stated.rate = stated.rate.or_else(|| measured.load.as_ref()?.rate_per_s());
        let configured = of_configs(configs, &stated);
        let stated = stated.or(configured);
        let seconds = seconds(&measured);
        let start = measured.ended.map(|ended| ended.saturating_sub(seconds));
        Run {
            name: point_name(&if several { format!("{name}-{}", place + 1) } else { name.clone() }),
            path: path.clone(),
            source: source.clone(),
            load: load(&measured, &stated),
            stated,
            span: Span {
                start: start.unwrap_or_default(),
                end: start.unwrap_or_default() + seconds,
            },
            dated: start.is_some(),
            measured,
        }
    };
    points.into_iter().enumerate().map(run).collect()
}

/// How long a point lasted: by its rows where they are longer than the tool says.
fn seconds(measured: &Measured) -> Duration {
    let by_tool = measured.record.duration_s.unwrap_or(0.0).clamp(0.0, 1e9);
    let rows = measured.rows.iter().map(|row| row.done.as_nanos()).max().unwrap_or(0);
    Duration::from_secs_f64(by_tool).max(Duration::from_nanos(rows))
}

/// What was offered: by the file, else as stated; at worst a rate that nobody knows, as it was achieved.
fn load(measured: &Measured, stated: &Stated) -> OfferedLoad {
    if let Some(load) = &measured.load {
        return load.clone();
    }
    let rate = stated.rate.or(measured.record.throughput_per_s).filter(|rate| *rate > 0.0);
    match open(rate.unwrap_or(1.0), 1.0, None) {
        OfferedLoad::Open { rate_per_s, .. } => OfferedLoad::Open {
            arrivals: "unknown".to_owned(),
            rate_per_s,
            gap_cv: None,
            seed: 0,
            max_in_flight: None,
        },
        closed @ OfferedLoad::Closed { .. } => closed,
    }
}

/// A name that can be a folder's.
fn point_name(name: &str) -> String {
    let mut clean: String = name
        .chars()
        .map(|c| if c.is_control() || matches!(c, '/' | '\\') { '-' } else { c })
        .collect();
    while clean.len() > NAME_BYTES {
        clean.pop();
    }
    let clean = clean.trim_start_matches('.');
    if clean.is_empty() { "point".to_owned() } else { clean.to_owned() }
}

/// Puts the runs in the order of their time; those without one come behind the others, one after the other.
pub(super) fn place(runs: &mut [Run]) {
    let mut next =
        runs.iter().filter(|run| run.dated).map(|run| run.span.end).max().unwrap_or_default()
            + Duration::from_secs(1);
    for run in runs.iter_mut().filter(|run| !run.dated) {
        let length = run.span.end - run.span.start;
        run.span = Span { start: next, end: next + length };
        next = run.span.end + Duration::from_secs(1);
    }
    runs.sort_by_key(|run| run.span.start);
}

/// Counts runs of the same load and the same factors.
#[derive(Default)]
pub(super) struct Repetitions(BTreeMap<String, u32>);

impl Repetitions {
    /// The repetition of a run: as stated, else how many were alike before; never one that is taken.
    pub(super) fn of(&mut self, run: &Run) -> u32 {
        let alike = format!("{:?} {:?}", run.stated.point_factors(), run.load);
        let next = self.0.entry(alike).or_default();
        let repetition = run.stated.repetition.unwrap_or(0).max(*next);
        *next = repetition.saturating_add(1);
        repetition
    }
}
