//! The table of a ladder's points, once for every form of the report: columns, cells, footnotes.

use plimsoll_analysis::{LatencySummary, PointSummary};

use crate::ladder::{Axis, Ladder, Rung, State};
use crate::numbers::{UNKNOWN, estimate, milliseconds, percent, quantile, three_digits};

/// Which form of the report a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Few characters: no intervals.
    Narrow,
    /// Room for intervals and more columns.
    Wide,
}

/// A table as text.
pub(crate) struct Table {
    /// Head of each column on two lines, and how readily the column is given up: 0 never, else the
    /// larger the sooner.
    pub(crate) columns: Vec<([&'static str; 2], u8)>,
    /// Each point's state and cells.
    pub(crate) rows: Vec<(State, Vec<String>)>,
}

/// What stands in an unstable point's place of a latency that grows with the run.
pub(crate) const GROWS: &str = "grows";
/// What stands in its place of a time that need not grow, but is no more the server's own.
pub(crate) const NOT_ITS_OWN: &str = "†";

/// One column: head, when it is given up, and its cell.
struct Column {
    head: [&'static str; 2],
    given_up: u8,
    wide_only: bool,
    cell: fn(&Rung<'_>, Form) -> String,
}

const fn column(
    head: [&'static str; 2],
    given_up: u8,
    cell: fn(&Rung<'_>, Form) -> String,
) -> Column {
    Column { head, given_up, wide_only: false, cell }
}

const fn wide(head: [&'static str; 2], cell: fn(&Rung<'_>, Form) -> String) -> Column {
    Column { head, given_up: 9, wide_only: true, cell }
}

/// Every column but the first, which depends on the load's kind.
const COLUMNS: [Column; 18] = [
    wide(["arrived", "req/s"], |rung, _| three_digits(rung.point.achieved_rate_per_s)),
    column(["throughput", "req/s"], 0, |rung, form| match form {
        Form::Narrow => three_digits(rung.point.throughput_per_s.value),
        Form::Wide => {
            let [value, low, high] = estimate(&rung.point.throughput_per_s);
            format!("{value} ({low} to {high})")
        }
    }),
    column(["output", "tok/s"], 4, |rung, _| three_digits(rung.point.output_tokens_per_s.value)),
    column(["stable", ""], 0, |rung, _| {
        match rung.state {
            State::Stable => "yes",
            State::Unstable => "no †",
            State::Void => "void ‡",
        }
        .to_owned()
    }),
    column(["TTFT", "p50 ms"], 0, |rung, _| delay(rung, ttft, |l| quantile(l.p50))),
    wide(["TTFT", "p90 ms"], |rung, _| delay(rung, ttft, |l| quantile(l.p90))),
    column(["TTFT", "p99 ms"], 0, |rung, _| delay(rung, ttft, |l| quantile(l.p99))),
    column(["TPOT", "p50 ms"], 0, |rung, _| pace(rung, |p| &p.tpot, |l| quantile(l.p50))),
    column(["TPOT", "p99 ms"], 2, |rung, _| pace(rung, |p| &p.tpot, |l| quantile(l.p99))),
    // Of these two a ladder shows the one that it knows.
    column(["ITL", "p99 ms"], 3, |rung, _| pace(rung, |p| &p.itl, |l| quantile(l.p99))),
    column(["chunk gap", "p99 ms"], 3, |rung, _| pace(rung, |p| &p.chunk_gap, |l| quantile(l.p99))),
    column(["E2E", "p50 ms"], 1, |rung, _| delay(rung, |p| &p.e2e, |l| quantile(l.p50))),
    wide(["E2E", "p99 ms"], |rung, _| delay(rung, |p| &p.e2e, |l| quantile(l.p99))),
    column(["lag", "p99 ms"], 0, |rung, _| {
        // Few requests leave the p99 not known; the largest lag says at least as much.
        let lag = &rung.point.schedule_lag;
        match (lag.p99.value, lag.max) {
            (None, Some(max)) => format!("≤ {}", milliseconds(max)),
            (known, _) => known.map_or_else(|| UNKNOWN.to_owned(), milliseconds),
        }
    }),
    wide(["in flight", "mean"], |rung, _| three_digits(rung.point.stability.in_flight_mean)),
    wide(["goodput", "share"], |rung, _| {
        rung.point
            .goodput
            .map_or_else(|| UNKNOWN.to_owned(), |goodput| percent(goodput.share.value))
    }),
    wide(["due", ""], |rung, _| rung.point.counts.due.to_string()),
    column(["failed", ""], 0, |rung, form| {
        let counts = &rung.point.counts;
        if form == Form::Narrow || counts.failed == 0 || counts.due == 0 {
            counts.failed.to_string()
        } else {
            format!("{} ({})", counts.failed, percent(counts.failed as f64 / counts.due as f64))
        }
    }),
];

fn ttft(point: &PointSummary) -> &LatencySummary {
    &point.ttft
}

/// A latency that an overload makes grow.
fn delay(
    rung: &Rung<'_>,
    of: fn(&PointSummary) -> &LatencySummary,
    number: fn(&LatencySummary) -> String,
) -> String {
    if !rung.keeps_up { GROWS.to_owned() } else { number(of(rung.point)) }
}

/// A latency that an overload need not make grow, but that is no more the server's own.
fn pace(
    rung: &Rung<'_>,
    of: fn(&PointSummary) -> &LatencySummary,
    number: fn(&LatencySummary) -> String,
) -> String {
    if !rung.keeps_up { NOT_ITS_OWN.to_owned() } else { number(of(rung.point)) }
}

impl Table {
    /// The table of a ladder.
    pub(crate) fn of(ladder: &Ladder<'_>, form: Form) -> Self {
        let load = match ladder.axis {
            Axis::Rate => ["offered", "req/s"],
            Axis::Concurrency => ["offered", "in flight"],
        };
        let other_gap = if ladder.gap().name == "ITL" { "chunk gap" } else { "ITL" };
        let chosen: Vec<_> = COLUMNS
            .iter()
            .filter(|column| form == Form::Wide || !column.wide_only)
            .filter(|column| column.head[0] != other_gap)
            .collect();
        let mut columns = vec![(load, 0)];
        columns.extend(chosen.iter().map(|column| (column.head, column.given_up)));
        let rows = ladder
            .rungs
            .iter()
            .map(|rung| {
                let mut cells = vec![rung.label.clone()];
                cells.extend(chosen.iter().map(|column| (column.cell)(rung, form)));
                (rung.state, cells)
            })
            .collect();
        let mut table = Self { columns, rows };
        if form == Form::Wide {
            table.leave_out_the_unknown();
        }
        table
    }

    /// Leaves out the column that is given up most readily; `false` when none may be.
    pub(crate) fn give_up_a_column(&mut self) -> bool {
        let candidate = (0..self.columns.len()).max_by_key(|&place| self.columns[place].1);
        let Some(place) = candidate.filter(|&place| self.columns[place].1 > 0) else {
            return false;
        };
        self.remove(place);
        true
    }

    /// The footnotes whose mark stands in the table.
    pub(crate) fn footnotes(&self) -> impl Iterator<Item = &'static str> {
        let has = |mark: &str| {
            self.rows.iter().any(|(_, cells)| cells.iter().any(|cell| cell.contains(mark)))
        };
        FOOTNOTES.into_iter().filter(move |note| note.split_whitespace().next().is_some_and(&has))
    }

    /// Leaves out the columns in which nothing is known.
    fn leave_out_the_unknown(&mut self) {
        for place in (1..self.columns.len()).rev() {
            if self.rows.iter().all(|(_, cells)| cells[place] == UNKNOWN) {
                self.remove(place);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        self.columns.remove(place);
        for (_, cells) in &mut self.rows {
            cells.remove(place);
        }
    }
}

/// What each mark means; the mark is the first word.
const FOOTNOTES: [&str; 3] = [
    "– not known: too few requests for a 95 % interval, or too few tokens to measure by",
    "† not stable: the queue grows as long as this load lasts, so its latencies would tell the length of the run, not the speed of the server",
    "‡ voided by an error of the audit, and left out of the results",
];
