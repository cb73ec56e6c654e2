//! A table as a Parquet file: written once, whole or not at all.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::atomic::write_atomically;
use crate::error::{RecordsError, TableError};
use crate::schema::{FORMAT_KEY, Table, check_format};
use crate::version::FormatVersion;

/// Most rows of a row group: what a writer holds in memory, and a reader takes at once.
const ROW_GROUP_ROWS: usize = 256 * 1024;

/// Rows of a batch when reading.
const READ_ROWS: usize = 8 * 1024;

/// A table being written as Parquet.
pub(crate) struct ParquetFile<'a> {
    writer: ArrowWriter<&'a mut File>,
}

impl ParquetFile<'_> {
    /// Appends `batch`.
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.writer.write(batch)?)
    }
}

/// Writes the Parquet file of `table` at `path` from the batches that `fill` appends.
///
/// Snappy, because it is quick and every reader has it.
pub(crate) fn write_parquet(
    path: &Path,
    table: Table,
    fill: impl FnOnce(&mut ParquetFile<'_>) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    // The version is in the Arrow schema too, but that is opaque to readers that know no Arrow.
    let version = KeyValue::new(FORMAT_KEY.to_owned(), FormatVersion::CURRENT.to_string());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(vec![version]))
        .build();
    write_atomically(path, |file| {
        let writer = ArrowWriter::try_new(file, table.schema(), Some(properties))
            .map_err(RecordsError::writing(path))?;
        let mut file = ParquetFile { writer };
        fill(&mut file)?;
        file.writer.close().map_err(RecordsError::writing(path))?;
        Ok(())
    })
}

/// Hands the batches of the Parquet file at `path` to `each`, in order.
pub(crate) fn read_parquet(
    path: &Path,
    mut each: impl FnMut(RecordBatch) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    let file = File::open(path).map_err(RecordsError::io("read", path))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(RecordsError::reading(path))?;
    check_format(builder.schema()).map_err(RecordsError::reading(path))?;
    let reader = builder.with_batch_size(READ_ROWS).build().map_err(RecordsError::reading(path))?;
    for batch in reader {
        each(batch.map_err(RecordsError::reading(path))?)?;
    }
    Ok(())
}
