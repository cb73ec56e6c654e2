//! A table as an Arrow IPC stream: it grows batch by batch, and every batch that was appended is
//! readable whatever happens to the process after.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{RecordsError, TableError};
use crate::schema::{Table, check_format};

/// A stream being written.
pub(crate) struct StreamFile {
    path: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
}

impl StreamFile {
    /// A new stream at `path`, with its schema written.
    pub(crate) fn create(path: PathBuf, table: Table) -> Result<Self, RecordsError> {
        let file = File::create_new(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => RecordsError::HasRows { path: path.clone() },
            _ => RecordsError::Io { action: "create", path: path.clone(), cause },
        })?;
        let mut writer = StreamWriter::try_new_buffered(file, &table.schema())
            .map_err(RecordsError::writing(&path))?;
        writer.flush().map_err(RecordsError::writing(&path))?;
        Ok(Self { path, writer })
    }

    /// Appends `batch` and hands it to the system.
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        self.writer.write(batch)?;
        self.writer.flush()?;
        Ok(())
    }

    /// Ends the stream with its end mark.
    pub(crate) fn close(mut self) -> Result<(), TableError> {
        self.writer.finish()?;
        self.writer.flush()?;
        Ok(())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Hands the whole batches of the stream at `path` to `each`, in order.
///
/// A stream that stops in the middle of a batch ends with the batch before; one that stops in the
/// middle of its schema, or is not there, has none. Bytes that are no stream are an error.
pub(crate) fn read_stream(
    path: &Path,
    mut each: impl FnMut(RecordBatch) -> Result<(), RecordsError>,
) -> Result<(), RecordsError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(RecordsError::io("read", path)(cause)),
    };
    let ended = Cell::new(false);
    let file = EndNoting { inner: BufReader::new(file), ended: &ended };
    let mut reader = match StreamReader::try_new(file, None) {
        Ok(reader) => reader,
        Err(_) if ended.get() => return Ok(()),
        Err(cause) => return Err(RecordsError::reading(path)(cause)),
    };
    check_format(&reader.schema()).map_err(RecordsError::reading(path))?;
    loop {
        match reader.next() {
            Some(Ok(batch)) => each(batch)?,
            None => return Ok(()),
            // The file stopped before the batch did: it was being written when the process died.
            Some(Err(_)) if ended.get() => return Ok(()),
            Some(Err(cause)) => return Err(RecordsError::reading(path)(cause)),
        }
    }
}

/// A reader that notes when it was asked for more than there was. The only sign by which a batch
/// that was cut short differs from bytes that never were a batch.
struct EndNoting<'a, R> {
    inner: R,
    ended: &'a Cell<bool>,
}

impl<R: Read> Read for EndNoting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.ended.set(true);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_units::RunNanos;

    use super::*;
    use crate::encode::{encode_requests, encode_tokens};
    use crate::row::{ChunkRow, RequestRow};

    /// A stream of three batches with 3, 1 and 2 rows, and its length after each, from the schema
    /// on.
    fn three_batches(table: Table) -> (tempfile::TempDir, PathBuf, Vec<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.arrows");
        let length = || std::fs::metadata(&path).unwrap().len();
        let mut stream = StreamFile::create(path.clone(), table).unwrap();
        let mut lengths = vec![length()];
        let chunk = ChunkRow {
            at: RunNanos::from_nanos(9),
            tokens: 1,
            counted: true,
            reasoning: false,
            shared: false,
        };
        for rows in [3, 1, 2] {
            let row = RequestRow {
                error: Some("é".to_owned()),
                chunks: vec![chunk],
                ..RequestRow::default()
            };
            let rows = vec![row; rows];
            let batch = match table {
                Table::Tokens => encode_tokens(&rows),
                _ => encode_requests(&rows),
            };
            stream.append(&batch).unwrap();
            lengths.push(length());
        }
        stream.close().unwrap();
        (folder, path, lengths)
    }

    fn count(path: &Path) -> Result<usize, RecordsError> {
        let mut rows = 0;
        read_stream(path, |batch| {
            rows += batch.num_rows();
            Ok(())
        })?;
        Ok(rows)
    }

    #[test]
    fn a_stream_cut_anywhere_holds_every_batch_before_the_cut() {
        for table in [Table::Requests, Table::Tokens] {
            let (folder, path, lengths) = three_batches(table);
            let whole = std::fs::read(&path).unwrap();
            let cut_path = folder.path().join("cut.arrows");
            // Every byte around the ends of schema and batches, and a sample of those between.
            let near = |cut: &usize| lengths.iter().any(|end| end.abs_diff(*cut as u64) < 24);
            for cut in (0..=whole.len()).filter(|cut| near(cut) || cut % 41 == 0) {
                std::fs::write(&cut_path, &whole[..cut]).unwrap();
                let batches = lengths[1..].iter().filter(|end| **end <= cut as u64).count();
                let expected: usize = [3, 1, 2][..batches].iter().sum();
                assert_eq!(count(&cut_path).unwrap(), expected, "{table:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_never_were_a_batch_are_an_error_that_names_the_file() {
        let (_folder, path, lengths) = three_batches(Table::Tokens);
        let mut bytes = std::fs::read(&path).unwrap();
        // The metadata of the second batch, behind the mark and the length of the message.
        let start = usize::try_from(lengths[1]).unwrap() + 8;
        bytes[start..start + 64].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        let error = count(&path).unwrap_err().to_string();
        assert!(error.contains("table.arrows"), "{error}");
    }

    #[test]
    fn a_stream_that_is_not_there_has_no_rows() {
        assert_eq!(count(Path::new("/nowhere/requests.arrows")).unwrap(), 0);
    }
}
