//! The comparison that a run came to, as a report of its own.

use plimsoll_analysis::{
    ComparedFigure, ComparedLoad, ComparisonVerdict, FigureComparison, SettingsComparison,
};
use plimsoll_records::{Manifest, Verdict};

use super::{Compared, ComparisonReport, would_decide};
use crate::input::ReportInput;

/// The texts that the report of a run's comparison is made of.
pub(crate) struct OfRun<'a> {
    comparison: &'a SettingsComparison,
    title: String,
    /// Figure and load of each comparison.
    names: Vec<(String, String)>,
    main: Option<(String, String)>,
    effects: Vec<String>,
    remarks: Vec<String>,
    next: Option<String>,
}

/// The most repetitions that a command is written for: whoever needs more needs less noise.
const MOST: usize = 100;

impl<'a> OfRun<'a> {
    /// What `comparison` says of the run of `input`.
    pub(crate) fn of(input: &ReportInput<'_>, comparison: &'a SettingsComparison) -> Self {
        let named = |figure: ComparedFigure, load: Option<ComparedLoad>| {
            (figure.name(), load.map_or_else(String::new, |load| load.to_string()))
        };
        let one_line = |figure, load| match named(figure, load) {
            (figure, at) if at.is_empty() => figure,
            (figure, at) => format!("{figure} at {at}"),
        };
        let title = match input.judgement.verdict {
            Verdict::Invalid => "The settings compared (not a result: the measurement is invalid)",
            _ => "The settings compared",
        };
        let wanted = repetitions(comparison);
        let mut remarks = comparison.remarks.clone();
        if let Some(wanted) = wanted.filter(|wanted| *wanted > MOST) {
            remarks.push(format!(
                "about {wanted} repetitions would decide; longer windows or a quieter machine will do it sooner"
            ));
        }
        Self {
            comparison,
            title: title.to_owned(),
            names: comparison.figures.iter().map(|one| named(one.figure, one.load)).collect(),
            main: comparison.main.map(|(figure, load)| named(figure, load)),
            effects: comparison.effects.iter().map(|it| one_line(it.figure, it.load)).collect(),
            remarks,
            next: wanted.filter(|it| *it <= MOST).map(|it| again(input.manifest, it)),
        }
    }

    /// Gives the report itself to `with`.
    pub(crate) fn report<T>(&self, with: impl FnOnce(&ComparisonReport<'_>) -> T) -> T {
        let mut compared = Vec::with_capacity(self.names.len());
        for (one, (figure, at)) in self.comparison.figures.iter().zip(&self.names) {
            compared.push(Compared {
                candidate: &self.comparison.candidates[one.candidate],
                figure,
                at,
                unit: one.figure.unit(),
                values: Some([one.baseline_value, one.candidate_value]),
                lower_bound: one.lower_bound,
                comparing: one.comparing,
                comparison: one.comparison,
            });
        }
        let effects: Vec<_> = self
            .effects
            .iter()
            .zip(&self.comparison.effects)
            .map(|(figure, it)| (figure.as_str(), &it.effects))
            .collect();
        with(&ComparisonReport {
            title: &self.title,
            baseline: &self.comparison.baseline,
            compared: &compared,
            main: self.main.as_ref().map(|(figure, at)| (figure.as_str(), at.as_str())),
            effects: &effects,
            remarks: &self.remarks,
            next: self.next.as_deref(),
        })
    }
}

/// The repetitions that would probably decide the answer for every candidate; `None` where all is decided,
/// or more repetitions would not help.
fn repetitions(comparison: &SettingsComparison) -> Option<usize> {
    let undecided = |one: &&FigureComparison| {
        matches!(one.comparison.verdict, ComparisonVerdict::Undecided { .. })
    };
    let wanted = comparison.answer().filter(undecided);
    wanted.filter_map(|one| would_decide(one.comparison.verdict)).max()
}

/// The command of the same run with so many repetitions.
fn again(manifest: &Manifest, repetitions: usize) -> String {
    let mut command = manifest.experiment.clone();
    let quoted = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,/=:".contains(c);
        match text.chars().all(plain) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    if let Some(file) = &manifest.matrix_file {
        command.push_str(&format!(" {}", quoted(file)));
    }
    let kept = manifest.overrides.iter();
    for kept in kept.filter(|it| !it.trim_start().starts_with("experiment.repetitions")) {
        command.push_str(&format!(" --set {}", quoted(kept)));
    }
    format!("{command} --set experiment.repetitions={repetitions}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_runs_own_with_more_repetitions() {
        let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
            "format": "1.3",
            "tool": {"name": "compare", "version": "0.1.0", "commit": null},
            "experiment": "compare",
            "clock": {"origin_monotonic_ns": 1, "origin_unix_ns": 1},
            "started": "2026-01-01T00:00:00Z",
            "status": "complete",
            "seed": 7,
            "matrix_written": "",
            "overrides": [],
            "matrix_resolved": {},
            "machine": {"cpu": "c", "cores": 2, "memory_bytes": 1, "os": "o", "kernel": "k"},
            "target": {
                "launch": "sim", "url": "http://127.0.0.1:1", "model": "m", "server": null,
                "version": null, "max_model_len": null, "settings_declared": {}
            },
            "points": [],
            "left_out": [],
            "stamps": "user",
            "remarks": []
        }))
        .unwrap();
        assert_eq!(again(&manifest, 8), "compare --set experiment.repetitions=8");
        manifest.matrix_file = Some("my matrix.toml".to_owned());
        let overrides = ["load.rates=[8, 40]", "experiment.repetitions=4", "server.model=it's"];
        manifest.overrides = overrides.map(str::to_owned).to_vec();
        assert_eq!(
            again(&manifest, 12),
            r"compare 'my matrix.toml' --set 'load.rates=[8, 40]' --set 'server.model=it'\''s' --set experiment.repetitions=12"
        );
    }
}
