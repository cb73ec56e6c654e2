//! What an experiment concludes from its groups together, beyond what each of them says alone.

mod comparison;
pub(crate) mod scaling;

use plimsoll_records::{Finding, Manifest, PointFile};

use crate::{Group, Question};
use scaling::ScalingConclusion;

pub use comparison::{
    ComparedFigure, ComparedLoad, FigureComparison, FigureEffects, SettingsComparison, Wait,
};

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
        _ => (Conclusion::None, Vec::new()),
    }
}
