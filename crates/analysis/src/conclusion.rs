//! What an experiment concludes from its groups together, beyond what each of them says alone.

mod case;
mod comparison;
#[cfg(test)]
mod fixture;
mod lowload;
pub(crate) mod scaling;
mod scenarios;
mod waited;

use plimsoll_records::{Finding, Manifest, PointFile};

use crate::{Group, Question};
use scaling::ScalingConclusion;

pub use case::{Case, CaseState};
pub use comparison::{
    ComparedFigure, ComparedLoad, FigureComparison, FigureEffects, SettingsComparison, Wait,
};
pub use lowload::LowLoad;
pub use scenarios::{
    CaseEffect, MarginalPrefill, ModelSize, ScenarioCase, Scenarios, SettingEffect,
};
pub use waited::Waited;

/// What an experiment concludes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Conclusion {
    /// Nothing beyond its groups.
    #[default]
    None,
    /// How capacity grows with size.
    Scaling(ScalingConclusion),
    /// Every setting against the first.
    Comparison(Box<SettingsComparison>),
    /// What users wait for at a low load.
    LowLoad(LowLoad),
    /// What single requests and small closed loops cost.
    Scenarios(Scenarios),
}

/// The conclusion of the experiment that `manifest` names, and what the audit has against it.
///
/// `groups` are those of its judgement, `files` the files of its points: they say on which server and with
/// which workload each group was measured.
#[must_use]
pub fn conclude(
    manifest: &Manifest,
    _files: &[PointFile],
    groups: &[Group],
) -> (Conclusion, Vec<Finding>) {
    match Question::of(&manifest.experiment) {
        Question::Scaling => {
            let (conclusion, findings) = scaling::conclude(manifest, groups);
            (Conclusion::Scaling(conclusion), findings)
        }
        Question::Difference => {
            let (comparison, findings) = comparison::compared(manifest, groups);
            (Conclusion::Comparison(Box::new(comparison)), findings)
        }
        Question::Latency if manifest.experiment == "lowload" => {
            (Conclusion::LowLoad(LowLoad::of(groups)), Vec::new())
        }
        Question::Latency => (Conclusion::Scenarios(Scenarios::of(manifest, groups)), Vec::new()),
        _ => (Conclusion::None, Vec::new()),
    }
}
