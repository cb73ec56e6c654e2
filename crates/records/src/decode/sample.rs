//! From Arrow record batches to the samplers' rows.

use arrow::array::RecordBatch;

use crate::cell::{Cells, Count, LargeCount};
use crate::error::TableError;
use crate::sample_row::{GpuRow, ServerRow};
use crate::schema::{gpu, server};

/// A column of `gpu` and the field that it fills.
type Filled<T> = (&'static str, fn(&mut GpuRow) -> &mut Option<T>);

/// The samples of a batch of `gpu`.
pub(crate) fn decode_gpu(batch: &RecordBatch) -> Result<Vec<GpuRow>, TableError> {
    // Every field is overwritten or refused.
    let mut cells = Cells::new(batch, GpuRow::default());
    cells.must(gpu::AT, |to, value| to.at = value)?;
    cells.must(gpu::GPU, |to, value| to.gpu = value)?;
    let numbers: [Filled<u32>; 9] = [
        (gpu::SM_UTILISATION, |to| &mut to.sm_utilisation_pct),
        (gpu::MEMORY_UTILISATION, |to| &mut to.memory_utilisation_pct),
        (gpu::POWER, |to| &mut to.power_mw),
        (gpu::TEMPERATURE, |to| &mut to.temperature_c),
        (gpu::SM_CLOCK, |to| &mut to.sm_clock_mhz),
        (gpu::MEMORY_CLOCK, |to| &mut to.memory_clock_mhz),
        (gpu::PCIE_TX, |to| &mut to.pcie_tx_kb_per_s),
        (gpu::PCIE_RX, |to| &mut to.pcie_rx_kb_per_s),
        (gpu::PROCESSES, |to| &mut to.processes),
    ];
    for (column, field) in numbers {
        cells.may(column, |to, value| *field(to) = value.map(Count::get))?;
    }
    let large: [Filled<u64>; 6] = [
        (gpu::MEMORY_USED, |to| &mut to.memory_used_bytes),
        (gpu::MEMORY_TOTAL, |to| &mut to.memory_total_bytes),
        (gpu::ENERGY, |to| &mut to.energy_mj),
        (gpu::PROCESSES_MEMORY, |to| &mut to.processes_memory_bytes),
        (gpu::ECC_CORRECTED, |to| &mut to.ecc_corrected),
        (gpu::ECC_UNCORRECTED, |to| &mut to.ecc_uncorrected),
    ];
    for (column, field) in large {
        cells.may(column, |to, value| *field(to) = value.map(LargeCount::get))?;
    }
    cells.may(gpu::THROTTLE_REASONS, |to, value| to.throttle_reasons = value)?;
    cells.may(gpu::XID, |to, value| to.xid = value)?;
    Ok(cells.rows())
}

/// The series of a batch of `server`.
pub(crate) fn decode_server(batch: &RecordBatch) -> Result<Vec<ServerRow>, TableError> {
    // Every field is overwritten or refused.
    let mut cells = Cells::new(batch, ServerRow::default());
    cells.must(server::AT, |to, value| to.at = value)?;
    cells.must(server::NAME, |to, value| to.name = value)?;
    cells.must(server::LABELS, |to, value| to.labels = value)?;
    cells.must(server::VALUE, |to, value| to.value = value)?;
    Ok(cells.rows())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};
    use plimsoll_units::RunNanos;

    use super::*;
    use crate::encode::{encode_gpu, encode_server};

    /// `batch` with the column `name` replaced by `array`.
    fn with_column(batch: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
        let schema = batch.schema();
        let place = schema.index_of(name).unwrap();
        let mut fields: Vec<_> =
            schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields[place] = Field::new(name, array.data_type().clone(), true);
        let mut columns = batch.columns().to_vec();
        columns[place] = array;
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn what_no_sample_can_hold_is_refused_with_its_place() {
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
        let nothing: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let gpu = encode_gpu(&[GpuRow::default()]);
        for (column, array, message) in [
            ("at_ns", number(-1), "`at_ns` holds `-1` in row 0; allowed is 0 or more ns"),
            ("at_ns", nothing, "`at_ns` has no value in row 0"),
            ("power_mw", number(-5), "`power_mw` holds `-5` in row 0; allowed is 0 to 4294967295"),
            ("energy_mj", number(-1), "`energy_mj` holds `-1` in row 0; allowed is 0 or more"),
            ("throttle_reasons", number(4), "`throttle_reasons` is of type Int64, not UInt64"),
            ("gpu", text("0"), "`gpu` is of type Utf8, not UInt32"),
        ] {
            let error = decode_gpu(&with_column(&gpu, column, array)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let server = encode_server([ServerRow::default()]).next().unwrap();
        for (column, array, message) in [
            ("value", text("1"), "`value` is of type Utf8, not Float64"),
            ("name", Arc::new(StringArray::from(vec![None::<&str>])), "`name` has no value"),
        ] {
            let error =
                decode_server(&with_column(&server, column, array)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn numbers_beyond_the_files_range_become_its_largest_and_codes_stay() {
        let row = GpuRow {
            at: RunNanos::MAX,
            energy_mj: Some(u64::MAX),
            throttle_reasons: Some(u64::MAX),
            xid: Some(u64::MAX),
            ..GpuRow::default()
        };
        let expected = GpuRow {
            at: RunNanos::from_nanos(i64::MAX as u64),
            energy_mj: Some(i64::MAX as u64),
            ..row.clone()
        };
        assert_eq!(decode_gpu(&encode_gpu(&[row])).unwrap(), [expected]);
    }
}
