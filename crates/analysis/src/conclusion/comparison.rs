//! What `compare` concludes: every setting against the first one, figure by figure and load by load.
//!
//! A figure is one number a setting and repetition: its capacity, or at one load its throughput, its goodput
//! or a quantile of its latency. [`compare_pairs`] judges what differs,
//! [`factorial_effects`] says which factor of several it was. What cannot be compared is said, with why.

mod design;
mod measured;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use plimsoll_records::{Finding, FindingCode, Manifest};

use crate::{
    Compared, Comparing, Comparison, ComparisonVerdict, Estimate, FactorialEffects, FactorialRun,
    Group, audit_comparison, compare_pairs, factorial_effects,
};
use design::Design;
use measured::{Figures, Standing, behind, figures_of, loads, lower_bound, repetitions, standing};

pub use measured::{ComparedFigure, ComparedLoad, Wait};

/// The difference that does not matter, where the matrix does not say otherwise.
const MARGIN: f64 = 0.05;

/// Settings held against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsComparison {
    /// The difference that does not matter, as a share.
    pub margin: f64,
    /// What the others are held against, with all its factors: the first value of each as the matrix
    /// lists them.
    pub baseline: String,
    /// The others, by what differs from the baseline.
    pub candidates: Vec<String>,
    /// Every figure that could be compared: those of no load first, then load by load.
    pub figures: Vec<FigureComparison>,
    /// The figure that the answer is about: the capacity; else the throughput at the highest load at which no
    /// setting was held back by what it was offered; else the end-to-end time, or the TTFT, at the highest
    /// load that all kept up with. `None` where nothing of this is known of every setting.
    pub main: Option<(ComparedFigure, Option<ComparedLoad>)>,
    /// Of several factors in all combinations: what each does to the main figure, to TTFT and to TPOT.
    pub effects: Vec<FigureEffects>,
    /// What was not compared, and why; and what the comparison cannot know.
    pub remarks: Vec<String>,
}

impl SettingsComparison {
    /// The comparisons of the main figure, one a candidate that has it.
    pub fn answer(&self) -> impl Iterator<Item = &FigureComparison> {
        self.figures.iter().filter(|one| self.main == Some((one.figure, one.load)))
    }
}

/// One figure of one candidate against the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureComparison {
    /// The candidate's place in [`SettingsComparison::candidates`].
    pub candidate: usize,
    /// What was compared.
    pub figure: ComparedFigure,
    /// At which load; `None` for what is no load's.
    pub load: Option<ComparedLoad>,
    /// The baseline's figure, geometric mean over the repetitions, in the figure's unit.
    pub baseline_value: f64,
    /// The candidate's.
    pub candidate_value: f64,
    /// Whether the baseline's and the candidate's figure are lower bounds, for want of load. With either the
    /// verdict is one that the bound allows, else undecided.
    pub lower_bound: [bool; 2],
    /// How it was judged.
    pub comparing: Comparing,
    /// What came of it.
    pub comparison: Comparison,
}

/// What every factor does to one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureEffects {
    /// The figure.
    pub figure: ComparedFigure,
    /// At which load; `None` for what is no load's.
    pub load: Option<ComparedLoad>,
    /// Ranking, main effects, interactions.
    pub effects: FactorialEffects,
}

/// Compares the groups of a run, and says what the audit has against the answer.
pub(super) fn compared(
    manifest: &Manifest,
    groups: &[Group],
) -> (SettingsComparison, Vec<Finding>) {
    let experiment = manifest.matrix_resolved.get("experiment");
    let margin = experiment.and_then(|table| table.get("margin")?.as_f64()).unwrap_or(MARGIN);
    let design = Design::of(manifest, groups);
    let mut work = Work { design: &design, margin, figures: Vec::new(), remarks: Vec::new() };
    work.remarks.extend(design.remark.clone());
    if design.settings.len() < 2 {
        work.remarks.push("one setting alone has nothing to be compared with".to_owned());
    } else {
        work.without_load();
        loads(groups).into_iter().for_each(|load| work.at(load));
    }
    let main = work.main();
    let effects = work.effects(main);
    work.remark_on_turns(experiment);
    let Work { figures, remarks, .. } = work;
    let comparison = SettingsComparison {
        margin,
        baseline: design.baseline(),
        candidates: design.candidates(),
        figures,
        main,
        effects,
        remarks,
    };
    let findings = audit(&comparison);
    (comparison, findings)
}

