//! What the experiment concludes from its groups together, as a part of the report on its run.

mod cells;
mod curves;
mod lowload;
mod scaling;
mod scenarios;

use plimsoll_analysis::Conclusion;
use serde_json::Value;

use crate::comparison::OfRun;
use crate::document::Document;
use crate::error::ReportError;
use crate::input::ReportInput;

/// The conclusion, laid out; one document for each thing that is concluded, none where nothing is.
pub(crate) fn documents(input: &ReportInput<'_>) -> Vec<Document> {
    match &input.judgement.conclusion {
        Conclusion::None => Vec::new(),
        Conclusion::Scaling(found) => scaling::documents(input, found),
        Conclusion::Comparison(found) => OfRun::of(input, found).report(|it| vec![it.document()]),
        Conclusion::LowLoad(found) => vec![lowload::document(found, &input.judgement.groups)],
        Conclusion::Scenarios(found) => vec![scenarios::document(found)],
    }
}

/// The figures that those documents name, as SVG.
///
/// # Errors
/// When one cannot be drawn.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself is that of one lifetime, not of any"
)]
pub(crate) fn figures(input: &ReportInput<'_>) -> Result<Vec<(String, String)>, ReportError> {
    match &input.judgement.conclusion {
        Conclusion::None => Ok(Vec::new()),
        Conclusion::Scaling(found) => scaling::figures(input, found),
        Conclusion::Comparison(found) => OfRun::of(input, found).report(|it| it.figures()),
        Conclusion::LowLoad(found) => lowload::figures(found),
        Conclusion::Scenarios(found) => scenarios::figures(found),
    }
}

/// The same for scripts; `null` where nothing is concluded.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself is that of one lifetime, not of any"
)]
pub(crate) fn json(input: &ReportInput<'_>) -> Value {
    match &input.judgement.conclusion {
        Conclusion::None => Value::Null,
        Conclusion::Scaling(found) => scaling::json(input, found),
        Conclusion::Comparison(found) => OfRun::of(input, found).report(|it| it.json()),
        Conclusion::LowLoad(found) => lowload::json(found),
        Conclusion::Scenarios(found) => scenarios::json(found),
    }
}
