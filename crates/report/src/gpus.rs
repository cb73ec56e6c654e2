//! The GPUs over the measure windows: what each did, and what the points cost in energy.

use plimsoll_analysis::{GpuSummary, PointSummary};
use plimsoll_records::{GpuProcess, GpuWindow, PointFile};

use crate::clean::clean;
use crate::environment::gibibytes;
use crate::grid::{Column, Grid, Row, state_class};
use crate::input::ReportInput;
use crate::ladder::{Ladder, Rung, State};
use crate::numbers::{UNKNOWN, count, list, percent, plain, three_digits};
use crate::wording::Fact;

/// Names of processes that one cell shows.
const PROCESSES: usize = 4;

/// What is known of the GPUs.
pub(crate) struct Gpus<'a> {
    /// The points in the order of the ladders.
    pub(crate) points: Vec<Part<'a>>,
}

/// The GPUs at one point.
pub(crate) struct Part<'a> {
    /// What the point is called: `20 req/s`, with its group where there are several.
    pub(crate) label: String,
    /// What it may be shown as.
    pub(crate) state: State,
    /// Its numbers.
    pub(crate) point: &'a PointSummary,
    /// Its file, where there is one.
    pub(crate) file: Option<&'a PointFile>,
}

/// How to read the tables.
const ENERGY_NOTE: &str = "Energy by the devices' own counters over the measure window, all used GPUs together; tokens and requests are those that the throughput counts. Of a point where the server does not keep up it is the cost of what was completed.";
const GPU_NOTE: &str = "SM: share of time in which a kernel ran, which says nothing of how much of the GPU it used: at a tenth of the load it can be as high as at saturation. Throttled: share of the samples in which heat or power held the clocks down.";

impl<'a> Gpus<'a> {
    /// The GPUs of a run; `None` where none was sampled.
    pub(crate) fn of(input: &ReportInput<'a>, ladders: &[Ladder<'a>]) -> Option<Self> {
        let several = ladders.len() > 1;
        let points: Vec<_> = ladders
            .iter()
            .flat_map(|ladder| {
                ladder.rungs.iter().map(move |rung| {
                    let file = input.file(&rung.point.id);
                    let label = ladder.name_of(rung, several);
                    Part { label, state: rung.state, point: rung.point, file }
                })
            })
            .filter(|part| part.point.gpu.is_some() || !part.windows().is_empty())
            .collect();
        (!points.is_empty()).then_some(Self { points })
    }

    /// What each point cost; `None` where no energy or power is known.
    pub(crate) fn energy_table(&self) -> Option<Grid> {
        const COLUMNS: [Column; 8] = [
            Column::words(["point", ""]),
            Column::words(["GPUs", ""]),
            Column::number(["power", "mean W"]),
            Column::number(["energy", "kJ"]),
            Column::number(["energy", "J/token"]),
            Column::number(["energy", "J/request"]),
            Column::number(["output", "tok/s/W"]),
            Column::number(["SM", "mean %"]),
        ];
        let rows: Vec<_> = self
            .points
            .iter()
            .filter_map(|part| Some((part, part.point.gpu.as_ref()?)))
            .map(|(part, gpu)| Row {
                class: state_class(part.state),
                cells: vec![
                    part.name(),
                    indices(&gpu.gpus),
                    digits(gpu.power_mean_w),
                    digits(gpu.energy_j.map(|joules| joules / 1e3)),
                    digits(gpu.energy_j_per_output_token),
                    digits(gpu.energy_j_per_request),
                    digits(gpu.output_tokens_per_s_per_w),
                    digits(gpu.sm_utilisation_mean_pct),
                ],
            })
            .collect();
        (!rows.is_empty()).then(|| Grid::of(&COLUMNS, rows))
    }

    /// What each GPU did at each point; `None` where nothing is known of a used one.
    pub(crate) fn device_table(&self) -> Option<Grid> {
        const COLUMNS: [Column; 14] = [
            Column::words(["point", ""]),
            Column::number(["GPU", ""]),
            Column::number(["SM %", "mean (max)"]),
            Column::number(["memory used", "max GiB"]),
            Column::number(["power W", "mean (max)"]),
            Column::number(["energy", "kJ"]),
            Column::words(["throttled", ""]),
            Column::words(["processes", ""]),
            Column::number(["SM clock MHz", "mean (min)"]),
            Column::number(["memory clock", "MHz"]),
            Column::number(["memory %", "mean (max)"]),
            Column::number(["hottest", "°C"]),
            Column::number(["PCIe MB/s", "from / to"]),
            Column::words(["errors", ""]),
        ];
        let rows: Vec<_> = self
            .points
            .iter()
            .flat_map(|part| part.windows().iter().map(move |window| (part, window)))
            .filter(|(_, window)| window.used != Some(false))
            .map(|(part, window)| Row {
                class: state_class(part.state),
                cells: device(part, window),
            })
            .collect();
        (!rows.is_empty()).then(|| Grid::of(&COLUMNS, rows))
    }

    /// How to read the tables, and what they leave out.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.points.iter().any(|part| part.point.gpu.is_some()) {
            notes.push(ENERGY_NOTE.to_owned());
        }
        if self.points.iter().any(|part| !part.windows().is_empty()) {
            notes.push(GPU_NOTE.to_owned());
        }
        let mut idle: Vec<u32> = self
            .points
            .iter()
            .flat_map(Part::windows)
            .filter(|window| window.used == Some(false))
            .map(|window| window.gpu)
            .collect();
        idle.sort_unstable();
        idle.dedup();
        if !idle.is_empty() {
            let words: Vec<_> = idle.iter().map(|gpu| format!("GPU {gpu}")).collect();
            notes.push(format!(
                "Left out where no process of the server was seen on it: {}.",
                list(&words)
            ));
        }
        notes
    }
}

