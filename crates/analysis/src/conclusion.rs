//! What an experiment concludes from its groups together, beyond what each of them says alone.

use plimsoll_records::{Finding, Manifest, PointFile};

use crate::Group;

/// What an experiment concludes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Conclusion {
    /// Nothing beyond its groups.
    #[default]
    None,
}

/// The conclusion of the experiment that `manifest` names, and what the audit has against it.
///
/// `groups` are those of its judgement, `files` the files of its points: they say on which server and with
/// which workload each group was measured.
#[must_use]
pub fn conclude(
    _manifest: &Manifest,
    _files: &[PointFile],
    _groups: &[Group],
) -> (Conclusion, Vec<Finding>) {
    (Conclusion::None, Vec::new())
}
