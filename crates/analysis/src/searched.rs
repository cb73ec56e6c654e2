//! The searches of a group: put together again from the points that were their probes, and what they
//! come to.

use plimsoll_records::SearchGoal;

use crate::{
    AuditedPoint, AuditedSearch, Estimate, Found, Goal, Saturation, SearchConfig, Step, Stopped,
};

/// One search with what it found.
#[derive(Clone, Debug)]
pub struct Searched {
    /// Which repetition, from 0.
    pub repetition: u32,
    /// What was asked for.
    pub config: SearchConfig,
    /// What was found.
    pub found: Found,
    /// Probes that the audit voided: they are in none of the found ones.
    pub void: u32,
}

/// The searches that the points of one group were probes of, by repetition, that for the capacity
/// before that for the SLO. Points that are no probes are passed over, and so are those whose record
/// describes no legal search.
///
/// Each is asked again what to do after its probes: nothing, if it was over. One that would go on was
/// cut off ([`Stopped::Interrupted`]).
#[must_use]
pub(crate) fn searches(points: &[&AuditedPoint]) -> Vec<Searched> {
    let mut probes: Vec<_> =
        points.iter().filter_map(|point| Some((point.summary.probe.as_ref()?, *point))).collect();
    let key = |(probed, point): &(&crate::Probed, &AuditedPoint)| {
        let slo = matches!(probed.record.search.goal, SearchGoal::Slo { .. });
        (point.summary.repetition, slo)
    };
    probes.sort_by_key(|probe| (key(probe), probe.0.record.number));
    probes
        .chunk_by(|a, b| key(a) == key(b))
        .filter_map(|probes| {
            let config = SearchConfig::from(&probes[0].0.record.search);
            let mut search = AuditedSearch::new(config.clone()).ok()?;
            probes.iter().for_each(|(_, point)| search.tell(point));
            let found = match search.step() {
                Step::Done(found) => found,
                Step::Probe(_) => search.ended(Stopped::Interrupted),
            };
            let void = search.void();
            Some(Searched { repetition: probes[0].1.summary.repetition, config, found, void })
        })
        .collect()
}

/// What the searches of a group say of the server; `None` where there is none for the capacity.
///
/// Capacity: of several repetitions, which are independent, the mean weighted by 1 / half width^2,
/// its half width widened by Birge's ratio where they scatter more than their intervals say
/// (*Physical Review* 40, 1932, 207-227). Repetitions that found only a lower bound count where no
/// other found more; the largest of them is then the bound.
///
/// Plateau: the capacity, for that is where a search takes it from; where throughput falls under
/// overload, what was got through then. Knee: not known, for a search has few rates below the
/// capacity.
pub(crate) fn saturation(searches: &[Searched], voided: Vec<String>) -> Option<Saturation> {
    let of = |slo: bool| -> Vec<&Found> {
        searches
            .iter()
            .filter(|searched| (searched.config.goal != Goal::Capacity) == slo)
            .map(|searched| &searched.found)
            .collect()
    };
    let (all, slo) = (of(false), of(true));
    if all.is_empty() {
        return None;
    }
    let (capacity_per_s, lower_bound) = together(&all);
    let falls: Vec<Estimate> = all
        .iter()
        .filter_map(|found| found.peak_and_fall)
        .map(|fall| fall.overloaded_per_s)
        .collect();
    let plateau_per_s = if falls.is_empty() {
        // An interval from 0 has nothing but a rate that failed behind it.
        capacity_per_s.filter(|capacity| !lower_bound && capacity.low > 0.0)
    } else {
        pool(&falls)
    };
    Some(Saturation {
        capacity_per_s,
        lower_bound,
        plateau_per_s,
        slo_capacity_per_s: together(&slo).0.map(|capacity| capacity.value),
        knee_per_s: None,
        voided,
    })
}

