//! Objectives from text: `ttft-p99 = "500ms"`.

use std::collections::BTreeMap;

use plimsoll_analysis::{Slo, SloMetric, SloTerm};
use plimsoll_units::Span;
use thiserror::Error;

/// A line of `[slo]` that is no objective.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("slo.{key}: {message}")]
pub(crate) struct WrongObjective {
    /// Its key.
    pub(crate) key: String,
    /// What is wrong, and what is allowed.
    pub(crate) message: &'static str,
}

/// The objectives that the lines of `[slo]` ask for.
pub(crate) fn read_slo(lines: &BTreeMap<String, Span>) -> Result<Slo, WrongObjective> {
    let terms = lines.iter().map(|(key, limit)| {
        term(key, *limit).map_err(|message| WrongObjective { key: key.clone(), message })
    });
    Ok(Slo { terms: terms.collect::<Result<_, _>>()? })
}

fn term(key: &str, limit: Span) -> Result<SloTerm, &'static str> {
    let allowed =
        "write METRIC-pQUANTILE = \"LIMIT\" with ttft, tpot or e2e, like ttft-p99 = \"500ms\"";
    let (metric, quantile) = key.split_once("-p").ok_or(allowed)?;
    let metric = match metric {
        "ttft" => SloMetric::Ttft,
        "tpot" => SloMetric::Tpot,
        "e2e" => SloMetric::E2e,
        _ => return Err(allowed),
    };
    let percent: f64 = quantile.parse().map_err(|_| allowed)?;
    if !(percent > 0.0 && percent < 100.0) {
        return Err("the quantile must be above 0 and below 100");
    }
    if limit.is_zero() {
        return Err("a limit of 0s can't be met");
    }
    Ok(SloTerm { metric, quantile: percent / 100.0, limit: limit.get() })
}
