//! One replica's engine: a synchronous state machine in virtual time.
//!
//! Requests go in with [`Engine::submit`], [`Engine::step`] schedules and computes one step and
//! says when it ends and which tokens it gave. There is no clock, no chance and no thread inside:
//! the same calls give the same results.
//!
//! The rules are those of vLLM's V1 scheduler. A step serves the running requests first, in the
//! order in which they were admitted: one token each when they decode, the rest of their prompt
//! when they prefill, within the token budget. A request that needs a block when none is free
//! preempts the one admitted last, which loses its blocks, goes back to the head of the queue and
//! later recomputes prompt and answer so far. If nothing was preempted, waiting requests are
//! admitted first come first served while slots, budget and blocks last. The step that computes
//! the last token of a prompt also gives the first token of the answer.

use std::collections::VecDeque;

use plimsoll_units::{RunNanos, Tokens};
use thiserror::Error;

use crate::engine::blocks::BlockPool;
use crate::engine::sequence::Sequence;
use crate::{Limits, ModelProfile, Settings, SettingsError};

mod blocks;
mod sequence;
mod step;
#[cfg(test)]
mod tests;

pub use step::{Admission, Completion, Step, TokenOut};

/// The number of a request within one engine, counted from 0 in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What an engine is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Ids of the prompt's tokens, at least one and fewer than the model's length.
    pub prompt: Vec<u32>,
    /// Tokens to generate, at least 1; what does not fit into the model's length is cut off.
    pub output_tokens: Tokens,
    /// Decides the words of the answer, nothing else.
    pub seed: u64,
}

/// A request that no engine with these limits could serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The prompt has no token.
    #[error("the prompt has no token; at least one is needed")]
    EmptyPrompt,
    /// No output was asked for.
    #[error("no output token was asked for; at least one is needed")]
    NoOutput,
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt_tokens} tokens and must have fewer than max-model-len = \
         {max_model_len}; shorten it"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// The limit.
        max_model_len: u32,
    },
}

/// Continuous batching over one KV cache.
#[derive(Clone, Debug)]
pub struct Engine {
    profile: ModelProfile,
    /// [`Settings::slow_down`].
    slow_down: f64,
    limits: Limits,
    pool: BlockPool,
    next_id: u64,
    /// Admitted, in the order of admission.
    running: Vec<Sequence>,
    /// Not admitted; preempted ones at the head.
    waiting: VecDeque<Sequence>,
    step: Step,
}

impl Engine {
    /// An idle engine for `profile` under `settings`.
    ///
    /// # Errors
    /// As [`Settings::limits`].
    pub fn new(profile: &ModelProfile, settings: &Settings) -> Result<Self, SettingsError> {
        let limits = settings.limits(profile)?;
        Ok(Self {
            profile: profile.clone(),
            slow_down: settings.slow_down(),
            limits,
            pool: BlockPool::new(limits.num_gpu_blocks),
            next_id: 0,
            running: Vec::with_capacity(limits.max_num_seqs.min(4096) as usize),
            waiting: VecDeque::new(),
            step: Step::default(),
        })
    }

