//! A workload: checked, its files read, every length a pure function of the index.

mod parts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::parts::{check_lengths, check_prefix, prefix, read_one, read_pair, replayed};
use crate::body::BodyTemplate;
use crate::calibrate::{Calibration, Calibrator, CalibratorOptions};
use crate::chance::Source;
use crate::config::{TraceOrder, WorkloadConfig};
use crate::cycle::Cycle;
use crate::encode::Encoder;
use crate::error::{EncodeError, PromptProblem, WorkloadError};
use crate::length::Lengths;
use crate::prompts::{self, FilePrompt};
use crate::remark::Remark;
use crate::replay::{ImpliedHits, Replay};
use crate::sessions::{self, Sessions, Turns};

/// What the requests of a run say. Cheap to clone: clones share the files' contents.
#[derive(Clone, Debug)]
pub struct Workload {
    plan: Arc<Plan>,
}

/// The validated workload.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) prompts: Prompts,
    /// How many tokens to ask for; absent only when every line of the prompt file says so itself.
    pub(crate) output: Option<Lengths>,
    /// The trace that the lengths come from, row by row.
    pub(crate) replay: Option<Replay>,
    /// The conversations that the requests are turns of.
    pub(crate) sessions: Option<Sessions>,
    remarks: Vec<Remark>,
    /// The longest sum of a prompt and its answer, where lengths are bounded.
    max_total_tokens: Option<u32>,
}

/// Where prompts come from.
#[derive(Debug)]
pub(crate) enum Prompts {
    /// Composed. `prefix` is the share that carries the shared prefix, and its length in tokens.
    Synthetic { input: Lengths, prefix: Option<(f64, u32)> },
    /// Read from a file.
    File { path: PathBuf, prompts: Vec<FilePrompt>, cycle: Cycle },
    /// What the conversations of a file say.
    Conversations,
}

impl Workload {
    /// The workload that `config` describes; relative paths are meant from `base_dir`.
    ///
    /// The same `config`, files and `seed` give the same requests, on any machine.
    ///
    /// # Errors
    /// When numbers make no sense, keys contradict each other, or a file cannot be read as what it
    /// should be. The message names the key or the file and line, the value, and what is allowed.
    pub fn new(config: &WorkloadConfig, base_dir: &Path, seed: u64) -> Result<Self, WorkloadError> {
        check_lengths(config)?;
        let prefix = prefix(config)?;
        let mut remarks = Vec::new();
        if let Some(table) = &config.sessions {
            let sessions = Some(Sessions::read(config, table, base_dir, seed)?);
            if prefix.is_some() {
                let problem = "and `sessions` exclude each other: turns share what was said before";
                return Err(WorkloadError::SessionsAnd { key: "shared-prefix", problem });
            }
            let input = sessions::lengths(config.input_tokens.as_ref(), seed, Source::InputLength)?;
            let output =
                sessions::lengths(config.output_tokens.as_ref(), seed, Source::OutputLength)?;
            let prompts = match input {
                Some(input) => Prompts::Synthetic { input, prefix },
                None => Prompts::Conversations,
            };
            // How long a conversation grows only the server knows.
            let (replay, max_total_tokens) = (None, None);
            let plan = Plan { seed, prompts, output, replay, sessions, remarks, max_total_tokens };
            return Ok(Self { plan: Arc::new(plan) });
        }
        if let Some(trace) = &config.trace {
            let (prompts, output, replay) =
                replayed(config, trace, prefix, base_dir, &mut remarks)?;
            let max_total_tokens = prompts.longest_with(&output);
            let output = Some(output);
            let replay = Some(replay);
            let sessions = None;
            let plan = Plan { seed, prompts, output, replay, sessions, remarks, max_total_tokens };
            return Ok(Self { plan: Arc::new(plan) });
        }
        let (prompts, output, max_total_tokens) = match (&config.input_tokens, &config.prompts) {
            (None, None) => return Err(WorkloadError::NoPrompts),
            (Some(_), Some(_)) => return Err(WorkloadError::BothPrompts),
            (Some(input), None) => {
                let output = config.output_tokens.as_ref().ok_or(WorkloadError::NoOutputTokens)?;
                let (input, output, max_total) =
                    read_pair(input, output, base_dir, seed, &mut remarks)?;
                check_prefix(prefix, &input)?;
                (Prompts::Synthetic { input, prefix }, Some(output), max_total)
            }
            (None, Some(path)) => {
                if prefix.is_some() {
                    return Err(WorkloadError::PrefixOfFile);
                }
                let path = base_dir.join(path);
                let (prompts, noticed) = prompts::read(&path)?;
                remarks.extend(noticed);
                let output = config
                    .output_tokens
                    .as_ref()
                    .map(|output| read_one(output, base_dir, seed, false, &mut remarks))
                    .transpose()?;
                if output.is_none()
                    && let Some(prompt) = prompts.iter().find(|line| line.output_tokens.is_none())
                {
                    let (line, problem) = (prompt.line, PromptProblem::NoOutputTokens);
                    return Err(WorkloadError::PromptLine { path, line, problem });
                }
                let cycle = Cycle::new(prompts.len(), TraceOrder::Shuffled, seed, Source::Lines);
                (Prompts::File { path, prompts, cycle }, output, None)
            }
        };
        let (replay, sessions) = (None, None);
        let plan = Plan { seed, prompts, output, replay, sessions, remarks, max_total_tokens };
        Ok(Self { plan: Arc::new(plan) })
    }

