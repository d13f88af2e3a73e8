//! `2^-(maximum - logit)` by a chord table and a shift. Part of `softmax`. Paper: section IV-F.

use crate::hdl::*;
use crate::leaf::{Multiplier, Rom};
use spatten_arch::format::{EXP_FRACTION, EXP_STORED_FRACTION, LOGIT_FRACTION};
use spatten_arch::rom::{EXP, EXP_INDEX_BITS};

/// log2 of the middle of the slopes: what is left of them fits one side of an 18 x 18 bit DSP.
const SLOPE_MIDDLE: usize = 17;

/// One lane.
///
/// # Formats   two `logit` -> `exp` and `exp_stored`; 0 where the lane is not live
/// # Timing   a new pair every cycle; `exponential` after [`Exp::LATENCY`] cycles, `stored` one later
#[derive(LogicBlock)]
pub struct Exp {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Largest logit of the row.
    pub maximum: Wire<In>,
    /// The logit.
    pub logit: Wire<In>,
    /// Does the row have this lane?
    pub live: Signal<In, Bit>,
    /// The exponential for the sum.
    pub exponential: Wire<Out>,
    /// The exponential of the cycle before, rounded to what waits for the sum.
    pub stored: Wire<Out>,
    fraction: Param,
    index_shift: Param,
    low_mask: Param,
    base_bits: Param,
    slope_middle: Param,
    slope_base: Param,
    stored_half: Param,
    stored_shift: Param,
    table: Rom,
    chord: Multiplier,
    base: Wire<Local>,
    low: Wire<Local>,
    maximum_held: Reg,
    logit_held: Reg,
    live_held: Dff<Bit>,
    argument: Reg,
    live_argument: Dff<Bit>,
    base_held: Reg,
    low_held: Reg,
    start: Reg,
    /// Integer bits of the argument beside the chord, youngest first, and whether they make the result 0.
    whole: Vec<Reg>,
    none: Vec<Dff<Bit>>,
    value: Reg,
    coarse: Reg,
    fine_shift: Reg,
    fine: Reg,
    rounded: Reg,
    short: Reg,
}

impl Exp {
    /// Cycles from operands to `exponential`.
    pub const LATENCY: usize = 8;

    /// For logits of this width.
    pub fn new(logit_bits: usize) -> Self {
        let low_bits = LOGIT_FRACTION as usize - EXP_INDEX_BITS as usize;
        let (exp_bits, stored_bits) = (EXP_FRACTION as usize + 1, EXP_STORED_FRACTION as usize + 1);
        let shift = (EXP_FRACTION - EXP_STORED_FRACTION) as usize;
        let words: Vec<u64> = EXP.windows(2).map(|w| u64::from(w[0]) | u64::from(w[0] - w[1]) << exp_bits).collect();
        Self {
            name: ModuleName::new(format!("exp_{logit_bits}")),
            clock: Default::default(),
            maximum: Wire::signed(logit_bits),
            logit: Wire::signed(logit_bits),
            live: Default::default(),
            exponential: Wire::unsigned(exp_bits),
            stored: Wire::unsigned(stored_bits),
            fraction: Param::new(LOGIT_FRACTION as usize),
            index_shift: Param::new(low_bits),
            low_mask: Param::new((1 << low_bits) - 1),
            base_bits: Param::new(exp_bits),
            slope_middle: Param::new(SLOPE_MIDDLE),
            slope_base: Param::new(1 << SLOPE_MIDDLE),
            stored_half: Param::new(1 << (shift - 1)),
            stored_shift: Param::new(shift),
            table: Rom::new("exp", words, exp_bits + SLOPE_MIDDLE + 1),
            chord: Multiplier::new(SLOPE_MIDDLE + 1, low_bits + 1),
            base: Wire::unsigned(exp_bits),
            low: Wire::unsigned(low_bits),
            maximum_held: Reg::signed(logit_bits),
            logit_held: Reg::signed(logit_bits),
            live_held: Default::default(),
            argument: Reg::unsigned(logit_bits),
            live_argument: Default::default(),
            base_held: Reg::unsigned(exp_bits),
            low_held: Reg::unsigned(low_bits),
            start: Reg::unsigned(exp_bits + low_bits),
            whole: vec_of(3, || Reg::unsigned(5)),
            none: vec_of(3, Default::default),
            value: Reg::unsigned(exp_bits),
            coarse: Reg::unsigned(exp_bits + 1),
            fine_shift: Reg::unsigned(3),
            fine: Reg::unsigned(exp_bits + 1),
            rounded: Reg::unsigned(exp_bits),
            short: Reg::unsigned(stored_bits),
        }
    }
}

impl Logic for Exp {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            maximum_held,
            logit_held,
            live_held,
            argument,
            live_argument,
            base_held,
            low_held,
            start
        );
        dff_setup!(self, clock, value, coarse, fine_shift, fine, rounded, short);
        clock!(self, clock, chord);
        for i in 0..3 {
            self.whole[i].clock.next = self.clock.val();
            self.none[i].clock.next = self.clock.val();
        }
        // 1: the operands come from a block RAM, which is slow.
        self.maximum_held.d.next = self.maximum.val();
        self.logit_held.d.next = self.logit.val();
        self.live_held.d.next = self.live.val();
        // 2
        self.argument.d.next = self.maximum_held.q.val() - self.logit_held.q.val();
        self.live_argument.d.next = self.live_held.q.val();
        // 3, 4: base - slope * low. The multiplier gets the slope's distance from the middle of all slopes.
        self.table.index.next = self.argument.q.val() >> self.index_shift.val();
        self.base.next = self.table.word.val();
        self.low.next = self.argument.q.val();
        self.chord.a.next = (self.table.word.val() >> self.base_bits.val()) - self.slope_base.val();
        self.chord.b.next = self.low.val();
        self.base_held.d.next = self.base.val();
        self.low_held.d.next = self.low.val();
        self.start.d.next = (self.base_held.q.val() << self.index_shift.val()) + (self.low_mask.val() >> 1)
            - (self.low_held.q.val() << self.slope_middle.val());
        self.whole[0].d.next = self.argument.q.val() >> self.fraction.val();
        self.none[0].d.next = !self.live_argument.q.val() | (self.argument.q.val() >> (self.fraction.val() + 5)).any();
        for i in 0..2 {
            self.whole[i + 1].d.next = self.whole[i].q.val();
            self.none[i + 1].d.next = self.none[i].q.val();
        }
        // 5
        self.value.d.next = (self.start.q.val() - self.chord.product.val()) >> self.index_shift.val();
        // 6, 7: shifted right by the integer bits, with one more fraction bit for rounding.
        self.coarse.d.next = 0.into();
        if !self.none[2].q.val() {
            self.coarse.d.next = (self.value.q.val() << 1) >> ((self.whole[2].q.val() >> 3) << 3);
        }
        self.fine_shift.d.next = self.whole[2].q.val();
        self.fine.d.next = self.coarse.q.val() >> self.fine_shift.q.val();
        // 8, 9
        self.rounded.d.next = (self.fine.q.val() + 1) >> 1;
        self.exponential.next = self.rounded.q.val();
        self.short.d.next = (self.rounded.q.val() + self.stored_half.val()) >> self.stored_shift.val();
        self.stored.next = self.short.q.val();
    }
}
