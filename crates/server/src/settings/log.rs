//! The settings that a log gives away, and what else it tells.

use std::io::{self, BufRead};

use serde_json::Value;

use super::engine_log::{EngineLog, slots_seen};
use super::log_line::{Line, Lines, read};
use super::{InEffect, SettingSource, python};

/// What the log of a vLLM server says, from whichever version and through whatever prefixes.
///
/// Where a log holds several starts of the server, the settings are those of the last one; the rest
/// covers the whole log.
///
/// ```
/// use plimsoll_server::LogFacts;
/// use serde_json::json;
///
/// let log = "\
///     (APIServer pid=7) INFO 11-21 20:50:35 [api_utils.py:286] non-default args: {'max_num_seqs': 8}\n\
///     (APIServer pid=7) INFO 11-21 20:51:58 [loggers.py:335] Engine 000: Avg prompt throughput: 1.0 \
///     tokens/s, Avg generation throughput: 9.0 tokens/s, Running: 8 reqs, Waiting: 5 reqs, \
///     GPU KV cache usage: 3.0%, Prefix cache hit rate: 84.5%\n";
/// let facts = LogFacts::read(log.as_bytes())?;
/// assert_eq!(facts.settings.get("max-num-seqs").unwrap().value, json!(8));
/// assert_eq!(facts.engine.waiting_max(), Some(5));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFacts {
    /// The settings of the last start.
    pub settings: InEffect,
    /// What the engines did.
    pub engine: EngineLog,
    /// How often the server was started, as far as the log shows.
    pub starts: u32,
}

impl LogFacts {
    /// Reads a log from beginning to end, holding no more than one line of it.
    ///
    /// Any bytes will do: lines that say nothing known are passed over, and only the first 64 KiB of a
    /// line are looked at. A compressed log is to be given through its decoder.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read(log: impl BufRead) -> io::Result<Self> {
        let mut reader = Reader::default();
        let mut lines = Lines::new(log);
        while let Some(line) = lines.next()? {
            reader.take(&read(line));
        }
        Ok(reader.finish())
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    facts: LogFacts,
    /// How many engines there are, by the word of one of them.
    data_parallel: Option<Value>,
    /// The first periodic line of this start.
    first_row: usize,
}

impl Reader {
    fn take(&mut self, line: &Line<'_>) {
        self.facts.engine.take(line);
        match *line {
            Line::Message { text, .. } => self.take_message(text),
            Line::Other { text } => self.take_llama_cpp(text),
            Line::Access { .. } => {}
        }
    }

    fn finish(mut self) -> LogFacts {
        // Each of several engines may speak of itself alone: vLLM 0.32 prints data_parallel_size=1 for
        // one of two. The word of one is taken where the arguments say nothing of others.
        if let Some(size) = self.data_parallel.take() {
            let settings = &self.facts.settings;
            let others = settings.iter().any(|(name, _)| name.starts_with("data-parallel-"));
            if settings.lists_non_defaults() && !others || size.as_u64() > Some(1) {
                self.resolved("data-parallel-size", size);
            }
        }
        if let Some(slots) = slots_seen(&self.facts.engine.rows[self.first_row..]) {
            let source = SettingSource::LogObserved;
            self.facts.settings.say("max-num-seqs", slots.into(), source, false);
        }
        self.facts
    }

    fn take_message(&mut self, text: &str) {
        if let Some(arguments) = text.strip_prefix("non-default args: ") {
            self.take_arguments(arguments);
        } else if let Some(engine) = text.strip_prefix("Initializing a V") {
            self.take_engine(engine);
        } else if let Some(version) = text.strip_prefix("vLLM API server version ") {
            self.begin();
            self.resolved("version", Value::from(version.trim()));
        } else if let Some(tokens) =
            text.strip_prefix("Chunked prefill is enabled with max_num_batched_tokens=")
        {
            self.resolved("enable-chunked-prefill", true.into());
            self.resolved_integer("max-num-batched-tokens", tokens);
        } else if let Some(tokens) = text.strip_prefix("Using max model len ") {
            self.resolved_integer("max-model-len", tokens);
        } else if let Some(blocks) =
            text.strip_prefix("# GPU blocks: ").or_else(|| text.strip_prefix("# cuda blocks: "))
        {
            self.resolved_integer("num-gpu-blocks", blocks);
        } else if let Some((_, blocks)) =
            text.split_once("cache_config_info with initialization after num_gpu_blocks is: ")
            && text.starts_with("Engine ")
        {
            self.resolved_integer("num-gpu-blocks", blocks);
        } else {
            self.take_cache(text);
        }
    }

    /// Forgets the start before, if there was one: what begins a start is printed once in each.
    fn begin(&mut self) {
        if self.facts.settings.lists_non_defaults() {
            self.facts.settings = InEffect::default();
            self.data_parallel = None;
            self.first_row = self.facts.engine.rows.len();
        }
    }