impl<'a> Part<'a> {
    /// The GPUs over its window.
    pub(crate) fn windows(&self) -> &'a [GpuWindow] {
        self.file.map_or(&[], |file| &file.gpus)
    }

    /// Its name with its marks.
    fn name(&self) -> String {
        let mark = match self.state {
            State::Stable => "",
            State::Unstable => " †",
            State::Void => " ‡",
        };
        format!("{}{mark}", self.label)
    }
}

/// The energy of a token at the heaviest load that the server kept up with; `None` where it is not
/// known.
pub(crate) fn fact(ladder: &Ladder<'_>) -> Option<Fact> {
    let known = |rung: &&Rung<'_>| {
        let gpu: Option<&GpuSummary> = rung.point.gpu.as_ref();
        gpu.and_then(|gpu| gpu.energy_j_per_output_token).is_some_and(f64::is_finite)
    };
    let rung = ladder.of_state(State::Stable).filter(known).last()?;
    let gpu = rung.point.gpu.as_ref()?;
    let parts = [
        (gpu.power_mean_w, "W over"),
        (gpu.energy_j_per_request, "J a request"),
        (gpu.output_tokens_per_s_per_w, "output tokens/s a watt"),
    ];
    let words = parts.into_iter().filter_map(|(value, words)| {
        let value = three_digits(value.filter(|value| value.is_finite())?);
        let gpus = if words.ends_with("over") {
            format!(" {}", count(gpu.gpus.len(), "GPU"))
        } else {
            String::new()
        };
        Some(format!("{value} {words}{gpus}"))
    });
    let note = format!(
        "at {} {}, with {}",
        rung.label,
        ladder.axis.unit(),
        words.collect::<Vec<_>>().join(", ")
    );
    Some(Fact {
        name: "energy",
        value: format!("{} J/token", digits(gpu.energy_j_per_output_token)),
        interval: String::new(),
        note: note.trim_end_matches(", with ").to_owned(),
    })
}

/// Why no GPU was sampled, where the run says so, as a sentence.
pub(crate) fn why_none(input: &ReportInput<'_>) -> Option<String> {
    let said = input.manifest.machine.gpu_remark.as_deref();
    let said = said.or_else(|| {
        let mut samplings = input.points.iter().filter_map(|file| file.gpu_sampling.as_ref());
        samplings.find_map(|sampling| sampling.remark.as_deref())
    });
    let why = said.map(clean).filter(|why| !why.is_empty())?;
    Some(format!("No GPU was sampled: {}.", why.trim_end_matches('.')))
}

fn device(part: &Part<'_>, window: &GpuWindow) -> Vec<String> {
    let gib = |bytes: Option<u64>| {
        let bytes = bytes.map(|bytes| bytes as f64 / f64::from(1 << 30));
        bytes.map_or_else(|| UNKNOWN.to_owned(), three_digits)
    };
    let memory = match (window.memory_used_max_bytes, window.memory_total_bytes) {
        (Some(_), Some(total)) => {
            format!("{} of {}", gib(window.memory_used_max_bytes), gib(Some(total)))
        }
        (used, _) => gib(used),
    };
    let pcie = match (window.pcie_tx_mean_mb_per_s, window.pcie_rx_mean_mb_per_s) {
        (None, None) => UNKNOWN.to_owned(),
        (from, to) => format!("{} / {}", digits(from), digits(to)),
    };
    vec![
        part.name(),
        window.gpu.to_string(),
        with(window.sm_utilisation_mean_pct, window.sm_utilisation_max_pct),
        memory,
        with(window.power_mean_w, window.power_max_w),
        digits(window.energy_j.map(|joules| joules / 1e3)),
        throttled(window),
        processes(&window.processes),
        with(window.sm_clock_mean_mhz, window.sm_clock_min_mhz),
        digits(window.memory_clock_mean_mhz),
        with(window.memory_utilisation_mean_pct, window.memory_utilisation_max_pct),
        digits(window.temperature_max_c),
        pcie,
        errors(window),
    ]
}

fn digits(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), three_digits)
}

/// `62.1 (98)`: a mean and the extreme.
fn with(mean: Option<f64>, extreme: Option<f64>) -> String {
    match (mean, extreme) {
        (None, None) => UNKNOWN.to_owned(),
        (mean, None) => digits(mean),
        (mean, Some(extreme)) => format!("{} ({})", digits(mean), plain(extreme)),
    }
}

