//! From the matrix to a validated plan: groups of points, with seeds, nothing left to doubt later.
//!
//! Parse, don't validate: whatever can be wrong with a matrix is found here, before a server is
//! started or a request is sent.

mod factors;
mod loads;
mod search;
mod server;
mod sessions;
mod slo;
mod trace;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_analysis::Slo;
use plimsoll_records::LeftOut;
use plimsoll_units::{Clock as _, RunClock, Span};
use plimsoll_workload::Workload;

use crate::matrix::{Kind, Matrix, MatrixError, MatrixSource, SelfTesting};
use crate::offered::PointLoad;
use crate::tokenizer::Tokenizer;
use factors::{Combination, combinations};
pub(crate) use loads::Loads;
pub(crate) use search::{SearchPlan, rounded};
pub(crate) use slo::read_slo;
pub(crate) use turns::{Turn, turns};

/// Shortest measure window that anything can be said of.
const SHORTEST_MEASURE: Duration = Duration::from_millis(200);
/// Shortest and longest time for which a self-test may send requests.
const SELF_TEST: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(60)];
/// Most points that one run may have.
const MOST_POINTS: usize = 10_000;

/// A validated plan.
#[derive(Debug)]
pub struct Plan {
    pub(crate) source: MatrixSource,
    pub(crate) matrix: Matrix,
    pub(crate) seed: u64,
    pub(crate) groups: Vec<GroupPlan>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// Points that share their factors, and with them server, workload and client.
#[derive(Debug)]
pub(crate) struct GroupPlan {
    pub(crate) factors: BTreeMap<String, String>,
    pub(crate) matrix: Matrix,
    pub(crate) workload: Workload,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) slo: Slo,
    pub(crate) loads: Loads,
}

impl Plan {
    /// The plan of a matrix.
    ///
    /// # Errors
    /// When the matrix is wrong in any way: with file, line, the value and what is allowed.
    pub fn new(source: MatrixSource) -> Result<Self, MatrixError> {
        Self::with_seed(source, None)
    }

    /// The plan of a matrix whose seed, where it has none of its own, is `drawn`.
    pub(crate) fn with_seed(source: MatrixSource, drawn: Option<u64>) -> Result<Self, MatrixError> {
        let matrix = source.parse()?;
        if matrix.experiment.repetitions == 0 {
            return Err(source.error_at(
                "experiment.repetitions",
                "0 repetitions measure nothing; write 1 or more",
            ));
        }
        check_name(&source, &matrix)?;
        if let Some(code) = matrix.experiment.policy().contradiction() {
            return Err(source.error_at(
                "experiment.deny",
                format!("`{code}` is allowed and denied; leave one of the two"),
            ));
        }
        if let SelfTesting::For(span) = matrix.experiment.self_test
            && !(SELF_TEST[0]..=SELF_TEST[1]).contains(&span.get())
        {
            let [shortest, longest] = SELF_TEST.map(Span::new);
            return Err(source.error_at(
                "experiment.self-test",
                format!("{span} is no length for a self-test; allowed are {shortest} to {longest}, or false"),
            ));
        }
        // Any number will do as a seed as long as it is written down; the wall clock differs from run to run.
        let seed = matrix.experiment.seed.or(drawn).unwrap_or_else(|| {
            let clock = RunClock::start();
            let nanos = clock.wall(clock.now()).as_nanos() as u64;
            // A seed is shown and typed by people, and TOML integers are signed.
            mix(nanos) >> 32
        });
        let mut left_out = Vec::new();
        let mut groups = Vec::new();
        for combination in combinations(&source, &matrix)? {
            groups.push(group(&source, combination, seed, &mut left_out)?);
        }
        let groups = by_server(groups);
        check_comparison(&source, &matrix, groups.len())?;
        let plan = Self { source, matrix, seed, groups, left_out };
        let points: usize = plan.groups.iter().map(GroupPlan::len).sum::<usize>()
            * plan.matrix.experiment.repetitions as usize;
        if points > MOST_POINTS {
            return Err(plan.source.error_at(
                "factors",
                format!("the matrix has {points} points; at most {MOST_POINTS} are allowed"),
            ));
        }
        Ok(plan)
    }

    /// The seed that everything random in the run is derived from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The matrix with overrides, defaults and seed in place.
    pub(crate) fn resolved(&self) -> serde_json::Value {
        let mut resolved = self.matrix.clone();
        resolved.experiment.seed = Some(self.seed);
        serde_json::to_value(&resolved).unwrap_or_default()
    }

    /// The name of the run's folder, without its time.
    #[must_use]
    pub fn name(&self) -> &str {
        self.matrix.experiment.name.as_deref().unwrap_or(self.matrix.experiment.kind.as_str())
    }
}

impl GroupPlan {
    /// Points of one repetition; the usual number where they are not known yet.
    pub(crate) fn len(&self) -> usize {
        self.loads.len()
    }
}

/// The groups with those of one server side by side, so that it is started once: each where the
/// first of them stood.
fn by_server(groups: Vec<GroupPlan>) -> Vec<GroupPlan> {
    let mut servers: Vec<Vec<GroupPlan>> = Vec::new();
    for group in groups {
        match servers.iter_mut().find(|known| known[0].matrix.server == group.matrix.server) {
            Some(known) => known.push(group),
            None => servers.push(vec![group]),
        }
    }
    servers.into_iter().flatten().collect()
}