/// What speaks against the answer: which of its capacities are bounds, and once for all candidates whether it
/// rests on one repetition, by the candidate whose difference is most in doubt.
fn audit(found: &SettingsComparison) -> Vec<Finding> {
    let mut answer: Vec<&FigureComparison> = found.answer().collect();
    let size = |one: &FigureComparison| one.comparison.ratio.ln().abs();
    answer.sort_by(|a, b| size(a).total_cmp(&size(b)));
    let mut findings: Vec<Finding> = Vec::new();
    for one in answer {
        let label = found.candidates[one.candidate].as_str();
        let [lower, its] = one.lower_bound;
        let baseline = Compared { label: &found.baseline, lower_bound: lower };
        let against =
            audit_comparison(&one.comparison, baseline, Compared { label, lower_bound: its });
        for finding in against {
            let said = findings.iter().any(|known| known.code == finding.code);
            if finding.code != FindingCode::SingleRun || !said {
                findings.push(finding);
            }
        }
    }
    findings
}

/// A comparison while it is made.
struct Work<'a> {
    design: &'a Design<'a>,
    margin: f64,
    figures: Vec<FigureComparison>,
    remarks: Vec<String>,
}

impl Work<'_> {
    /// The figures that are no load's.
    fn without_load(&mut self) {
        for figure in [ComparedFigure::Capacity, ComparedFigure::SloCapacity] {
            let bounds: Vec<bool> = self.groups().map(|group| lower_bound(group, figure)).collect();
            let values: Vec<_> =
                self.groups().map(|group| figures_of(group, figure, None)).collect();
            if values.iter().all(Figures::is_empty) {
                continue;
            }
            let word = figure.name();
            if bounds.iter().all(|bound| *bound) {
                self.remarks.push(format!(
                    "the {word} is not compared: no setting was offered more than it kept up with"
                ));
                continue;
            }
            let there: Vec<BTreeSet<u32>> =
                values.iter().map(|values| values.keys().copied().collect()).collect();
            self.remark_on_repetitions(&format!("of the {word}"), &there);
            self.compare(figure, None, &values, &bounds);
        }
    }

    /// The figures at one load.
    fn at(&mut self, load: ComparedLoad) {
        let all: Vec<Standing> = self.groups().map(|group| standing(group, load)).collect();
        let with = |wanted: Standing| -> Vec<String> {
            let names = self.design.names().into_iter().zip(&all);
            names.filter(|(_, it)| **it == wanted).map(|(name, _)| name).collect()
        };
        let (absent, slow) = (with(Standing::Absent), with(Standing::Behind));
        let mut chances = Vec::new();
        if absent.len() + 1 >= all.len() || all[0] == Standing::Absent {
            self.remarks.push(format!(
                "nothing is compared at {load}: no point there counts of {}",
                absent.join(" and ")
            ));
            return;
        }
        let there: Vec<_> = self.groups().map(|group| repetitions(group, load)).collect();
        self.remark_on_repetitions(&format!("at {load}"), &there);
        let keeps_up = |standing: &Standing| matches!(standing, Standing::KeepsUp);
        for ((name, group), _) in
            self.design.names().iter().zip(self.groups()).zip(&all).filter(|(_, it)| keeps_up(it))
        {
            let (behind, of) = behind(group, load);
            if behind > 0 {
                chances.push(format!(
                    "{behind} of {of} windows of {name} at {load} test as not kept up with; that is taken for chance, \
                     for the load is certainly below the capacity"
                ));
            }
        }
        self.remarks.extend(chances);
        // A server that keeps up delivers what it is offered, whatever it is made of.
        let limited: Vec<bool> = all.iter().map(|it| load.is_rate() && keeps_up(it)).collect();
        if limited.iter().any(|limited| *limited) {
            if limited.iter().all(|limited| *limited) {
                self.remarks.push(format!(
                    "throughput is not compared at {load}: every setting kept up, so it is the load's"
                ));
            }
        } else {
            self.compare_at(ComparedFigure::Throughput, load, |_| true);
        }
        if slow.len() == all.len() {
            self.remarks.push(format!(
                "no latency is compared at {load}: no setting kept up, so theirs are the run's length and not \
                 the server's"
            ));
        } else if !slow.is_empty() {
            self.remarks.push(format!(
                "no latency of {} is compared at {load}: it did not keep up, so its latency is the run's \
                 length and not the server's",
                slow.join(" and ")
            ));
        }
        if keeps_up(&all[0]) {
            for figure in ComparedFigure::OF_SERVED {
                self.compare_at(figure, load, |place| keeps_up(&all[place]));
            }
        }
    }

    fn compare_at(
        &mut self,
        figure: ComparedFigure,
        load: ComparedLoad,
        counts: impl Fn(usize) -> bool,
    ) {
        let values: Vec<_> = self
            .groups()
            .enumerate()
            .map(|(place, group)| match counts(place) {
                true => figures_of(group, figure, Some(load)),
                false => Figures::new(),
            })
            .collect();
        let no_bounds = vec![false; values.len()];
        self.compare(figure, Some(load), &values, &no_bounds);
    }

    /// Holds every candidate that has the figure against the baseline, in the repetitions that both have.
    fn compare(
        &mut self,
        figure: ComparedFigure,
        load: Option<ComparedLoad>,
        values: &[Figures],
        bounds: &[bool],
    ) {
        // Two lower bounds have no ratio.
        let places = (1..values.len()).filter(|place| !(bounds[0] && bounds[*place]));
        let (places, pairs): (Vec<usize>, Vec<_>) = places
            .map(|place| (place, pairs(&values[0], &values[place])))
            .filter(|(_, (baseline, _))| !baseline.is_empty())
            .unzip();
        let comparing =
            Comparing { better: figure.better(), margin: self.margin, ..Comparing::default() };
        let found = match compare_pairs(&pairs, comparing) {
            Ok(found) => found,
            Err(error) => {
                let at = load.map_or_else(String::new, |load| format!(" at {load}"));
                self.remarks.push(format!("{}{at} is not compared: {error}", figure.name()));
                return;
            }
        };
        for ((place, (baseline, candidate)), comparison) in places.iter().zip(&pairs).zip(found) {
            let lower_bound = [bounds[0], bounds[*place]];
            self.figures.push(FigureComparison {
                candidate: place - 1,
                figure,
                load,
                baseline_value: mean(baseline),
                candidate_value: mean(candidate),
                lower_bound,
                comparing,
                comparison: Comparison {
                    verdict: within_bounds(comparison.verdict, lower_bound),
                    ..comparison
                },
            });
        }
    }

    /// The figure that the answer is about.
    fn main(&self) -> Option<(ComparedFigure, Option<ComparedLoad>)> {
        let candidates = self.design.settings.len().saturating_sub(1);
        let of_all = |figure: ComparedFigure| {
            let loads = self.figures.iter().filter(move |one| one.figure == figure);
            let mut counted = loads.filter(move |one| {
                let same = |other: &&FigureComparison| {
                    (other.figure, other.load) == (one.figure, one.load)
                };
                self.figures.iter().filter(same).count() == candidates
            });
            // Loads rise, so the last is the highest.
            counted.next_back().map(|one| (figure, one.load))
        };
        let order = [
            ComparedFigure::Capacity,
            ComparedFigure::Throughput,
            ComparedFigure::Latency(Wait::E2e, 50),
            ComparedFigure::Latency(Wait::Ttft, 50),
        ];
        order.into_iter().find_map(of_all)
    }

    /// What each factor does, where there are several in all combinations.
    fn effects(
        &mut self,
        main: Option<(ComparedFigure, Option<ComparedLoad>)>,
    ) -> Vec<FigureEffects> {
        if self.design.factors.len() < 2 || main.is_none() {
            return Vec::new();
        }
        if !self.design.is_factorial() {
            self.remarks.push(
                "not every combination of the factors was measured, so what each does by itself is not known"
                    .to_owned(),
            );
            return Vec::new();
        }
        let everywhere = |load: &ComparedLoad| {
            self.groups().all(|group| standing(group, *load) == Standing::KeepsUp)
        };
        let highest = self.figures.iter().filter_map(|one| one.load).rfind(everywhere);
        let wanted = |wait, percents: &[u8]| {
            let load = highest?;
            let known = percents.iter().map(|p| ComparedFigure::Latency(wait, *p));
            let mut known = known.filter(|figure| self.runs(*figure, Some(load)).is_some());
            Some((known.next()?, Some(load)))
        };
        let asked = [main, wanted(Wait::Ttft, &[90, 50]), wanted(Wait::Tpot, &[50])];
        let mut found: Vec<FigureEffects> = Vec::new();
        for (figure, load) in asked.into_iter().flatten() {
            let there = found.iter().any(|one| (one.figure, one.load) == (figure, load));
            let bounded = self.groups().any(|group| lower_bound(group, figure));
            let runs = self.runs(figure, load).filter(|_| !there && !bounded);
            let effects = runs.and_then(|runs| factorial_effects(&self.design.factors, &runs).ok());
            // What more is told than the answer has to be claimable.
            let effects = effects.filter(|it| found.is_empty() || it.repetitions > 1);
            found.extend(effects.map(|effects| FigureEffects { figure, load, effects }));
        }
        found
    }

    /// The figure of every combination in the repetitions that all have.
    fn runs(
        &self,
        figure: ComparedFigure,
        load: Option<ComparedLoad>,
    ) -> Option<Vec<FactorialRun>> {
        let values: Vec<_> = self.groups().map(|group| figures_of(group, figure, load)).collect();
        let common = common(values.iter());
        let runs = self.design.settings.iter().zip(&values).flat_map(|(setting, values)| {
            common.iter().enumerate().map(|(repetition, number)| FactorialRun {
                levels: setting.levels.clone(),
                repetition,
                figure: values[number].value,
            })
        });
        (!common.is_empty()).then(|| runs.collect())
    }

    /// Says which repetitions are not in the comparison, and whose fault that is.
    fn remark_on_repetitions(&mut self, of: &str, there: &[BTreeSet<u32>]) {
        for repetition in there.iter().flatten().copied().collect::<BTreeSet<u32>>() {
            let lacks = |(name, its): (String, &BTreeSet<u32>)| {
                (!its.is_empty() && !its.contains(&repetition)).then_some(name)
            };
            let names: Vec<String> =
                self.design.names().into_iter().zip(there).filter_map(lacks).collect();
            if !names.is_empty() {
                self.remarks.push(format!(
                    "repetition {} {of} is left out where {} is in it: the audit voided a point, or it was not \
                     measured to the end",
                    repetition + 1,
                    names.join(" and ")
                ));
            }
        }
    }

    /// What the order of the run leaves in the differences.
    fn remark_on_turns(&mut self, experiment: Option<&serde_json::Value>) {
        let repeated =
            self.groups().any(|group| group.points.iter().any(|point| point.repetition > 0));
        if !repeated {
            return;
        }
        let order = experiment.and_then(|table| table.get("order")?.as_str());
        if order == Some("grouped") {
            self.remarks.push(
                "the settings were measured one after the other, not by turns: whatever drifted meanwhile is in \
                 the differences"
                    .to_owned(),
            );
        }
        let once = |group: &Group| {
            let starts = group.points.iter().map(|point| point.server_start.number);
            let starts: BTreeSet<u32> = starts.collect();
            starts.len() < 2
        };
        if self.groups().any(once) {
            self.remarks.push(
                "all repetitions of a setting met the same start of its server: what differs from one start to \
                 the next is in no interval"
                    .to_owned(),
            );
        }
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.design.settings.iter().map(|setting| setting.group)
    }
}

