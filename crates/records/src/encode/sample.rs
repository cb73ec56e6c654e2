//! From the samplers' rows to Arrow record batches.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
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

/// The batches of `server` that hold `rows`, in their order: together all of them.
///
/// # Panics
/// When one name, or the labels of one row, exceed 2 GiB.
pub(crate) fn encode_server(rows: &[ServerRow]) -> impl Iterator<Item = RecordBatch> {
    let mut left = rows;
    std::iter::from_fn(move || {
        let (batch, rest) = left.split_at(rows_of_a_batch(left));
        left = rest;
        (!batch.is_empty()).then(|| server_batch(batch))
    })
}

/// Most rows of a batch of `server`.
const BATCH_ROWS: usize = 64 * 1024;

/// Most bytes of text of a batch of `server`, where a row alone has no more: labels are the server's,
/// which may be of any length, and a column of a batch holds 2 GiB at most.
const BATCH_BYTES: usize = 64 << 20;

/// How many of `rows` go into the next batch: at least one where there are any.
fn rows_of_a_batch(rows: &[ServerRow]) -> usize {
    let mut bytes = 0_usize;
    let fit = rows.iter().take(BATCH_ROWS).take_while(|row| {
        bytes = bytes.saturating_add(row.name.len() + row.labels.len());
        bytes <= BATCH_BYTES
    });
    fit.count().max(1).min(rows.len())
}

fn server_batch(rows: &[ServerRow]) -> RecordBatch {
    let text = |f: fn(&ServerRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(f)))
    };
    Columns::new(Table::Server)
        .put(
            server::AT,
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| stamp(row.at)))),
        )
        .put(server::NAME, text(|row| &row.name))
        .put(server::LABELS, text(|row| &row.labels))
        .put(
            server::VALUE,
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.value))),
        )
        .batch()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_any_length_are_cut_into_batches_that_hold_all_rows_in_order() {
        let row = |bytes: usize, value: f64| ServerRow {
            labels: "l".repeat(bytes),
            value,
            ..ServerRow::default()
        };
        let third = BATCH_BYTES / 3 + 1;
        let rows = [row(third, 0.0), row(third, 1.0), row(third, 2.0), row(3, 3.0)];
        let batches: Vec<_> = encode_server(&rows).map(|batch| batch.num_rows()).collect();
        assert_eq!(batches, [2, 2]);
        let alone = [row(BATCH_BYTES + 1, 0.0), row(0, 1.0)];
        let batches: Vec<_> = encode_server(&alone).map(|batch| batch.num_rows()).collect();
        assert_eq!(batches, [1, 1]);
        let many = vec![row(0, 0.0); BATCH_ROWS + 1];
        let batches: Vec<_> = encode_server(&many).map(|batch| batch.num_rows()).collect();
        assert_eq!(batches, [BATCH_ROWS, 1]);
        assert_eq!(encode_server(&[]).count(), 0);
    }
}
