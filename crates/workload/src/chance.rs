//! Seeded chance: one independent stream for each source of randomness and each arrival index, and
//! permutations that need no memory.
//!
//! Both are pure functions of (seed, source, index). That is what lets one thread, eight threads or
//! fifty machines say the same words for the same arrival without talking to each other.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for. One seed per source, so that drawing more from one never
/// shifts another. The numbers are part of the committed fingerprints: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Input lengths.
    InputLength = 1,
    /// Output lengths.
    OutputLength = 2,
    /// Rows of the trace that the input lengths come from, and of both when they share a file.
    Rows = 3,
    /// Rows of the trace that the output lengths come from.
    OutputRows = 4,
    /// Lines of a prompt file.
    Lines = 5,
    /// The words that tell one prompt from the next.
    Head = 6,
    /// The same, behind a shared prefix.
    InnerHead = 7,
    /// The words after the head.
    Words = 8,
    /// The words of the shared prefix.
    Prefix = 9,
    /// Which requests start with the shared prefix.
    Sharing = 10,
    /// The words of a block of a prompt's prefix.
    Blocks = 11,
    /// Where in the time of a rounded stamp a request comes.
    Spread = 12,
    /// How many turns a conversation has.
    Turns = 13,
    /// How long a user thinks.
    ThinkTime = 14,
    /// The words of prompts that are measured by a tokenizer.
    #[cfg(feature = "tokenizer")]
    Exact = 15,
}

/// The streams of one source: one per index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    key: [u8; 32],
}

impl Streams {
    pub(crate) fn new(seed: u64, source: Source) -> Self {
        let mut key = *b"plimsoll-workload, stream key v1";
        for (byte, part) in key.iter_mut().zip(seed.to_le_bytes()) {
            *byte ^= part;
        }
        key[31] ^= source as u8;
        Self { key }
    }

    /// The stream of `index`, from its beginning.
    pub(crate) fn at(&self, index: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(index);
        rng
    }
}

/// A number below `bound`. The multiplication favours some numbers by at most bound / 2^32, which
/// no measurement could see, and unlike rejection it always takes one draw.
pub(crate) fn below(rng: &mut impl Rng, bound: usize) -> usize {
    ((u64::from(rng.next_u32()) * bound as u64) >> 32) as usize
}

/// A number in [0, 1) with 53 random bits.
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A bijection of [0, size) onto itself, computed and not stored: a Feistel network over the next
/// power of four, walked until it lands inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permutation {
    size: u64,
    half_bits: u32,
    keys: [u64; Self::ROUNDS],
}

impl Permutation {
    const ROUNDS: usize = 6;
    /// The largest domain; the next power of four is then still a `u64`.
    pub(crate) const MAX_SIZE: u64 = 1 << 62;

    /// The permutation of `size` elements (at least 1, at most [`Self::MAX_SIZE`]) that `rng` says.
    pub(crate) fn new(size: u64, rng: &mut impl Rng) -> Self {
        let size = size.clamp(1, Self::MAX_SIZE);
        let bits = u64::BITS - (size - 1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        Self { size, half_bits, keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    /// Where `index` modulo the size goes.
    pub(crate) fn apply(&self, index: u64) -> u64 {
        let mut value = index % self.size;
        loop {
            value = self.network(value);
            // The walk ends: the network is a bijection of a finite set, so the path from an
            // element inside comes back inside, at the latest at the element it left from.
            if value < self.size {
                return value;
            }
        }
    }

    fn network(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// A hash of 64 bits in which every bit of the input moves every bit of the output: the finalizer
/// of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every element of the domain is hit exactly once, whatever the size and the seed.
        #[test]
        fn a_permutation_hits_every_element_once(size in 1_u64..3_000, seed: u64) {
            let permutation = Permutation::new(size, &mut Streams::new(seed, Source::Head).at(0));
            let hit: HashSet<u64> = (0..size).map(|index| permutation.apply(index)).collect();
            prop_assert_eq!(hit.len() as u64, size);
            prop_assert!(hit.iter().all(|value| *value < size));
        }

        /// In a domain too large to visit, different indexes still land on different elements
        /// inside it.
        #[test]
        fn a_large_permutation_keeps_indexes_apart(a: u64, b: u64, seed: u64, size in 1_u64 << 40..1 << 62) {
            let permutation = Permutation::new(size, &mut Streams::new(seed, Source::Head).at(0));
            let (x, y) = (permutation.apply(a), permutation.apply(b));
            prop_assert!(x < size && y < size);
            prop_assert_eq!(x == y, a % size == b % size);
        }
    }

    #[test]
    fn streams_differ_by_seed_source_and_index() {
        let first = |seed, source, index| Streams::new(seed, source).at(index).next_u64();
        let all = [
            first(1, Source::Words, 0),
            first(2, Source::Words, 0),
            first(1, Source::Prefix, 0),
            first(1, Source::Words, 1),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all[0], first(1, Source::Words, 0));
    }

    #[test]
    fn draws_are_even_and_in_range() {
        let mut rng = Streams::new(7, Source::Words).at(0);
        let mut counts = [0_u32; 5];
        for _ in 0..50_000 {
            counts[below(&mut rng, 5)] += 1;
            assert!((0.0..1.0).contains(&unit(&mut rng)));
        }
        // 10,000 expected each, standard deviation 89: five of them allow a fixed seed.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 450), "{counts:?}");
    }
}