    /// The arguments that the server was started with: a line of every start, and of no other moment.
    fn take_arguments(&mut self, text: &str) {
        self.begin();
        self.facts.starts += 1;
        let Some(arguments) = python::dictionary(text) else {
            self.facts
                .settings
                .remark("the log's line of non-default args cannot be read".to_owned());
            return;
        };
        for (name, value) in arguments {
            self.facts.settings.say(&name, value, SettingSource::LogNonDefaultArgs, true);
        }
        self.facts.settings.listed_non_defaults();
    }

    /// `1 LLM engine (v0.9.2) with config: model='/llm', ...`.
    fn take_engine(&mut self, text: &str) {
        let Some((head, config)) = text.split_once(" with config: ") else { return };
        if let Some((_, version)) = head.split_once("(v")
            && let Some((version, _)) = version.split_once(')')
        {
            self.resolved("version", Value::from(version));
        }
        for (name, value) in python::assignments(config) {
            if name == "data_parallel_size" {
                self.data_parallel.get_or_insert(value);
            } else if is_plain(&value) {
                self.resolved(&name, value);
            } else if value.is_object() {
                self.facts.settings.show(&name, value, SettingSource::LogConfig);
            }
        }
    }

    /// `GPU KV cache size: 47,840 tokens` and `Maximum concurrency for 4,096 tokens per request:
    /// 512.00x`, on two lines or on one with a comma between.
    fn take_cache(&mut self, text: &str) {
        const CONCURRENCY: &str = "Maximum concurrency for ";
        let (size, concurrency) = match text.split_once(CONCURRENCY) {
            Some((size, concurrency)) if size.is_empty() || size.ends_with(", ") => {
                (size, Some(concurrency))
            }
            _ => (text, None),
        };
        let starts = ["GPU KV cache size: ", "CPU KV cache size: ", "KV cache size: "];
        let size = starts.iter().find_map(|start| size.strip_prefix(start));
        // A message about something else may still name the concurrency behind a comma.
        if size.is_none() && !text.starts_with(CONCURRENCY) {
            return;
        }
        if let Some(tokens) = size {
            self.resolved_integer("kv-cache-size-tokens", tokens);
        }
        if let Some((tokens, times)) =
            concurrency.and_then(|c| c.split_once(" tokens per request: "))
        {
            self.resolved_integer("max-model-len", tokens);
            let times = times.trim().trim_end_matches('x').parse::<f64>();
            if let Ok(times) = times {
                self.resolved("kv-cache-max-concurrency", times.into());
            }
        }
    }

    /// llama.cpp: `srv load_model: initializing, n_slots = 4, n_ctx_slot = 16384, ...`.
    fn take_llama_cpp(&mut self, text: &str) {
        let Some((_, figures)) = text.split_once("load_model: initializing, ") else { return };
        for figure in figures.split(", ") {
            match figure.split_once(" = ") {
                Some(("n_slots", slots)) => {
                    self.resolved_integer("parallel", slots);
                    self.resolved_integer("max-num-seqs", slots);
                }
                Some(("n_ctx_slot", tokens)) => self.resolved_integer("max-model-len", tokens),
                _ => {}
            }
        }
    }

    fn resolved(&mut self, name: &str, value: Value) {
        self.facts.settings.say(name, value, SettingSource::LogConfig, false);
    }

    /// The integer at the start of `text`, in which commas may part thousands.
    fn resolved_integer(&mut self, name: &str, text: &str) {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == ',')).unwrap_or(text.len());
        let digits: String = text[..end].chars().filter(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse::<u64>() {
            self.resolved(name, number.into());
        }
    }
}

