//! What a report is made of.

use std::path::{Path, PathBuf};

use plimsoll_analysis::{Judgement, Printed};
use plimsoll_records::{Manifest, PointFile};

use crate::Gated;
use crate::clean::clean;

/// What a report is made of: what was run, what is said of it, and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The manifest of the run.
    pub manifest: &'a Manifest,
    /// The judgement of its points.
    pub judgement: &'a Judgement,
    /// The results folder, as it is to be shown.
    pub results: &'a Path,
    /// The files of its points, in any order: what the client says of itself at each. Points without
    /// one are shown all the same; then less is known of the client.
    pub points: &'a [PointFile],
    /// What other tools would have printed of its points, in any order; empty where nobody asked.
    pub printed: &'a [Printed],
    /// Where the report lies, where that is not the results folder.
    pub report: Option<&'a Path>,
    /// The gates that it was held against; empty where nobody asked.
    pub gates: &'a [Gated],
}

impl<'a> ReportInput<'a> {
    /// The input of a report on one run, without the files of its points.
    #[must_use]
    pub const fn new(manifest: &'a Manifest, judgement: &'a Judgement, results: &'a Path) -> Self {
        Self { manifest, judgement, results, points: &[], printed: &[], report: None, gates: &[] }
    }

    /// The same with the files of its points.
    #[must_use]
    pub const fn with_points(self, points: &'a [PointFile]) -> Self {
        Self { points, ..self }
    }

    /// The same with what other tools would have printed.
    #[must_use]
    pub const fn with_definitions(self, printed: &'a [Printed]) -> Self {
        Self { printed, ..self }
    }

    /// The same with the report in another folder than the results.
    #[must_use]
    pub const fn with_report_in(self, dir: &'a Path) -> Self {
        Self { report: Some(dir), ..self }
    }

    /// The same with the gates that it was held against.
    #[must_use]
    pub const fn with_gates(self, gates: &'a [Gated]) -> Self {
        Self { gates, ..self }
    }

    /// The file of a point, where it was given.
    pub(crate) fn file(&self, id: &str) -> Option<&'a PointFile> {
        self.points.iter().find(|file| file.id == id)
    }

    /// Where the HTML report lies: in the results folder, if it was not put elsewhere.
    #[must_use]
    pub fn report_path(&self) -> PathBuf {
        self.report.unwrap_or(self.results).join("report.html")
    }

    /// `Saturation of <model>`, cleaned but not escaped.
    pub(crate) fn title(&self) -> String {
        let experiment = clean(&self.manifest.experiment);
        let mut letters = experiment.chars();
        let experiment = letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_else(|| "Measurement".to_owned());
        let model = clean(&self.manifest.target.model);
        if model.is_empty() { experiment } else { format!("{experiment} of {model}") }
    }

    /// The server in a few words: `vllm 0.9.2 at http://127.0.0.1:8000`, cleaned but not escaped.
    pub(crate) fn server(&self) -> String {
        let target = &self.manifest.target;
        let name = target.server.as_deref().or(match target.launch.as_str() {
            "sim" => Some("the built-in simulator"),
            _ => None,
        });
        let words = [
            name.map(clean),
            target.version.as_deref().map(clean),
            (!target.url.is_empty()).then(|| format!("at {}", clean(&target.url))),
            (target.urls.len() > 1).then(|| format!("and {} more", target.urls.len() - 1)),
        ];
        let text = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if text.is_empty() { "a server that was not named".to_owned() } else { text }
    }
}
