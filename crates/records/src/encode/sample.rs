//! From the samplers' rows to Arrow record batches.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Array, Int64Builder, RecordBatch, StringBuilder, UInt32Array,
    UInt64Array,
};

use super::{Columns, stamp};
use crate::sample_row::{GpuRow, ServerRow};
use crate::schema::{Table, gpu, server};

/// The batch of `gpu` that holds `rows`, in their order.
///
/// Stamps and counts beyond `i64::MAX` become `i64::MAX`.
pub(crate) fn encode_gpu(rows: &[GpuRow]) -> RecordBatch {
    let number = |f: fn(&GpuRow) -> Option<u32>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| f(row).map(i64::from))))
    };
    let large = |f: fn(&GpuRow) -> Option<u64>| -> ArrayRef {
        let values = rows.iter().map(|row| f(row).map(|v| i64::try_from(v).unwrap_or(i64::MAX)));
        Arc::new(Int64Array::from_iter(values))
    };
    let code = |f: fn(&GpuRow) -> Option<u64>| -> ArrayRef {
        Arc::new(UInt64Array::from_iter(rows.iter().map(f)))
    };
    Columns::new(Table::Gpu)
        .put(gpu::AT, Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| stamp(row.at)))))
        .put(gpu::GPU, Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.gpu))))
        .put(gpu::SM_UTILISATION, number(|row| row.sm_utilisation_pct))
        .put(gpu::MEMORY_UTILISATION, number(|row| row.memory_utilisation_pct))
        .put(gpu::MEMORY_USED, large(|row| row.memory_used_bytes))
        .put(gpu::MEMORY_TOTAL, large(|row| row.memory_total_bytes))
        .put(gpu::POWER, number(|row| row.power_mw))
        .put(gpu::ENERGY, large(|row| row.energy_mj))
        .put(gpu::TEMPERATURE, number(|row| row.temperature_c))
        .put(gpu::SM_CLOCK, number(|row| row.sm_clock_mhz))
        .put(gpu::MEMORY_CLOCK, number(|row| row.memory_clock_mhz))
        .put(gpu::THROTTLE_REASONS, code(|row| row.throttle_reasons))
        .put(gpu::PCIE_TX, number(|row| row.pcie_tx_kb_per_s))
        .put(gpu::PCIE_RX, number(|row| row.pcie_rx_kb_per_s))
        .put(gpu::PROCESSES, number(|row| row.processes))
        .put(gpu::PROCESSES_MEMORY, large(|row| row.processes_memory_bytes))
        .put(gpu::ECC_CORRECTED, large(|row| row.ecc_corrected))
        .put(gpu::ECC_UNCORRECTED, large(|row| row.ecc_uncorrected))
        .put(gpu::XID, code(|row| row.xid))
        .batch()
}

/// The batches of `server` that hold `rows`, in their order: together all of them. Rows are drawn as a
/// batch needs them, so that however many there are, no more than one batch of them is in memory.
///
/// # Panics
/// When one name, or the labels of one row, exceed 2 GiB.
pub(crate) fn encode_server(
    rows: impl IntoIterator<Item = ServerRow>,
) -> impl Iterator<Item = RecordBatch> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut batch = ServerBatch::default();
        while let Some(row) = rows.next_if(|row| batch.has_room_for(row)) {
            batch.push(&row);
        }
        (batch.rows > 0).then(|| batch.finish())
    })
}

/// Most rows of a batch of `server`.
const BATCH_ROWS: usize = 64 * 1024;

/// Most bytes of text of a batch of `server`, where a row alone has no more: labels are the server's,
/// which may be of any length, and a column of a batch holds 2 GiB at most.
const BATCH_BYTES: usize = 64 << 20;

/// A batch of `server` being filled, row by row.
#[derive(Default)]
struct ServerBatch {
    rows: usize,
    /// Of names and labels.
    bytes: usize,
    at: Int64Builder,
    name: StringBuilder,
    labels: StringBuilder,
    value: Float64Builder,
}

impl ServerBatch {
    /// Whether `row` still goes into this batch; into an empty one any row does.
    fn has_room_for(&self, row: &ServerRow) -> bool {
        let bytes = self.bytes.saturating_add(text_bytes(row));
        self.rows == 0 || (self.rows < BATCH_ROWS && bytes <= BATCH_BYTES)
    }

    fn push(&mut self, row: &ServerRow) {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(text_bytes(row));
        self.at.append_value(stamp(row.at));
        self.name.append_value(&row.name);
        self.labels.append_value(&row.labels);
        self.value.append_value(row.value);
    }

    fn finish(mut self) -> RecordBatch {
        Columns::new(Table::Server)
            .put(server::AT, Arc::new(self.at.finish()))
            .put(server::NAME, Arc::new(self.name.finish()))
            .put(server::LABELS, Arc::new(self.labels.finish()))
            .put(server::VALUE, Arc::new(self.value.finish()))
            .batch()
    }
}

/// Bytes of the texts of `row`.
fn text_bytes(row: &ServerRow) -> usize {
    row.name.len().saturating_add(row.labels.len())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn row(bytes: usize, value: f64) -> ServerRow {
        ServerRow { labels: "l".repeat(bytes), value, ..ServerRow::default() }
    }

    /// Rows of each batch.
    fn cut(rows: impl IntoIterator<Item = ServerRow>) -> Vec<usize> {
        encode_server(rows).map(|batch| batch.num_rows()).collect()
    }

    #[test]
    fn labels_of_any_length_are_cut_into_batches_that_hold_all_rows_in_order() {
        let third = BATCH_BYTES / 3 + 1;
        assert_eq!(cut([row(third, 0.0), row(third, 1.0), row(third, 2.0), row(3, 3.0)]), [2, 2]);
        assert_eq!(cut([row(BATCH_BYTES + 1, 0.0), row(0, 1.0)]), [1, 1]);
        assert_eq!(cut([row(BATCH_BYTES, 0.0), row(0, 1.0), row(1, 2.0)]), [2, 1]);
        assert_eq!(cut(vec![row(0, 0.0); BATCH_ROWS + 1]), [BATCH_ROWS, 1]);
        assert!(cut([]).is_empty());
    }

    #[test]
    fn no_row_is_made_before_its_batch() {
        let made = Cell::new(0);
        let rows = (0..3 * BATCH_ROWS).map(|number| {
            made.set(made.get() + 1);
            row(0, number as f64)
        });
        let mut encoded = 0;
        let batches = encode_server(rows);
        assert_eq!(made.get(), 0);
        for batch in batches {
            encoded += batch.num_rows();
            // The next one has to be seen to know whether it still fits.
            assert!(made.get() <= encoded + 1, "{} made, {encoded} encoded", made.get());
        }
        assert_eq!((made.get(), encoded), (3 * BATCH_ROWS, 3 * BATCH_ROWS));
    }
}