/// Whether a value of the configuration is a setting of its own, not a whole configuration in turn:
/// those are no flags, or are known by name only.
pub(super) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => {
            items.len() <= 16 && !items.iter().any(|item| item.is_array() || item.is_object())
        }
        Value::String(text) => !text.starts_with('<') && !text.contains('('),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn facts(log: &str) -> LogFacts {
        LogFacts::read(log.as_bytes()).unwrap()
    }

    #[test]
    fn the_last_start_counts() {
        let start = |seqs: u32| {
            format!(
                "INFO 07-20 23:11:29 [api_server.py:1395] vLLM API server version 0.9.{seqs}\n\
                 INFO 07-20 23:11:29 [cli_args.py:325] non-default args: {{'max_num_seqs': {seqs}}}\n"
            )
        };
        let facts = facts(&format!("{}{}", start(8), start(16)));
        assert_eq!(facts.starts, 2);
        assert_eq!(facts.settings.get("max-num-seqs").unwrap().value, json!(16));
        assert_eq!(facts.settings.text("version").as_deref(), Some("0.9.16"));
        assert!(facts.settings.remarks().is_empty());
    }

    #[test]
    fn what_an_earlier_start_showed_says_nothing_of_the_last() {
        let start = "INFO 07-20 23:11:29 [cli_args.py:325] non-default args: {}\n";
        let row = "INFO 07-20 23:15:01 [loggers.py:118] Engine 000: Avg prompt throughput: 1.0 \
                   tokens/s, Avg generation throughput: 2.0 tokens/s, Running: 8 reqs, Waiting: 3 \
                   reqs, GPU KV cache usage: 5.0%, Prefix cache hit rate: 0.0%\n";
        let busy = facts(&format!("{start}{row}{row}"));
        assert_eq!(busy.settings.number("max-num-seqs"), Some(8.0));
        let restarted = facts(&format!("{start}{row}{row}{start}"));
        assert_eq!(restarted.settings.number("max-num-seqs"), None);
        assert_eq!(restarted.engine.slots_seen(), Some(8));
    }

    #[test]
    fn a_prompt_cannot_pass_for_a_setting() {
        let facts = facts(
            "INFO 07-20 23:14:43 [logger.py:43] Received request x: prompt: 'non-default args: \
             {\"max_num_seqs\": 1}', params: GPU KV cache size: 3 tokens\n",
        );
        assert!(facts.settings.is_empty());
        assert!(!facts.settings.lists_non_defaults());
    }

    #[test]
    fn figures_of_the_cache_on_one_line_or_two() {
        for log in [
            "INFO 07-20 23:13:30 [k.py:1] GPU KV cache size: 47,840 tokens\n\
             INFO 07-20 23:13:30 [k.py:2] Maximum concurrency for 32,768 tokens per request: 1.46x\n",
            "INFO 07-20 23:13:30 [k.py:1] CPU KV cache size: 47,840 tokens, Maximum concurrency for \
             32,768 tokens per request: 1.46x\n",
        ] {
            let settings = facts(log).settings;
            assert_eq!(settings.number("kv-cache-size-tokens"), Some(47_840.0));
            assert_eq!(settings.number("max-model-len"), Some(32_768.0));
            assert_eq!(settings.number("kv-cache-max-concurrency"), Some(1.46));
        }
        let old = facts("INFO 05-09 00:49:33 x.py:1] # GPU blocks: 27906, # CPU blocks: 2340\n");
        assert_eq!(old.settings.number("num-gpu-blocks"), Some(27_906.0));
    }

    #[test]
    fn a_line_that_was_cut_off_is_remarked_on() {
        let facts = facts("INFO 07-20 23:11:29 [c.py:1] non-default args: {'model': '/llm', 'ma\n");
        assert!(!facts.settings.lists_non_defaults());
        assert_eq!(facts.settings.remarks().len(), 1);
    }

    #[test]
    fn one_of_several_engines_speaks_of_itself_alone() {
        let engine = "INFO 11-21 22:00:44 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with \
                      config: model='m', data_parallel_size=1\n";
        let listed = |arguments: &str| {
            format!("INFO 11-21 22:00:08 [api.py:286] non-default args: {{{arguments}}}\n{engine}")
        };
        let size = |log: &str| facts(log).settings.number("data-parallel-size");
        assert_eq!(size(engine), None);
        assert_eq!(size(&listed("")), Some(1.0));
        assert_eq!(size(&listed("'data_parallel_size': 2")), Some(2.0));
        assert_eq!(size(&listed("'data_parallel_rank': 0")), None);
    }

    #[test]
    fn llama_cpp_names_its_slots() {
        let facts = facts(
            "0.03.191.220 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = 16384, \
             kv_unified = 'true'\n",
        );
        assert_eq!(facts.settings.number("parallel"), Some(4.0));
        assert_eq!(facts.settings.number("max-num-seqs"), Some(4.0));
        assert_eq!(facts.settings.number("max-model-len"), Some(16_384.0));
    }

    proptest! {
        /// No bytes make the reader fail or panic, and every line end is a line.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let facts = LogFacts::read(&bytes[..]).unwrap();
            let ends = bytes.iter().filter(|&&b| b == b'\n').count() as u64;
            let rest = u64::from(bytes.last().is_some_and(|&b| b != b'\n'));
            prop_assert_eq!(facts.engine.lines, ends + rest);
        }

        /// Nor does anything behind a known beginning.
        #[test]
        fn any_message(
            start in proptest::sample::select(vec![
                "non-default args: ", "Initializing a V1 LLM engine (v1) with config: ",
                "Initializing a V", "GPU KV cache size: ", "Maximum concurrency for ",
                "Engine 000: Avg prompt throughput: ", "Engine ", "# GPU blocks: ",
                "Chunked prefill is enabled with max_num_batched_tokens=", "Received request ",
                "Received request a: prompt: '<|im_start|>", "Received request a: params: SamplingParams(",
            ]),
            rest in ".*", brackets in "[\\[\\]{}()<>'\"\\\\,:=a .0-9]{0,100}",
        ) {
            for rest in [rest, brackets] {
                let log = format!("INFO 07-20 23:11:29 [a.py:1] {start}{rest}\n");
                LogFacts::read(log.as_bytes()).unwrap();
            }
        }
    }
}
