//! How many tokens a chunk carried, and how many the whole response had.
//!
//! A chunk's own count exists only where the server reports its running total on every chunk
//! (`continuous_usage_stats`): then a chunk carried the growth of its choice's total. Else a chunk
//! is taken for one token per choice that it has text for, and marked as not counted.
//!
//! Every token is credited once: what a choice was credited so far is subtracted from the total that
//! the server reports next, so a chunk without count between counted ones, or a total that lags its
//! text by a chunk, cannot count a token twice. Text whose total did not grow is still one token, not
//! counted: it arrived, and the total will catch up.
//!
//! The response's total, from whichever place the server chose:
//! - usage on a chunk without choices: that one; if there are as many such chunks as choices (and
//!   more than one), each speaks for one choice and they are summed;
//! - else the last total of each choice, summed.

use crate::chunk::{ChoiceSet, Choices, Usage};

/// What one chunk carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) tokens: u32,
    pub(crate) counted: bool,
}

/// The running count of one choice.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    credited: u32,
    reported: Option<u32>,
    /// Whether the total came before the choice's finish chunk: it is reported continuously.
    continuous: bool,
}

/// The running count of one response.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By the choice's bit.
    accounts: Vec<Account>,
    finals: u32,
    final_sum: u32,
    final_max: Option<u32>,
    prompt: Option<u32>,
    cached: Option<u32>,
}

impl Tally {
    /// Counts a chunk whose choices in `visible` showed something that may be a token, those in
    /// `text` with text. A chunk that only names a role shows nothing.
    pub(crate) fn chunk(
        &mut self,
        choices: &Choices<'_>,
        usage: Option<&Usage>,
        text: ChoiceSet,
        visible: ChoiceSet,
    ) -> Carried {
        if let Some(usage) = usage {
            self.prompt = self.prompt.max(usage.prompt_tokens);
            self.cached = self.cached.max(usage.cached_tokens());
        }
        let reported = usage.and_then(|usage| usage.completion_tokens);
        if choices.seen.is_power_of_two() {
            let index = choices.seen.trailing_zeros() as usize;
            if let Some(reported) = reported {
                let finished = choices.finished != 0;
                let only_role = choices.role != 0 && visible == 0 && !finished;
                return self
                    .counted(index, reported, finished, only_role, text != 0)
                    .unwrap_or_else(|| self.uncounted(visible));
            }
        } else if let Some(reported) = reported {
            self.finals += 1;
            self.final_sum = self.final_sum.saturating_add(reported);
            self.final_max = self.final_max.max(Some(reported));
        }
        self.uncounted(visible)
    }

    /// A chunk with its choice's running total. `None` when the total is not a running one: it came
    /// with the finish of a choice whose chunks had none.
    fn counted(
        &mut self,
        index: usize,
        reported: u32,
        finished: bool,
        only_role: bool,
        text: bool,
    ) -> Option<Carried> {
        let account = self.account(index);
        account.reported = account.reported.max(Some(reported));
        if finished && !account.continuous && account.credited > 0 {
            return None;
        }
        account.continuous |= !finished;
        if only_role {
            return Some(Carried { tokens: 0, counted: true });
        }
        let growth = reported.saturating_sub(account.credited);
        let carried = if growth == 0 && text {
            Carried { tokens: 1, counted: false }
        } else {
            Carried { tokens: growth, counted: true }
        };
        account.credited = account.credited.saturating_add(carried.tokens);
        Some(carried)
    }

    fn uncounted(&mut self, visible: ChoiceSet) -> Carried {
        let mut left = visible;
        while left != 0 {
            let account = self.account(left.trailing_zeros() as usize);
            account.credited = account.credited.saturating_add(1);
            left &= left - 1;
        }
        Carried { tokens: visible.count_ones(), counted: false }
    }

    fn account(&mut self, index: usize) -> &mut Account {
        if self.accounts.len() <= index {
            self.accounts.resize(index + 1, Account::default());
        }
        &mut self.accounts[index]
    }

    /// Output tokens of the response by the server's usage, for a response of `choices` choices.
    pub(crate) fn output_tokens(&self, choices: u32) -> Option<u32> {
        if self.finals > 1 && self.finals == choices {
            return Some(self.final_sum);
        }
        let reported = self.accounts.iter().filter_map(|account| account.reported);
        self.final_max.or_else(|| reported.reduce(u32::saturating_add))
    }

    /// Prompt tokens by the server's usage.
    pub(crate) fn prompt_tokens(&self) -> Option<u32> {
        self.prompt
    }

    /// Prompt tokens from the prefix cache by the server's usage.
    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.cached
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usage(completion: u32) -> Usage {
        Usage { prompt_tokens: Some(10), completion_tokens: Some(completion), ..Usage::default() }
    }

