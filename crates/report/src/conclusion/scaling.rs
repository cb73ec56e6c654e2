//! What a scaling experiment concludes: a document for each family of groups that differ in size alone,
//! and one on what happens over the offered load.

use plimsoll_analysis::{
    Apart, Parallel, ScalePoint, ScalingConclusion, ScalingFamily, SizeOfGroup,
};
use plimsoll_records::Verdict;
use serde_json::{Value, json};

use super::curves::Curves;
use crate::document::{Document, Section};
use crate::error::ReportError;
use crate::input::ReportInput;
use crate::ladder::{Ladder, ladders, short_label};
use crate::numbers::{list, plain};
use crate::scaling::ScalingReport;
use crate::wording;

/// The unit of the capacities.
const UNIT: &str = "req/s";

/// A headline that claims nothing.
const NO_RESULT: &str = "This is not a result: the numbers below only help to find what went wrong";

/// One family, ready to be shown.
pub(super) struct Shown<'a> {
    pub(super) family: &'a ScalingFamily,
    /// What grows, and what its groups have in common.
    pub(super) title: String,
    /// What the file names of its figures end in.
    pub(super) mark: String,
    points: Vec<ScalePoint>,
}

impl<'a> Shown<'a> {
    fn all(found: &'a ScalingConclusion) -> Vec<Self> {
        let several = found.families.len() > 1;
        let of = |(place, family): (usize, &'a ScalingFamily)| Self {
            family,
            title: title(family),
            mark: if several { format!("-{}", place + 1) } else { String::new() },
            points: family.points(),
        };
        found.families.iter().enumerate().map(of).collect()
    }

    /// What a size counts, in the plural.
    pub(super) fn counted(&self) -> &'static str {
        if self.family.of_replicas { "replicas" } else { "GPUs" }
    }

    /// `None` where no capacity is known.
    fn report(&self) -> Option<ScalingReport<'_>> {
        Some(ScalingReport {
            title: &self.title,
            sizes: self.counted(),
            unit: UNIT,
            mark: &self.mark,
            points: &self.points,
            scaling: self.family.scaling.as_ref()?,
        })
    }

    fn document(&self, ladders: &[Ladder<'_>]) -> Document {
        let mut document = self.report().map_or_else(
            || Document {
                title: self.title.clone(),
                headline: "Nothing is known of how it scales: no size has a capacity".to_owned(),
                sections: Vec::new(),
            },
            |report| report.document(),
        );
        let missing: Vec<_> = { self.family.sizes.iter() }
            .filter_map(|size| Some(format!("n = {}: {}", plain(size.n), why_none(size, ladders)?)))
            .collect();
        if !missing.is_empty() {
            document.sections.insert(0, notes("Sizes without a capacity", missing));
        }
        document
    }
}

/// A section of nothing but sentences.
fn notes(title: &str, notes: Vec<String>) -> Section {
    Section { title: title.to_owned(), figure: None, table: None, notes }
}

/// `Scaling with data-parallel-size (max-num-seqs=16)`.
fn title(family: &ScalingFamily) -> String {
    let ways: Vec<_> = family.grows.iter().map(|way| way_name(*way)).collect();
    let by = if ways.is_empty() { String::new() } else { format!(" with {}", list(&ways)) };
    let shared = short_label(&family.factors);
    if shared.is_empty() { format!("Scaling{by}") } else { format!("Scaling{by} ({shared})") }
}

const fn way_name(way: Parallel) -> &'static str {
    match way {
        Parallel::Urls => "replicas behind URLs",
        _ => way.name(),
    }
}

/// Why the capacity of a size is not known, or of no use; `None` where it is.
fn why_none(size: &SizeOfGroup, ladders: &[Ladder<'_>]) -> Option<String> {
    let ladder = ladders.get(size.group).filter(|_| size.point.is_none())?;
    Some(match ladder.capacity() {
        Some(_) => "its capacity is not surely above 0".to_owned(),
        None => wording::no_capacity(ladder),
    })
}

/// Why a group belongs to no family.
const fn apart(why: Apart) -> &'static str {
    match why {
        Apart::Twice => {
            "another group has as many GPUs in the same way, and no factor of its own tells the two apart; neither \
             is counted"
        }
        Apart::Alone => {
            "others have as many GPUs in another way, and none differs from it in one way alone"
        }
    }
}

/// A document for each family, and one on the curves behind them.
pub(super) fn documents(input: &ReportInput<'_>, found: &ScalingConclusion) -> Vec<Document> {
    let ladders = ladders(&input.judgement.groups);
    let families = Shown::all(found);
    let mut documents: Vec<_> = families.iter().map(|it| it.document(&ladders)).collect();
    if documents.is_empty() {
        return documents;
    }
    documents.push(Curves { families: &families, ladders: &ladders }.document());
    if input.judgement.verdict == Verdict::Invalid {
        documents.iter_mut().for_each(|document| NO_RESULT.clone_into(&mut document.headline));
    }
    let mut left: Vec<_> = found
        .apart
        .iter()
        .filter_map(|(group, why)| Some(format!("{}: {}", ladders.get(*group)?.label, apart(*why))))
        .collect();
    left.extend(input.manifest.left_out.iter().map(wording::left_out));
    if !left.is_empty() {
        documents[0].sections.push(notes("Not in it", left));
    }
    documents
}

/// The figures that those documents name.
///
/// # Errors
/// When one cannot be drawn.
pub(super) fn figures(
    input: &ReportInput<'_>,
    found: &ScalingConclusion,
) -> Result<Vec<(String, String)>, ReportError> {
    let ladders = ladders(&input.judgement.groups);
    let families = Shown::all(found);
    let mut figures = Vec::new();
    for family in &families {
        if let Some(report) = family.report() {
            figures.extend(report.figures()?);
        }
    }
    figures.extend(Curves { families: &families, ladders: &ladders }.figures()?);
    Ok(figures)
}

/// For scripts: `families`, each with the `factors` that its groups have in common, the ways in which it
/// `grows`, what is `counted`, `repetitions`, its `sizes` (`n`, the place of the `group`, and `why_no_capacity` or `null`) and
/// `scaling` (as [`ScalingReport::json`], or `null`); `apart`, the places of groups in no family with `why`.
pub(super) fn json(input: &ReportInput<'_>, found: &ScalingConclusion) -> Value {
    let ladders = ladders(&input.judgement.groups);
    let size = |size: &SizeOfGroup| {
        json!({
            "n": size.n,
            "group": size.group,
            "why_no_capacity": why_none(size, &ladders),
        })
    };
    let family = |shown: &Shown<'_>| {
        json!({
            "factors": shown.family.factors,
            "grows": shown.family.grows.iter().map(|way| way.name()).collect::<Vec<_>>(),
            "counted": shown.counted(),
            "repetitions": shown.family.repetitions,
            "sizes": shown.family.sizes.iter().map(size).collect::<Vec<_>>(),
            "scaling": shown.report().map(|report| report.json()),
        })
    };
    let apart = |(group, why): &(usize, Apart)| json!({ "group": group, "why": apart(*why) });
    json!({
        "experiment": "scaling",
        "families": Shown::all(found).iter().map(family).collect::<Vec<_>>(),
        "apart": found.apart.iter().map(apart).collect::<Vec<_>>(),
    })
}
