//! A configuration in words: settings in effect, step-time law, capacity, latency at low load.

use std::fmt::Write as _;

use plimsoll_units::Span;

use crate::{LengthMix, ModelProfile, Settings, SettingsError, capacity, overload_run};

/// Completions that the overload run of an explanation counts.
const OVERLOAD_REQUESTS: u32 = 4_000;

/// The two capacities may differ by this much before the text says which one to believe.
const AGREEMENT: f64 = 0.03;

/// The text that `plimsoll sim --explain` prints.
///
/// # Errors
/// As [`Settings::limits`], and [`SettingsError::Conflict`] when the longest prompt of the mix
/// leaves no room for an answer.
pub fn explain(
    profile: &ModelProfile,
    settings: &Settings,
    mix: &LengthMix,
    seed: u64,
) -> Result<String, SettingsError> {
    let limits = settings.limits(profile)?;
    if mix.input.max() >= limits.max_model_len {
        return Err(SettingsError::Conflict(format!(
            "prompts of up to {} tokens do not fit below max-model-len = {}; shorten them",
            mix.input.max(),
            limits.max_model_len
        )));
    }
    let form = capacity(profile, settings, mix)?;
    let run = overload_run(profile, settings, mix, seed, OVERLOAD_REQUESTS)?;
    let millis = |span: std::time::Duration| span.as_secs_f64() * 1e3;
    let input = mix.input.mean();
    let slow_down = settings.slow_down();
    let alone = profile.step_time(1, 0, 0).as_secs_f64();
    let first = profile.front_end.as_secs_f64()
        + (alone + profile.step_per_prefill_token.as_secs_f64() * input) * slow_down;

    let term = |span: Span, digits: usize, of: &str| match millis(*span) {
        0.0 => String::new(),
        per => format!(" + {per:.digits$} ms * {of}"),
    };

    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<28}{value}");
    };
    line("model", profile.name.clone());
    line("data-parallel-size", settings.data_parallel_size.to_string());
    line("max-num-seqs", limits.max_num_seqs.to_string());
    line("max-num-batched-tokens", limits.max_num_batched_tokens.to_string());
    line("max-model-len", limits.max_model_len.to_string());
    line(
        "KV cache",
        format!(
            "{} blocks of {} = {} tokens a replica",
            limits.num_gpu_blocks,
            limits.block_size,
            u64::from(limits.num_gpu_blocks) * u64::from(limits.block_size)
        ),
    );
    line("chunked prefill", limits.chunked_prefill.to_string());
    line("prefix caching", limits.prefix_caching.to_string());
    line("input tokens", format!("{} (mean {input:.1})", mix.input));
    line("output tokens", format!("{} (mean {:.1})", mix.output, mix.output.mean()));
    line(
        "step time",
        format!(
            "{:.3} ms + {:.4} ms * running{} + {:.4} ms * prefill tokens{}",
            millis(*profile.step_base),
            millis(*profile.step_per_sequence),
            term(profile.step_per_sequence_squared, 6, "running^2"),
            millis(*profile.step_per_prefill_token),
            term(profile.mixed_step_per_decode, 4, "decoding where others prefill"),
        ),
    );
    if slow_down != 1.0 {
        line(
            "times",
            format!(
                "{slow_down:.4}: scaling-contention {}, scaling-coherency {}",
                settings.scaling_contention, settings.scaling_coherency
            ),
        );
    }
    for (name, figures) in [("capacity, closed form", form), ("capacity, overload run", run)] {
        line(
            name,
            format!(
                "{:.3} requests/s, {:.1} output tokens/s ({:.1} running, step {:.2} ms)",
                figures.requests_per_s.per_second(),
                figures.output_tokens_per_s.per_second(),
                figures.sequences_per_step,
                millis(*figures.step)
            ),
        );
    }
    line("bound by", form.binding.to_string());
    let (formula, engine) = (form.requests_per_s.per_second(), run.requests_per_s.per_second());
    if (formula / engine - 1.0).abs() > AGREEMENT {
        line(
            "which to believe",
            format!("the overload run, bound by {}: it is the engine itself", run.binding),
        );
    }
    if law_is_a_queue(profile) {
        let servers = limits.max_num_seqs * settings.data_parallel_size;
        let service = profile.step_base.as_secs_f64() * slow_down * mix.output.mean();
        line(
            "as a queue",
            format!(
                "{servers} servers, first come first served, {:.1} ms a request on average: \
                 {:.3} requests/s",
                service * 1e3,
                f64::from(servers) / service
            ),
        );
    }
    line("TTFT at low load", format!("{:.2} ms for the mean prompt", first * 1e3));
    line("TPOT at low load", format!("{:.2} ms", alone * slow_down * 1e3));
    line("seed of the overload run", seed.to_string());
    Ok(text)
}

/// Whether a request takes the same time whatever else is served beside it.
fn law_is_a_queue(profile: &ModelProfile) -> bool {
    profile.step_per_sequence.is_zero()
        && profile.step_per_sequence_squared.is_zero()
        && profile.step_per_prefill_token.is_zero()
        && profile.mixed_step_per_decode.is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lengths;

    #[test]
    fn an_explanation_names_law_capacity_and_limit() {
        let mix = LengthMix { input: Lengths::Constant(100), output: Lengths::Constant(20) };
        let settings = Settings { max_num_seqs: 8, ..Settings::default() };
        let text = explain(&ModelProfile::tiny(), &settings, &mix, 1).unwrap();
        for part in ["2.000 ms + 0.0200 ms * running", "closed form", "overload run", "slots"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("as a queue") && !text.contains("scaling-"), "{text}");
        // 1 + 0.1 * 3 + 0.01 * 12 = 1.42 times 2.02 ms.
        let four = Settings {
            data_parallel_size: 4,
            scaling_contention: 0.1,
            scaling_coherency: 0.01,
            ..settings.clone()
        };
        let text = explain(&ModelProfile::tiny(), &four, &mix, 1).unwrap();
        for part in ["1.4200: scaling-contention 0.1, scaling-coherency 0.01", "2.87 ms"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let ten = Settings { max_num_seqs: 10, ..Settings::default() };
        let mix = LengthMix { input: Lengths::Constant(16), ..mix };
        let text = explain(&ModelProfile::queue(), &ten, &mix, 1).unwrap();
        let queue = "10 servers, first come first served, 200.0 ms a request on average: 50.000";
        assert!(text.contains(queue), "{text}");
        let long = LengthMix { input: Lengths::Constant(4096), ..mix };
        let error = explain(&ModelProfile::tiny(), &settings, &long, 1).unwrap_err();
        assert!(error.to_string().contains("4096"), "{error}");
    }
}
