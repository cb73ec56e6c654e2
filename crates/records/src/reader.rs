//! The rows of a point, read back.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use arrow::array::RecordBatch;

use crate::decode::{BareRow, decode_requests, decode_tokens};
use crate::error::{RecordsError, TableError};
use crate::parquet_file::read_parquet;
use crate::point_dir::PointDir;
use crate::row::{ChunkRow, RequestRow};
use crate::schema::{REQUESTS_STREAM, TOKENS_STREAM, Table};
use crate::stream::read_stream;

/// The rows of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRows {
    /// One row a request, its chunks joined, in the order in which the writer got them.
    pub rows: Vec<RequestRow>,
    /// Whether the writer finished. When it did not, because the process died, `rows` are those up
    /// to its last whole batch.
    pub complete: bool,
    /// Ids of requests in `rows` that had more chunks than the tokens table still holds. Only a
    /// machine that lost power leaves such: the writer puts tokens on file before their request.
    pub short_of_chunks: Vec<u64>,
    /// Chunks in the tokens table whose request is not there, and which are left out of `rows`:
    /// the process died between the two tables.
    pub orphan_chunks: u64,
}

/// The rows of `point`: from its Parquet files, or from its streams while there are none.
///
/// # Errors
/// When neither is there, a file is of another major format version, or a file does not hold what
/// its table must. A stream that was cut short is none of these.
pub fn read_point(point: &PointDir) -> Result<PointRows, RecordsError> {
    let requests_file = point.file(Table::Requests.parquet_name());
    let tokens_file = point.file(Table::Tokens.parquet_name());
    let requests_stream = point.file(REQUESTS_STREAM);
    let tokens_stream = point.file(TOKENS_STREAM);

    // The Parquet files appear tokens first, and the streams go once both are there. So requests
    // in Parquet mean that all is; a missing tokens file is then one that somebody removed.
    if requests_file.exists() {
        let mut gathered = Gathered::default();
        read_parquet(&requests_file, |batch| gathered.requests(&batch, &requests_file))?;
        read_parquet(&tokens_file, |batch| gathered.tokens(&batch, &tokens_file))?;
        gathered.join(true, &requests_file)
    } else if requests_stream.exists() || tokens_stream.exists() {
        let mut gathered = Gathered::default();
        // Requests first: were the writer still at work, their tokens are on file already.
        read_stream(&requests_stream, |batch| gathered.requests(&batch, &requests_stream))?;
        read_stream(&tokens_stream, |batch| gathered.tokens(&batch, &tokens_stream))?;
        gathered.join(false, &requests_stream)
    } else {
        Err(RecordsError::NoRows { path: point.path().to_owned() })
    }
}

/// The rows of both tables, not yet joined.
#[derive(Default)]
struct Gathered {
    bare: Vec<BareRow>,
    chunks: HashMap<u64, Vec<ChunkRow>>,
}

impl Gathered {
    fn requests(&mut self, batch: &RecordBatch, path: &Path) -> Result<(), RecordsError> {
        self.bare.append(&mut decode_requests(batch).map_err(RecordsError::reading(path))?);
        Ok(())
    }

    fn tokens(&mut self, batch: &RecordBatch, path: &Path) -> Result<(), RecordsError> {
        for (request, chunk) in decode_tokens(batch).map_err(RecordsError::reading(path))? {
            self.chunks.entry(request).or_default().push(chunk);
        }
        Ok(())
    }

    /// Joins requests and their chunks; `path` is where the requests came from.
    fn join(mut self, complete: bool, path: &Path) -> Result<PointRows, RecordsError> {
        let mut seen = HashSet::with_capacity(self.bare.len());
        let mut rows = Vec::with_capacity(self.bare.len());
        let mut short_of_chunks = Vec::new();
        for BareRow { mut row, chunks } in self.bare {
            if !seen.insert(row.id) {
                return Err(RecordsError::reading(path)(TableError::TwiceTheSame(row.id)));
            }
            row.chunks = self.chunks.remove(&row.id).unwrap_or_default();
            if (row.chunks.len() as u64) < chunks {
                short_of_chunks.push(row.id);
            }
            rows.push(row);
        }
        let orphan_chunks = self.chunks.values().map(|chunks| chunks.len() as u64).sum();
        Ok(PointRows { rows, complete, short_of_chunks, orphan_chunks })
    }
}