    /// What was changed or noticed while the files were read: for the manifest and the reader.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.plan.remarks
    }

    /// The mean prompt length that is asked for, in tokens; `None` for prompts from a file, whose
    /// lengths only the server knows.
    #[must_use]
    pub fn mean_input_tokens(&self) -> Option<f64> {
        match &self.plan.prompts {
            Prompts::Synthetic { input, .. } => Some(input.mean()),
            Prompts::File { .. } | Prompts::Conversations => None,
        }
    }

    /// The mean output length that is asked for, in tokens.
    ///
    /// Exact, but for a lognormal, where it is the mean of the rounded and clipped distribution to
    /// 0.01 %.
    #[must_use]
    pub fn mean_output_tokens(&self) -> f64 {
        let usual = self.plan.output.as_ref().map(Lengths::mean);
        match &self.plan.prompts {
            Prompts::Synthetic { .. } => usual.unwrap_or_default(),
            Prompts::File { prompts, .. } => {
                let of = |prompt: &FilePrompt| {
                    prompt.output_tokens.map(f64::from).or(usual).unwrap_or_default()
                };
                prompts.iter().map(of).sum::<f64>() / prompts.len() as f64
            }
            Prompts::Conversations => {
                let own = self.plan.spoken_lengths();
                let of = |own: &Option<u32>| own.map(f64::from).or(usual).unwrap_or_default();
                own.iter().map(of).sum::<f64>() / own.len().max(1) as f64
            }
        }
    }

    /// The longest output that can be asked for, in tokens; `None` where nothing bounds it.
    #[must_use]
    pub fn max_output_tokens(&self) -> Option<u32> {
        let usual = self.plan.output.as_ref().map(Lengths::longest);
        match &self.plan.prompts {
            Prompts::Synthetic { .. } => usual.flatten(),
            Prompts::File { prompts, .. } => {
                let own = prompts.iter().map(|prompt| prompt.output_tokens);
                own.map(|own| own.or(usual.flatten())).try_fold(0, |max, own| Some(max.max(own?)))
            }
            Prompts::Conversations => {
                let own = self.plan.spoken_lengths().into_iter();
                own.map(|own| own.or(usual.flatten())).try_fold(0, |max, own| Some(max.max(own?)))
            }
        }
    }

    /// The longest prompt and answer together, in tokens, to be held against the model's context;
    /// `None` where nothing bounds it (a lognormal without `max`) or only the server knows (prompts
    /// from a file). For pairs from one trace it is the longest pair.
    #[must_use]
    pub fn max_total_tokens(&self) -> Option<u32> {
        self.plan.max_total_tokens
    }

    /// The share of all prompt tokens that belongs to the shared prefix, or stood in a prompt before by
    /// the blocks of a trace: the prefix-cache hit rate that the workload intends, template and
    /// rounding to cache blocks aside. Prompts shorter than the prefix make it an upper bound. `None`
    /// for prompts from a file.
    #[must_use]
    pub fn shared_token_share(&self) -> Option<f64> {
        match &self.plan.prompts {
            // Turns repeat what was said before them, which depends on how far conversations come.
            Prompts::Synthetic { .. } if self.plan.sessions.is_some() => None,
            Prompts::Synthetic { prefix: None, .. } => {
                let all = self.replay().map_or(0, Replay::len) as u64;
                Some(self.implied_hits(0..all).unwrap_or_default().share())
            }
            Prompts::Synthetic { input, prefix: Some((share, tokens)) } => {
                Some((share * f64::from(*tokens) / input.mean()).min(1.0))
            }
            Prompts::File { .. } | Prompts::Conversations => None,
        }
    }

    /// What a prefix cache that forgets nothing finds of the prompts at `indexes`, as
    /// [`Replay::implied_hits`] says, where the prompts come from a trace that knows their prefixes.
    #[must_use]
    pub fn implied_hits(&self, indexes: impl IntoIterator<Item = u64>) -> Option<ImpliedHits> {
        self.replay()?.implied_hits(indexes)
    }

    /// The trace that the requests come from, for its instants; `None` if they come from none.
    #[must_use]
    pub fn replay(&self) -> Option<&Replay> {
        self.plan.replay.as_ref()
    }

    /// After how many requests a prompt comes again, from which on prefix caches help; `None` for
    /// synthetic prompts, which do not repeat.
    #[must_use]
    pub fn repeats_after(&self) -> Option<u64> {
        match &self.plan.prompts {
            Prompts::Synthetic { .. } => None,
            Prompts::File { prompts, .. } => Some(prompts.len() as u64),
            Prompts::Conversations => Some(self.plan.spoken_lengths().len() as u64),
        }
    }

    /// The mean number of turns of a conversation; 1 where requests are none.
    #[must_use]
    pub fn mean_turns(&self) -> f64 {
        self.plan.sessions.as_ref().map_or(1.0, Sessions::mean_count)
    }

    /// Whether requests are turns of conversations, of which the first is at the index of its arrival
    /// and each further one follows on the answer before it.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.plan.sessions.is_some()
    }

    /// The lengths asked for at `index`, in tokens: of the prompt, where it is planned, and of the
    /// answer.
    #[must_use]
    pub fn lengths(&self, index: u64) -> (Option<u32>, u32) {
        self.plan.lengths(index)
    }

    /// A calibrator for this workload's lengths; `None` for prompts from a file, which need none.
    #[must_use]
    pub fn calibrator(&self) -> Option<Calibrator> {
        let Prompts::Synthetic { input, .. } = &self.plan.prompts else { return None };
        let mut verify_tokens = vec![input.mean().round() as u32];
        verify_tokens.extend(input.longest());
        verify_tokens.dedup();
        let seed = self.plan.seed;
        Some(Calibrator::new(CalibratorOptions { verify_tokens, seed, ..Default::default() }))
    }

    /// An encoder of this workload's bodies. `calibration` may be `None` for prompts from a file.
    ///
    /// # Errors
    /// When the calibration is missing or unusable, the lengths asked for cannot be had from this
    /// server, or the template cannot be written.
    pub fn encoder(
        &self,
        calibration: Option<&Calibration>,
        template: &BodyTemplate,
    ) -> Result<Encoder, EncodeError> {
        Encoder::new(Arc::clone(&self.plan), calibration, template)
    }
}

impl Plan {
    pub(crate) fn lengths(&self, index: u64) -> (Option<u32>, u32) {
        let usual = || self.output.as_ref().map_or(1, |output| output.draw(index));
        match &self.prompts {
            Prompts::Synthetic { input, .. } => (Some(input.draw(index)), usual()),
            Prompts::File { prompts, cycle, .. } => {
                let own = prompts[cycle.position(index)].output_tokens;
                (None, own.unwrap_or_else(usual))
            }
            Prompts::Conversations => (None, usual()),
        }
    }

    /// How many tokens each conversation of a file says that it asks for.
    fn spoken_lengths(&self) -> Vec<Option<u32>> {
        match self.sessions.as_ref().map(|sessions| &sessions.turns) {
            Some(Turns::File { conversations, .. }) => {
                conversations.iter().map(|conversation| conversation.output_tokens).collect()
            }
            _ => Vec::new(),
        }
    }
}
