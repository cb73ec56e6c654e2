//! One request inside the engine: its tokens, its blocks, how far it is computed.

use plimsoll_units::RunNanos;

use crate::engine::blocks::{BlockPool, chain};
use crate::engine::{Request, RequestId};

/// A request that has not finished.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    pub(crate) id: RequestId,
    pub(crate) arrival: RunNanos,
    /// Start of the first step that computed some of it.
    pub(crate) scheduled: Option<RunNanos>,
    pub(crate) first_token: Option<RunNanos>,
    /// End of the step that gave its newest token; its arrival before the first.
    pub(crate) newest: RunNanos,
    pub(crate) prompt_tokens: u32,
    /// Tokens generated so far, and how many will be.
    pub(crate) generated: u32,
    pub(crate) wanted: u32,
    /// Tokens taken from the cache when it first ran.
    pub(crate) cached_tokens: u32,
    pub(crate) preemptions: u32,
    /// Tokens whose KV entries exist, of prompt and answer together.
    pub(crate) computed: u32,
    /// Whether what it computes next is prompt (or, after a preemption, recomputed) tokens.
    pub(crate) prefilling: bool,
    seed: u64,
    tokens: Vec<u32>,
    /// Hashes of the full blocks of `tokens`, as far as they were needed.
    hashes: Vec<u64>,
    blocks: Vec<u32>,
    /// Blocks, from the first, whose content has been named in the pool.
    named: usize,
}

impl Sequence {
    pub(crate) fn new(id: RequestId, request: Request, wanted: u32, at: RunNanos) -> Self {
        Self {
            id,
            arrival: at,
            scheduled: None,
            first_token: None,
            newest: at,
            prompt_tokens: u32::try_from(request.prompt.len()).unwrap_or(u32::MAX),
            generated: 0,
            wanted,
            cached_tokens: 0,
            preemptions: 0,
            computed: 0,
            prefilling: true,
            seed: request.seed,
            tokens: request.prompt,
            hashes: Vec::new(),
            blocks: Vec::new(),
            named: 0,
        }
    }

    /// Tokens that exist: prompt and generated ones.
    pub(crate) fn len(&self) -> u32 {
        self.prompt_tokens + self.generated
    }

    /// Appends the next token of the answer.
    pub(crate) fn generate(&mut self) {
        self.tokens.push(crate::words::answer_token(self.seed, self.generated));
        self.generated += 1;
    }

    /// The blocks of the pool that hold a prefix of this sequence, never all of it: the last token
    /// is always computed, for its output is the next token.
    pub(crate) fn known_blocks(&mut self, pool: &BlockPool, block_size: u32) -> Vec<u32> {
        let limit = (self.len() - 1) / block_size;
        self.hash_up_to(limit, block_size);
        pool.known(&self.hashes, limit as usize)
    }

    /// Starts with blocks found in the cache, which must all be its first ones.
    pub(crate) fn adopt(&mut self, known: &[u32], pool: &mut BlockPool, block_size: u32) {
        for id in known {
            pool.share(*id);
        }
        self.blocks.extend_from_slice(known);
        self.named = known.len();
        self.computed = u32::try_from(known.len()).unwrap_or(u32::MAX) * block_size;
    }

    /// Blocks still missing to hold `tokens` tokens.
    pub(crate) fn missing_blocks(&self, tokens: u32, block_size: u32) -> u32 {
        let held = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        tokens.div_ceil(block_size).saturating_sub(held)
    }

    /// Takes the blocks for `tokens` tokens, which the pool must have, and names those that this
    /// step fills, so that even a request scheduled later in the same step finds them.
    pub(crate) fn grow(
        &mut self,
        tokens: u32,
        pool: &mut BlockPool,
        block_size: u32,
        caching: bool,
    ) {
        for _ in 0..self.missing_blocks(tokens, block_size) {
            self.blocks.push(pool.take().expect("the caller made sure that enough are free"));
        }
        if caching {
            let full = tokens / block_size;
            self.hash_up_to(full, block_size);
            while self.named < full as usize {
                pool.name(self.blocks[self.named], self.hashes[self.named]);
                self.named += 1;
            }
        }
    }

    /// Gives all blocks back, the last first, so that a prefix outlives what followed it.
    pub(crate) fn release(&mut self, pool: &mut BlockPool) {
        for id in self.blocks.drain(..).rev() {
            pool.release(id);
        }
        self.named = 0;
        self.computed = 0;
        self.prefilling = true;
    }

    fn hash_up_to(&mut self, full_blocks: u32, block_size: u32) {
        while self.hashes.len() < full_blocks as usize {
            let start = self.hashes.len() * block_size as usize;
            let before = self.hashes.last().copied().unwrap_or(0);
            self.hashes.push(chain(before, &self.tokens[start..start + block_size as usize]));
        }
    }
}
