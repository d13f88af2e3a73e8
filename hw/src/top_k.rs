//! Keeps the k largest in input order. Siblings: `golden`, `sim`, `tests/top_k.rs`.
//! Paper: SpAtten section IV-B, Fig. 9: an engine finds the k-th largest, a filter passes what is larger and as many equals as
//! are still needed, a zero eliminator closes the gaps.
//! Differs from the paper: ties are counted, so exactly k pass; the engine is `radix_select`, whose time does not depend on
//! the scores.
//!
//! ```text
//!  k -----------> engine (arrival | later passes) --- threshold, equals ---+
//!  in -----+-------^                                                      v
//!          +---> row memory (four rows) ------------> compare --> count equals --> zero eliminator --> out
//! ```
//! Three stages work on three rows: one arrives, one is in the later passes, one is filtered.

mod filter;

pub use filter::Filter;

use crate::hdl::*;
use crate::radix_select::RadixSelect;

/// Keeps the k largest scores of each row, in input order; of equals, the first ones.
///
/// | stream | field | holds |
/// | --- | --- | --- |
/// | `in` | `scores`, `count`, `last` | a row: all beats but the last are full; an empty row is one beat of 0 |
/// | `k` | `count` | how many to keep, one beat per row; more than the row has keeps all, 0 keeps none |
/// | `out` | `index`, `score`, `count`, `last` | what is kept: all beats of a row but the last are full; nothing is one beat of 0 |
///
/// # Shapes   `scores [n]`, `k` -> `[min(k, n)]`, `n <= keys`; lanes from `count` on are 0
/// # Formats   unsigned scores of any width up to 48 bits
/// # Ties     lowest index wins
/// # Timing   with `m = max(1, ceil(n / P))` and `D` digits ([`spatten_arch::radix::digits`]): rows follow each other every
/// `max(m + 6, (D - 1) * (m + 4) + 4)` cycles whatever their scores ([`TopK::period`]; P = 16 and probabilities:
/// `2 * m + 12`, so at most `n / 8 + 14`). A row whose first beat is taken in cycle `t`, with k in time and the stages free, is
/// complete at the output in `t + TopK::latency`, one cycle later where its last word and what is left over before it are
/// more than a beat
#[derive(LogicBlock)]
pub struct TopK {
    name: ModuleName,
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
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Places in the row of what is kept.
    pub out_index: Vec<Wire<Out>>,
    /// Its scores.
    pub out_score: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    bits: Param,
    engine: RadixSelect,
    filter: Filter,
    take: Signal<Local, Bit>,
}

impl TopK {
    /// For rows of up to `keys` scores of `bits`, `lanes` per cycle.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two that divides `keys`.
    #[track_caller]
    pub fn new(bits: usize, lanes: usize, keys: usize) -> Self {
        Self::named("top_k", bits, lanes, keys, true)
    }

    /// The same under a name of its own, beside one of another size.
    ///
    /// # Panics
    /// As [`TopK::new`].
    #[track_caller]
    pub fn sized(bits: usize, lanes: usize, keys: usize) -> Self {
        Self::named(&format!("top_k_{bits}x{lanes}x{keys}"), bits, lanes, keys, true)
    }

    /// The same with a beat out per beat in: what is kept of the row's first `lanes` scores, of the next, and so on. For readers
    /// that want to know which word of the row a beat is of. Any beat may be of 0, and lanes from `count` on hold anything.
    ///
    /// # Panics
    /// As [`TopK::new`].
    #[track_caller]
    pub fn aligned(bits: usize, lanes: usize, keys: usize) -> Self {
        Self::named(&format!("top_k_aligned_{bits}x{lanes}x{keys}"), bits, lanes, keys, false)
    }

    #[track_caller]
    fn named(name: &str, bits: usize, lanes: usize, keys: usize, packed: bool) -> Self {
        let (total, count) = (bits_for(keys), bits_for(lanes));
        Self {
            name: ModuleName::new(name),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_scores: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            k_valid: Default::default(),
            k_ready: Default::default(),
            k_count: Wire::unsigned(total),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_index: vec_of(lanes, || Wire::unsigned(bits_for(keys - 1))),
            out_score: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            bits: Param::new(bits),
            engine: RadixSelect::named(&format!("radix_select_{bits}x{lanes}x{keys}"), bits, lanes, keys),
            filter: Filter::new(bits, lanes, keys, packed),
            take: Default::default(),
        }
    }

    /// Cycles from row to row for rows of `n` scores.
    pub fn period(bits: usize, lanes: usize, n: usize) -> usize {
        RadixSelect::period(bits, lanes, n)
    }

    /// Cycles from the first beat of a row of `n` scores to its last beat out, alone in the block.
    pub fn latency(bits: usize, lanes: usize, n: usize) -> usize {
        RadixSelect::latency(bits, lanes, n) + n.div_ceil(lanes).max(1) + Filter::latency(lanes)
    }
}

impl Logic for TopK {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, engine, filter);
        self.engine.reset.next = self.reset.val();
        self.filter.reset.next = self.reset.val();
        self.in_ready.next = self.engine.in_ready.val();
        self.k_ready.next = self.engine.k_ready.val();
        self.take.next = self.in_valid.val() & self.engine.in_ready.val();
        self.engine.in_valid.next = self.in_valid.val();
        self.engine.in_count.next = self.in_count.val();
        self.engine.in_last.next = self.in_last.val();
        self.engine.k_valid.next = self.k_valid.val();
        self.engine.k_count.next = self.k_count.val();
        self.engine.out_ready.next = self.filter.threshold_ready.val();
        self.filter.row_taken.next = self.take.val();
        self.filter.row_count.next = self.in_count.val();
        self.filter.row_last.next = self.in_last.val();
        self.filter.threshold_valid.next = self.engine.out_valid.val();
        self.filter.threshold_score.next = self.engine.out_score.val();
        self.filter.threshold_equal.next = self.engine.out_equal.val();
        for i in 0..self.lanes.val() {
            self.engine.in_scores[i].next = self.in_scores[i].val();
            self.filter.row_scores[i].next = self.in_scores[i].val();
            self.out_score[i].next = self.filter.out_data[i].val();
            self.out_index[i].next = self.filter.out_data[i].val() >> self.bits.val();
        }
        self.out_valid.next = self.filter.out_valid.val();
        self.out_count.next = self.filter.out_count.val();
        self.out_last.next = self.filter.out_last.val();
        self.filter.out_ready.next = self.out_ready.val();
    }
}
