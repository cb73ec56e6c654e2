//! The folder of one point.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use crate::decode::{decode_gpu, decode_server};
use crate::encode::{encode_gpu, encode_server};
use crate::error::{RecordsError, TableError};
use crate::json_file::{read_json, write_json};
use crate::parquet_file::{read_parquet, write_parquet};
use crate::point::PointFile;
use crate::sample_row::{GpuRow, ServerRow};
use crate::schema::{REQUESTS_STREAM, TOKENS_STREAM, Table};

const POINT_FILE: &str = "point.json";
const SERVER_LOG: &str = "server.log";

/// The folder of one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointDir {
    path: PathBuf,
    id: String,
}

impl PointDir {
    /// The folder at `path` of the point `id`.
    pub(crate) fn new(path: PathBuf, id: &str) -> Self {
        Self { path, id: id.to_owned() }
    }

    /// The point's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file `name` in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder where it is missing.
    pub(crate) fn make(&self) -> Result<(), RecordsError> {
        fs::create_dir_all(&self.path).map_err(RecordsError::io("create", &self.path))
    }

    /// Writes `point.json`, replacing the one that is there; makes the folder where it is missing.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_point_file(&self, point: &PointFile) -> Result<(), RecordsError> {
        self.make()?;
        write_json(&self.file(POINT_FILE), point)
    }

    /// What `point.json` says. A point without it was not measured to its end.
    ///
    /// # Errors
    /// When there is none, or it does not hold what it must.
    pub fn read_point_file(&self) -> Result<PointFile, RecordsError> {
        read_json(&self.file(POINT_FILE))
    }

    /// Where the point's server log goes, `server.log`: what the server printed, as it came. The
    /// folder may have to be made first.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.file(SERVER_LOG)
    }

    /// Writes `gpu.parquet`, replacing the one that is there; makes the folder where it is missing.
    ///
    /// Stamps and counts beyond `i64::MAX` become `i64::MAX`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_gpu(&self, rows: &[GpuRow]) -> Result<(), RecordsError> {
        self.write_samples(Table::Gpu, [encode_gpu(rows)])
    }

    /// The samples of `gpu.parquet`, in the order in which they were written; `None` where there is no
    /// such file, because no GPU was sampled.
    ///
    /// # Errors
    /// When the file is of another major format version, or does not hold what it must.
    pub fn read_gpu(&self) -> Result<Option<Vec<GpuRow>>, RecordsError> {
        self.read_samples(Table::Gpu, decode_gpu)
    }

    /// Writes `server.parquet`, replacing the one that is there; makes the folder where it is missing.
    ///
    /// Rows are drawn as they are written: those of a long point need not be in memory together.
    /// Stamps beyond `i64::MAX` ns become `i64::MAX`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write_server(
        &self,
        rows: impl IntoIterator<Item = ServerRow>,
    ) -> Result<(), RecordsError> {
        self.write_samples(Table::Server, encode_server(rows))
    }

    /// The series of `server.parquet`, in the order in which they were written; `None` where there is no
    /// such file, because the server's metrics were not scraped.
    ///
    /// # Errors
    /// When the file is of another major format version, or does not hold what it must.
    pub fn read_server(&self) -> Result<Option<Vec<ServerRow>>, RecordsError> {
        self.read_samples(Table::Server, decode_server)
    }

    fn write_samples(
        &self,
        table: Table,
        batches: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<(), RecordsError> {
        self.make()?;
        let path = self.file(table.parquet_name());
        write_parquet(&path, table, |file| {
            let mut batches = batches.into_iter();
            batches.try_for_each(|batch| file.append(&batch)).map_err(RecordsError::writing(&path))
        })
    }

    fn read_samples<R>(
        &self,
        table: Table,
        decode: impl Fn(&RecordBatch) -> Result<Vec<R>, TableError>,
    ) -> Result<Option<Vec<R>>, RecordsError> {
        let path = self.file(table.parquet_name());
        let mut rows = Vec::new();
        let read = read_parquet(&path, |batch| {
            rows.append(&mut decode(&batch).map_err(RecordsError::reading(&path))?);
            Ok(())
        });
        match read {
            Ok(()) => Ok(Some(rows)),
            Err(RecordsError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the rows, the samples and the point file of an earlier attempt, if there are any. The
    /// server's log stays: the server may still be writing it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_rows(&self) -> Result<(), RecordsError> {
        let files = [
            POINT_FILE,
            Table::Requests.parquet_name(),
            Table::Tokens.parquet_name(),
            Table::Gpu.parquet_name(),
            Table::Server.parquet_name(),
            REQUESTS_STREAM,
            TOKENS_STREAM,
        ];
        for path in files.map(|name| self.file(name)) {
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(RecordsError::io("remove", &path)(cause));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
