//! One value of one column, checked.

use arrow::array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use plimsoll_units::RunNanos;

use crate::encode::{connection_text, stamp_source_text};
use crate::error::TableError;
use crate::outcome::Outcome;
use crate::row::{ConnectionUse, StampSource};

/// A type that a column's values are read as.
pub(crate) trait Cell: Sized {
    /// The array that holds them.
    type Array: Array + 'static;
    /// The array's type.
    const TYPE: DataType;

    /// The value in row `at`, which is there; `None` when it is out of range.
    fn read(array: &Self::Array, at: usize) -> Option<Self>;

    /// The range in words, for the message about a value outside it.
    fn allowed() -> String;
}

/// A count that the files hold as `Int64` and the rows as `u32`.
pub(crate) struct Count(pub(crate) u32);

impl Count {
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

/// A count that the files hold as `Int64` and the rows as `u64`.
pub(crate) struct LargeCount(pub(crate) u64);

impl LargeCount {
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

macro_rules! cells {
    ($($type:ty: $array:ty as $data_type:ident, $read:expr, $allowed:expr;)*) => {$(
        impl Cell for $type {
            type Array = $array;
            const TYPE: DataType = DataType::$data_type;

            fn read(array: &$array, at: usize) -> Option<Self> {
                let read: fn(&$array, usize) -> Option<Self> = $read;
                read(array, at)
            }

            fn allowed() -> String {
                $allowed.into()
            }
        }
    )*};
}

cells! {
    u64: UInt64Array as UInt64, |array, at| Some(array.value(at)), "any";
    u32: UInt32Array as UInt32, |array, at| Some(array.value(at)), "any";
    u16: UInt16Array as UInt16, |array, at| Some(array.value(at)), "any";
    f64: Float64Array as Float64, |array, at| Some(array.value(at)), "any";
    bool: BooleanArray as Boolean, |array, at| Some(array.value(at)), "any";
    String: StringArray as Utf8, |array, at| Some(array.value(at).to_owned()), "any";
    RunNanos: Int64Array as Int64,
        |array, at| u64::try_from(array.value(at)).ok().map(Self::from_nanos),
        "0 or more ns";
    Count: Int64Array as Int64,
        |array, at| u32::try_from(array.value(at)).ok().map(Self),
        format!("0 to {}", u32::MAX);
    LargeCount: Int64Array as Int64,
        |array, at| u64::try_from(array.value(at)).ok().map(Self),
        "0 or more";
    Outcome: StringArray as Utf8,
        |array, at| array.value(at).parse().ok(),
        Self::ALL.map(Self::as_str).join(", ");
    ConnectionUse: StringArray as Utf8,
        |array, at| find(CONNECTION_USES, connection_text, array.value(at)),
        CONNECTION_USES.map(connection_text).join(", ");
    StampSource: StringArray as Utf8,
        |array, at| find(STAMP_SOURCES, stamp_source_text, array.value(at)),
        STAMP_SOURCES.map(stamp_source_text).join(", ");
}

const CONNECTION_USES: [ConnectionUse; 3] =
    [ConnectionUse::New, ConnectionUse::Prewarmed, ConnectionUse::Reused];
const STAMP_SOURCES: [StampSource; 3] =
    [StampSource::User, StampSource::Socket, StampSource::Packet];

/// The one of `all` that is written as `text`.
fn find<T: Copy, const N: usize>(
    all: [T; N],
    written: fn(T) -> &'static str,
    text: &str,
) -> Option<T> {
    all.into_iter().find(|one| written(*one) == text)
}

/// The rows of a batch, being filled column by column.
pub(crate) struct Cells<'a, R> {
    batch: &'a RecordBatch,
    rows: Vec<R>,
}

impl<'a, R: Clone> Cells<'a, R> {
    /// As many copies of `blank` as the batch has rows.
    pub(crate) fn new(batch: &'a RecordBatch, blank: R) -> Self {
        Self { batch, rows: vec![blank; batch.num_rows()] }
    }

    /// Sets a value in every row from the column `name`, which has one in each.
    pub(crate) fn must<T: Cell>(
        &mut self,
        name: &str,
        set: impl Fn(&mut R, T),
    ) -> Result<(), TableError> {
        let array = column::<T>(self.batch, name)?;
        for (at, row) in self.rows.iter_mut().enumerate() {
            if array.is_null(at) {
                return Err(TableError::Null { column: name.to_owned(), row: at });
            }
            set(row, value(array, name, at)?);
        }
        Ok(())
    }

    /// Sets a value in every row from the column `name`, where that has one.
    pub(crate) fn may<T: Cell>(
        &mut self,
        name: &str,
        set: impl Fn(&mut R, Option<T>),
    ) -> Result<(), TableError> {
        let array = column::<T>(self.batch, name)?;
        for (at, row) in self.rows.iter_mut().enumerate() {
            set(row, if array.is_null(at) { None } else { Some(value(array, name, at)?) });
        }
        Ok(())
    }

    /// Whether the batch has the column `name`, which an earlier minor version of the format lacks.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.batch.column_by_name(name).is_some()
    }

    /// The filled rows.
    pub(crate) fn rows(self) -> Vec<R> {
        self.rows
    }
}

/// The column `name` as the array that holds values of type `T`.
fn column<'a, T: Cell>(batch: &'a RecordBatch, name: &str) -> Result<&'a T::Array, TableError> {
    let array = batch.column_by_name(name).ok_or_else(|| TableError::NoColumn(name.to_owned()))?;
    array.as_any().downcast_ref().ok_or_else(|| TableError::ColumnType {
        column: name.to_owned(),
        found: array.data_type().to_string(),
        expected: T::TYPE.to_string(),
    })
}

/// The value in row `at`, which is there.
fn value<T: Cell>(array: &T::Array, column: &str, at: usize) -> Result<T, TableError> {
    T::read(array, at).ok_or_else(|| TableError::Value {
        column: column.to_owned(),
        row: at,
        value: array_value_to_string(array, at).unwrap_or_default(),
        allowed: T::allowed(),
    })
}