    /// Queues a request that arrived at `at`; the next step may serve it.
    ///
    /// # Errors
    /// [`RequestError`] when the request could never be served.
    pub fn submit(&mut self, request: Request, at: RunNanos) -> Result<RequestId, RequestError> {
        let max_model_len = self.limits.max_model_len;
        let prompt_tokens = request.prompt.len();
        if prompt_tokens == 0 {
            return Err(RequestError::EmptyPrompt);
        }
        if prompt_tokens >= max_model_len as usize {
            return Err(RequestError::TooLong { prompt_tokens, max_model_len });
        }
        if request.output_tokens.get() == 0 {
            return Err(RequestError::NoOutput);
        }
        let room = max_model_len - u32::try_from(prompt_tokens).unwrap_or(max_model_len);
        let wanted = request.output_tokens.get().min(room);
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Sequence::new(id, request, wanted, at));
        Ok(id)
    }

    /// Forgets a request and frees its blocks; `false` when it had ended already.
    pub fn abort(&mut self, id: RequestId) -> bool {
        if let Some(at) = self.running.iter().position(|sequence| sequence.id == id) {
            self.running.remove(at).release(&mut self.pool);
            true
        } else if let Some(at) = self.waiting.iter().position(|sequence| sequence.id == id) {
            self.waiting.remove(at);
            true
        } else {
            false
        }
    }

    /// Empties the prefix cache; `false`, and nothing is done, while a request runs.
    pub fn reset_prefix_cache(&mut self) -> bool {
        if self.running.is_empty() {
            self.pool.forget();
        }
        self.running.is_empty()
    }

    /// Whether a step would do anything.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// Requests admitted and not finished.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Requests not yet admitted, or preempted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The share of KV-cache blocks that requests hold, 0 to 1.
    #[must_use]
    pub fn kv_cache_usage(&self) -> f64 {
        self.pool.usage()
    }

    /// The limits in effect.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The result of the last [`Engine::step`] that did something.
    pub(crate) fn last_step(&self) -> &Step {
        &self.step
    }

    /// Schedules and computes the step that begins at `start`; `None` when there is no work.
    ///
    /// The result is valid until the next call. Its tokens exist at its end, not before.
    pub fn step(&mut self, start: RunNanos) -> Option<&Step> {
        if !self.has_work() {
            return None;
        }
        self.step.clear(start);
        // Tokens that each running sequence computes in this step, in the same order.
        let mut shares: Vec<u32> = Vec::with_capacity(self.running.len() + 8);
        let mut budget = self.serve_running(&mut shares);
        if self.step.preempted == 0 {
            self.admit_waiting(&mut shares, &mut budget);
        }
        for (sequence, share) in self.running.iter().zip(&shares) {
            if *share > 0 {
                self.step.sequences += 1;
                if sequence.prefilling {
                    self.step.prefilling += 1;
                    self.step.prefill_tokens += share;
                }
            }
        }
        let Step { sequences, prefilling, prefill_tokens, .. } = self.step;
        let alone = self.profile.step_time(sequences - prefilling, prefilling, prefill_tokens);
        self.step.end = start + alone.mul_f64(self.slow_down);
        self.compute(&shares);
        Some(&self.step)
    }

    /// Gives the running sequences their shares; returns what is left of the token budget.
    fn serve_running(&mut self, shares: &mut Vec<u32>) -> u32 {
        let Limits { block_size, prefix_caching, .. } = self.limits;
        let mut budget = self.limits.max_num_batched_tokens;
        let mut at = 0;
        while at < self.running.len() {
            let share = (self.running[at].len() - self.running[at].computed).min(budget);
            if share > 0 {
                let tokens = self.running[at].computed + share;
                while self.running.len() > at
                    && self.running[at].missing_blocks(tokens, block_size) > self.pool.free()
                {
                    self.preempt_last();
                }
                if at == self.running.len() {
                    // It was itself the one admitted last.
                    break;
                }
                self.running[at].grow(tokens, &mut self.pool, block_size, prefix_caching);
                budget -= share;
            }
            shares.push(share);
            at += 1;
        }
        budget
    }

    /// Sends the sequence admitted last back to the head of the queue.
    fn preempt_last(&mut self) {
        let mut victim = self.running.pop().expect("the caller saw that one is running");
        victim.release(&mut self.pool);
        victim.preemptions += 1;
        self.step.preempted += 1;
        self.waiting.push_front(victim);
    }

    /// Admits waiting sequences while slots, budget and blocks last.
    fn admit_waiting(&mut self, shares: &mut Vec<u32>, budget: &mut u32) {
        let Limits { block_size, prefix_caching, chunked_prefill, max_num_seqs, .. } = self.limits;
        while *budget > 0 && self.running.len() < max_num_seqs as usize {
            let Some(next) = self.waiting.front_mut() else { break };
            let known =
                if prefix_caching { next.known_blocks(&self.pool, block_size) } else { Vec::new() };
            let cached = u32::try_from(known.len()).unwrap_or(u32::MAX) * block_size;
            let rest = next.len() - cached;
            if rest > *budget && !chunked_prefill {
                break;
            }
            let share = rest.min(*budget);
            let fresh = (cached + share).div_ceil(block_size) - cached / block_size;
            if fresh + self.pool.idle_among(&known) > self.pool.free() {
                break;
            }
            let mut sequence = self.waiting.pop_front().expect("its front was just seen");
            sequence.adopt(&known, &mut self.pool, block_size);
            sequence.grow(cached + share, &mut self.pool, block_size, prefix_caching);
            if sequence.scheduled.is_none() {
                sequence.scheduled = Some(self.step.start);
                sequence.cached_tokens = cached;
                self.step.admitted.push(Admission {
                    id: sequence.id,
                    queued: self.step.start - sequence.arrival,
                    prompt_tokens: Tokens::new(sequence.prompt_tokens),
                    cached_tokens: Tokens::new(cached),
                });
            }
            *budget -= share;
            shares.push(share);
            self.running.push(sequence);
        }
    }

    /// Advances every scheduled sequence, gives its token where one comes, lets the finished go.
    fn compute(&mut self, shares: &[u32]) {
        let end = self.step.end;
        for (sequence, share) in self.running.iter_mut().zip(shares) {
            sequence.computed += share;
            if *share == 0 || sequence.computed < sequence.len() {
                continue;
            }
            sequence.prefilling = false;
            let index = sequence.generated;
            sequence.generate();
            sequence.first_token.get_or_insert(end);
            let last = sequence.generated == sequence.wanted;
            self.step.tokens.push(TokenOut {
                id: sequence.id,
                index,
                last,
                gap: end - sequence.newest,
            });
            sequence.newest = end;
            if last {
                sequence.release(&mut self.pool);
                self.step.finished.push(Completion::of(sequence));
            }
        }
        if !self.step.finished.is_empty() {
            self.running.retain(|sequence| sequence.generated < sequence.wanted);
        }
    }
}