    fn choice(index: u32) -> Choices<'static> {
        Choices { seen: 1 << index, ..Choices::default() }
    }

    /// A chunk of `index` with text and, maybe, a running total.
    fn text(tally: &mut Tally, index: u32, total: Option<u32>) -> (u32, bool) {
        let bit = 1 << index;
        let carried = tally.chunk(&choice(index), total.map(usage).as_ref(), bit, bit);
        (carried.tokens, carried.counted)
    }

    fn finish(tally: &mut Tally, index: u32, total: Option<u32>) -> (u32, bool) {
        let choices = Choices { finished: 1 << index, ..choice(index) };
        let carried = tally.chunk(&choices, total.map(usage).as_ref(), 0, 0);
        (carried.tokens, carried.counted)
    }

    fn last(tally: &mut Tally, total: u32) {
        let carried = tally.chunk(&Choices::default(), Some(&usage(total)), 0, 0);
        assert_eq!(carried.tokens, 0);
    }

    #[test]
    fn growth_is_what_a_counted_chunk_carried() {
        let mut tally = Tally::default();
        let role = Choices { role: 1, ..choice(0) };
        assert_eq!(tally.chunk(&role, Some(&usage(0)), 0, 0).tokens, 0);
        let seen: Vec<_> = [1, 9, 17, 20].map(|total| text(&mut tally, 0, Some(total))).into();
        assert_eq!(seen, [(1, true), (8, true), (8, true), (3, true)]);
        last(&mut tally, 20);
        assert_eq!((tally.output_tokens(1), tally.prompt_tokens()), (Some(20), Some(10)));
    }

    #[test]
    fn a_role_chunk_takes_no_token_even_if_the_total_says_one() {
        let mut tally = Tally::default();
        let role = Choices { role: 1, empty: 1, ..choice(0) };
        assert_eq!(tally.chunk(&role, Some(&usage(1)), 0, 0).tokens, 0);
        assert_eq!(text(&mut tally, 0, Some(1)), (1, true));
    }

    #[test]
    fn growth_without_text_is_a_token_and_text_without_growth_is_one_too() {
        let mut tally = Tally::default();
        assert_eq!(
            tally.chunk(&choice(0), Some(&usage(1)), 0, 1),
            Carried { tokens: 1, counted: true }
        );
        assert_eq!(text(&mut tally, 0, Some(1)), (1, false));
        assert_eq!(text(&mut tally, 0, Some(2)), (1, false));
        assert_eq!(text(&mut tally, 0, Some(5)), (2, true));
        assert_eq!(tally.output_tokens(1), Some(5));
    }

    #[test]
    fn a_total_on_the_finish_chunk_alone_is_no_burst_of_tokens() {
        let mut tally = Tally::default();
        for _ in 0..8 {
            assert_eq!(text(&mut tally, 0, None), (1, false));
        }
        assert_eq!(finish(&mut tally, 0, Some(9)), (0, false));
        assert_eq!(tally.output_tokens(1), Some(9));
        // But a total with the finish, after nothing, is all there was.
        let mut silent = Tally::default();
        assert_eq!(finish(&mut silent, 0, Some(2)), (2, true));
    }

    #[test]
    fn totals_of_two_choices_are_summed_however_they_come() {
        let mut one_for_both = Tally::default();
        let mut one_each = Tally::default();
        let mut on_finish = Tally::default();
        for tally in [&mut one_for_both, &mut one_each, &mut on_finish] {
            text(tally, 0, None);
            text(tally, 1, None);
        }
        last(&mut one_for_both, 4);
        last(&mut one_each, 2);
        last(&mut one_each, 2);
        finish(&mut on_finish, 0, Some(2));
        finish(&mut on_finish, 1, Some(2));
        for tally in [one_for_both, one_each, on_finish] {
            assert_eq!(tally.output_tokens(2), Some(4));
        }
    }

    #[test]
    fn a_repeated_total_of_one_choice_is_not_summed() {
        let mut tally = Tally::default();
        text(&mut tally, 0, Some(4));
        last(&mut tally, 4);
        last(&mut tally, 4);
        assert_eq!(tally.output_tokens(1), Some(4));
        assert_eq!(Tally::default().output_tokens(1), None);
    }

    proptest! {
        /// Invariant: with running totals that end at `n` and grow on every chunk, the chunks'
        /// tokens sum to `n`, whichever chunks lack their total.
        #[test]
        fn every_token_is_credited_once(
            steps in proptest::collection::vec((1u32..9, any::<bool>()), 1..40),
        ) {
            let mut tally = Tally::default();
            let (mut total, mut sum) = (0, 0);
            for &(growth, told) in &steps {
                total += growth;
                sum += text(&mut tally, 0, told.then_some(total)).0;
                prop_assert!(sum <= total);
            }
            sum += text(&mut tally, 0, Some(total + 1)).0;
            prop_assert_eq!(sum, total + 1);
        }
    }
}
