//! The samples of `nvidia-smi dmon` as rows of `gpu.parquet`.

use std::time::Duration;

use jiff::civil::DateTime;
use plimsoll_gpu::{Dmon, DmonRow};
use plimsoll_records::GpuRow;
use plimsoll_units::RunNanos;

use super::Span;
use super::shift::shift;
use crate::date::of_civil;

/// What is kept around a point, s: idle samples before it and after it.
const AROUND_S: u64 = 60;

/// The samples around a point, as stamps since `origin`; nothing where they have no time, or none of them
/// was taken while the point ran under any shift of the clock.
pub(crate) fn gpu_rows(dmon: &Dmon, span: Span, origin: Duration) -> Vec<GpuRow> {
    let timed: Vec<(i64, &DmonRow)> =
        dmon.rows.iter().filter_map(|row| Some((seconds_of(row)?, row))).collect();
    let stamps: Vec<i64> = timed.iter().map(|(at, _)| *at).collect();
    let Some(shift) = shift(&stamps, span, 0) else { return Vec::new() };
    let around = Duration::from_secs(AROUND_S);
    let (from, to) = (span.start.saturating_sub(around).max(origin), span.end + around);
    let rows = timed.into_iter().filter_map(|(at, row)| {
        let at = Duration::from_secs(u64::try_from(at - shift).ok()?);
        ((from..=to).contains(&at)).then(|| gpu_row(row, RunNanos::ZERO + (at - origin)))
    });
    rows.collect()
}

fn seconds_of(row: &DmonRow) -> Option<i64> {
    let text = format!("{} {}", row.date.as_ref()?, row.time.as_ref()?);
    let civil = DateTime::strptime("%Y%m%d %H:%M:%S", text).ok()?;
    i64::try_from(of_civil(civil)?.as_secs()).ok()
}

/// The columns of dmon that a row has a place for.
fn gpu_row(row: &DmonRow, at: RunNanos) -> GpuRow {
    let small = |column: &str| row.value(column).and_then(|it| u32::try_from(it).ok());
    let mebi = |column: &str| row.value(column).and_then(|it| it.checked_mul(1 << 20));
    GpuRow {
        at,
        gpu: row.gpu,
        sm_utilisation_pct: small("sm"),
        memory_utilisation_pct: small("mem"),
        memory_used_bytes: mebi("fb"),
        power_mw: small("pwr").and_then(|watts| watts.checked_mul(1000)),
        temperature_c: small("gtemp"),
        sm_clock_mhz: small("pclk"),
        memory_clock_mhz: small("mclk"),
        ..GpuRow::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_around_the_point_on_its_clock() {
        let text = "\
#Date       Time        gpu    pwr     sm    mem
#YYYYMMDD   HH:MM:SS    Idx      W      %      %
 20250721   15:14:00      0     70      0      0
 20250721   15:14:50      0    300     91     55
 20250721   15:14:50      1     71      -      0
 20250721   15:17:59      0     70      0      0
";
        let start = crate::date::parse("20250721-061449").unwrap();
        let span = Span { start, end: start + Duration::from_secs(5) };
        let origin = start - Duration::from_secs(100);
        let rows = gpu_rows(&Dmon::parse(text), span, origin);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert_eq!(rows[1].at, RunNanos::from_secs_f64(101.0));
        assert_eq!((rows[1].sm_utilisation_pct, rows[1].power_mw), (Some(91), Some(300_000)));
        assert_eq!((rows[2].gpu, rows[2].sm_utilisation_pct), (1, None));
        let other = Span { start: start + Duration::from_secs(400), end: span.end };
        assert!(gpu_rows(&Dmon::parse(text), other, origin).is_empty());
    }
}
