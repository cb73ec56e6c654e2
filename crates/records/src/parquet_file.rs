//! A table as a Parquet file: written once, whole or not at all.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{
    DeltaBinaryPackedEncoderOptions, EnabledStatistics, WriterProperties,
};
use parquet::schema::types::ColumnPath;

use crate::atomic::write_atomically;
use crate::error::{RecordsError, TableError};
use crate::schema::{FORMAT_KEY, Table, check_format, is_delta_coded};
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
pub(crate) fn write_parquet(
    path: &Path,
    table: Table,
    fill: impl FnOnce(&mut ParquetFile<'_>) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    write_atomically(path, |file| {
        let writer = ArrowWriter::try_new(file, table.schema(), Some(properties(table)))
            .map_err(RecordsError::writing(path))?;
        let mut file = ParquetFile { writer };
        fill(&mut file)?;
        file.writer.close().map_err(RecordsError::writing(path))?;
        Ok(())
    })
}

/// How the columns of `table` are packed.
///
/// Stamps and ids grow: their differences are short numbers, packed with as many bits as they need.
/// What is left, texts, counts and flags, repeats itself, and dictionaries suit it. Snappy over both,
/// because it is quick and every reader has it.
pub(crate) fn properties(table: Table) -> WriterProperties {
    // The version is in the Arrow schema too, but that is opaque to readers that know no Arrow.
    let version = KeyValue::new(FORMAT_KEY.to_owned(), FormatVersion::CURRENT.to_string());
    // Where one request's chunks end and the next one's begin the stamps jump back by seconds, and
    // every difference of the block then takes as many bits as the jump: the smallest block that the
    // format allows suffers least.
    let block = DeltaBinaryPackedEncoderOptions::try_new(128, 4)
        .expect("a block is a multiple of 128 values, a fourth of it a multiple of 32");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_delta_binary_packed_encoder_options(block)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(vec![version]));
    for field in table.schema().fields() {
        if is_delta_coded(field) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
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
