//! What an experiment asks, and with it what has to be known for an answer.

/// What an experiment asks of its groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Question {
    /// How much each sustains: without a capacity there is no answer.
    #[default]
    Capacity,
    /// How capacity grows from one to the next: the same, and the claim is judged by [`conclude`](crate::conclude).
    Scaling,
    /// What a user waits for at the loads that were offered; nobody asks for the capacity.
    Latency,
    /// How they differ at these loads, in capacity where it is known.
    Difference,
}

impl Question {
    /// The question of an experiment by its name in the manifest; that of any other is the capacity.
    #[must_use]
    pub fn of(experiment: &str) -> Self {
        match experiment {
            "scaling" => Self::Scaling,
            "lowload" | "scenarios" => Self::Latency,
            "compare" => Self::Difference,
            _ => Self::Capacity,
        }
    }

    /// Whether a group without a capacity leaves it unanswered.
    #[must_use]
    pub const fn needs_capacity(self) -> bool {
        matches!(self, Self::Capacity | Self::Scaling)
    }
}
