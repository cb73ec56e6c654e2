//! The parts of a workload: what each key means, with the files it names.

use std::path::Path;

use super::Prompts;
use crate::chance::Source;
use crate::config::{
    LengthConfig, ReplayConfig, ReplayFormat, TraceConfig, TraceOrder, WorkloadConfig, is_share,
};
use crate::cycle::Cycle;
use crate::error::WorkloadError;
use crate::length::Lengths;
use crate::remark::Remark;
use crate::replay::Replay;
use crate::trace;
/// Whether the numbers of all lengths make sense.
pub(super) fn check_lengths(config: &WorkloadConfig) -> Result<(), WorkloadError> {
    let lengths =
        [("input-tokens", &config.input_tokens), ("output-tokens", &config.output_tokens)];
    for (key, length) in lengths {
        if let Some(length) = length {
            length.check().map_err(|problem| WorkloadError::Length { key, problem })?;
        }
    }
    Ok(())
}

impl Prompts {
    /// The longest sum of a prompt and its answer, where both are rows of one trace.
    pub(super) fn longest_with(&self, output: &Lengths) -> Option<u32> {
        match (self, output) {
            (
                Self::Synthetic { input: Lengths::Rows { values: inputs, .. }, .. },
                Lengths::Rows { values: outputs, .. },
            ) => inputs.iter().zip(outputs).map(|(input, output)| input + output).max(),
            _ => None,
        }
    }
}

/// The prompts and answers of a whole trace.
pub(super) fn replayed(
    config: &WorkloadConfig,
    trace: &ReplayConfig,
    prefix: Option<(f64, u32)>,
    base_dir: &Path,
    remarks: &mut Vec<Remark>,
) -> Result<(Prompts, Lengths, Replay), WorkloadError> {
    let blocks = trace.format == ReplayFormat::Mooncake;
    for (key, given) in [
        ("input-tokens", config.input_tokens.is_some()),
        ("output-tokens", config.output_tokens.is_some()),
        ("prompts", config.prompts.is_some()),
        ("shared-prefix", prefix.is_some() && blocks),
    ] {
        if given {
            return Err(WorkloadError::ReplayAnd { key });
        }
    }
    let (replay, outputs) = Replay::read(trace, base_dir, remarks)?;
    // The order of the file: which row it is follows from the index alone.
    let cycle = Cycle::new(replay.len(), TraceOrder::File, 0, Source::Rows);
    let input = Lengths::Rows { values: replay.inputs().to_vec(), cycle };
    check_prefix(prefix, &input)?;
    Ok((Prompts::Synthetic { input, prefix }, Lengths::Rows { values: outputs, cycle }, replay))
}

/// The share of prompts that carry the shared prefix, and its length in tokens.
pub(super) fn prefix(config: &WorkloadConfig) -> Result<Option<(f64, u32)>, WorkloadError> {
    let share = config.shared_prefix;
    if !is_share(share) {
        return Err(WorkloadError::Share { share });
    }
    match config.shared_prefix_tokens {
        Some(tokens) if tokens == 0 || share == 0.0 => {
            Err(WorkloadError::PrefixTokens { tokens, share })
        }
        _ if share == 0.0 => Ok(None),
        tokens => Ok(Some((share, tokens.unwrap_or(WorkloadConfig::DEFAULT_SHARED_PREFIX_TOKENS)))),
    }
}

/// Whether the shared prefix leaves room in the longest prompt.
pub(super) fn check_prefix(
    prefix: Option<(f64, u32)>,
    input: &Lengths,
) -> Result<(), WorkloadError> {
    match (prefix, input.longest()) {
        (Some((_, prefix)), Some(longest)) if prefix >= longest => {
            Err(WorkloadError::PrefixTooLong { prefix, longest })
        }
        _ => Ok(()),
    }
}

/// Input and output lengths, and their longest sum: row by row when both come from one trace.
pub(super) fn read_pair(
    input: &LengthConfig,
    output: &LengthConfig,
    base_dir: &Path,
    seed: u64,
    remarks: &mut Vec<Remark>,
) -> Result<(Lengths, Lengths, Option<u32>), WorkloadError> {
    if let (LengthConfig::Trace(input), LengthConfig::Trace(output)) = (input, output) {
        let path = base_dir.join(&input.path);
        if path == base_dir.join(&output.path) {
            if input.order != output.order {
                return Err(WorkloadError::TraceOrders { path });
            }
            let columns = trace::read_columns(&path, &[&input.column, &output.column])?;
            let mut columns = columns.into_iter();
            let mut next = |config: &TraceConfig| {
                let mut values = columns.next().unwrap_or_default();
                remarks.extend(trace::clip(&mut values, config, &path));
                values
            };
            let (inputs, outputs) = (next(input), next(output));
            let max_total = inputs.iter().zip(&outputs).map(|(input, output)| input + output).max();
            // One cycle for both, so that each request's two lengths are one row's.
            let cycle = Cycle::new(inputs.len(), input.order, seed, Source::Rows);
            let rows = |values| Lengths::Rows { values, cycle };
            return Ok((rows(inputs), rows(outputs), max_total));
        }
    }
    let input = read_one(input, base_dir, seed, true, remarks)?;
    let output = read_one(output, base_dir, seed, false, remarks)?;
    let max_total = input.longest().zip(output.longest()).map(|(input, output)| input + output);
    Ok((input, output, max_total))
}

/// The lengths of one side alone.
pub(super) fn read_one(
    config: &LengthConfig,
    base_dir: &Path,
    seed: u64,
    is_input: bool,
    remarks: &mut Vec<Remark>,
) -> Result<Lengths, WorkloadError> {
    let (lengths, rows) = if is_input {
        (Source::InputLength, Source::Rows)
    } else {
        (Source::OutputLength, Source::OutputRows)
    };
    if let LengthConfig::Trace(config) = config {
        let path = base_dir.join(&config.path);
        let mut values = trace::read_columns(&path, &[&config.column])?.pop().unwrap_or_default();
        remarks.extend(trace::clip(&mut values, config, &path));
        let cycle = Cycle::new(values.len(), config.order, seed, rows);
        return Ok(Lengths::Rows { values, cycle });
    }
    Ok(Lengths::of(config, seed, lengths).expect("only a trace has no lengths without its file"))
}
