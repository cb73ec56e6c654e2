//! What a group offers: a ladder, a pilot's ladder, or a search.

use std::collections::BTreeMap;

use plimsoll_analysis::Slo;
use plimsoll_load::ArrivalProcess;
use plimsoll_records::LeftOut;

use super::{SearchPlan, factor_text};
use crate::matrix::{LoadArrivals, Matrix, MatrixError, MatrixSource, Rates};
use crate::offered::PointLoad;
use crate::pilot;

/// The loads of one repetition of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Loads {
    /// These.
    Ladder(Vec<PointLoad>),
    /// The ladder that a pilot lays.
    Pilot,
    /// The probes of searches.
    Search(SearchPlan),
}

impl Loads {
    /// Those that are known before the run.
    pub(crate) fn known(&self) -> &[PointLoad] {
        match self {
            Self::Ladder(loads) => loads,
            Self::Pilot | Self::Search(_) => &[],
        }
    }

    /// Points of one repetition; the usual number where they are not known yet.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ladder(loads) => loads.len(),
            Self::Pilot => pilot::RUNGS.len(),
            Self::Search(plan) => plan.usual_probes(),
        }
    }
}

/// The loads that the matrix of a group asks for.
pub(super) fn loads(
    source: &MatrixSource,
    matrix: &Matrix,
    slo: &Slo,
    settings: &[(String, toml::Value)],
    factors: &BTreeMap<String, String>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Loads, MatrixError> {
    let load = &matrix.load;
    check_requests(source, matrix)?;
    match (&load.rates, &load.concurrency, &load.search) {
        (None, None, None) => Err(source.error_at(
            "load",
            "a load needs rates = [...], rates = \"auto\", concurrency = [...] or search = {...}",
        )),
        (Some(Rates::Auto), None, None) => Ok(Loads::Pilot),
        (Some(Rates::Ladder(rates)), None, None) => {
            if rates.is_empty() {
                return Err(source.error_at("load.rates", "the ladder is empty; list one rate or more"));
            }
            let mut rungs = rates.clone();
            rungs.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
            let rungs = rungs.into_iter().map(PointLoad::Open).collect();
            Ok(Loads::Ladder(without_doubles(rungs, factors, left_out)))
        }
        (None, Some(levels), None) => {
            if levels.is_empty() || levels.contains(&0) {
                return Err(source.error_at("load.concurrency", "list one level or more, each 1 or more"));
            }
            let mut levels = levels.clone();
            levels.sort_unstable();
            let levels = levels.into_iter().map(PointLoad::Closed).collect();
            Ok(Loads::Ladder(without_doubles(levels, factors, left_out)))
        }
        (None, None, Some(table)) => {
            check_search(source, matrix, settings)?;
            SearchPlan::new(source, table, slo).map(Loads::Search)
        }
        (Some(_), Some(_), _) => Err(source.error_at(
            "load.concurrency",
            "rates and concurrency exclude each other: an open loop has rates, a closed one concurrency",
        )),
        (rates, ..) => {
            let other = if rates.is_some() { "rates" } else { "concurrency" };
            Err(source.error_at(
                "load.search",
                format!(
                    "search and {other} exclude each other: a search decides by itself what is \
                     offered next; remove one of them"
                ),
            ))
        }
    }
}

/// Fewest requests of which a window can be cut.
const FEWEST_REQUESTS: u32 = 10;

/// What goes with a fixed number of requests.
fn check_requests(source: &MatrixSource, matrix: &Matrix) -> Result<(), MatrixError> {
    let Some(requests) = matrix.load.requests else { return Ok(()) };
    let wrong = |what: &str| {
        Err(source
            .error_at("load.requests", format!("{requests} requests {what}; remove one of them")))
    };
    if requests < FEWEST_REQUESTS {
        return Err(source.error_at(
            "load.requests",
            format!("{requests} requests are too few to measure anything; at least {FEWEST_REQUESTS} are needed"),
        ));
    }
    if !matches!(matrix.load.rates, Some(Rates::Ladder(_))) {
        return wrong("need a ladder of rates (load.rates = [...]) to come at");
    }
    if matrix.load.arrivals == LoadArrivals::Trace {
        return wrong("are not all of a trace, which ends by itself (workload.trace.length)");
    }
    if matrix.workload.sessions.is_some() {
        return wrong("and conversations (workload.sessions) both say how much is sent");
    }
    if source.sets("load.window.measure") {
        return wrong("and load.window.measure both say how long a point takes");
    }
    Ok(())
}

/// What goes with a ladder and not with a search.
fn check_search(
    source: &MatrixSource,
    matrix: &Matrix,
    settings: &[(String, toml::Value)],
) -> Result<(), MatrixError> {
    let measure = "load.window.measure";
    if source.sets(measure) || settings.iter().any(|(path, _)| path == measure) {
        return Err(source.error_at(
            measure,
            format!(
                "{} is not for a search to obey: it decides how long each probe measures; bound its \
                 cost by load.search.time and load.search.requests, and remove this",
                matrix.load.window.measure
            ),
        ));
    }
    if !matches!(
        matrix.load.arrivals,
        LoadArrivals::Process(
            ArrivalProcess::Constant | ArrivalProcess::Poisson | ArrivalProcess::Gamma { .. }
        )
    ) {
        return Err(source.error_at(
            "load.arrivals",
            format!(
                "`{}` has no one rate that a server could sustain, or not the same arrivals at every \
                 rate; a search needs constant, poisson or gamma(cv=...)",
                matrix.load.arrivals
            ),
        ));
    }
    if let Some(cap) = matrix.load.max_in_flight {
        return Err(source.error_at(
            "load.max-in-flight",
            format!(
                "a search overloads the server on purpose, and a cap of {cap} would void every such \
                 probe; remove it"
            ),
        ));
    }
    Ok(())
}

/// The loads without those that stand there twice, which are listed as left out.
fn without_doubles(
    mut loads: Vec<PointLoad>,
    factors: &BTreeMap<String, String>,
    left_out: &mut Vec<LeftOut>,
) -> Vec<PointLoad> {
    loads.dedup_by(|a, b| {
        let same = a == b;
        if same {
            left_out.push(LeftOut {
                point: format!("{} {a}", factor_text(factors)).trim().to_owned(),
                reason: "it stands in the list twice; repetitions are asked for by experiment.repetitions"
                    .to_owned(),
            });
        }
        same
    });
    loads
}
