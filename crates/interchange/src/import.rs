//! Other tools' results into a results folder.

mod evidence;
mod run;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_records::{
    FormatVersion, Machine, Manifest, PointDir, PointFile, PointWriter, RequestRow, ResultsFolder,
    RunStatus, StampSource, TargetRecord, Tool,
};
use plimsoll_units::RunClock;

use crate::InterchangeError;
use crate::claims::read_claims;
use crate::date;
use crate::find::find;
use crate::point::{Parts, point_file};
use crate::stated::{Mapping, read_configs};
use evidence::{Evidence, Files};
use run::{Repetitions, Run, place, runs_of};

/// What lies before the first point, for the samples that were taken before it.
const LEAD: Duration = Duration::from_secs(120);

/// Where imported results go, and what is stated of them.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The folder that the results folder is made in.
    pub results: PathBuf,
    /// The results folder's name.
    pub name: String,
    /// Who imports.
    pub tool: Tool,
    /// What is stated of result files beside them.
    pub mapping: Mapping,
}

/// A results folder that was made of other tools' results.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Where it is.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Points that have the rows of their requests.
    pub with_rows: usize,
    /// Points with what the server's log says of them.
    pub with_log: usize,
    /// Points with samples of GPUs.
    pub with_gpus: usize,
}

/// Reads the results at `paths`, files or folders of any depth, and writes them as one results folder.
///
/// Files are recognised by their content; what lies beside them is read, too: a server's log
/// (`server.log`, `server.log.gz`) and samples of GPUs (`dmon.csv`), in the result's folder, the one above it
/// or their `gpu`. What is stated of a run comes from the mapping, its folder's name, or the experiment's
/// configuration, in this order. All points are on one clock, in the order in which they were measured.
///
/// # Errors
/// When a path cannot be read, holds no known result, or holds a broken one; when the results folder cannot
/// be written.
pub fn import(paths: &[PathBuf], options: &ImportOptions) -> Result<Imported, InterchangeError> {
    let mut runs = Vec::new();
    let mut claims = Vec::new();
    for path in paths {
        let found = find(path)?;
        let is_folder = path.is_dir();
        let configs = if is_folder { read_configs(path) } else { Vec::new() };
        runs.extend(found.into_iter().flat_map(|it| runs_of(it, &configs, &options.mapping)));
        if is_folder {
            claims.extend(read_claims(path)?);
        }
    }
    place(&mut runs);
    let first = runs.iter().map(|run| run.span.start).min().unwrap_or_default();
    let origin = first.saturating_sub(LEAD);

    let folder = ResultsFolder::create(&options.results, &options.name)?;
    let mut imported = Imported {
        folder: folder.path().to_owned(),
        manifest: manifest(options, origin),
        with_rows: 0,
        with_log: 0,
        with_gpus: 0,
    };
    imported.manifest.claims = claims;
    let mut files = Files::default();
    let mut ids = BTreeSet::new();
    let mut repetitions = Repetitions::default();
    for run in runs {
        let evidence = Evidence::of(&run, origin, &mut files)?;
        let id = unique(&run.name, &mut ids);
        let repetition = repetitions.of(&run);
        imported.take(&folder.point(&id)?, run, evidence, repetition, origin)?;
    }
    let manifest = &mut imported.manifest;
    manifest.target = manifest.targets.first().cloned().unwrap_or_default();
    manifest.status = RunStatus::Complete;
    folder.write_manifest(manifest)?;
    Ok(imported)
}

