//! Histogram selection with deterministic time. Siblings: `golden`, `sim`, `tests/radix_select.rs`.
//! Paper: none; it takes the place of Algorithm 3 (section IV-B) in `top_k`.
//! Why: quick-select needs a random number of passes over long rows and no useful bound holds. Here every digit takes one
//! pass, whatever the scores are, and the first pass runs while they arrive.
//! Differs from the paper: the whole engine. Scores are not moved between passes: a later pass reads the row again and
//! counts only the scores that agree with the digits found so far, so its time does not depend on how many those are.
//!
//! ```text
//!  in --+--> first_pass: counts --> choice --> [digit, above, k] --> later_passes: counts --> choice --> out
//!       |                                                              ^     ^                  |
//!       +--> row memory (two rows) ------------ read again ------------+     +--- next digit ---+
//! ```
//! Bins count scores *at or above* a digit and start from the number of scores above all of them: then the digit of the k-th
//! largest is the highest one whose bin reaches k, and nothing has to be summed or subtracted for it.

mod counts;
mod first_pass;
mod later_passes;

use crate::hdl::*;
use first_pass::FirstPass;
use later_passes::LaterPasses;
use spatten_arch::radix::digits;

/// Finds the k-th largest score of a row, and how many of its equals to keep.
///
/// | stream | field | holds |
/// | --- | --- | --- |
/// | `in` | `scores` | up to `P` scores; all beats of a row but the last are full |
/// | | `count` | how many; 0 in the one beat of an empty row |
/// | | `last` | the row ends |
/// | `k` | `count` | how many to keep, one beat per row; more than the row has keeps all |
/// | `out` | `score` | the k-th largest; all ones where nothing is kept |
/// | | `equal` | scores equal to it that are kept (the first ones); 0 where nothing is kept |
///
/// # Shapes   `scores [n]`, `n <= keys`
/// # Formats   unsigned scores; digits are [`spatten_arch::radix::digits`]
/// # Timing   of a row of `m = max(1, ceil(n / P))` beats in `D` digits, whatever its scores. Where its k is there in time
/// (taken up to 2 cycles after the last beat), the arrival of a row takes `m + 6` cycles from its first beat, later by as
/// many cycles as the k is; then the later passes take `(D - 1) * (m + 4) + 3` and the answer is offered (for `D = 1`, in
/// the last of the `m + 6`). Rows overlap: the next one arrives during the later passes. So rows follow each other every
/// `max(m + 6, (D - 1) * (m + 4) + 4)` cycles ([`RadixSelect::period`]); while an answer is not taken, two rows wait
#[derive(LogicBlock)]
pub struct RadixSelect {
    name: ModuleName,
    unused: Vec<Waiver>,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets all rows.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its scores.
    pub in_scores: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A k is offered.
    pub k_valid: Signal<In, Bit>,
    /// It would be taken.
    pub k_ready: Signal<Out, Bit>,
    /// Scores to keep.
    pub k_count: Wire<In>,
    /// An answer is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// The k-th largest.
    pub out_score: Wire<Out>,
    /// Equals to keep.
    pub out_equal: Wire<Out>,
    lanes: Param,
    /// Is there more than one digit?
    later: Param,
    low_bits: Param,
    first: FirstPass,
    /// None for scores of one digit.
    passes: Vec<LaterPasses>,
}

impl RadixSelect {
    /// For rows of up to `keys` scores of `bits`, `lanes` per cycle.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two that divides `keys`.
    #[track_caller]
    pub fn new(bits: usize, lanes: usize, keys: usize) -> Self {
        Self::named("radix_select", bits, lanes, keys)
    }

