//! What a scaling experiment concludes: for each family of groups that differ in size alone, what the
//! larger ones gained.
//!
//! A group's size n is how many GPUs, or replicas, its server had: data x tensor x pipeline parallel size
//! x URLs, by the server's own word where it gives one, else as declared. Factors that decide the size
//! are told from the others by what they do: where two groups differ in one factor alone and in their
//! size, that factor is one of size. What is left over names the family.

mod shape;

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_records::{Finding, Manifest, TargetRecord};

pub use shape::{Parallel, Shape};

use crate::judgement::in_line;
use crate::{Group, ScalePoint, Scaling, audit_scaling, scaling};

/// How the groups of a run scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScalingConclusion {
    /// Each family of groups that differ in size alone, in the order of the plan.
    pub families: Vec<ScalingFamily>,
    /// Groups that belong to none, by their place among the run's, each with why.
    pub apart: Vec<(usize, Apart)>,
}

/// Why a group belongs to no family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// Another group has the same size, reached in the same way, and nothing that is known tells why
    /// there are two.
    Twice,
    /// Others are of the same size, reached in another way, and none differs from it in one way alone.
    Alone,
}

/// Groups that differ in size alone.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingFamily {
    /// The factors that they have in common.
    pub factors: BTreeMap<String, String>,
    /// The ways in which they grow; empty where there is one size.
    pub grows: Vec<Parallel>,
    /// Whether a size counts whole replicas and not GPUs.
    pub of_replicas: bool,
    /// Its groups, smallest first.
    pub sizes: Vec<SizeOfGroup>,
    /// Repetitions that each of them has at least.
    pub repetitions: usize,
    /// What those say whose capacity is known; `None` where it is of none.
    pub scaling: Option<Scaling>,
}

/// A group as one size of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeOfGroup {
    /// GPUs or replicas.
    pub n: f64,
    /// Its place among the run's groups.
    pub group: usize,
    /// What it can do; `None` where no capacity is known that is surely above 0.
    pub point: Option<ScalePoint>,
}

impl ScalingFamily {
    /// What they have in common as one line, `a=1 b=2`; empty when that is nothing.
    #[must_use]
    pub fn label(&self) -> String {
        in_line(&self.factors)
    }

    /// The sizes whose capacity is known.
    #[must_use]
    pub fn points(&self) -> Vec<ScalePoint> {
        self.sizes.iter().filter_map(|size| size.point).collect()
    }

    /// The family of the groups at these places, which all have another size.
    fn new(
        factors: BTreeMap<String, String>,
        mut places: Vec<usize>,
        groups: &[Group],
        shapes: &[Shape],
    ) -> Self {
        places.sort_by_key(|&place| shapes[place].size());
        let grows = Parallel::ALL
            .into_iter()
            .filter(|&way| places.iter().any(|&it| shapes[it].of(way) != shapes[places[0]].of(way)))
            .collect();
        let sizes: Vec<_> = places.iter().map(|&it| SizeOfGroup::new(it, groups, shapes)).collect();
        let repetitions = |group: &Group| {
            group.points.iter().map(|point| point.repetition).collect::<BTreeSet<_>>().len()
        };
        Self {
            factors,
            grows,
            of_replicas: places.iter().all(|&it| shapes[it].is_of_replicas()),
            sizes,
            repetitions: places.iter().map(|&it| repetitions(&groups[it])).min().unwrap_or(0),
            scaling: None,
        }
    }
}

impl SizeOfGroup {
    fn new(group: usize, groups: &[Group], shapes: &[Shape]) -> Self {
        let n = shapes[group].size() as f64;
        let saturation = &groups[group].saturation;
        // An interval that reaches 0 has nothing but requests that failed behind it.
        let known = saturation
            .capacity_per_s
            .filter(|capacity| capacity.low > 0.0 && capacity.high.is_finite());
        let lower_bound = saturation.lower_bound;
        Self { n, group, point: known.map(|capacity| ScalePoint { n, capacity, lower_bound }) }
    }
}

