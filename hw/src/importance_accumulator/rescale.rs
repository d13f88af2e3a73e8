//! Importance times a factor: as it is, decayed, or as a mean. Part of `importance_accumulator`.

use crate::delay::Delay;
use crate::hdl::*;
use crate::leaf::Multiplier;
use crate::softmax::divide::Reciprocal;
use spatten_arch::format::{DECAY_FRACTION, RECIPROCAL_FRACTION};

/// Bits of a factor beside the one that stands for 1.0.
const FACTOR: usize = RECIPROCAL_FRACTION as usize;
/// Bits of the low part of an importance, as one side of an 18 x 18 bit DSP.
const LOW: usize = 17;

/// One lane. All three ways take the same cycles, so that they share one multiplier.
///
/// # Formats   `token_importance` and a row count -> `token_importance`, or `token_mean` (saturating), or after decay
/// # Timing   a new number every cycle; its result after [`Rescale::LATENCY`] cycles
#[derive(LogicBlock)]
pub struct Rescale {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Divides by `rows`. Like the next two the same for all numbers inside.
    pub mean: Signal<In, Bit>,
    /// Multiplies by `gamma`.
    pub decay: Signal<In, Bit>,
    /// Decay factor.
    pub gamma: Wire<In>,
    /// The number.
    pub importance: Wire<In>,
    /// Rows that could see the token; the mean of none is 0.
    pub rows: Wire<In>,
    /// The result.
    pub result: Wire<Out>,
    one: Param,
    low_bits: Param,
    low_mask: Param,
    decay_shift: Param,
    top: Param,
    cap: Param,
    importance_bits: Param,
    reciprocal: Reciprocal,
    importance_later: Delay,
    some: Delay,
    number: Wire<Local>,
    factor: Wire<Local>,
    shift: Wire<Local>,
    low: Multiplier,
    high: Multiplier,
    /// A factor of 1.0 does not fit the multiplier.
    exact: Vec<Dff<Bit>>,
    exact_value: Vec<Reg>,
    shifts: Vec<Reg>,
    product: Reg,
    coarse: Reg,
    fine: Reg,
    rounded: Reg,
    held: Reg,
}

impl Rescale {
    /// Cycles from a number to its result.
    pub const LATENCY: usize = Reciprocal::LATENCY + 7;

    /// For importances and row counts of these widths.
    pub fn new(importance_bits: usize, row_bits: usize) -> Self {
        const { assert!(FACTOR == DECAY_FRACTION as usize + 1) };
        let product = importance_bits + FACTOR;
        Self {
            name: ModuleName::new(format!("rescale_{importance_bits}_{row_bits}")),
            clock: Default::default(),
            mean: Default::default(),
            decay: Default::default(),
            gamma: Wire::unsigned(DECAY_FRACTION as usize + 1),
            importance: Wire::unsigned(importance_bits),
            rows: Wire::unsigned(row_bits),
            result: Wire::unsigned(importance_bits),
            one: Param::new(FACTOR),
            low_bits: Param::new(LOW),
            low_mask: Param::new((1 << LOW) - 1),
            decay_shift: Param::new(DECAY_FRACTION as usize - 1),
            top: Param::new(FACTOR - 1),
            cap: Param::new((1 << importance_bits) - 1),
            importance_bits: Param::new(importance_bits),
            reciprocal: Reciprocal::new(row_bits, 0),
            importance_later: Delay::new(importance_bits, Reciprocal::LATENCY),
            some: Delay::new(1, Reciprocal::LATENCY),
            number: Wire::unsigned(importance_bits),
            factor: Wire::unsigned(FACTOR + 1),
            shift: Wire::unsigned(5),
            low: Multiplier::new(LOW + 1, FACTOR + 1),
            high: Multiplier::new(importance_bits - LOW + 1, FACTOR + 1),
            exact: vec_of(2, Default::default),
            exact_value: vec_of(2, || Reg::unsigned(importance_bits)),
            shifts: [5, 5, 5, 3].into_iter().map(Reg::unsigned).collect(),
            product: Reg::unsigned(product),
            coarse: Reg::unsigned(product),
            fine: Reg::unsigned(product),
            rounded: Reg::unsigned(product),
            held: Reg::unsigned(importance_bits),
        }
    }
}

impl Logic for Rescale {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, product, coarse, fine, rounded, held);
        clock!(self, clock, reciprocal, importance_later, some, low, high);
        for i in 0..2 {
            self.exact[i].clock.next = self.clock.val();
            self.exact_value[i].clock.next = self.clock.val();
        }
        for i in 0..4 {
            self.shifts[i].clock.next = self.clock.val();
        }
        self.reciprocal.number.next = self.rows.val();
        self.importance_later.early.next = self.importance.val();
        self.some.early.next = self.rows.val().any().into();
        // The factor, and one less than the right shift that goes with it.
        self.factor.next = (1 << self.one.val()).into();
        self.shift.next = self.top.val().into();
        if self.mean.val() {
            self.factor.next = 0.into();
            if self.some.late.val().any() {
                self.factor.next = self.reciprocal.reciprocal.val();
            }
            self.shift.next = self.reciprocal.exponent.val() + 1;
        } else if self.decay.val() {
            self.factor.next = self.gamma.val();
            self.shift.next = self.decay_shift.val().into();
        }
        self.number.next = self.importance_later.late.val();
        self.low.a.next = self.number.val() & self.low_mask.val();
        self.low.b.next = self.factor.val() & ((1 << self.one.val()) - 1);
        self.high.a.next = self.number.val() >> self.low_bits.val();
        self.high.b.next = self.factor.val() & ((1 << self.one.val()) - 1);
        self.exact[0].d.next = self.factor.val().get_bit(self.one.val());
        self.exact[1].d.next = self.exact[0].q.val();
        self.exact_value[0].d.next = self.number.val();
        self.exact_value[1].d.next = self.exact_value[0].q.val();
        self.shifts[0].d.next = self.shift.val();
        for i in 0..3 {
            self.shifts[i + 1].d.next = self.shifts[i].q.val();
        }
        self.product.d.next = self.low.product.val() + (self.high.product.val() << self.low_bits.val());
        if self.exact[1].q.val() {
            self.product.d.next = self.exact_value[1].q.val() << self.one.val();
        }
        self.coarse.d.next = self.product.q.val() >> ((self.shifts[2].q.val() >> 3) << 3);
        self.fine.d.next = self.coarse.q.val() >> self.shifts[3].q.val();
        self.rounded.d.next = (self.fine.q.val() + 1) >> 1;
        self.held.d.next = self.rounded.q.val();
        if (self.rounded.q.val() >> self.importance_bits.val()).any() {
            self.held.d.next = self.cap.val().into();
        }
        self.result.next = self.held.q.val();
    }
}