/// The seed of one random source, derived from the run's seed.
pub(crate) const fn derive_seed(seed: u64, source: u64) -> u64 {
    mix(seed ^ mix(source))
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): neighbouring inputs give unrelated outputs.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn group(
    source: &MatrixSource,
    combination: Combination,
    seed: u64,
    left_out: &mut Vec<LeftOut>,
) -> Result<GroupPlan, MatrixError> {
    let Combination { factors, settings } = combination;
    let matrix = source.with(&settings)?;
    server::check(source, &matrix)?;
    check_window(source, &matrix)?;
    check_client(source, &matrix)?;
    let workload = Workload::new(&matrix.workload, source.folder(), derive_seed(seed, 0))
        .map_err(|error| source.error_at("workload", error))?;
    let tokenizer = Tokenizer::of(source, &matrix)?;
    sessions::check(source, &matrix, &workload)?;
    let slo = slo(source, &matrix)?;
    let loads = match trace::own_rate(source, &matrix, &workload)? {
        Some(rate) => Loads::Ladder(vec![PointLoad::Open(rate)]),
        None => loads::loads(source, &matrix, &slo, &settings, &factors, left_out)?,
    };
    trace::check_length(source, &matrix, &workload, loads.known())?;
    Ok(GroupPlan { factors, matrix, workload, tokenizer, slo, loads })
}

/// A folder's name is made of it.
fn check_name(source: &MatrixSource, matrix: &Matrix) -> Result<(), MatrixError> {
    let Some(name) = &matrix.experiment.name else { return Ok(()) };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(source.error_at(
            "experiment.name",
            format!(
                "`{name}` is no name for a folder; use up to 100 letters, digits, `-`, `_` and `.`"
            ),
        ));
    }
    Ok(())
}

/// A comparison has something to compare, and nothing else has a margin.
fn check_comparison(
    source: &MatrixSource,
    matrix: &Matrix,
    groups: usize,
) -> Result<(), MatrixError> {
    let compares = matrix.experiment.kind == Kind::Compare;
    if compares && groups < 2 {
        return Err(source.error_at(
            "factors",
            "one setting has nothing to be compared with; list two or more values of a key, like \
             \"server.settings.max-num-seqs\" = [16, 32], or give a second --url",
        ));
    }
    if !compares && matrix.experiment.margin.is_some() {
        return Err(source.error_at(
            "experiment.margin",
            format!(
                "it means nothing in `{}`; it goes with kind = \"compare\"",
                matrix.experiment.kind.as_str()
            ),
        ));
    }
    Ok(())
}

fn check_window(source: &MatrixSource, matrix: &Matrix) -> Result<(), MatrixError> {
    let window = &matrix.load.window;
    if *window.measure < SHORTEST_MEASURE {
        return Err(source.error_at(
            "load.window.measure",
            format!(
                "{} is too short to measure anything; at least {} is needed",
                window.measure,
                Span::new(SHORTEST_MEASURE)
            ),
        ));
    }
    if window.drain_limit.is_zero() {
        return Err(source.error_at(
            "load.window.drain-limit",
            "0s would abort every request in flight; give the slowest request time to end",
        ));
    }
    if let Some(requests) = window.requests {
        let place = "load.window.requests";
        if requests == 0 {
            return Err(source.error_at(place, "0 requests measure nothing; write 1 or more"));
        }
        if matrix.load.concurrency.is_none() {
            return Err(source.error_at(
                place,
                "a window of so many requests is for a closed loop (load.concurrency): an open one goes on \
                 whatever ends; remove it, or the rates",
            ));
        }
    }
    if matrix.load.max_in_flight == Some(0) {
        return Err(
            source.error_at("load.max-in-flight", "0 sends nothing; write 1 or more, or remove it")
        );
    }
    Ok(())
}

fn check_client(source: &MatrixSource, matrix: &Matrix) -> Result<(), MatrixError> {
    let client = &matrix.client;
    if client.workers == Some(0) || client.workers > Some(1024) {
        return Err(source.error_at("client.workers", "allowed are 1 to 1024 threads"));
    }
    for (key, limit) in [
        ("connect-timeout", client.connect_timeout),
        ("first-token-timeout", client.first_token_timeout),
        ("request-timeout", client.request_timeout),
    ] {
        if limit.is_zero() {
            return Err(
                source.error_at(&format!("client.{key}"), "0s would time out every request")
            );
        }
    }
    if client.temperature.is_some_and(|t| !t.is_finite() || t < 0.0) {
        return Err(source.error_at("client.temperature", "it must be finite and not negative"));
    }
    Ok(())
}

/// The factors of a group on one line; empty when there are none.
pub(crate) fn factor_text(factors: &BTreeMap<String, String>) -> String {
    factors.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(" ")
}

/// The objectives of `[slo]`.
fn slo(source: &MatrixSource, matrix: &Matrix) -> Result<Slo, MatrixError> {
    read_slo(&matrix.slo)
        .map_err(|wrong| source.error_at(&format!("slo.{}", wrong.key), wrong.message))
}

#[cfg(test)]
mod tests;
