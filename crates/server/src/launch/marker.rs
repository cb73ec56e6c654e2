//! The mark by which the processes of one start are known again, wherever they went.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

/// The environment variable that holds it.
pub(super) const VARIABLE: &str = "PLIMSOLL_LAUNCH";

/// An environment variable with a value of its own for each start, which children inherit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker(String);

impl Marker {
    /// A new one. It only has to differ from all others on this machine.
    pub(super) fn new() -> Self {
        // Each state is seeded by the system's randomness.
        let part = || {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u32(std::process::id());
            hasher.finish()
        };
        Self(format!("{:016x}{:016x}", part(), part()))
    }

    /// The variable's value.
    pub(super) fn value(&self) -> &str {
        &self.0
    }

    /// How it stands in an environment: `PLIMSOLL_LAUNCH=...`.
    pub(super) fn assignment(&self) -> String {
        format!("{VARIABLE}={}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let [a, b] = [Marker::new(), Marker::new()];
        assert_ne!(a, b);
        assert_eq!(a.assignment().len(), "PLIMSOLL_LAUNCH=".len() + 32);
    }
}