    /// The same as a part of another block, under another module name.
    #[track_caller]
    pub(crate) fn named(name: &str, bits: usize, lanes: usize, keys: usize) -> Self {
        assert!(
            lanes.is_power_of_two() && keys.is_multiple_of(lanes) && keys > 0,
            "{lanes} lanes, {keys} keys: lanes are a power of two that divides the keys"
        );
        let digits = digits(bits as u32);
        let total = bits_for(keys);
        Self {
            name: ModuleName::new(name),
            unused: (digits.len()..2)
                .map(|_| Waiver::new("UNUSEDSIGNAL", "Scores of one digit are not kept and read again."))
                .collect(),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_scores: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(bits_for(lanes)),
            in_last: Default::default(),
            k_valid: Default::default(),
            k_ready: Default::default(),
            k_count: Wire::unsigned(total),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_score: Wire::unsigned(bits),
            out_equal: Wire::unsigned(total),
            lanes: Param::new(lanes),
            later: Param::new((digits.len() - 1).min(1)),
            low_bits: Param::new(bits - digits[0] as usize),
            first: FirstPass::new(digits[0] as usize, lanes, keys),
            passes: (1..digits.len().min(2)).map(|_| LaterPasses::new(bits, lanes, keys)).collect(),
        }
    }

    /// Cycles from row to row for rows of `n` scores: the time of the slower of the two stages.
    pub fn period(bits: usize, lanes: usize, n: usize) -> usize {
        let (beats, later) = (n.div_ceil(lanes).max(1), digits(bits as u32).len() - 1);
        (beats + 6).max(later * (beats + 4) + 4)
    }

    /// Cycles from the first beat of a row of `n` scores to its answer, where nothing waits.
    pub fn latency(bits: usize, lanes: usize, n: usize) -> usize {
        let (beats, later) = (n.div_ceil(lanes).max(1), digits(bits as u32).len() - 1);
        beats + 5 + if later > 0 { later * (beats + 4) + 4 } else { 0 }
    }
}

impl Logic for RadixSelect {
    #[hdl_gen]
    fn update(&mut self) {
        self.first.clock.next = self.clock.val();
        self.first.reset.next = self.reset.val();
        self.first.in_valid.next = self.in_valid.val();
        self.first.in_count.next = self.in_count.val();
        self.first.in_last.next = self.in_last.val();
        self.first.k_valid.next = self.k_valid.val();
        self.first.k_count.next = self.k_count.val();
        self.in_ready.next = self.first.in_ready.val();
        self.k_ready.next = self.first.k_ready.val();
        for i in 0..self.lanes.val() {
            self.first.in_digit[i].next = self.in_scores[i].val() >> self.low_bits.val();
        }
        if self.later.val() == 0 {
            self.first.taken.next = self.out_ready.val();
            self.out_valid.next = self.first.offers.val();
            self.out_score.next = self.first.digit.val();
            self.out_equal.next = self.first.k_of_row.val() - self.first.above.val();
        } else {
            for p in 0..self.later.val() {
                self.passes[p].clock.next = self.clock.val();
                self.passes[p].reset.next = self.reset.val();
                self.passes[p].write_enable.next = self.first.took.val();
                self.passes[p].write_bank.next = self.first.bank.val();
                self.passes[p].write_word.next = self.first.word.val();
                for i in 0..self.lanes.val() {
                    self.passes[p].write_data[i].next = self.in_scores[i].val();
                }
                self.passes[p].offered.next = self.first.offers.val();
                self.first.taken.next = self.passes[p].takes.val();
                self.passes[p].bank.next = self.first.bank.val();
                self.passes[p].digit.next = self.first.digit.val();
                self.passes[p].first_above.next = self.first.above.val();
                self.passes[p].k.next = self.first.k_of_row.val();
                self.passes[p].row_last.next = self.first.last_word.val();
                self.passes[p].row_tail.next = self.first.tail.val();
                self.passes[p].out_ready.next = self.out_ready.val();
                self.out_valid.next = self.passes[p].out_valid.val();
                self.out_score.next = self.passes[p].out_score.val();
                self.out_equal.next = self.passes[p].out_equal.val();
            }
        }
    }
}
