//! The instrument in numbers: its self-tests, and each point.

use plimsoll_records::{ErrorRecord, LagRecord, SelfTestTime, StampSource};

use super::words::{share, share_of_chunks};
use super::{Figures, Instrument};
use crate::grid::{Column, Grid, Row};
use crate::numbers::{UNKNOWN, in_ms, plain, signed_ms, three_digits};

impl Instrument<'_> {
    /// The self-tests, three lines each; `None` when there are none.
    pub(crate) fn test_table(&self) -> Option<Grid> {
        const COLUMNS: [Column; 5] = [
            Column::words(["self-test", ""]),
            Column::number(["mean", "ms"]),
            Column::number(["p50", "ms"]),
            Column::number(["p99", "ms"]),
            Column::number(["max", "ms"]),
        ];
        let mut rows = Vec::new();
        for test in self.tests {
            let when = match test.when {
                SelfTestTime::Before => "before the run",
                SelfTestTime::After => "after the run",
            };
            let requests = plain(test.requests as f64);
            rows.push(error(format!("{when} ({requests} requests): TTFT error"), &test.ttft_error));
            rows.push(error(format!("{when}: TPOT error"), &test.tpot_error));
            let mut lag = vec![format!("{when}: schedule lag")];
            lag.push(known(&test.schedule_lag, test.schedule_lag.mean_ms));
            lag.extend(lags(&test.schedule_lag));
            rows.push(lag);
        }
        (!rows.is_empty()).then(|| Grid::of(&COLUMNS, rows.into_iter().map(Row::new).collect()))
    }

    /// How to read the tables that there are.
    pub(crate) fn notes(&self) -> Vec<&'static str> {
        let notes = [(!self.tests.is_empty(), TEST_NOTE), (!self.points.is_empty(), POINT_NOTE)];
        notes.into_iter().filter_map(|(there, note)| there.then_some(note)).collect()
    }

    /// The points, one line each; `None` when nothing is known of any.
    pub(crate) fn point_table(&self) -> Option<Grid> {
        let rows: Vec<_> = self
            .points
            .iter()
            .map(|point| {
                let mut row = vec![point.label.clone()];
                row.extend(cells(&point.figures));
                Row::new(row)
            })
            .collect();
        (!rows.is_empty()).then(|| Grid::of(&POINT_COLUMNS, rows))
    }
}

/// What the tables need to be read.
const TEST_NOTE: &str = "Self-test: for some seconds the client measures the simulator of its own process at the run's rate, and is held against the simulator's log. Errors are what it saw less what was true, mean and p50 with their sign, p99 and max by size.";
const POINT_NOTE: &str = "Read: the read delay, how long bytes waited in the kernel to be read, which is what stamps of the run clock would be wrong by. Wake-up: the lag, how late a thread woke for a start. CPU and run-queue wait: shares of the measure window in which a thread had a core, and in which it was ready and had none. Shared chunks have the stamp of another chunk of their response. Slew: how much faster the run clock ran than the hardware's. Of several threads the largest figure is given, and above, of several points.";

/// Columns of a point.
const POINT_COLUMNS: [Column; 15] = [
    Column::words(["point", ""]),
    Column::number(["stamps", ""]),
    Column::number(["read", "p50 ms"]),
    Column::number(["read", "p99 ms"]),
    Column::number(["read", "max ms"]),
    Column::number(["wake-up", "p50 ms"]),
    Column::number(["wake-up", "p99 ms"]),
    Column::number(["wake-up", "max ms"]),
    Column::number(["CPU", "share"]),
    Column::number(["run-queue", "wait"]),
    Column::number(["shared", "chunks"]),
    Column::number(["fallbacks", ""]),
    Column::number(["capture", "lost"]),
    Column::number(["clock set", "ms"]),
    Column::number(["slew", "ppm"]),
];

fn cells(figures: &Figures) -> Vec<String> {
    let optional = |part: Option<f64>| part.map_or_else(|| UNKNOWN.to_owned(), share);
    let source = match figures.stamps.source {
        StampSource::User => "clock",
        StampSource::Socket => "socket",
        StampSource::Packet => "packet",
        _ => "other",
    };
    let mut cells = vec![source.to_owned()];
    cells.extend(lags(&figures.read_delay));
    cells.extend(lags(&figures.wake_up));
    cells.push(optional(figures.cpu_share));
    cells.push(optional(figures.run_queue_share));
    cells.push(figures.chunks.map_or_else(
        || UNKNOWN.to_owned(),
        |chunks| match chunks.shared {
            0 => "0".to_owned(),
            n => format!("{} ({})", plain(n as f64), share_of_chunks(&chunks)),
        },
    ));
    let stamps = &figures.stamps;
    let fallbacks = stamps.socket_fallbacks.saturating_add(stamps.packet_fallbacks);
    cells.push(match stamps.source {
        StampSource::User => UNKNOWN.to_owned(),
        _ => plain(fallbacks as f64),
    });
    cells.push(stamps.packets_dropped.map_or_else(|| UNKNOWN.to_owned(), |n| plain(n as f64)));
    cells.push(in_ms(figures.clock.stepped_ms));
    let slew = figures.clock.slew_ppm;
    cells.push(slew.map_or_else(|| UNKNOWN.to_owned(), three_digits));
    cells
}

fn error(name: String, error: &ErrorRecord) -> Vec<String> {
    let known = |text: String| if error.count == 0 { UNKNOWN.to_owned() } else { text };
    vec![
        name,
        known(signed_ms(error.mean_ms)),
        known(signed_ms(error.p50_ms)),
        known(in_ms(error.p99_ms)),
        known(in_ms(error.max_ms)),
    ]
}

/// Median, 99th percentile and maximum.
fn lags(lag: &LagRecord) -> [String; 3] {
    [lag.p50_ms, lag.p99_ms, lag.max_ms].map(|value| known(lag, value))
}

/// A figure of a lag, unknown when it has no occasion.
fn known(lag: &LagRecord, value: f64) -> String {
    if lag.count == 0 { UNKNOWN.to_owned() } else { in_ms(value) }
}
