//! Token-budget-limited: steps have as many tokens as they may (`max-num-batched-tokens`).

use super::super::evidence::{Hypothesis, Weighing};
use super::super::{Cause, Seen};

/// It needs a load past saturation, steps that use up the budget on average, and requests that wait. Slots
/// that are all taken rule it out: whoever has no slot asks for no tokens.
pub(super) fn weigh(seen: &Seen<'_>) -> Hypothesis {
    Weighing::of(Cause::TokenBudget)
        .needs(seen.budget_used())
        .needs(seen.waiting())
        .unless(seen.slots_taken())
        .given(seen.past())
        .weighed()
}
