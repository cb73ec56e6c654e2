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
    next: Option<String>,
}

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
        Self {
            comparison,
            title: title.to_owned(),
            names: comparison.figures.iter().map(|one| named(one.figure, one.load)).collect(),
            main: comparison.main.map(|(figure, load)| named(figure, load)),
            effects: comparison.effects.iter().map(|it| one_line(it.figure, it.load)).collect(),
            next: next(input.manifest, comparison),
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
            remarks: &self.comparison.remarks,
            next: self.next.as_deref(),
        })
    }
}

/// The same run with the repetitions that would probably decide the answer for every candidate; `None`
/// where all is decided, or more repetitions would not help.
fn next(manifest: &Manifest, comparison: &SettingsComparison) -> Option<String> {
    let undecided = |one: &&FigureComparison| {
        matches!(one.comparison.verdict, ComparisonVerdict::Undecided { .. })
    };
    let wanted = comparison.answer().filter(undecided);
    let repetitions = wanted.filter_map(|one| would_decide(one.comparison.verdict)).max()?;
    let mut command = manifest.experiment.clone();
    let quoted = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,/=:[]".contains(c);
        match text.chars().all(plain) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    if let Some(file) = &manifest.matrix_file {
        command.push_str(&format!(" {}", quoted(file)));
    }
    let again = manifest.overrides.iter();
    for kept in again.filter(|it| !it.trim_start().starts_with("experiment.repetitions")) {
        command.push_str(&format!(" --set {}", quoted(kept)));
    }
    Some(format!("{command} --set experiment.repetitions={repetitions}"))
}
