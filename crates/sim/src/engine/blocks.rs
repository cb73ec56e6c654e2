//! The KV cache: blocks with reference counts, reuse by content, least recently used first out.

use std::collections::HashMap;

/// No block; the end of a list.
const NONE: u32 = u32::MAX;

/// One block of the cache.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Sequences that hold it; 0 means it stands in the free list.
    holders: u32,
    /// The hash of its whole prefix, when it is full and may be reused.
    hash: Option<u64>,
    /// Neighbours in the free list; meaningless while held.
    before: u32,
    after: u32,
}

/// All blocks of one replica.
///
/// Invariant: a block is in the free list exactly when it has no holder; `cached` maps a hash to
/// one block that carries it.
#[derive(Clone, Debug)]
pub(crate) struct BlockPool {
    blocks: Vec<Block>,
    cached: HashMap<u64, u32>,
    /// Least recently freed block, the next to be taken.
    oldest: u32,
    /// Most recently freed block.
    newest: u32,
    free: u32,
}

impl BlockPool {
    /// A pool of `count` empty blocks.
    pub(crate) fn new(count: u32) -> Self {
        let mut pool = Self {
            blocks: vec![
                Block { holders: 1, hash: None, before: NONE, after: NONE };
                count as usize
            ],
            cached: HashMap::new(),
            oldest: NONE,
            newest: NONE,
            free: 0,
        };
        for id in 0..count {
            pool.release(id);
        }
        pool
    }

    /// Blocks that no sequence holds.
    pub(crate) fn free(&self) -> u32 {
        self.free
    }

    /// The share of blocks that sequences hold, 0 to 1.
    pub(crate) fn usage(&self) -> f64 {
        1.0 - f64::from(self.free) / self.blocks.len() as f64
    }

    /// The blocks that hold the longest known prefix of `hashes`, at most `limit`; none is taken.
    pub(crate) fn known(&self, hashes: &[u64], limit: usize) -> Vec<u32> {
        hashes.iter().take(limit).map_while(|hash| self.cached.get(hash).copied()).collect()
    }

    /// How many of `blocks` stand in the free list: taking them shrinks what is free.
    pub(crate) fn idle_among(&self, blocks: &[u32]) -> u32 {
        let idle = blocks.iter().filter(|id| self.blocks[**id as usize].holders == 0).count();
        u32::try_from(idle).expect("there are fewer blocks than u32::MAX")
    }

    /// Adds a holder to a block found by [`BlockPool::known`].
    pub(crate) fn share(&mut self, id: u32) {
        if self.blocks[id as usize].holders == 0 {
            self.unlink(id);
        }
        self.blocks[id as usize].holders += 1;
    }

    /// Takes the least recently used free block, forgetting what it cached; `None` when all are
    /// held.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let id = self.oldest;
        if id == NONE {
            return None;
        }
        self.unlink(id);
        let block = &mut self.blocks[id as usize];
        block.holders = 1;
        if let Some(hash) = block.hash.take() {
            self.cached.remove(&hash);
        }
        Some(id)
    }

    /// Names the content of a held, full block, unless another block carries the name already.
    pub(crate) fn name(&mut self, id: u32, hash: u64) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.cached.entry(hash) {
            entry.insert(id);
            self.blocks[id as usize].hash = Some(hash);
        }
    }

    /// Takes one holder away; the last one leaves the block free but its content known.
    pub(crate) fn release(&mut self, id: u32) {
        let block = &mut self.blocks[id as usize];
        block.holders -= 1;
        if block.holders > 0 {
            return;
        }
        (block.before, block.after) = (self.newest, NONE);
        if self.newest == NONE {
            self.oldest = id;
        } else {
            self.blocks[self.newest as usize].after = id;
        }
        self.newest = id;
        self.free += 1;
    }

    /// Forgets all content.
    pub(crate) fn forget(&mut self) {
        for (_, id) in self.cached.drain() {
            self.blocks[id as usize].hash = None;
        }
    }

    /// Takes a free block out of the free list.
    fn unlink(&mut self, id: u32) {
        let Block { before, after, .. } = self.blocks[id as usize];
        if before == NONE {
            self.oldest = after;
        } else {
            self.blocks[before as usize].after = after;
        }
        if after == NONE {
            self.newest = before;
        } else {
            self.blocks[after as usize].before = before;
        }
        self.free -= 1;
    }
}

/// The hash of a block from the hash of the block before it and its own tokens.
pub(crate) fn chain(before: u64, tokens: &[u32]) -> u64 {
    let mut hash = before ^ 0x9e37_79b9_7f4a_7c15;
    for token in tokens {
        hash = (hash ^ u64::from(*token)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_unused_block_goes_first() {
        let mut pool = BlockPool::new(3);
        let held: Vec<u32> = (0..3).map(|_| pool.take().unwrap()).collect();
        assert_eq!(pool.take(), None);
        for (id, hash) in held.iter().zip([10, 11, 12]) {
            pool.name(*id, hash);
        }
        pool.release(held[1]);
        pool.release(held[0]);
        pool.release(held[2]);
        assert_eq!(pool.take(), Some(held[1]));
        assert_eq!(pool.known(&[11], 9), [0; 0], "what was taken is forgotten");
        assert_eq!(pool.known(&[10, 12, 99], 9), [held[0], held[2]], "the rest is still known");
        assert_eq!(pool.known(&[10, 12], 1), [held[0]]);
    }

    #[test]
    fn a_shared_block_is_free_when_its_last_holder_lets_go() {
        let mut pool = BlockPool::new(1);
        let id = pool.take().unwrap();
        pool.name(id, 7);
        pool.share(id);
        pool.release(id);
        assert_eq!((pool.free(), pool.usage()), (0, 1.0));
        pool.release(id);
        assert_eq!((pool.free(), pool.usage()), (1, 0.0));
        assert_eq!(pool.idle_among(&pool.known(&[7], 1)), 1);
        pool.forget();
        assert_eq!(pool.known(&[7], 1), [0; 0]);
    }

    #[test]
    fn a_chain_depends_on_all_that_came_before() {
        let first = chain(0, &[1, 2]);
        assert_ne!(chain(first, &[3]), chain(0, &[3]));
        assert_ne!(chain(0, &[1, 2]), chain(0, &[2, 1]));
        assert_eq!(chain(first, &[3]), chain(chain(0, &[1, 2]), &[3]));
    }

    proptest! {
        /// Whatever is taken, shared, named and released: free + held = all, and the free list has
        /// exactly the blocks without holders.
        #[test]
        fn no_block_is_lost(actions in prop::collection::vec((0_u8..4, 0_usize..8), 0..200)) {
            let mut pool = BlockPool::new(8);
            let mut held: Vec<u32> = Vec::new();
            for (action, pick) in actions {
                match action {
                    0 => held.extend(pool.take()),
                    1 if !held.is_empty() => {
                        let id = held.swap_remove(pick % held.len());
                        pool.release(id);
                    }
                    2 if !held.is_empty() => pool.name(held[pick % held.len()], pick as u64),
                    _ => {
                        if let [id] = pool.known(&[pick as u64], 1)[..] {
                            pool.share(id);
                            held.push(id);
                        }
                    }
                }
                let mut distinct = held.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(pool.free() as usize + distinct.len(), 8);
                let mut listed = 0;
                let mut at = pool.oldest;
                while at != NONE {
                    prop_assert_eq!(pool.blocks[at as usize].holders, 0);
                    listed += 1;
                    at = pool.blocks[at as usize].after;
                }
                prop_assert_eq!(listed, pool.free());
            }
        }
    }
}