/// The conclusion about these groups, and what the audit has against it.
pub(super) fn conclude(manifest: &Manifest, groups: &[Group]) -> (ScalingConclusion, Vec<Finding>) {
    let shapes: Vec<Shape> =
        groups.iter().map(|group| Shape::of_target(target(manifest, group))).collect();
    let mut conclusion = families(groups, &shapes);
    let several = conclusion.families.len() > 1;
    let mut findings = Vec::new();
    for family in &mut conclusion.families {
        let points = family.points();
        family.scaling = scaling(&points, manifest.seed).ok();
        for mut finding in audit_scaling(&points, family.repetitions) {
            if several && !family.factors.is_empty() {
                finding.message = format!("{}: {}", family.label(), finding.message);
            }
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    (conclusion, findings)
}

/// The server that a group was measured on.
fn target<'a>(manifest: &'a Manifest, group: &Group) -> &'a TargetRecord {
    let number = group.points.first().map_or(0, |point| point.server_start.number as usize);
    manifest.targets.get(number).unwrap_or(&manifest.target)
}

/// The groups by what they have in common but their size.
fn families(groups: &[Group], shapes: &[Shape]) -> ScalingConclusion {
    let of_size = factors_of_size(groups, shapes);
    let mut alike: Vec<(BTreeMap<String, String>, Vec<usize>)> = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        let mut others = group.factors.clone();
        others.retain(|name, _| !of_size.contains(name.as_str()));
        match alike.iter_mut().find(|(known, _)| *known == others) {
            Some((_, places)) => places.push(place),
            None => alike.push((others, vec![place])),
        }
    }
    let mut conclusion = ScalingConclusion::default();
    for (factors, places) in alike {
        let (places, twice) = without_twins(places, shapes);
        conclusion.apart.extend(twice.into_iter().map(|place| (place, Apart::Twice)));
        if all_differ(places.iter().map(|&place| shapes[place].size())) {
            if !places.is_empty() {
                conclusion.families.push(ScalingFamily::new(factors, places, groups, shapes));
            }
            continue;
        }
        let ways = by_way(&places, shapes);
        let alone = places.iter().filter(|place| !ways.iter().any(|way| way.contains(place)));
        conclusion.apart.extend(alone.map(|&place| (place, Apart::Alone)));
        let family = |places| ScalingFamily::new(factors.clone(), places, groups, shapes);
        conclusion.families.extend(ways.into_iter().map(family));
    }
    conclusion
}

/// The factors that decide the size: those named after one, and those by which two groups differ that
/// differ in nothing else and in their size.
fn factors_of_size<'a>(groups: &'a [Group], shapes: &[Shape]) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (a, shape) in groups.iter().zip(shapes) {
        found.extend(a.factors.keys().map(String::as_str).filter(|name| Parallel::is_path(name)));
        for (b, other) in groups.iter().zip(shapes) {
            let mut differ =
                a.factors.iter().filter(|(name, value)| b.factors.get(*name) != Some(value));
            if let (Some((name, _)), None) = (differ.next(), differ.next())
                && shape != other
            {
                found.insert(name.as_str());
            }
        }
    }
    found
}

/// The groups that no other has the shape of, and those that share theirs.
fn without_twins(places: Vec<usize>, shapes: &[Shape]) -> (Vec<usize>, Vec<usize>) {
    let count = |shape: Shape| places.iter().filter(|&&place| shapes[place] == shape).count();
    places.iter().partition(|&&place| count(shapes[place]) == 1)
}

fn all_differ(mut sizes: impl Iterator<Item = u64>) -> bool {
    let mut seen = BTreeSet::new();
    sizes.all(|size| seen.insert(size))
}

/// Where a size is reached in two ways, those groups together that grow in one way alone: two or more.
fn by_way(places: &[usize], shapes: &[Shape]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    for way in Parallel::ALL {
        let mut alike: BTreeMap<Shape, Vec<usize>> = BTreeMap::new();
        for &place in places {
            alike.entry(shapes[place].without(way)).or_default().push(place);
        }
        found.extend(alike.into_values().filter(|members| members.len() > 1));
    }
    found
}

#[cfg(test)]
mod tests;