/// `0`, `0, 1, 2`, `0 to 7`.
fn indices(gpus: &[u32]) -> String {
    match gpus {
        [first, .., last] if gpus.len() > 2 && (*last - *first) as usize == gpus.len() - 1 => {
            format!("{first} to {last}")
        }
        _ => list(&gpus.iter().map(u32::to_string).collect::<Vec<_>>()),
    }
}

/// `no`, `3.1 % (SW power cap)`.
fn throttled(window: &GpuWindow) -> String {
    let Some(share) = window.throttled_share.filter(|share| share.is_finite()) else {
        return UNKNOWN.to_owned();
    };
    if share <= 0.0 {
        return "no".to_owned();
    }
    let reasons: Vec<_> = window.throttle_reasons.iter().map(|reason| clean(reason)).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("{}{why}", percent(share))
}

/// Memory errors and the driver's own.
fn errors(window: &GpuWindow) -> String {
    let mut parts = Vec::new();
    for (number, words) in
        [(window.ecc_uncorrected, "uncorrected"), (window.ecc_corrected, "corrected")]
    {
        if let Some(number) = number.filter(|&number| number > 0) {
            parts.push(format!("{} {words}", plain(number as f64)));
        }
    }
    if !window.xids.is_empty() {
        let xids: Vec<_> = window.xids.iter().take(PROCESSES).map(u64::to_string).collect();
        parts.push(format!("Xid {}", xids.join(", ")));
    }
    if !parts.is_empty() {
        return parts.join("; ");
    }
    let asked = window.ecc_corrected.is_some() || window.ecc_uncorrected.is_some();
    if asked { "none".to_owned() } else { UNKNOWN.to_owned() }
}

/// `1 of the server; foreign: python 4242 (3.1 GiB)`.
fn processes(processes: &[GpuProcess]) -> String {
    if processes.is_empty() {
        return UNKNOWN.to_owned();
    }
    let of = |own: Option<bool>| processes.iter().filter(move |process| process.own == own);
    let named = |own: Option<bool>, word: &str| {
        let all: Vec<_> = of(own).map(named).collect();
        let more = all.len().saturating_sub(PROCESSES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = all.iter().take(PROCESSES).cloned().collect::<Vec<_>>().join(", ");
        (!all.is_empty()).then(|| format!("{word}: {shown}{more}"))
    };
    let own = of(Some(true)).count();
    let own = (own > 0).then(|| format!("{own} of the server"));
    let parts = [own, named(Some(false), "FOREIGN"), named(None, "whose is not known")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// `python 4242 (3.1 GiB)`.
fn named(process: &GpuProcess) -> String {
    let name = process.name.as_deref().map(clean).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "process".to_owned());
    let memory = process.memory_max_bytes.map(gibibytes);
    let memory = memory.map_or_else(String::new, |memory| format!(" ({memory})"));
    format!("{name} {}{memory}", process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_in_a_row_are_a_range() {
        assert_eq!(indices(&[]), "");
        assert_eq!(indices(&[3]), "3");
        assert_eq!(indices(&[0, 1]), "0 and 1");
        assert_eq!(indices(&[0, 1, 2, 3]), "0 to 3");
        assert_eq!(indices(&[0, 2, 3]), "0, 2 and 3");
    }

    #[test]
    fn foreign_processes_are_named() {
        let process = |pid, name: &str, own| GpuProcess {
            pid,
            name: (!name.is_empty()).then(|| name.to_owned()),
            memory_max_bytes: Some(3 << 30),
            own,
        };
        assert_eq!(processes(&[]), "–");
        let all = [
            process(1, "VLLM::EngineCore", Some(true)),
            process(42, "python\u{1b}[31m", Some(false)),
            process(43, "", None),
        ];
        assert_eq!(
            processes(&all),
            "1 of the server; FOREIGN: python 42 (3 GiB); whose is not known: process 43 (3 GiB)"
        );
        let many: Vec<_> = (0..6).map(|pid| process(pid, "x", Some(false))).collect();
        assert!(processes(&many).ends_with("x 3 (3 GiB) and 2 more"));
    }

    #[test]
    fn a_card_that_offers_less_leaves_gaps() {
        let window = GpuWindow::default();
        assert_eq!((throttled(&window), errors(&window)), ("–".to_owned(), "–".to_owned()));
        assert_eq!(with(None, None), "–");
        assert_eq!(with(Some(62.14), Some(98.0)), "62.1 (98)");
        let window = GpuWindow {
            throttled_share: Some(0.031),
            throttle_reasons: vec!["SW power cap".to_owned()],
            ecc_corrected: Some(2),
            xids: vec![79],
            ..GpuWindow::default()
        };
        assert_eq!(throttled(&window), "3.1 % (SW power cap)");
        assert_eq!(errors(&window), "2 corrected; Xid 79");
        let fine = GpuWindow {
            throttled_share: Some(0.0),
            ecc_uncorrected: Some(0),
            ..GpuWindow::default()
        };
        assert_eq!((throttled(&fine), errors(&fine)), ("no".to_owned(), "none".to_owned()));
    }
}