/// The figures of the repetitions that both have.
fn pairs(baseline: &Figures, candidate: &Figures) -> (Vec<Estimate>, Vec<Estimate>) {
    baseline.iter().filter_map(|(n, one)| Some((*one, *candidate.get(n)?))).unzip()
}

/// The geometric mean.
fn mean(figures: &[Estimate]) -> f64 {
    (figures.iter().map(|one| one.value.ln()).sum::<f64>() / figures.len() as f64).exp()
}

/// The repetitions that all of these have.
fn common<'a>(mut all: impl Iterator<Item = &'a Figures>) -> Vec<u32> {
    let first: Vec<u32> = all.next().into_iter().flat_map(|it| it.keys().copied()).collect();
    let rest: Vec<_> = all.collect();
    first.into_iter().filter(|n| rest.iter().all(|it| it.contains_key(n))).collect()
}

/// The verdict as far as a ratio of bounds allows one: with a baseline that is at least so good the
/// candidate can only be known to be worse, with such a candidate only to be better.
fn within_bounds(
    verdict: ComparisonVerdict,
    [baseline, candidate]: [bool; 2],
) -> ComparisonVerdict {
    let allowed = match verdict {
        ComparisonVerdict::Better => !baseline,
        ComparisonVerdict::Worse => !candidate,
        ComparisonVerdict::Equivalent | ComparisonVerdict::Undecided { .. } => {
            !baseline && !candidate
        }
    };
    if allowed {
        verdict
    } else {
        // More repetitions would not help: more load would.
        ComparisonVerdict::Undecided { repetitions_that_would_decide: None }
    }
}