/// The capacity that several searches found, and whether it is a lower bound.
fn together(all: &[&Found]) -> (Option<Estimate>, bool) {
    let bounded = |bound: bool| -> Vec<Estimate> {
        all.iter()
            .filter(|found| found.lower_bound == bound)
            .filter_map(|found| found.capacity_per_s)
            .collect()
    };
    if let Some(capacity) = pool(&bounded(false)) {
        return (Some(capacity), false);
    }
    let highest = bounded(true).into_iter().max_by(|a, b| a.value.total_cmp(&b.value));
    (highest, highest.is_some())
}

/// The weighted mean of independent estimates, see [`saturation`]; one alone stays as it is.
fn pool(estimates: &[Estimate]) -> Option<Estimate> {
    let [first, rest @ ..] = estimates else { return None };
    if rest.is_empty() {
        return Some(*first);
    }
    let half = |e: &Estimate| ((e.high - e.low) / 2.0).max(1e-6 * e.value.abs());
    let total: f64 = estimates.iter().map(|e| half(e).powi(-2)).sum();
    let mean = estimates.iter().map(|e| e.value * half(e).powi(-2)).sum::<f64>() / total;
    let scatter: f64 = estimates.iter().map(|e| ((e.value - mean) / half(e) * 1.96).powi(2)).sum();
    let birge = (scatter / rest.len() as f64).sqrt().max(1.0);
    Some(Estimate::around(mean, birge * total.powf(-0.5)).not_negative())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found(capacity: Option<Estimate>, lower_bound: bool) -> Searched {
        Searched {
            repetition: 0,
            config: SearchConfig::new(1.0, 100.0),
            found: Found {
                capacity_per_s: capacity,
                lower_bound,
                stopped: Stopped::Precision,
                peak_and_fall: None,
                probes: Vec::new(),
                requests: 100,
                time: Duration::from_secs(10),
            },
            void: 0,
        }
    }

    #[test]
    fn one_search_is_taken_as_it_is() {
        let capacity = Estimate { value: 10.0, low: 9.7, high: 10.2 };
        let alone = saturation(&[found(Some(capacity), false)], Vec::new()).unwrap();
        assert_eq!((alone.capacity_per_s, alone.plateau_per_s), (Some(capacity), Some(capacity)));
        assert!(!alone.lower_bound);
        assert_eq!(saturation(&[], Vec::new()), None);
    }

    #[test]
    fn repetitions_are_weighed_and_their_scatter_widens_them() {
        let about = |value, half| found(Some(Estimate::around(value, half)), false);
        let alike = saturation(&[about(10.0, 0.2), about(10.1, 0.2)], Vec::new()).unwrap();
        let alike = alike.capacity_per_s.unwrap();
        // sqrt(1 / (2 / 0.2^2)) = 0.1414; the two lie half of a half width apart.
        assert!((alike.value - 10.05).abs() < 1e-9 && (alike.high - 10.05 - 0.1414).abs() < 1e-4);
        let apart = saturation(&[about(10.0, 0.2), about(12.0, 0.2)], Vec::new()).unwrap();
        // Q = 2 (1 / 0.2 * 1.96)^2 = 192; 0.1414 sqrt(192) = 1.96.
        assert!((apart.capacity_per_s.unwrap().high - 11.0 - 1.96).abs() < 0.01);
    }

    #[test]
    fn a_bound_counts_where_nobody_found_more() {
        let bound = |value| found(Some(Estimate::exact(value)), true);
        let both = saturation(&[bound(8.0), bound(9.0)], Vec::new()).unwrap();
        assert_eq!((both.capacity_per_s, both.lower_bound), (Some(Estimate::exact(9.0)), true));
        assert_eq!(both.plateau_per_s, None);
        let measured = Estimate::around(10.0, 0.1);
        let one = saturation(&[bound(30.0), found(Some(measured), false)], Vec::new()).unwrap();
        assert_eq!((one.capacity_per_s, one.lower_bound), (Some(measured), false));
        let none = saturation(&[found(None, false)], Vec::new()).unwrap();
        assert_eq!((none.capacity_per_s, none.lower_bound), (None, false));
    }
}
