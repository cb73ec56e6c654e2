//! The summaries of several runs as one table: what a notebook compares runs with.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;

use crate::atomic::write_atomically;
use crate::error::{RecordsError, TableError};
use crate::folder::ResultsFolder;
use crate::parquet_file::{properties, read_parquet};
use crate::schema::{Table, summary};

/// The columns that say which run a row is of, in front of those of `summary.parquet`.
const RUN: [&str; 8] =
    ["run", "experiment", "started", "status", "tool", "launch", "model", "server_version"];

/// What the name of a factor's column begins with; the factor's path follows.
const FACTOR: &str = "factor.";

/// The rows of the `summary.parquet` of several results folders, one after the other.
///
/// In front of the columns of `summary.parquet` stand those of the run: `run` (the folder's name),
/// `experiment`, `started`, `status`, `tool`, `launch`, `model` and `server_version`, all text. Behind
/// them each factor of any of the runs has a text column `factor.<its path>`, null where a point has no
/// such factor. A column that an older minor version of the format does not have is null for its runs.
#[derive(Clone, Debug)]
pub struct Aggregate {
    batch: RecordBatch,
}

impl Aggregate {
    /// The table of the results folders at `paths`, in their order.
    ///
    /// # Errors
    /// When one is no results folder of this format's major version, or has no summary: a run that was
    /// killed before its end has none.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, RecordsError> {
        let runs: Vec<Run> =
            paths.iter().map(|path| Run::read(path.as_ref())).collect::<Result<_, _>>()?;
        let factors: BTreeSet<&str> = runs
            .iter()
            .flat_map(|run| run.factors.values())
            .flat_map(|factors| factors.keys().map(String::as_str))
            .collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let own = Table::Summary.schema();
        // Older formats lack some columns, so any of them may be null here.
        let own_fields =
            own.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let fields: Vec<Field> = (RUN.iter().map(|name| text(name)))
            .chain(own_fields)
            .chain(factors.iter().map(|factor| text(&format!("{FACTOR}{factor}"))))
            .collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, own.metadata().clone()));
        let batches =
            runs.iter().flat_map(|run| run.batches(&schema)).collect::<Result<Vec<_>, _>>();
        let table = batches
            .and_then(|batches| Ok(concat_batches(&schema, &batches)?))
            .map_err(RecordsError::reading(paths.first().map_or(Path::new(""), AsRef::as_ref)))?;
        Ok(Self { batch: table })
    }

    /// How many rows it has: one a point.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Writes it as a Parquet file at `path`, replacing the one that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_parquet(&self, path: &Path) -> Result<(), RecordsError> {
        write_atomically(path, |file| {
            let writing = |error: TableError| RecordsError::writing(path)(error);
            let mut writer =
                ArrowWriter::try_new(file, self.batch.schema(), Some(properties(Table::Summary)))
                    .map_err(|error| writing(error.into()))?;
            writer.write(&self.batch).map_err(|error| writing(error.into()))?;
            writer.close().map_err(|error| writing(error.into()))?;
            Ok(())
        })
    }

    /// Writes it as CSV at `path`, replacing the file that is there: a line of names, commas, an empty
    /// field for null, RFC 4180's quotes.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_csv(&self, path: &Path) -> Result<(), RecordsError> {
        write_atomically(path, |file| {
            self.rows_to(file).map_err(|error| RecordsError::writing(path)(TableError::from(error)))
        })
    }

    /// The same, into whatever takes it.
    ///
    /// # Errors
    /// When that refuses.
    pub fn csv(&self, into: impl Write) -> io::Result<()> {
        self.rows_to(into).map_err(|error| match error {
            ArrowError::IoError(_, error) => error,
            error => io::Error::other(error),
        })
    }

    fn rows_to(&self, into: impl Write) -> Result<(), ArrowError> {
        csv::Writer::new(into).write(&self.batch)
    }
}

/// One run: what its folder says of it, and its summary as it is on file.
struct Run {
    /// In the order of [`RUN`].
    about: [Option<String>; 8],
    batches: Vec<RecordBatch>,
    /// The factors of each point.
    factors: BTreeMap<String, BTreeMap<String, String>>,
}

impl Run {
    fn read(path: &Path) -> Result<Self, RecordsError> {
        let folder = ResultsFolder::open(path)?;
        let manifest = folder.manifest()?;
        let mut batches = Vec::new();
        read_parquet(&path.join(Table::Summary.parquet_name()), |batch| {
            batches.push(batch);
            Ok(())
        })?;
        let mut factors = BTreeMap::new();
        for id in batches.iter().filter_map(ids).flatten().flatten() {
            factors.insert(id.to_owned(), folder.point(id)?.read_point_file()?.factors);
        }
        let name = path
            .canonicalize()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let status = serde_json::to_value(manifest.status).ok();
        let about = [
            Some(name.unwrap_or_else(|| path.display().to_string())),
            Some(manifest.experiment),
            Some(manifest.started),
            status.and_then(|status| status.as_str().map(str::to_owned)),
            Some(format!("{} {}", manifest.tool.name, manifest.tool.version)),
            Some(manifest.target.launch),
            Some(manifest.target.model).filter(|model| !model.is_empty()),
            manifest.target.version,
        ];
        Ok(Self { about, batches, factors })
    }

    /// Its rows with the columns of `schema`.
    fn batches<'a>(
        &'a self,
        schema: &'a SchemaRef,
    ) -> impl Iterator<Item = Result<RecordBatch, TableError>> + 'a {
        self.batches.iter().map(|batch| {
            let columns = schema.fields().iter().map(|field| self.column(batch, field));
            Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
        })
    }

    fn column(&self, batch: &RecordBatch, field: &Field) -> ArrayRef {
        let rows = batch.num_rows();
        if let Some(place) = RUN.iter().position(|name| name == field.name()) {
            return Arc::new(StringArray::from(vec![self.about[place].as_deref(); rows]));
        }
        if let Some(factor) = field.name().strip_prefix(FACTOR) {
            let values =
                ids(batch).into_iter().flatten().map(|id| self.factors.get(id?)?.get(factor));
            return Arc::new(values.collect::<StringArray>());
        }
        match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Arc::clone(column),
            _ => new_null_array(field.data_type(), rows),
        }
    }
}

/// The ids of the points of a batch; `None` where it has no such column.
fn ids(batch: &RecordBatch) -> Option<&StringArray> {
    batch.column_by_name(summary::POINT)?.as_any().downcast_ref()
}