impl Imported {
    /// Writes one point, and notes in the manifest what there is to say of it.
    fn take(
        &mut self,
        dir: &PointDir,
        mut run: Run,
        evidence: Evidence,
        repetition: u32,
        origin: Duration,
    ) -> Result<(), InterchangeError> {
        for remark in run.measured.remarks.iter().chain(&evidence.remarks) {
            if !self.manifest.remarks.contains(remark) {
                self.manifest.remarks.push(remark.clone());
            }
        }
        self.with_rows += usize::from(!run.measured.rows.is_empty());
        self.with_log += usize::from(evidence.log.is_some());
        self.with_gpus += usize::from(!evidence.gpus.is_empty());

        let start = run.span.start.saturating_sub(origin);
        run.measured.rows.iter_mut().for_each(|row| move_by(row, start));
        let log = evidence.log.as_ref();
        let mut record = std::mem::take(&mut run.measured.record);
        record.source.clone_from(&run.source);
        record.max_tokens_stated = run.stated.max_tokens;
        record.log = log.map(|log| log.record.clone());
        let point = point_file(Parts {
            id: dir.id().to_owned(),
            record,
            stated: &run.stated,
            load: run.load.clone(),
            repetition,
            start: plimsoll_units::RunNanos::ZERO + start,
            end: plimsoll_units::RunNanos::ZERO + run.span.end.saturating_sub(origin),
            rows: &run.measured.rows,
            counters: log.map(|log| log.counters).unwrap_or_default(),
            settings: evidence.settings(&run.stated),
            gpus: &evidence.gpus,
            server: self.target(evidence.target(&run)),
        });
        write(dir, &point, &run.measured.rows, &evidence)?;
        self.manifest.points.push(point.id);
        Ok(())
    }

    /// The number of a server among those of the manifest. Each log is a start of its own.
    fn target(&mut self, target: TargetRecord) -> u32 {
        self.manifest.targets.push(target);
        u32::try_from(self.manifest.targets.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Writes what there is of a point.
fn write(
    dir: &PointDir,
    point: &PointFile,
    rows: &[RequestRow],
    evidence: &Evidence,
) -> Result<(), InterchangeError> {
    let writer = PointWriter::create(dir, |_| {})?;
    let mut sender = writer.sender();
    for row in rows {
        sender.send(row.clone());
    }
    sender.close();
    writer.finish()?;
    if !evidence.gpus.is_empty() {
        dir.write_gpu(&evidence.gpus)?;
    }
    if let Some(log) = &evidence.log
        && !log.rows.is_empty()
    {
        dir.write_server(log.rows.iter().cloned())?;
    }
    dir.write_point_file(point)?;
    Ok(())
}

/// Every stamp of a row later by `span`.
fn move_by(row: &mut RequestRow, span: Duration) {
    for at in [&mut row.intended, &mut row.dequeued, &mut row.done] {
        *at += span;
    }
    for at in [
        &mut row.connected,
        &mut row.sent,
        &mut row.first_byte,
        &mut row.role_chunk,
        &mut row.first_reasoning,
        &mut row.first_answer,
        &mut row.last_token,
        &mut row.usage,
    ] {
        *at = at.map(|at| at + span);
    }
    row.chunks.iter_mut().for_each(|chunk| chunk.at += span);
}

/// `name`, or `name-2` and so on where it is taken.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut id = name.to_owned();
    let mut next = 2_u32;
    while !taken.insert(id.clone()) {
        id = format!("{name}-{next}");
        next += 1;
    }
    id
}

fn manifest(options: &ImportOptions, origin: Duration) -> Manifest {
    Manifest {
        format: FormatVersion::CURRENT,
        tool: options.tool.clone(),
        experiment: "imported".to_owned(),
        clock: RunClock::of_wall(origin),
        started: date::civil(origin).map(|at| format!("{at}Z")).unwrap_or_default(),
        status: RunStatus::Running,
        seed: 0,
        matrix_file: None,
        matrix_written: String::new(),
        overrides: Vec::new(),
        matrix_resolved: serde_json::Value::Null,
        machine: Machine::default(),
        target: TargetRecord::default(),
        targets: Vec::new(),
        points: Vec::new(),
        left_out: Vec::new(),
        stamps: StampSource::User,
        stamps_remark: None,
        self_tests: Vec::new(),
        remarks: vec![
            "imported: dates are those of the files, and count as UTC whatever their zone"
                .to_owned(),
        ],
        claims: Vec::new(),
    }
}
